package doc

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds nesting, and maxNodes what aliases may multiply a document to.
const (
	maxDepth = 200
	maxNodes = 1 << 17
)

// parseYAML reads the first document of a YAML file that is not empty. Anchors,
// aliases and merge keys are resolved.
func parseYAML(f *File) (*Node, error) {
	file, err := parser.ParseBytes(f.Text, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, firstLine(err))
	}
	y := &yamlReader{f: f, anchors: map[string]ast.Node{}}
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		n, err := y.node(d.Body, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if n.Kind != Null {
			return n, nil
		}
	}
	return &Node{}, nil
}

// firstLine leaves out the excerpt that the library adds to its errors.
func firstLine(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("%.200s", text)
}

type yamlReader struct {
	f       *File
	anchors map[string]ast.Node
	nodes   int
}

// offset turns a token's line and column, in characters, into bytes.
func (y *yamlReader) offset(t *token.Token) int {
	if t == nil || t.Position == nil || t.Position.Line < 1 || t.Position.Line > len(y.f.lines) {
		return 0
	}
	at := y.f.lines[t.Position.Line-1]
	for i := 1; i < t.Position.Column && at < len(y.f.Text); i++ {
		_, n := utf8.DecodeRune(y.f.Text[at:])
		at += n
	}
	return at
}

// at is the place of a scalar: exact where it is written on one line.
func (y *yamlReader) at(t *token.Token) Place {
	start := y.offset(t)
	if t == nil {
		return y.f.At(start, start)
	}
	rest := y.f.Text[start:]
	if len(rest) > 0 && (rest[0] == '"' || rest[0] == '\'') {
		for i := 1; i < len(rest) && rest[i] != '\n'; i++ {
			if rest[0] == '"' && rest[i] == '\\' {
				i++
			} else if rest[i] == rest[0] {
				return y.f.At(start, start+i+1)
			}
		}
		return y.f.At(start, start)
	}
	if strings.HasPrefix(string(rest), t.Value) {
		return y.f.At(start, start+len(t.Value))
	}
	return y.f.At(start, start)
}

func (y *yamlReader) node(in ast.Node, depth int) (*Node, error) {
	if y.nodes++; depth > maxDepth || y.nodes > maxNodes {
		return nil, fmt.Errorf("nested deeper than %d, or larger than %d nodes", maxDepth, maxNodes)
	}
	switch v := in.(type) {
	case nil:
		return &Node{At: y.f.At(0, 0), KeyAt: y.f.At(0, 0)}, nil
	case *ast.AnchorNode:
		y.anchors[v.Name.GetToken().Value] = v.Value
		return y.node(v.Value, depth+1)
	case *ast.AliasNode:
		target, ok := y.anchors[v.Value.GetToken().Value]
		if !ok {
			return nil, fmt.Errorf("line %d: an alias without its anchor", v.GetToken().Position.Line)
		}
		return y.node(target, depth+1)
	case *ast.TagNode:
		return y.node(v.Value, depth+1)
	case *ast.MappingNode:
		return y.mapping(v.Values, v.IsFlowStyle, v.Start, v.End, depth)
	case *ast.MappingValueNode:
		return y.mapping([]*ast.MappingValueNode{v}, false, nil, nil, depth)
	case *ast.SequenceNode:
		return y.sequence(v, depth)
	case *ast.NullNode:
		at := y.at(v.GetToken())
		return &Node{At: at, KeyAt: at}, nil
	case *ast.LiteralNode:
		at := y.at(v.Start)
		return &Node{Kind: Scalar, Value: v.Value.Value, At: y.f.At(at.Start, at.Start), KeyAt: at}, nil
	case *ast.StringNode:
		at := y.at(v.GetToken())
		return &Node{Kind: Scalar, Value: v.Value, At: at, KeyAt: at}, nil
	case ast.ScalarNode:
		at := y.at(v.GetToken())
		return &Node{Kind: Scalar, Value: v.GetToken().Value, At: at, KeyAt: at}, nil
	}
	return nil, fmt.Errorf("line %d: a %s cannot be read", in.GetToken().Position.Line, in.Type())
}

func (y *yamlReader) sequence(v *ast.SequenceNode, depth int) (*Node, error) {
	at := y.at(v.Start)
	n := &Node{Kind: List, flow: v.IsFlowStyle, At: at, KeyAt: at}
	if v.IsFlowStyle && v.End != nil {
		n.At = y.f.At(at.Start, y.offset(v.End)+1)
	}
	for _, e := range v.Values {
		item, err := y.node(e, depth+1)
		if err != nil {
			return nil, err
		}
		n.Items = append(n.Items, item)
	}
	return n, nil
}

func (y *yamlReader) mapping(values []*ast.MappingValueNode, flow bool, start, end *token.Token, depth int) (*Node, error) {
	n := &Node{Kind: Map, flow: flow}
	if flow {
		n.At = y.f.At(y.offset(start), y.offset(end)+1)
	}
	for _, v := range values {
		item, err := y.node(v.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if v.Key.Type() == ast.MergeKeyType {
			n.merge(item)
			continue
		}
		t := v.Key.GetToken()
		item.Key = keyText(t)
		item.KeyAt = y.f.At(y.offset(t), max(item.At.End, y.at(t).End))
		if n.At.File == nil {
			n.At = y.f.At(item.KeyAt.Start, item.KeyAt.Start)
			n.indent = strings.Repeat(" ", max(t.Position.Column-1, 0))
		}
		n.Items = append(n.Items, item)
	}
	if n.At.File == nil {
		n.At = y.f.At(0, 0)
	}
	n.KeyAt = n.At
	return n, nil
}

// merge adds the members of a map, or of each map of a list, that are not there yet.
func (n *Node) merge(from *Node) {
	if from.Kind == List {
		for _, m := range from.Items {
			n.merge(m)
		}
		return
	}
	for _, item := range from.List() {
		if n.Get(item.Key) == nil {
			n.Items = append(n.Items, item)
		}
	}
}

// keyText is a key as the gateway sees it, without quotes.
func keyText(t *token.Token) string {
	if t.Type == token.DoubleQuoteType {
		if s, err := strconv.Unquote(`"` + t.Value + `"`); err == nil {
			return s
		}
	}
	return t.Value
}
