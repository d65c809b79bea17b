package schema

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxSteps bounds how many values are held against how many schemas for one request, beside two
// for each byte of its body: "any of" within "any of" can multiply.
const maxSteps = 100_000

// visitor holds values against schemas. It is for one goroutine.
type visitor struct {
	steps int
	most  int  // steps
	quiet int  // within alternatives: nobody will read why
	deep  int  // schemas within schemas
	spent bool // the bound was reached
}

// fault is why a value is not as described, and where within it; the zero value is nothing.
type fault struct {
	at  string // a JSON pointer
	why string
}

func (f fault) below(name string) fault {
	f.at = "/" + name + f.at
	return f
}

var (
	tooMuch = fault{why: "is too intricate to be looked at"}
	hushed  = fault{why: "is not as described"}
)

// maxNested bounds schemas that lead to each other without a value in between.
const maxNested = 200

// visit holds a value against a schema.
func (t *visitor) visit(n *node, v *value) fault {
	if n == nil {
		return fault{}
	}
	if t.steps++; t.steps > t.most || t.deep >= maxNested {
		t.spent = true
		return tooMuch
	}
	t.deep++
	defer func() { t.deep-- }()
	if n.never {
		return fault{why: "is not allowed"}
	}
	if n.types != 0 && n.types&v.kind == 0 || n.whole && v.kind == kindNumber && !integral(v.text) {
		return t.because(n.wantType)
	}
	if len(n.enum) > 0 && !n.listed(v) || n.only != nil && !equal(n.only, v) {
		return t.because(n.wantListed)
	}
	f := fault{}
	switch v.kind {
	case kindString:
		f = t.text(n, v.text)
	case kindNumber:
		f = t.number(n, v.text)
	case kindArray:
		f = t.array(n, v)
	case kindObject:
		f = t.object(n, v)
	}
	if f.why != "" {
		return f
	}
	return t.composed(n, v)
}

// because words a fault, unless nobody will read it.
func (t *visitor) because(why func() string) fault {
	if t.quiet > 0 {
		return hushed
	}
	return fault{why: why()}
}

func (n *node) listed(v *value) bool {
	for i := range n.enum {
		if equal(&n.enum[i], v) {
			return true
		}
	}
	return false
}

func (t *visitor) text(n *node, s string) fault {
	if n.least > 0 || n.most >= 0 {
		if count := utf8.RuneCountInString(s); count < n.least || n.most >= 0 && count > n.most {
			return t.because(func() string { return within("characters", n.least, n.most) })
		}
	}
	if n.format != nil && !n.format(s) {
		return t.because(func() string { return "must be of the format " + n.formatName })
	}
	if n.pattern != nil && !n.pattern.MatchString(s) {
		return t.because(func() string { return "must fit the pattern of the document" })
	}
	return fault{}
}

func (t *visitor) number(n *node, text string) fault {
	if n.bits > 0 && !fits(text, n.bits) {
		return t.because(func() string { return fmt.Sprintf("must be an integer of %d bits", n.bits) })
	}
	f := number(text)
	switch {
	case n.span.Under(f):
		return t.because(func() string { return bound(n.span.OpenLow, "greater than", "at least", n.span.Low) })
	case n.span.Over(f):
		return t.because(func() string { return bound(n.span.OpenHigh, "less than", "at most", n.span.High) })
	case n.span.Uneven(f):
		return t.because(func() string { return "must be a multiple of " + plain(n.span.Multiple) })
	}
	return fault{}
}

func (t *visitor) array(n *node, v *value) fault {
	if len(v.list) < n.fewest || n.manyItems >= 0 && len(v.list) > n.manyItems {
		return t.because(func() string { return within("items", n.fewest, n.manyItems) })
	}
	for i := range v.list {
		item := n.items
		if i < len(n.first) {
			item = n.first[i]
		}
		if f := t.visit(item, &v.list[i]); f.why != "" {
			return f.below(strconv.Itoa(i))
		}
	}
	if !n.unique {
		return fault{}
	}
	for i := range v.list {
		for j := range i {
			if t.steps++; t.steps > t.most {
				t.spent = true
				return tooMuch
			}
			if equal(&v.list[i], &v.list[j]) {
				return fault{why: "must not have an item twice"}
			}
		}
	}
	return fault{}
}

