// Package object reads lines that are JSON objects, by key and in any order,
// without building a tree: values of keys that nobody asked for are passed over,
// nested ones whole.
package object

import (
	"bytes"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// Map says what the keys of an object mean. It is read by many readers.
type Map struct {
	Lookup func(key string) field.Field
	Timed  bool // an object without a time is refused
}

// Reader reads objects for one goroutine. It remembers the order of the keys, which
// lines of one log share.
type Reader struct {
	plan  *Map
	sink  *field.Sink
	order []keyMemo // the keys of an earlier line, in order
}

// keyMemo saves the look-up of a key that stands where it stood before.
type keyMemo struct {
	key   string
	field field.Field
}

// maxMemo bounds the order remembered; a longer object costs look-ups.
const maxMemo = 64

// NewReader makes a reader that hands values to a sink.
func NewReader(m *Map, s *field.Sink) *Reader { return &Reader{plan: m, sink: s} }

// Read reads a line that is one object. The caller begins and finishes the sink.
func (p *Reader) Read(line []byte, ev *ingest.Event) ingest.Reason {
	p.sink.Unrank()
	i := space(line, 0)
	if i >= len(line) || line[i] != '{' {
		return ingest.BadJSON
	}
	i = space(line, i+1)
	if i < len(line) && line[i] == '}' {
		i++
	} else {
		for n := 0; ; n++ {
			f, at := p.expected(n, line, i)
			if at < 0 {
				var key []byte
				if key, at = jsonKey(line, i); at < 0 {
					return ingest.BadJSON
				}
				f = p.field(n, key, p.plan.Lookup)
			}
			end, reason := p.member(f, line, at, ev)
			if reason != ingest.OK {
				return reason
			}
			i = space(line, end)
			if i >= len(line) || line[i] != ',' && line[i] != '}' {
				return ingest.BadJSON
			}
			i++
			if line[i-1] == '}' {
				break
			}
			i = space(line, i)
		}
	}
	if space(line, i) != len(line) {
		return ingest.BadJSON
	}
	return p.complete()
}

// complete tells whether the object was a request.
func (p *Reader) complete() ingest.Reason {
	switch {
	case !p.sink.Has(field.Peer) && !p.sink.TargetSeen():
		return ingest.NotARequest
	case !p.sink.Has(field.Peer):
		return ingest.BadAddress
	case !p.sink.Has(field.Time) && p.plan.Timed:
		return ingest.BadTime
	}
	return ingest.OK
}

// expected tells whether the n-th key, at line[i], is the one that was there in an
// earlier line; it returns its field and the index of its value, or -1.
func (p *Reader) expected(n int, line []byte, i int) (field.Field, int) {
	if n >= len(p.order) {
		return field.Skip, -1
	}
	m := &p.order[n]
	end := i + 1 + len(m.key)
	if len(line)-end < 3 || line[i] != '"' || line[end] != '"' || line[end+1] != ':' || string(line[i+1:end]) != m.key {
		return field.Skip, -1
	}
	return m.field, space(line, end+2)
}

// field looks up the n-th key of a line.
func (p *Reader) field(n int, key []byte, lookup func(string) field.Field) field.Field {
	f := lookup(field.Str(key))
	if n < maxMemo && len(key) <= 128 {
		switch {
		case n == len(p.order):
			p.order = append(p.order, keyMemo{string(key), f})
		case n < len(p.order) && f != field.Skip:
			p.order[n] = keyMemo{string(key), f}
		}
	}
	return f
}

// member reads the value at line[i] into the field and returns the index behind it.
func (p *Reader) member(f field.Field, line []byte, i int, ev *ingest.Event) (int, ingest.Reason) {
	if i >= len(line) {
		return 0, ingest.BadJSON
	}
	switch line[i] {
	case '"':
		end := field.Closing(line, i+1)
		if end < 0 {
			return 0, ingest.BadJSON
		}
		if f == field.Skip {
			return end + 1, ingest.OK
		}
		return end + 1, p.keyedValue(f, line[i+1:end], ev)
	case '{', '[':
		end := nested(line, i)
		if end < 0 {
			return 0, ingest.BadJSON
		}
		return end, ingest.OK
	}
	end := i
	for end < len(line) && line[end] != ',' && line[end] != '}' && line[end] > ' ' {
		end++
	}
	v := line[i:end]
	if f == field.Skip || len(v) == 0 || string(v) == "null" || string(v) == "-" {
		return end, ingest.OK // an unquoted variable that was empty leaves nothing
	}
	return end, p.keyedValue(f, v, ev)
}

// keyedValue stores the value of a known key.
func (p *Reader) keyedValue(f field.Field, v []byte, ev *ingest.Event) ingest.Reason {
	if field.IsTarget(f) {
		p.sink.SeeTarget()
	}
	if len(v) == 0 || !p.sink.Better(f) {
		return ingest.OK
	}
	switch f {
	case field.Peer, field.RealPeer, field.ClientIP:
		a, end := field.Address(v, 0, false)
		if end != len(v) {
			return ingest.BadAddress
		}
		ev.Peer = a
	case field.Msec, field.TimeISO, field.TimeLocal, field.Time, field.Started:
		ns, ok := p.sink.Clock.ReadAny(v)
		if !ok {
			return ingest.BadTime
		}
		ev.Time = ns
	case field.StatusCode:
		code, end := field.Status(v, 0)
		if end != len(v) {
			return ingest.BadStatus
		}
		ev.Status = code
	case field.BytesBody, field.BytesAll, field.BytesIn:
		count, end := field.Integer(v, 0)
		if end != len(v) {
			return ingest.BadNumber
		}
		field.Store(f, count, ev)
	case field.Duration, field.UpstreamTime:
		ns, end := field.SecondsList(v, 0)
		if end != len(v) {
			return ingest.BadNumber
		}
		field.Store(f, ns, ev)
	default:
		p.text(f, v, ev)
	}
	return ingest.OK
}

// text stores a string, its escapes undone.
func (p *Reader) text(f field.Field, v []byte, ev *ingest.Event) {
	if bytes.IndexByte(v, '\\') >= 0 {
		out, ok := p.sink.Mem.UndoJSON(v)
		if !ok || !utf8.Valid(out) {
			p.sink.Bad = true
		}
		if ok {
			v = out
		}
	}
	p.sink.Text(f, v, ev)
}

// jsonKey reads a key and its colon, and returns the index of the value, or -1.
func jsonKey(line []byte, i int) ([]byte, int) {
	if i >= len(line) || line[i] != '"' {
		return nil, -1
	}
	end := field.Closing(line, i+1)
	if end < 0 {
		return nil, -1
	}
	key := line[i+1 : end]
	i = space(line, end+1)
	if i >= len(line) || line[i] != ':' {
		return nil, -1
	}
	return key, space(line, i+1)
}

// nested returns the index behind the object or array at line[i], or -1.
func nested(line []byte, i int) int {
	depth := 0
	for i < len(line) {
		switch line[i] {
		case '"':
			if i = field.Closing(line, i+1); i < 0 {
				return -1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}
