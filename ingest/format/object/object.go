// Package object reads lines that are JSON objects by a table of paths, without
// building a tree: "request.headers.user-agent" is taken from where it stands, and
// values that nobody asked for are passed over.
//
// A path says nesting and dots in a key at once: "source.ip" is found in
// {"source":{"ip":…}}, in {"source.ip":…} and in {"attributes":[{"key":"source.ip",
// "value":…}]} (see Entry). Of a key that comes twice the last value counts, as in
// encoding/json; null, an empty string, "-" and a boolean say nothing and replace
// nothing. Of header fields that come twice and are lists by their definition
// (X-Forwarded-For, Forwarded) all values count, in their order (RFC 9110, section 5.3).
//
// What is not asked for is looked at only as far as is needed to find its end:
// strings must be closed and brackets balanced. All else that encoding/json refuses
// within such values is let through, so that a gateway that writes bytes beyond
// UTF-8, or nothing for an empty number, does not lose its lines.
package object

import (
	"math"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object/marks"
)

// Map says what the keys of an object mean. It is read by many readers.
type Map struct {
	// Lookup says what a key of the outermost object means, for maps without nesting.
	// It is used if Entries are none.
	Lookup func(key string) field.Field
	// Timed means that an object without a time is refused.
	Timed bool
	// Ends means that the log has when a request began (field.Started) to the nanosecond
	// and how long it took, and that the sum is when it was logged. It beats other times.
	Ends bool
	// Zone is where times that name no zone were written; nil refuses them.
	Zone *time.Location
	// Array lets a line be an array that holds the object, and nothing else.
	Array bool

	root  *node
	nodes int
}

// Reader reads objects for one goroutine. It remembers the order of the keys, which
// lines of one log share.
type Reader struct {
	plan   *Map
	sink   *field.Sink
	plain  bool     // the line holds no backslash
	levels []*level // by node.id
	flat   [64]*node
	marks  marks.Line

	// of the line being read
	blocks []marks.Block // where its quotes and brackets are; nil if they are looked for
	reason ingest.Reason // why the line is no event, unless it is no JSON at all
	other  bool          // a Marker says that the line is something else
	stored int           // values taken
	held   [64]uint16    // by fact: the best rank so far
	list   [2]*node      // where Chain and Forwarded come from
	start  int64         // when the request began, where Ends asks for it
	guess  []byte        // who the gateway takes for the client
}

// NewReader makes a reader that hands values to a sink.
func NewReader(m *Map, s *field.Sink) *Reader {
	return &Reader{plan: m, sink: s, levels: make([]*level, max(m.nodes, 1))}
}

// Forget lets go of what the last line lent.
func (r *Reader) Forget() { r.guess = nil }

// Read reads a line that is one object. The caller begins and finishes the sink.
func (r *Reader) Read(line []byte, ev *ingest.Event) ingest.Reason {
	return r.read(line, r.look(line), ev)
}

// look passes over a line once, and finds its quotes and brackets where the CPU is good
// at that.
func (r *Reader) look(line []byte) marks.Look {
	if look, ok := r.marks.Read(line); ok {
		r.blocks = r.marks.Blocks[:len(line)/64+1]
		return look
	}
	return r.lookPlain(line)
}

// lookPlain is look without marks: the reader looks for quotes as it goes.
func (r *Reader) lookPlain(line []byte) (look marks.Look) {
	r.blocks = nil
	look.NUL, look.Escapes, look.High = field.Look(line)
	return look
}

// read is Read for the line that look was called for last.
func (r *Reader) read(line []byte, look marks.Look, ev *ingest.Event) ingest.Reason {
	r.sink.Unrank()
	r.plain = !look.Escapes
	r.reason, r.other, r.stored, r.start = ingest.OK, false, 0, 0
	r.held, r.list, r.guess = [64]uint16{}, [2]*node{}, nil
	i, end := space(line, 0), len(line)
	if r.plan.Array && i < end && line[i] == '[' {
		for end--; end > i && line[end] <= ' '; end-- {
		}
		if line[end] != ']' {
			return ingest.BadJSON
		}
		i = space(line, i+1)
	}
	if i >= end || line[i] != '{' {
		return ingest.BadJSON
	}
	if i = r.object(r.plan.root, line[:end], i+1, ev); i < 0 || space(line, i) < end {
		return ingest.BadJSON
	}
	return r.complete(ev)
}

