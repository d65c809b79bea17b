package schema

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/portcullis/portcullis/ingest/openapi"
)

// node is a compiled schema. A nil one admits anything.
type node struct {
	never   bool // admits nothing
	types   kind // of the value; 0: any
	whole   bool // a number has to be an integer
	enum    []value
	only    *value // the one value that it admits
	partial bool   // the schema demands more than is looked at

	least, most int // characters; most -1: any
	pattern     *regexp.Regexp
	format      func(string) bool
	formatName  string

	span                openapi.Range
	bits                int // 32 or 64 where the format says so
	items               *node
	first               []*node // of a list, by place; then items
	fewest, manyItems   int     // manyItems -1: any
	unique              bool
	props               map[string]*node
	required            []string
	patterns            []patterned
	more                *node // other members
	closed              bool  // there may be no others
	fewProps, manyProps int   // manyProps -1: any
	all, anyOf, oneOf   []*node
	not                 *node
	readOnly            bool
	named               []*node // what is within, to go through all
	uncertain           bool    // see settle
}

type patterned struct {
	name *regexp.Regexp
	node *node
}

var typeKinds = map[string]kind{"string": kindString, "integer": kindNumber, "number": kindNumber, "boolean": kindBool,
	"null": kindNull, "array": kindArray, "object": kindObject}

// node compiles a schema. One that refers to itself is compiled once.
func (c *compiler) node(ref *openapi3.SchemaRef) *node {
	if ref == nil || ref.Value == nil {
		return nil
	}
	s := ref.Value
	if n := c.memo[s]; n != nil {
		return n
	}
	n := &node{most: -1, manyItems: -1, manyProps: -1, span: openapi.RangeOf(s), readOnly: s.ReadOnly}
	c.memo[s] = n
	c.all = append(c.all, n)
	n.never = s.Always != nil && !*s.Always
	for _, name := range s.Type.Slice() {
		n.types |= typeKinds[name]
	}
	names := s.Type.Slice()
	n.whole = slices.Contains(names, "integer") && !slices.Contains(names, "number")
	if s.Nullable && n.types != 0 {
		n.types |= kindNull
	}
	for _, v := range s.Enum {
		n.enum = append(n.enum, valueOf(v))
	}
	if s.Const != nil {
		only := valueOf(s.Const)
		n.only = &only
	}
	if s.Nullable && len(n.enum) > 0 {
		n.enum = append(n.enum, value{kind: kindNull})
	}
	c.texts(n, s)
	c.integers(n, s)
	c.lists(n, s)
	c.objects(n, s)
	n.all, n.anyOf, n.oneOf, n.not = c.nodes(s.AllOf), c.nodes(s.AnyOf), c.nodes(s.OneOf), c.node(s.Not)
	c.unknown(n, s)
	return n
}

func (c *compiler) nodes(list openapi3.SchemaRefs) (out []*node) {
	for _, x := range list {
		out = append(out, c.node(x))
	}
	return out
}

// texts takes over what is said of strings.
func (c *compiler) texts(n *node, s *openapi3.Schema) {
	n.least = bounded(s.MinLength)
	if s.MaxLength != nil {
		n.most = bounded(*s.MaxLength)
	}
	if n.format = openapi.Format(s.Format); n.format != nil {
		n.formatName = s.Format
	}
	if s.Pattern != "" {
		n.pattern = c.expression(n, s.Pattern)
	}
}

// expression compiles a pattern; nil and a warning for one that cannot be.
func (c *compiler) expression(n *node, text string) *regexp.Regexp {
	x, err := openapi.Pattern(text)
	if err != nil {
		n.partial = true
		c.warn("the pattern %.120q is not looked at: write it without looking ahead or back, and without back references", text)
		return nil
	}
	return x
}

// integers takes over how large they may be by their format.
func (c *compiler) integers(n *node, s *openapi3.Schema) {
	if n.whole {
		switch s.Format {
		case "int32":
			n.bits = 32
		case "int64":
			n.bits = 64
		}
	}
}

func (c *compiler) lists(n *node, s *openapi3.Schema) {
	n.items, n.unique, n.fewest = c.node(s.Items), s.UniqueItems, bounded(s.MinItems)
	n.first = c.nodes(s.PrefixItems)
	if s.MaxItems != nil {
		n.manyItems = bounded(*s.MaxItems)
	}
}

