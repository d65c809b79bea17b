package config

import (
	"fmt"
	"strconv"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// kind is what a YAML value is written as.
type kind uint8

const (
	refused kind = iota // already reported; nothing more to say about it
	nothing             // null, or a key without a value
	text
	number
	boolean
	list
	table
)

// node is a YAML value with its place, reduced to what settings may use.
type node struct {
	kind   kind
	text   string // of a scalar, as the file has it
	quoted bool
	at     place
	items  []*node
	pairs  []pair
}

// pair is one key of a mapping.
type pair struct {
	key   string
	at    place
	value *node
}

// document returns the mapping that the file consists of, nil if it has none.
func (l *loader) document(file *ast.File) *node {
	var body ast.Node
	for _, d := range file.Docs {
		if d == nil || d.Body == nil || d.Body.Type() == ast.DirectiveType {
			continue
		}
		if body != nil {
			l.fault(l.placeOf(d.Body), "", "a second YAML document", "keep one document; remove the line ---")
			break
		}
		body = d.Body
	}
	if body == nil {
		return nil
	}
	n := l.node(body, "")
	switch n.kind {
	case table:
		return n
	case nothing, refused:
		return nil
	}
	l.fault(n.at, "", "want a mapping of settings, got "+n.describe(), `a line reads "key: value"`)
	return nil
}

// placeOf is where a node begins.
func (l *loader) placeOf(n ast.Node) place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return l.placeOf(m.Values[0].Key)
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return l.placeOf(m.Key)
	}
	return tokenPlace(n.GetToken())
}

func tokenPlace(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{line: t.Position.Line, col: t.Position.Column}
}

// node converts a value of the parser. YAML's references and tags are refused:
// settings that are read by people and programs alike should say what they mean
// in place.
func (l *loader) node(n ast.Node, path string) *node {
	if n == nil {
		return &node{kind: nothing}
	}
	out := &node{at: l.placeOf(n)}
	switch x := n.(type) {
	case *ast.MappingNode:
		l.pairs(out, x.Values, path)
	case *ast.MappingValueNode:
		l.pairs(out, []*ast.MappingValueNode{x}, path)
	case *ast.SequenceNode:
		out.kind = list
		for i, v := range x.Values {
			out.items = append(out.items, l.node(v, item(path, i)))
		}
	case *ast.AnchorNode:
		l.fault(out.at, path, "anchors (&name) are not supported", "write the value out")
		return l.node(x.Value, path)
	case *ast.AliasNode:
		l.fault(out.at, path, "aliases (*name) are not supported", "write the value out")
	case *ast.TagNode:
		l.fault(out.at, path, "tags such as !!str are not supported", "remove the tag; quote a number that is text")
		return l.node(x.Value, path)
	default:
		l.scalarNode(out, n, path)
	}
	return out
}

// scalarNode fills in single values.
func (l *loader) scalarNode(out *node, n ast.Node, path string) {
	switch x := n.(type) {
	case *ast.NullNode:
		out.kind = nothing
	case *ast.BoolNode:
		out.kind, out.text = boolean, x.Token.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = number, n.GetToken().Value
	case *ast.LiteralNode:
		out.kind, out.quoted = text, true
		if x.Value != nil {
			out.text = x.Value.Value
		}
	case *ast.StringNode:
		out.kind, out.text = text, x.Value
		out.quoted = x.Token.Type == token.SingleQuoteType || x.Token.Type == token.DoubleQuoteType
		if _, err := strconv.ParseFloat(x.Value, 64); err == nil && !out.quoted {
			out.kind = number // 1e3 is text to the parser
		}
	default:
		l.fault(out.at, path, "this YAML is not supported here", "")
	}
}

// pairs fills in a mapping; keys given twice are reported and the first one kept.
func (l *loader) pairs(out *node, values []*ast.MappingValueNode, path string) {
	out.kind = table
	first := map[string]int{}
	for _, mv := range values {
		at := l.placeOf(mv.Key)
		key, ok := keyText(mv.Key)
		if !ok {
			l.keyFault(mv.Key, at, path)
			continue
		}
		p := join(path, shownKey(key))
		value := l.node(mv.Value, p)
		if line, again := first[key]; again {
			l.fault(at, p, fmt.Sprintf("given twice, first on line %d", line), "keep one of them")
			continue
		}
		first[key] = at.line
		out.pairs = append(out.pairs, pair{key: key, at: at, value: value})
	}
}

// keyFault reports a key that is no plain word.
func (l *loader) keyFault(key ast.Node, at place, path string) {
	if key != nil && key.Type() == ast.MergeKeyType {
		l.fault(at, path, "merge keys (<<) are not supported", "write the keys out")
		return
	}
	l.fault(at, path, "a key must be a plain word", "")
}

// keyText returns the text of a key.
func keyText(n ast.Node) (string, bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.MappingKeyNode:
		if x.Value == nil {
			return "", false
		}
		return keyText(x.Value)
	}
	return "", false
}

// describe names the value in a message.
func (n *node) describe() string {
	switch n.kind {
	case nothing:
		return "nothing"
	case text:
		return "the text " + shown(n.text)
	case number:
		return "the number " + n.text
	case boolean:
		return n.text
	case list:
		return "a list"
	}
	return "a mapping"
}
