package object

import (
	"bytes"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// scales are the nanoseconds of the units.
var scales = [...]int64{Seconds: 1e9, Millis: 1e6, Micros: 1e3, Nanos: 1}

// store takes the value of a node, which is line[i:end]. What cannot be read makes the
// line no event.
func (r *Reader) store(to *node, line []byte, i, end int, quoted, joins bool, ev *ingest.Event) {
	v := line[i:end]
	if to.seeks {
		r.sink.SeeTarget()
	}
	if to.odd {
		r.odd(to, v, quoted)
		return
	}
	if says(v, quoted) && to.rank >= r.held[to.fact] && (!to.folds || string(v) != redacted) && r.sink.Better(to.field) {
		if !r.plain && r.escaped(i, end) {
			v = r.undo(v)
		}
		r.held[to.fact] = to.rank
		r.stored++
		if reason := r.take(to, v, joins, ev); reason != ingest.OK && r.reason == ingest.OK {
			r.reason = reason
		}
	}
}

// says tells values from those that stand for nothing.
func says(v []byte, quoted bool) bool {
	return len(v) > 1 && (quoted || !isWord(v)) || len(v) == 1 && v[0] != '-'
}

// odd takes values that are not of the event as they are.
func (r *Reader) odd(to *node, v []byte, quoted bool) {
	if to.field == field.Marker {
		r.other = r.other || to.is != nil && !to.is(v)
		return
	}
	if !says(v, quoted) || to.rank < r.held[to.fact] {
		return
	}
	if !r.plain {
		v = r.undo(v)
	}
	r.held[to.fact] = to.rank
	if to.unit == Guess {
		r.guess = v
		return
	}
	ns, ok := r.time(to.unit, v)
	if r.start = ns; !ok && r.reason == ingest.OK {
		r.reason = ingest.BadTime
	}
}

// redacted is what Caddy, Kong and Traefik write for headers that hold credentials; it
// must not make one caller of all of them.
const redacted = "REDACTED"

// take reads the value of a field.
func (r *Reader) take(to *node, v []byte, joins bool, ev *ingest.Event) ingest.Reason {
	switch f := to.field; f {
	case field.Peer, field.RealPeer, field.ClientIP:
		a, ok := field.Peername(v)
		if !ok {
			return ingest.BadAddress
		}
		ev.Peer = a
	case field.Msec, field.TimeISO, field.TimeLocal, field.Time, field.Started:
		if r.start > 0 {
			return ingest.OK // what begin and duration say is better
		}
		ns, ok := r.time(to.unit, v)
		if !ok {
			return ingest.BadTime
		}
		ev.Time = ns
	case field.StatusCode:
		return status(v, ev)
	case field.BytesBody, field.BytesAll, field.BytesIn:
		count, ok := size(v)
		if !ok {
			return ingest.BadNumber
		}
		field.Store(f, count, ev)
	case field.Duration, field.UpstreamTime:
		ns, ok := duration(to.unit, v)
		if !ok {
			return ingest.BadNumber
		}
		field.Store(f, ns, ev)
	case field.Chain, field.Forwarded:
		r.chain(to, f, v, joins, ev)
	case field.TLS:
		ev.TLS = field.TLSVersion(v)
	case field.Cipher:
		ev.Cipher = field.CipherName(v)
	case field.Request:
		if to.unit == Raw {
			r.raw(v, ev)
			return ingest.OK
		}
		r.sink.Text(f, v, ev)
	case field.URL:
		if v[0] == '/' { // a path, though it may hold "://" to look like another host's
			r.sink.Text(field.RequestURI, v, ev)
			return ingest.OK
		}
		host := ev.Host
		if r.sink.Text(f, v, ev); r.held[field.Host] != 0 {
			ev.Host = host // a field of its own says it better, wherever it stands
		}
	default:
		r.sink.Text(f, v, ev)
	}
	return ingest.OK
}

// chain takes a header field that is a list.
func (r *Reader) chain(to *node, f field.Field, v []byte, joins bool, ev *ingest.Event) {
	at, k := &ev.Chain, 0
	if f == field.Forwarded {
		at, k = &ev.Forwarded, 1
	}
	if *at != "" && (joins || to.folds && r.list[k] == to) {
		*at = r.sink.Mem.Extend(*at, ", ", v)
		return
	}
	*at, r.list[k] = field.Str(v), to
}

// escaped tells whether there may be a backslash in line[i:end]; undo looks closer.
func (r *Reader) escaped(i, end int) bool {
	k := i >> 6
	if end>>6 > k || k >= len(r.blocks) {
		return true
	}
	return r.blocks[k].Slashes>>(uint(i)&63) != 0
}

// undo undoes the escapes of a string.
func (r *Reader) undo(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v
	}
	out, ok := r.sink.Mem.UndoJSON(v)
	if !ok || !utf8.Valid(out) {
		r.sink.Bad = true
	}
	if !ok {
		return v
	}
	return out
}

// time reads a time in the unit or, where it is no number, in any shape.
func (r *Reader) time(u Unit, v []byte) (int64, bool) {
	if u != Usual {
		if ns, ok := field.Scaled(v, scales[u]); ok {
			return ns, ns > 0
		}
	} else if v[0]-'0' <= 9 && len(v) > 4 && v[4]-'0' <= 9 {
		if ns, ok := field.Epoch(v); ok {
			return ns, true
		}
	}
	if ns, ok := r.sink.Clock.ReadAny(v); ok {
		return ns, true
	}
	return field.ReadWall(v, r.plan.Zone)
}

// duration reads how long something took.
func duration(u Unit, v []byte) (int64, bool) {
	if v[len(v)-1] == 's' {
		return field.Took(v) // nothing else ends so
	}
	if u == Usual {
		if ns, end := field.SecondsList(v, 0); end == len(v) {
			return ns, true
		}
		u = Seconds
	}
	if ns, ok := field.Scaled(v, scales[u]); ok {
		return ns, true
	}
	return field.Took(v)
}

// status reads a status; 0 and below mean that no answer was sent.
func status(v []byte, ev *ingest.Event) ingest.Reason {
	code, end := field.Status(v, 0)
	if end != len(v) {
		if s := string(v); s != "0" && s != "-1" {
			return ingest.BadStatus
		}
		code = 0
	}
	ev.Status = code
	return ingest.OK
}

// size reads a count of bytes; -1 means that it is not known.
func size(v []byte) (int64, bool) {
	n, end := field.Integer(v, 0)
	if end != len(v) {
		return 0, string(v) == "-1"
	}
	return n, true
}

// isWord tells the three words of JSON.
func isWord(v []byte) bool {
	switch string(v) {
	case "null", "true", "false":
		return true
	}
	return false
}
