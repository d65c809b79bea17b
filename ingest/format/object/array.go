package object

import (
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// array reads the elements of one value behind its bracket.
func (r *Reader) array(to *node, line []byte, i int, ev *ingest.Event, depth int) int {
	before := r.stored
	joins := to.field == field.Chain || to.field == field.Forwarded
	if i = space(line, i); i < len(line) && line[i] == ']' {
		return i + 1
	}
	for i < len(line) {
		if r.stored > before && !joins {
			i = r.skip(line, i)
		} else {
			i = r.leaf(to, line, i, ev, joins && r.stored > before, depth)
		}
		var last bool
		if i, last = r.behind(line, i); i < 0 || last {
			return i
		}
	}
	return -1
}

// behind passes over the comma or bracket behind an array's element.
func (r *Reader) behind(line []byte, i int) (_ int, last bool) {
	if i < 0 {
		return -1, false
	}
	if i = space(line, i); i >= len(line) || line[i] != ',' && line[i] != ']' {
		return -1, false
	}
	if line[i] == ']' {
		return i + 1, true
	}
	return space(line, i+1), false
}

// wrapped reads a value of OTLP's JSON: {"stringValue":"GET"}, {"intValue":"200"},
// {"arrayValue":{"values":[…]}} (opentelemetry.proto.common.v1.AnyValue).
func (r *Reader) wrapped(to *node, line []byte, i int, ev *ingest.Event, joins bool, depth int) int {
	if i = space(line, i); i < len(line) && line[i] == '}' {
		return i + 1
	}
	for {
		key, at := r.member(line, i)
		if at < 0 {
			return -1
		}
		switch string(key) {
		case "stringValue", "intValue", "doubleValue", "arrayValue", "values":
			i = r.leaf(to, line, at, ev, joins, depth)
		default:
			i = r.skip(line, at)
		}
		if i < 0 {
			return -1
		}
		if i = space(line, i); i >= len(line) || line[i] != ',' && line[i] != '}' {
			return -1
		}
		if line[i] == '}' {
			return i + 1
		}
		i = space(line, i+1)
	}
}

// pairs reads an array of named values.
func (r *Reader) pairs(to *node, line []byte, i int, ev *ingest.Event) int {
	if i = space(line, i); i < len(line) && line[i] == ']' {
		return i + 1
	}
	for i < len(line) {
		if line[i] == '{' {
			i = r.pair(to, line, i+1, ev)
		} else {
			i = r.skip(line, i)
		}
		var last bool
		if i, last = r.behind(line, i); i < 0 || last {
			return i
		}
	}
	return -1
}

// pair reads {"name":…,"value":…} in any order.
func (r *Reader) pair(to *node, line []byte, i int, ev *ingest.Event) int {
	var name []byte
	value := -1
	if i = space(line, i); i < len(line) && line[i] == '}' {
		return i + 1
	}
	for {
		key, at := r.member(line, i)
		if at < 0 {
			return -1
		}
		end := r.skip(line, at)
		if end < 0 {
			return -1
		}
		switch string(key) {
		case "name", "key", "Name", "Key":
			if line[at] == '"' {
				name = line[at+1 : end-1]
			}
		case "value", "Value":
			value = at
		}
		if i = space(line, end); i >= len(line) || line[i] != ',' && line[i] != '}' {
			return -1
		}
		i++
		if line[i-1] == '}' {
			break
		}
		i = space(line, i)
	}
	if found := r.find(to, name); found != nil && value >= 0 && r.value(found, line, value, ev) < 0 {
		return -1
	}
	return i
}

// member reads a key and its colon, and returns the index of the value, or -1.
func (r *Reader) member(line []byte, i int) ([]byte, int) {
	if i >= len(line) || line[i] != '"' {
		return nil, -1
	}
	end := r.closing(line, i+1)
	if end < 0 {
		return nil, -1
	}
	key := line[i+1 : end]
	if i = space(line, end+1); i >= len(line) || line[i] != ':' {
		return nil, -1
	}
	if i = space(line, i+1); i >= len(line) {
		return nil, -1
	}
	return key, i
}
