package openapi

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
)

// check is what the value of a parameter has to be. A nil *check admits anything.
type check struct {
	types   types
	format  func(string) bool // of a string; nil: any
	small   bool              // an integer of 32 bits
	least   int               // characters of a string
	most    int               // 0: no bound
	pattern *regexp.Regexp
	span    *Range    // of a number
	enum    []string  // nil: any
	numbers []float64 // of enum
	all     []*check  // hold as well
	one     []*check  // of which one holds
}

// types is a set of the types of a value. Zero admits any.
type types uint8

const (
	typeString types = 1 << iota
	typeInteger
	typeNumber
	typeBoolean
	typeNull
	typeOther // arrays and objects within a value: not looked at
)

var typeNames = map[string]types{"string": typeString, "integer": typeInteger, "number": typeNumber,
	"boolean": typeBoolean, "null": typeNull, "array": typeOther, "object": typeOther}

// deepest bounds schemas within schemas: what is deeper, or refers to itself, is not looked at.
const deepest = 8

// longestMatched bounds the values that are held against a pattern: a longer one is not
// looked at, since the time that it takes grows with both.
const longestMatched = 512

// schema keeps of a schema what a value in a URL can break: type, format, length, pattern,
// range and list of values. What is not known here admits anything.
func (c *compiler) schema(ref *openapi3.SchemaRef, depth int) *check {
	if ref == nil || ref.Value == nil || depth > deepest {
		return nil
	}
	s := ref.Value
	x := &check{least: int(min(s.MinLength, 1<<20)), format: formats[s.Format], small: s.Format == "int32", pattern: c.pattern(s.Pattern)}
	if s.MaxLength != nil {
		x.most = int(min(*s.MaxLength, 1<<20))
	}
	for _, name := range s.Type.Slice() {
		x.types |= typeNames[name]
	}
	if s.Nullable && x.types != 0 {
		x.types |= typeNull
	}
	if x.types&typeOther != 0 {
		return nil
	}
	if span := RangeOf(s); span != anyNumber {
		x.span = &span
	}
	values := s.Enum
	if s.Const != nil {
		values = []any{s.Const}
	}
	x.enum, x.numbers = listed(values)
	for _, sub := range s.AllOf {
		if y := c.schema(sub, depth+1); y != nil {
			x.all = append(x.all, y)
		}
	}
	for _, list := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf} {
		if y := c.alternatives(list, depth+1); y != nil {
			x.all = append(x.all, &check{one: y})
		}
	}
	return x.simple()
}

// pattern compiles a pattern once; nil for none, and for one that cannot be.
func (c *compiler) pattern(text string) *regexp.Regexp {
	if text == "" {
		return nil
	}
	x, known := c.patterns[text]
	if !known {
		var err error
		if x, err = Pattern(text); err != nil {
			c.warn("the pattern %.120q is not looked at: write it without looking ahead or back, and without back references", text)
			x = nil
		}
		if c.patterns == nil {
			c.patterns = map[string]*regexp.Regexp{}
		}
		c.patterns[text] = x
	}
	return x
}

// alternatives are those of oneOf and anyOf; nil where one of them admits anything.
func (c *compiler) alternatives(list openapi3.SchemaRefs, depth int) (out []*check) {
	for _, x := range list {
		sub := c.schema(x, depth)
		if sub == nil {
			return nil
		}
		out = append(out, sub)
	}
	return out
}

// simple returns nil for a check that admits anything.
func (c *check) simple() *check {
	if c.types == 0 && c.format == nil && c.least == 0 && c.most == 0 && c.pattern == nil && c.span == nil && c.enum == nil && len(c.all) == 0 && len(c.one) == 0 {
		return nil
	}
	return c
}

// listed are the values of an enum as they stand in a URL, and those that are numbers; nil
// where one of them does not.
func listed(values []any) (out []string, numbers []float64) {
	for _, v := range values {
		switch x := v.(type) {
		case string:
			out = append(out, x)
		case bool:
			out = append(out, strconv.FormatBool(x))
		case float64:
			out, numbers = append(out, strconv.FormatFloat(x, 'f', -1, 64)), append(numbers, x)
		case int, int64, uint64:
			text := fmt.Sprint(x)
			f, _ := strconv.ParseFloat(text, 64) // what an integer prints always reads
			out, numbers = append(out, text), append(numbers, f)
		case nil:
			out = append(out, "null", "")
		default:
			return nil, nil
		}
	}
	return out, numbers
}

// admits reports whether a value is as described: read as one of the types that its text can
// be, as whoever answers has to.
func (c *check) admits(v string) bool {
	if c == nil {
		return true
	}
	if (c.may(typeInteger|typeNumber) && isInteger(v, false) || c.may(typeNumber) && isNumber(v)) && c.as(typeNumber, v) {
		return true
	}
	if (v == "true" || v == "false") && c.may(typeBoolean) && c.as(typeBoolean, v) {
		return true
	}
	if (v == "" || v == "null") && c.may(typeNull) && c.as(typeNull, v) {
		return true
	}
	return c.may(typeString) && c.as(typeString, v)
}

// may reports whether a value can be of one of some types, as far as the schema says so itself.
func (c *check) may(t types) bool { return c.types == 0 || c.types&t != 0 }

// as reports whether a value is as described, read as a type: number, too, of an integer.
func (c *check) as(t types, v string) bool {
	switch t {
	case typeNumber:
		if !c.may(typeNumber) && !(c.types&typeInteger != 0 && c.whole(v)) || !c.numeric(v) {
			return false
		}
	case typeString:
		if !c.may(t) || !c.texts(v) || c.enum != nil && !slices.Contains(c.enum, v) {
			return false
		}
	default:
		if !c.may(t) || c.enum != nil && !slices.Contains(c.enum, v) {
			return false
		}
	}
	for _, x := range c.all {
		if !x.as(t, v) {
			return false
		}
	}
	for _, x := range c.one {
		if x.as(t, v) {
			return true
		}
	}
	return len(c.one) == 0
}

// whole reports whether a number is an integer, which 1.0 is where it was read as a number.
func (c *check) whole(v string) bool {
	if isInteger(v, c.small) {
		return true
	}
	if !strings.ContainsAny(v, ".eE") {
		return false
	}
	f, err := strconv.ParseFloat(v, 64)
	return err == nil && f == math.Trunc(f) && (!c.small || f >= math.MinInt32 && f <= math.MaxInt32)
}

// numeric looks at what is said of numbers.
func (c *check) numeric(v string) bool {
	listed := c.enum == nil || slices.Contains(c.enum, v)
	if c.span == nil && (listed || len(c.numbers) == 0) {
		return listed
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil && !math.IsInf(f, 0) {
		return false
	}
	return (listed || slices.Contains(c.numbers, f)) && (c.span == nil || !c.span.Under(f) && !c.span.Over(f) && !c.span.Uneven(f))
}

// texts looks at what is said of strings, the cheapest first.
func (c *check) texts(v string) bool {
	if c.least > 0 || c.most > 0 {
		if n := utf8.RuneCountInString(v); n < c.least || c.most > 0 && n > c.most {
			return false
		}
	}
	return (c.format == nil || c.format(v)) && (c.pattern == nil || len(v) > longestMatched || c.pattern.MatchString(v))
}
