package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// What is wrong with a text that should be JSON.
var (
	errJSON  = errors.New("is no JSON")
	errDeep  = errors.New("is nested deeper than is looked at")
	errTwice = errors.New("has a member twice, which servers read differently")
)

// parse reads a text that is one value in JSON. A member that stands twice is an error: which
// of the two counts is up to who reads it.
func parse(data []byte, maxDepth int) (value, error) {
	p := parser{dec: json.NewDecoder(bytes.NewReader(data)), max: maxDepth}
	p.dec.UseNumber()
	tok, err := p.dec.Token()
	if err != nil {
		return value{}, errJSON
	}
	v, err := p.value(tok, 0)
	if err != nil {
		return value{}, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return value{}, errJSON
	}
	return v, nil
}

type parser struct {
	dec *json.Decoder
	max int
}

// value reads the value that begins with a token.
func (p *parser) value(tok json.Token, depth int) (value, error) {
	switch x := tok.(type) {
	case nil:
		return value{kind: kindNull}, nil
	case bool:
		return value{kind: kindBool, flag: x}, nil
	case string:
		return value{kind: kindString, text: x}, nil
	case json.Number:
		return value{kind: kindNumber, text: string(x)}, nil
	case json.Delim:
		switch {
		case depth >= p.max:
			return value{}, errDeep
		case x == '{':
			return p.object(depth + 1)
		case x == '[':
			return p.array(depth + 1)
		}
	}
	return value{}, errJSON
}

func (p *parser) array(depth int) (value, error) {
	v := value{kind: kindArray}
	for p.dec.More() {
		tok, err := p.dec.Token()
		if err != nil {
			return v, errJSON
		}
		item, err := p.value(tok, depth)
		if err != nil {
			return v, err
		}
		v.list = append(v.list, item)
	}
	return v, p.end(']')
}

// fewNames is up to how many members are compared one by one.
const fewNames = 8

func (p *parser) object(depth int) (value, error) {
	v := value{kind: kindObject}
	var seen map[string]bool
	for p.dec.More() {
		tok, err := p.dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return v, errJSON
		}
		switch n := len(v.names); {
		case n < fewNames && has(v.names, name), seen[name]:
			return v, errTwice
		case n == fewNames:
			seen = make(map[string]bool, 4*fewNames)
			for _, old := range v.names {
				seen[old] = true
			}
			if seen[name] {
				return v, errTwice
			}
		}
		if seen != nil {
			seen[name] = true
		}
		if tok, err = p.dec.Token(); err != nil {
			return v, errJSON
		}
		member, err := p.value(tok, depth)
		if err != nil {
			return v, err
		}
		v.names, v.list = append(v.names, name), append(v.list, member)
	}
	return v, p.end('}')
}

// end takes the delimiter that closes what More said is over.
func (p *parser) end(want json.Delim) error {
	if tok, err := p.dec.Token(); err != nil || tok != want {
		return errJSON
	}
	return nil
}