func (c *compiler) objects(n *node, s *openapi3.Schema) {
	n.fewProps = bounded(s.MinProps)
	if s.MaxProps != nil {
		n.manyProps = bounded(*s.MaxProps)
	}
	if len(s.Properties) > 0 {
		n.props = make(map[string]*node, len(s.Properties))
	}
	for name, ref := range s.Properties {
		n.props[name] = c.node(ref)
	}
	for _, name := range s.Required {
		if ref := s.Properties[name]; ref == nil || ref.Value == nil || !ref.Value.ReadOnly { // one that only answers have
			n.required = append(n.required, name)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(s.PatternProperties)) {
		if x := c.expression(n, text); x != nil {
			n.patterns = append(n.patterns, patterned{x, c.node(s.PatternProperties[text])})
		}
	}
	if more := s.AdditionalProperties; more.Schema != nil {
		n.more = c.node(more.Schema)
	} else if more.Has != nil && !*more.Has {
		n.closed = len(n.patterns) == len(s.PatternProperties) // or else a member that is allowed could be refused
	}
}

// unknown names what a schema demands and is not looked at.
func (c *compiler) unknown(n *node, s *openapi3.Schema) {
	for keyword, there := range map[string]bool{
		"contains": s.Contains != nil, "dependentSchemas": len(s.DependentSchemas) > 0, "dependentRequired": len(s.DependentRequired) > 0,
		"propertyNames": s.PropertyNames != nil, "if": s.If != nil, "unevaluatedItems": s.UnevaluatedItems.Has != nil || s.UnevaluatedItems.Schema != nil,
		"unevaluatedProperties": s.UnevaluatedProperties.Has != nil || s.UnevaluatedProperties.Schema != nil, "$dynamicRef": s.DynamicRef != "",
	} {
		if there {
			n.partial = true
			c.warn("%s is not looked at", keyword)
		}
	}
	if n.formatName == "" && s.Format != "" && !strings.Contains(" int32 int64 float double password binary ", " "+s.Format+" ") {
		n.partial = true // a format of which nothing is known
	}
}

// settle lets go of what cannot be decided: "not" and "one of" refuse what fits too well, and
// what a partial schema admits may not fit at all.
func (c *compiler) settle() {
	for _, n := range c.all {
		n.named = slices.Concat(n.all, n.anyOf, n.oneOf, n.first, []*node{n.items, n.more, n.not}, slices.Collect(maps.Values(n.props)))
		for _, p := range n.patterns {
			n.named = append(n.named, p.node)
		}
		n.uncertain = n.partial
	}
	for changed := true; changed; {
		changed = false
		for _, n := range c.all {
			if !n.uncertain && slices.ContainsFunc(n.named, func(o *node) bool { return o != nil && o.uncertain }) {
				n.uncertain, changed = true, true
			}
		}
	}
	for _, n := range c.all {
		if n.not != nil && n.not.uncertain {
			n.not = nil
		}
		if slices.ContainsFunc(n.oneOf, func(o *node) bool { return o != nil && o.uncertain }) {
			n.anyOf, n.oneOf = n.either(), nil
		}
		n.named = nil
	}
}

// either weakens "one of" to "any of", beside what is "any of" already.
func (n *node) either() []*node {
	if len(n.anyOf) > 0 {
		n.all = append(slices.Clone(n.all), &node{most: -1, manyItems: -1, manyProps: -1, span: openapi.RangeOf(nil), anyOf: n.anyOf})
	}
	return n.oneOf
}

// shape is what kinds of values a schema admits, as far as it says so itself.
func (n *node) shape() kind {
	switch {
	case n.types != 0:
		return cmp.Or(n.types&^kindNull, kindNull)
	case len(n.props) > 0:
		return kindObject
	}
	for _, list := range [][]*node{n.all, n.oneOf, n.anyOf} {
		for _, x := range list {
			if x != nil && x != n && x.types != 0 {
				return x.types &^ kindNull
			}
		}
	}
	return 0
}

// bounded keeps a bound that fits an int anywhere.
func bounded(n uint64) int { return int(min(n, 1<<30)) }
