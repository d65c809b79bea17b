package doc

import (
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"
)

// parseTOML reads TOML 1.0 with places. Whether a key is given twice is not
// checked: the gateway that reads the file does.
func parseTOML(f *File) (*Node, error) {
	root := &Node{Kind: Map, toml: true, At: f.At(0, 0), KeyAt: f.At(0, 0)}
	p := &unstable.Parser{}
	p.Reset(f.Text)
	t := &tomlReader{f: f, p: p, last: f.At(0, 0)}
	table := root
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = t.table(root, e)
		case unstable.KeyValue:
			if err := t.pair(table, e, 0); err != nil {
				return nil, err
			}
		}
	}
	if err := p.Error(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", f.Name, t.last.Line(), err)
	}
	return root, nil
}

type tomlReader struct {
	f    *File
	p    *unstable.Parser
	last Place // what was read last, for errors
}

// child finds or makes the map of a key; of a list of tables it is the last.
func (t *tomlReader) child(n *Node, key string, at Place) *Node {
	next := n.Get(key)
	if next == nil {
		next = &Node{Kind: Map, Key: key, toml: true, At: at, KeyAt: at}
		n.Items = append(n.Items, next)
	}
	if next.Kind == List && len(next.Items) > 0 {
		next = next.Items[len(next.Items)-1]
	}
	return next
}

// table opens [a.b] or [[a.b]].
func (t *tomlReader) table(root *Node, e *unstable.Node) *Node {
	var keys []string
	var at Place
	for it := e.Key(); it.Next(); {
		k := it.Node()
		keys = append(keys, string(k.Data))
		at = t.place(k)
	}
	t.last = at
	header := t.header(at)
	n := root
	for i, key := range keys {
		last := i == len(keys)-1
		if last && e.Kind == unstable.ArrayTable {
			list := n.Get(key)
			if list == nil || list.Kind != List {
				list = &Node{Kind: List, Key: key, toml: true, At: header, KeyAt: header}
				n.Items = append(n.Items, list)
			}
			item := &Node{Kind: Map, toml: true, At: header, KeyAt: header}
			list.Items = append(list.Items, item)
			return item
		}
		if n = t.child(n, key, header); last {
			n.At, n.KeyAt = header, header
		}
	}
	return n
}

// header is the line of a table's name: behind it a member can be put in.
func (t *tomlReader) header(at Place) Place {
	from := t.f.lines[at.Line()-1]
	end := at.End
	for end < len(t.f.Text) && t.f.Text[end] != '\n' {
		end++
	}
	return t.f.At(from, end)
}

// place is where a key or a value stands.
func (t *tomlReader) place(n *unstable.Node) Place {
	if n.Raw.Length > 0 {
		return t.f.At(int(n.Raw.Offset), int(n.Raw.Offset+n.Raw.Length))
	}
	if len(n.Data) > 0 {
		if start, ok := t.within(n.Data); ok {
			return t.f.At(start, start+len(n.Data))
		}
	}
	return Place{t.f, t.last.End, t.last.End}
}

// within finds where data that points into the text lies.
func (t *tomlReader) within(data []byte) (start int, ok bool) {
	start = cap(t.f.Text) - cap(data)
	ok = start >= 0 && start+len(data) <= len(t.f.Text) && &t.f.Text[start] == &data[0]
	return start, ok
}

// pair adds a key with its value.
func (t *tomlReader) pair(n *Node, e *unstable.Node, depth int) error {
	var keys []string
	var at Place
	for it := e.Key(); it.Next(); {
		k := it.Node()
		if keys == nil {
			at = t.place(k)
		}
		keys = append(keys, string(k.Data))
		t.last = t.place(k)
	}
	for _, key := range keys[:len(keys)-1] {
		n = t.child(n, key, Place{t.f, at.Start, at.Start})
	}
	item, err := t.value(e.Value(), depth)
	if err != nil {
		return err
	}
	item.Key = keys[len(keys)-1]
	item.KeyAt = t.f.At(at.Start, max(item.At.End, at.End))
	n.Items = append(n.Items, item)
	return nil
}

func (t *tomlReader) value(v *unstable.Node, depth int) (*Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s:%d: nested deeper than %d", t.f.Name, t.last.Line(), maxDepth)
	}
	at := t.place(v)
	n := &Node{Kind: Scalar, toml: true, Value: string(v.Data), At: at, KeyAt: at}
	switch v.Kind {
	case unstable.Array:
		n.Kind, n.Value = List, ""
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			item, err := t.value(it.Node(), depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, item)
		}
	case unstable.InlineTable:
		n.Kind, n.Value = Map, ""
		for it := v.Children(); it.Next(); {
			if it.Node().Kind != unstable.KeyValue {
				continue
			}
			if err := t.pair(n, it.Node(), depth+1); err != nil {
				return nil, err
			}
		}
		n.At = Place{t.f, at.Start, at.Start} // no edits within braces
	}
	return n, nil
}
