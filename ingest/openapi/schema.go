package openapi

import (
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
)

// check is what the value of a parameter has to be. A nil *check admits anything.
type check struct {
	types  types
	format func(string) bool // of a string; nil: any
	small  bool              // an integer of 32 bits
	least  int               // characters of a string
	most   int               // 0: no bound
	enum   []string          // nil: any
	all    []*check          // hold as well
	one    []*check          // of which one holds
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

// compileSchema keeps of a schema what a value in a URL can break: type, format, length and
// list of values. What is not known here admits anything.
func compileSchema(ref *openapi3.SchemaRef, depth int) *check {
	if ref == nil || ref.Value == nil || depth > deepest {
		return nil
	}
	s := ref.Value
	c := &check{least: int(min(s.MinLength, 1<<20))}
	if s.MaxLength != nil {
		c.most = int(min(*s.MaxLength, 1<<20))
	}
	for _, name := range s.Type.Slice() {
		c.types |= typeNames[name]
	}
	if s.Nullable && c.types != 0 {
		c.types |= typeNull
	}
	if c.types&typeOther != 0 {
		return nil
	}
	c.format, c.small = formats[s.Format], s.Format == "int32"
	c.enum = listed(s.Enum)
	if s.Const != nil {
		c.enum = listed([]any{s.Const})
	}
	for _, x := range s.AllOf {
		if sub := compileSchema(x, depth+1); sub != nil {
			c.all = append(c.all, sub)
		}
	}
	for _, list := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf} {
		if sub := alternatives(list, depth+1); sub != nil {
			c.all = append(c.all, &check{one: sub})
		}
	}
	return c.simple()
}

// alternatives are those of oneOf and anyOf; nil where one of them admits anything.
func alternatives(list openapi3.SchemaRefs, depth int) (out []*check) {
	for _, x := range list {
		sub := compileSchema(x, depth)
		if sub == nil {
			return nil
		}
		out = append(out, sub)
	}
	return out
}

// simple returns nil for a check that admits anything.
func (c *check) simple() *check {
	if c.types == 0 && c.format == nil && c.least == 0 && c.most == 0 && c.enum == nil && len(c.all) == 0 && len(c.one) == 0 {
		return nil
	}
	return c
}

// listed are the values of an enum as they stand in a URL; nil where one of them does not.
func listed(values []any) []string {
	var out []string
	for _, v := range values {
		switch x := v.(type) {
		case string:
			out = append(out, x)
		case bool:
			out = append(out, strconv.FormatBool(x))
		case float64:
			out = append(out, strconv.FormatFloat(x, 'f', -1, 64))
		case int, int64, uint64:
			out = append(out, fmt.Sprint(x))
		case nil:
			out = append(out, "null", "")
		default:
			return nil
		}
	}
	return out
}

// admits reports whether a value is as described.
func (c *check) admits(v string) bool {
	if c == nil {
		return true
	}
	if c.enum != nil && !slices.Contains(c.enum, v) {
		return false
	}
	if !c.typed(v) {
		return false
	}
	for _, x := range c.all {
		if !x.admits(v) {
			return false
		}
	}
	for _, x := range c.one {
		if x.admits(v) {
			return true
		}
	}
	return len(c.one) == 0
}

// typed looks at the types, and at what is said of strings.
func (c *check) typed(v string) bool {
	switch {
	case c.types&typeNull != 0 && (v == "" || v == "null"):
		return true
	case c.types&typeInteger != 0 && isInteger(v, c.small):
		return true
	case c.types&typeNumber != 0 && isNumber(v):
		return true
	case c.types&typeBoolean != 0 && (v == "true" || v == "false"):
		return true
	case c.types != 0 && c.types&typeString == 0:
		return false
	}
	if c.least > 0 || c.most > 0 {
		if n := utf8.RuneCountInString(v); n < c.least || c.most > 0 && n > c.most {
			return false
		}
	}
	return c.format == nil || c.format(v)
}