func (t *visitor) object(n *node, v *value) fault {
	if len(v.names) < n.fewProps || n.manyProps >= 0 && len(v.names) > n.manyProps {
		return t.because(func() string { return within("members", n.fewProps, n.manyProps) })
	}
	for _, name := range n.required {
		if t.steps += 1 + len(v.names)/16; !has(v.names, name) {
			return fault{at: "/" + name, why: "is missing"}
		}
	}
	for i, name := range v.names {
		if f := t.member(n, name, &v.list[i]); f.why != "" {
			return f.below(shown(n, name))
		}
	}
	return fault{}
}

func has(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// member holds a member of an object against all that is said of its name.
func (t *visitor) member(n *node, name string, v *value) fault {
	p, known := n.props[name]
	if known {
		if p != nil && p.readOnly {
			return fault{why: "cannot be set: it is read-only"}
		}
		if f := t.visit(p, v); f.why != "" {
			return f
		}
	}
	for i := range n.patterns {
		if n.patterns[i].name.MatchString(name) {
			known = true
			if f := t.visit(n.patterns[i].node, v); f.why != "" {
				return f
			}
		}
	}
	switch {
	case known:
		return fault{}
	case n.closed:
		return fault{why: "is not described"}
	}
	return t.visit(n.more, v)
}

// shown is the name of a member as a client is told: one that the document has, or a plain one.
func shown(n *node, name string) string {
	if _, known := n.props[name]; known {
		return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) // RFC 6901, section 3
	}
	return plainName(name)
}

// plainName is a client's word where it can be told back, or a star.
func plainName(s string) string {
	if s == "" || len(s) > 40 {
		return "*"
	}
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && c != '.' && c != '[' && c != ']' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return "*"
		}
	}
	return s
}

// composed holds a value against the schemas that a schema is made of.
func (t *visitor) composed(n *node, v *value) fault {
	for _, x := range n.all {
		if f := t.visit(x, v); f.why != "" {
			return f
		}
	}
	if len(n.anyOf) > 0 && t.count(n.anyOf, v, 1) == 0 {
		return t.none(n.anyOf, v)
	}
	if len(n.oneOf) > 0 {
		switch t.count(n.oneOf, v, 2) {
		case 0:
			return t.none(n.oneOf, v)
		case 2:
			return fault{why: "fits more than one of the alternatives"}
		}
	}
	if n.not != nil && t.count([]*node{n.not}, v, 1) > 0 {
		return fault{why: "is of a kind that is not allowed"}
	}
	if t.spent {
		return tooMuch
	}
	return fault{}
}

// count counts the schemas that a value fits, as far as a number.
func (t *visitor) count(list []*node, v *value, enough int) (n int) {
	t.quiet++
	defer func() { t.quiet-- }()
	for _, x := range list {
		if t.visit(x, v).why == "" {
			if n++; n == enough {
				break
			}
		}
	}
	return n
}

// none says why a value fits no alternative: where only one is of its kind, why not that one.
func (t *visitor) none(list []*node, v *value) fault {
	if t.spent {
		return tooMuch
	}
	var only *node
	for _, x := range list {
		if x == nil || x.types == 0 || x.types&v.kind != 0 {
			if only != nil {
				return fault{why: "fits none of the alternatives"}
			}
			only = x
		}
	}
	if only == nil {
		return fault{why: "fits none of the alternatives"}
	}
	return t.visit(only, v)
}

func (n *node) wantType() string {
	var names []string
	number := "a number"
	if n.whole {
		number = "an integer"
	}
	for _, k := range []struct {
		kind kind
		name string
	}{{kindString, "a string"}, {kindNumber, number}, {kindBool, "true or false"}, {kindArray, "a list"}, {kindObject, "an object"}, {kindNull, "null"}} {
		if n.types&k.kind != 0 {
			names = append(names, k.name)
		}
	}
	return "must be " + strings.Join(names, " or ")
}

func (n *node) wantListed() string {
	if len(n.enum) <= 1 {
		return "must be the one value that the document has"
	}
	return fmt.Sprintf("must be one of the %d values that the document lists", len(n.enum))
}

func within(what string, least, most int) string {
	switch {
	case most < 0:
		return fmt.Sprintf("must have at least %d %s", least, what)
	case least == 0:
		return fmt.Sprintf("must have at most %d %s", most, what)
	}
	return fmt.Sprintf("must have %d to %d %s", least, most, what)
}

func bound(open bool, beyond, at string, f float64) string {
	if open {
		at = beyond
	}
	return "must be " + at + " " + plain(f)
}

func plain(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
