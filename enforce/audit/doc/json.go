package doc

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// parseJSON reads JSON (RFC 8259) with places.
func parseJSON(f *File) (*Node, error) {
	d := json.NewDecoder(bytes.NewReader(f.Text))
	d.UseNumber()
	p := &jsonParser{f, d}
	n, err := p.value(0)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", f.Name, f.At(int(d.InputOffset()), 0).Line(), err)
	}
	return n, nil
}

type jsonParser struct {
	f *File
	d *json.Decoder
}

// next reads a token and where it stands.
func (p *jsonParser) next() (json.Token, Place, error) {
	start := int(p.d.InputOffset())
	for start < len(p.f.Text) && bytes.IndexByte([]byte(" \t\r\n,:"), p.f.Text[start]) >= 0 {
		start++
	}
	t, err := p.d.Token()
	return t, p.f.At(start, int(p.d.InputOffset())), err
}

func (p *jsonParser) value(depth int) (*Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	t, at, err := p.next()
	if err != nil {
		return nil, err
	}
	n := &Node{At: at, KeyAt: at, flow: true}
	switch t := t.(type) {
	case nil:
	case json.Delim:
		n.Kind = List
		if t == '{' {
			n.Kind = Map
		}
		return n, p.members(n, depth)
	default:
		n.Kind, n.Value = Scalar, fmt.Sprint(t)
	}
	return n, nil
}

// members reads what is between the brackets, and the closing one.
func (p *jsonParser) members(n *Node, depth int) error {
	for p.d.More() {
		var key string
		var keyAt Place
		if n.Kind == Map {
			t, at, err := p.next()
			if err != nil {
				return err
			}
			key, keyAt = fmt.Sprint(t), at
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		if item.Key = key; n.Kind == Map {
			item.KeyAt = p.f.At(keyAt.Start, item.At.End)
		}
		n.Items = append(n.Items, item)
	}
	_, at, err := p.next()
	n.At.End, n.KeyAt.End = at.End, at.End
	return err
}