// complete tells whether the object was a request.
func (r *Reader) complete(ev *ingest.Event) ingest.Reason {
	switch {
	case r.other || !r.sink.Has(field.Peer) && !r.sink.TargetSeen():
		return ingest.NotARequest
	case r.reason != ingest.OK:
		return r.reason
	case !r.sink.Has(field.Peer):
		return ingest.NoClient
	case !r.sink.Has(field.Time) && r.start == 0 && r.plan.Timed:
		return ingest.BadTime
	}
	if r.start > 0 {
		ev.Time = r.start + min(ev.Duration, math.MaxInt64-r.start)
	}
	if ev.Method == "CONNECT" && r.sink.TargetSeen() && r.held[field.RequestURI] == 0 && !r.sink.Has(field.Request) {
		r.sink.Text(field.RequestURI, []byte(ev.Host), ev) // its target is the authority (RFC 9112, section 3.2.3)
	}
	if len(r.guess) > 0 && ev.Chain == "" {
		if a, ok := field.Peername(r.guess); !ok || a != ev.Peer {
			ev.Chain = field.Str(field.WithoutPort(r.guess))
		}
	}
	return ingest.OK
}

// object reads the members of an object up to and with its brace, and returns the
// index behind it, or -1.
func (r *Reader) object(n *node, line []byte, i int, ev *ingest.Event) int {
	lv := r.level(n)
	if i = space(line, i); i < len(line) && line[i] == '}' {
		return i + 1
	}
	at := &lv.slots[0]
	for {
		from, end := 0, 0
		if r.blocks != nil {
			at, from, end, i = run(r.blocks, at, line, i)
		}
		if from == 0 {
			if s := expected(at, line, i); s != nil {
				at, i = s, i+s.n
				if i < len(line) && line[i] <= ' ' {
					i = space(line, i)
				}
			} else if at, i = r.key(lv, at, n, line, i); i < 0 {
				return -1
			}
		}
		switch {
		case end > 0:
		case i >= len(line):
			return -1
		case line[i] == '"':
			from = i + 1
			if end = r.closing(line, from); end < 0 {
				return -1
			}
			i = end + 1
		case line[i] == '{' || line[i] == '[':
			if i = r.value(at.to, line, i, ev); i < 0 {
				return -1
			}
		default:
			from, end = i, scalar(line, i)
			i = end
		}
		if at.leaf != nil && end > 0 {
			r.store(at.leaf, line, from, end, line[from-1] == '"', false, ev)
		}
		if i < len(line) && line[i] == ',' {
			i++
			continue
		}
		if i = space(line, i); i >= len(line) {
			return -1
		}
		switch line[i] {
		case '}':
			return i + 1
		case ',':
			i++
		default:
			return -1
		}
	}
}

// value reads the value at line[i] and returns the index behind it, or -1.
func (r *Reader) value(to *node, line []byte, i int, ev *ingest.Event) int {
	if i >= len(line) {
		return -1
	}
	if to == nil {
		return r.skip(line, i)
	}
	switch c := line[i]; {
	case c == '{' && to.inner:
		return r.object(to, line, i+1, ev)
	case c == '[' && to.inner:
		return r.pairs(to, line, i+1, ev)
	case to.field == field.Skip:
		return r.skip(line, i)
	}
	return r.leaf(to, line, i, ev, false, maxWrap)
}

// maxWrap bounds how deep a single value may be wrapped.
const maxWrap = 6

// leaf reads one value, which may be wrapped in an array, or as OTLP wraps it in
// {"stringValue":…}.
func (r *Reader) leaf(to *node, line []byte, i int, ev *ingest.Event, joins bool, depth int) int {
	switch line[i] {
	case '"':
		end := r.closing(line, i+1)
		if end < 0 {
			return -1
		}
		r.store(to, line, i+1, end, true, joins, ev)
		return end + 1
	case '[':
		if depth > 0 {
			return r.array(to, line, i+1, ev, depth-1)
		}
		return r.skip(line, i)
	case '{':
		if depth > 0 {
			return r.wrapped(to, line, i+1, ev, joins, depth-1)
		}
		return r.skip(line, i)
	}
	end := scalar(line, i)
	r.store(to, line, i, end, false, joins, ev)
	return end
}

// space passes over JSON's blanks.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}
