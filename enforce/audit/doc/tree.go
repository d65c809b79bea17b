package doc

import (
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Kind says what a Node is.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota
	Scalar
	Map
	List
)

// Node is a part of a YAML, JSON or TOML document. Its methods work on a nil Node
// as on one that is not there.
type Node struct {
	Kind  Kind
	Key   string // within a map
	Value string // of a scalar
	Items []*Node
	At    Place // of the value
	KeyAt Place // of the key, or of the value where there is none

	flow   bool // written with braces: JSON, or YAML's flow style
	toml   bool
	indent string
}

// Parse reads a document by the ending of its name: .json, .toml, else YAML. A JSON
// document is known by its first byte under any name.
func Parse(f *File) (*Node, error) {
	switch strings.ToLower(path.Ext(f.Name)) {
	case ".json":
		return parseJSON(f)
	case ".toml":
		return parseTOML(f)
	}
	if first := strings.TrimSpace(string(f.Text[:min(len(f.Text), 256)])); strings.HasPrefix(first, "{") {
		if n, err := parseJSON(f); err == nil {
			return n, nil
		}
	}
	return parseYAML(f)
}

// Get follows keys down; nil where one is missing.
func (n *Node) Get(keys ...string) *Node {
	for _, key := range keys {
		if n == nil || n.Kind != Map {
			return nil
		}
		var next *Node
		for _, item := range n.Items {
			if item.Key == key {
				next = item
			}
		}
		n = next
	}
	return n
}

// Has reports whether there is a value that is not null.
func (n *Node) Has() bool { return n != nil && n.Kind != Null }

// Text is the value of a scalar.
func (n *Node) Text() string {
	if n == nil || n.Kind != Scalar {
		return ""
	}
	return n.Value
}

// True reports whether the value is a true boolean.
func (n *Node) True() bool {
	switch strings.ToLower(n.Text()) {
	case "true", "yes", "on":
		return true
	}
	return false
}

// False reports whether the value is there and a false boolean.
func (n *Node) False() bool {
	switch strings.ToLower(n.Text()) {
	case "false", "no", "off":
		return true
	}
	return false
}

// Number is the value as a number; ok tells whether it is one.
func (n *Node) Number() (value float64, ok bool) {
	value, err := strconv.ParseFloat(n.Text(), 64)
	return value, err == nil
}

// List returns the parts of a list or a map, and a scalar as the only one.
func (n *Node) List() []*Node {
	switch {
	case n == nil || n.Kind == Null:
		return nil
	case n.Kind == Scalar:
		return []*Node{n}
	}
	return n.Items
}

// Texts returns the scalars of a list.
func (n *Node) Texts() []string {
	var out []string
	for _, item := range n.List() {
		if item.Kind == Scalar {
			out = append(out, item.Value)
		}
	}
	return out
}

// Where is the place of a node with its key; of a missing one nowhere.
func (n *Node) Where() Place {
	if n == nil {
		return Place{}
	}
	return n.KeyAt
}

// Put makes an edit that adds a member to a map. It makes none where the map is
// missing, empty, or in TOML and the value no scalar: then a person has to.
func (n *Node) Put(key string, value any) []Edit {
	if n == nil || n.Kind != Map || n.At.File == nil {
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	switch {
	case n.toml:
		if len(text) == 0 || text[0] == '{' || n.At.End == n.At.Start {
			return nil
		}
		return []Edit{n.At.Behind(fmt.Sprintf("\n%s = %s", key, text))}
	case n.flow:
		comma := ", "
		if len(n.Items) == 0 {
			comma = ""
		}
		return []Edit{n.At.File.Insert(n.At.Start+1, fmt.Sprintf("%q: %s%s", key, text, comma))}
	case len(n.Items) == 0:
		return nil
	}
	return []Edit{n.At.File.Insert(n.Items[0].KeyAt.Start, fmt.Sprintf("%s: %s\n%s", key, text, n.indent))}
}

// Set makes an edit that gives a member of a map a value: it replaces the scalar or
// the flow value that is there, or adds the member.
func (n *Node) Set(key string, value any) []Edit {
	old := n.Get(key)
	if old == nil {
		return n.Put(key, value)
	}
	text, err := json.Marshal(value)
	if err != nil || old.At.File == nil || old.At.Start == old.At.End || (old.Kind != Scalar && !old.flow) {
		return nil
	}
	return []Edit{old.At.Swap(string(text))}
}

// Prepend makes an edit that puts an item before the first of a list. It makes none
// where there is no list, or in TOML.
func (n *Node) Prepend(value any) []Edit {
	text, err := json.Marshal(value)
	if n == nil || n.Kind != List || n.At.File == nil || n.toml || err != nil {
		return nil
	}
	switch {
	case n.flow && len(n.Items) == 0:
		return []Edit{n.At.File.Insert(n.At.Start+1, string(text))}
	case n.flow:
		return []Edit{n.At.File.Insert(n.At.Start+1, string(text)+", ")}
	case len(n.Items) == 0:
		return nil
	}
	// The dash before the first item is taken for the new one.
	first := n.Items[0].At
	line := first.File.lines[first.Line()-1]
	prefix := string(first.File.Text[line:first.Start])
	if strings.Trim(prefix, " -") != "" || !strings.Contains(prefix, "-") {
		return nil
	}
	return []Edit{first.File.Insert(first.Start, string(text)+"\n"+prefix)}
}
