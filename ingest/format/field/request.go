package field

import (
	"bytes"

	"github.com/portcullis/portcullis/ingest"
)

// TokenBytes marks the bytes of a method (RFC 9110, section 5.6.2).
var TokenBytes = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

// SplitRequest reads a request line into ev and reports whether it was one. The
// target is all between the first blank and the protocol, since clients send
// blanks in it. "GET target" alone is the simple request of HTTP/0.9 (RFC 1945,
// section 4.1), which nginx serves, so it must not hide its target.
func SplitRequest(v []byte, ev *ingest.Event) bool {
	sp := 0
	for sp < len(v) && TokenBytes[v[sp]] {
		sp++
	}
	if sp == 0 || sp+1 >= len(v) || v[sp] != ' ' {
		return false
	}
	end := len(v) - len(" HTTP/1.1")
	if end < sp || string(v[end:end+8]) != " HTTP/1." && string(v[end:end+8]) != " HTTP/2." || v[end+8]-'0' > 9 {
		end = bytes.LastIndex(v, []byte(" HTTP/"))
		if end < 0 && string(v[:sp]) == "GET" && bytes.IndexByte(v[sp+1:], ' ') < 0 {
			ev.Method, ev.Target, ev.Protocol = "GET", Str(v[sp+1:]), "HTTP/0.9"
			return true
		}
		if end < 0 || !isVersion(v[end+6:]) {
			return false
		}
	}
	if end <= sp+1 {
		return false
	}
	ev.Method, ev.Target, ev.Protocol = Str(v[:sp]), Str(v[sp+1:end]), Str(v[end+1:])
	return true
}

// isVersion accepts "1.1", "2.0" and "3".
func isVersion(v []byte) bool {
	switch len(v) {
	case 1:
		return v[0]-'0' <= 9
	case 3:
		return v[0]-'0' <= 9 && v[1] == '.' && v[2]-'0' <= 9
	}
	return false
}

// Malformed keeps a request line that is none: real clients and real attackers
// send them, and the gateway answered 400.
func Malformed(v []byte, ev *ingest.Event) {
	ev.Flags |= ingest.FlagMalformed
	ev.Target = Str(v)
}

// CutRequest takes a request line whose end is missing.
func (s *Sink) CutRequest(v []byte, ev *ingest.Event) {
	if bytes.HasSuffix(v, []byte(" HTTP/1.1")) || bytes.HasSuffix(v, []byte(" HTTP/1.0")) {
		s.request(Request, v, ev)
		return
	}
	method, target, ok := bytes.Cut(v, []byte(" "))
	if s.target.seen = true; !ok || len(method) == 0 || len(target) == 0 {
		Malformed(v, ev)
		return
	}
	for n := len(" HTTP/1."); n > 0; n-- {
		if end, ok := bytes.CutSuffix(target, []byte(" HTTP/1."[:n])); ok && len(end) > 0 {
			target = end
			break
		}
	}
	ev.Method = Str(method)
	s.target.line, s.target.uri, s.target.raw = nil, target, true
	if !s.Multi {
		ev.Target = Str(target)
	}
}
