package format

import (
	"bytes"

	"github.com/portcullis/portcullis/ingest"
)

// keyedState is what reading an object by its keys must remember within a line,
// and the order of keys that lines usually have.
type keyedState struct {
	ranks [fCipher + 1]uint8 // how good the source was that a field came from
	order []keyMemo          // the keys of an earlier line, in order
}

// keyMemo saves the look-up of a key that stands where it stood before.
type keyMemo struct {
	key   string
	field field
}

// maxMemo bounds the order remembered; a longer object costs look-ups.
const maxMemo = 64

// object reads a line that is one JSON object, keys in any order. Values of keys
// that are not known are passed over, nested ones whole.
func (p *lineParser) object(line []byte, ev *ingest.Event) ingest.Reason {
	p.keyed.ranks = [fCipher + 1]uint8{}
	i := space(line, 0)
	if i >= len(line) || line[i] != '{' {
		return ingest.BadJSON
	}
	i = space(line, i+1)
	if i < len(line) && line[i] == '}' {
		i++
	} else {
		for n := 0; ; n++ {
			f, at := p.keyed.expected(n, line, i)
			if at < 0 {
				var key []byte
				if key, at = jsonKey(line, i); at < 0 {
					return ingest.BadJSON
				}
				f = p.keyed.field(n, key, p.plan.lookup)
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
func (p *lineParser) complete() ingest.Reason {
	r := &p.keyed.ranks
	switch {
	case r[fPeer] == 0 && !p.req.seen:
		return ingest.NotARequest
	case r[fPeer] == 0:
		return ingest.BadAddress
	case r[fTimeAny] == 0 && p.plan.timed:
		return ingest.BadTime
	}
	return ingest.OK
}

// expected tells whether the n-th key, at line[i], is the one that was there in an
// earlier line; it returns its field and the index of its value, or -1.
func (k *keyedState) expected(n int, line []byte, i int) (field, int) {
	if n >= len(k.order) {
		return fSkip, -1
	}
	m := &k.order[n]
	end := i + 1 + len(m.key)
	if len(line)-end < 3 || line[i] != '"' || line[end] != '"' || line[end+1] != ':' || string(line[i+1:end]) != m.key {
		return fSkip, -1
	}
	return m.field, space(line, end+2)
}

// field looks up the n-th key of a line.
func (k *keyedState) field(n int, key []byte, lookup func(string) field) field {
	f := lookup(str(key))
	if n < maxMemo && len(key) <= 128 {
		switch {
		case n == len(k.order):
			k.order = append(k.order, keyMemo{string(key), f})
		case n < len(k.order) && f != fSkip:
			k.order[n] = keyMemo{string(key), f}
		}
	}
	return f
}

// member reads the value at line[i] into the field and returns the index behind it.
func (p *lineParser) member(f field, line []byte, i int, ev *ingest.Event) (int, ingest.Reason) {
	if i >= len(line) {
		return 0, ingest.BadJSON
	}
	switch line[i] {
	case '"':
		end := closing(line, i+1)
		if end < 0 {
			return 0, ingest.BadJSON
		}
		if f == fSkip {
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
	if f == fSkip || len(v) == 0 || string(v) == "null" || string(v) == "-" {
		return end, ingest.OK // an unquoted variable that was empty leaves nothing
	}
	return end, p.keyedValue(f, v, ev)
}

// source orders the fields that tell one fact: a higher rank replaces a lower one.
type source struct {
	slot field // where the rank is kept
	rank uint8
}

var sources = func() (t [fCipher + 1]source) {
	for f := range t {
		t[f] = source{field(f), 1}
	}
	for slot, best := range map[field][]field{
		fPeer:      {fClientIP, fRealPeer, fPeer},
		fTimeAny:   {fTimeLocal, fTimeAny, fTimeISO, fMsec},
		fBytesBody: {fBytesAll, fBytesBody},
		fHost:      {fServerName, fHTTPHost, fHost},
		fURI:       {fURI, fRequestURI},
	} {
		for i, f := range best {
			t[f] = source{slot, uint8(i + 1)}
		}
	}
	return t
}()

// keyedValue stores the value of a known key.
func (p *lineParser) keyedValue(f field, v []byte, ev *ingest.Event) ingest.Reason {
	p.req.seen = p.req.seen || isTarget(f)
	src := sources[f]
	if src.rank < p.keyed.ranks[src.slot] || len(v) == 0 {
		return ingest.OK
	}
	p.keyed.ranks[src.slot] = src.rank
	switch f {
	case fPeer, fRealPeer, fClientIP:
		a, end := address(v, 0, false)
		if end != len(v) {
			return ingest.BadAddress
		}
		ev.Peer = a
	case fMsec, fTimeISO, fTimeLocal, fTimeAny:
		ns, ok := p.clock.readAny(v)
		if !ok {
			return ingest.BadTime
		}
		ev.Time = ns
	case fStatus:
		code, end := status(v, 0)
		if end != len(v) {
			return ingest.BadStatus
		}
		ev.Status = code
	case fBytesBody, fBytesAll, fBytesIn:
		count, end := integer(v, 0)
		if end != len(v) {
			return ingest.BadNumber
		}
		return number(f, count, end, ev)
	case fDuration, fUpstream:
		ns, end := secondsList(v, 0)
		if end != len(v) {
			return ingest.BadNumber
		}
		return number(f, ns, end, ev)
	default:
		p.text(f, v, ev)
	}
	return ingest.OK
}

func isTarget(f field) bool { return f == fRequest || f == fRequestURI || f == fURI }

// jsonKey reads a key and its colon, and returns the index of the value, or -1.
func jsonKey(line []byte, i int) ([]byte, int) {
	if i >= len(line) || line[i] != '"' {
		return nil, -1
	}
	end := closing(line, i+1)
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
			if i = closing(line, i+1); i < 0 {
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

// isObject tells whether a line begins like a JSON object.
func isObject(line []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("{")) }
