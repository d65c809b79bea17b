package format

import (
	"bytes"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
)

// text stores a value, its escapes undone.
func (p *lineParser) text(f field, v []byte, ev *ingest.Event) {
	if p.plan.mode == escDefault && len(v) == 1 && v[0] == '-' {
		p.req.seen = p.req.seen || isTarget(f)
		if f != fRequest {
			return // nginx's sign for "nothing"
		}
		v = nil
	}
	if p.escapes {
		v = p.undo(v)
	}
	switch f {
	case fRequest:
		p.request(v, ev)
	case fReferer:
		ev.Referer = str(v)
	case fAgent:
		ev.Agent = str(v)
	case fUser:
		ev.User = str(v)
	case fMethod:
		ev.Method = str(v)
	case fProtocol:
		ev.Protocol = str(v)
	case fChain:
		ev.Chain = str(v)
	case fKey:
		ev.Key = str(v)
	case fHost, fHTTPHost, fServerName:
		ev.Host = str(v)
	case fRequestID:
		ev.RequestID = str(v)
	case fBody:
		ev.Body = str(v)
	case fTLS:
		ev.TLS = str(v)
	case fCipher:
		ev.Cipher = str(v)
	case fRequestURI:
		p.req.uri, p.req.raw, p.req.seen = v, true, true
	case fURI:
		p.req.uri, p.req.raw, p.req.seen = v, false, true
	case fArgs:
		p.req.args = v
	case fHostURI:
		k := max(bytes.IndexByte(v, '/'), 0)
		ev.Host = str(v[:k])
		p.req.uri, p.req.raw, p.req.seen = v[k:], true, true
	}
}

// undo undoes the escapes of the plan's mode, once.
func (p *lineParser) undo(v []byte) []byte {
	out := v
	switch p.plan.mode {
	case escDefault:
		out = p.mem.undoHex(v)
	case escJSON:
		var ok bool
		if out, ok = p.mem.undoJSON(v); !ok {
			p.bad = true
			return v
		}
	}
	if len(out) != len(v) && !utf8.Valid(out) {
		p.bad = true
	}
	return out
}

// request takes a whole request line; with other parts of the target it waits.
func (p *lineParser) request(v []byte, ev *ingest.Event) {
	if p.plan.multi {
		p.req.line, p.req.seen = v, true
		return
	}
	if !splitRequest(v, ev) {
		malformed(v, ev)
	}
}

// setTarget settles on the target: the request line holds it as sent, then comes
// $request_uri, then $uri with $args.
func (p *lineParser) setTarget(ev *ingest.Event) {
	r := &p.req
	method, protocol := ev.Method, ev.Protocol
	if len(r.line) > 0 && splitRequest(r.line, ev) {
		return
	}
	switch {
	case !r.seen: // the format does not tell
	case len(r.uri) == 0:
		malformed(r.line, ev)
	case r.raw || len(r.args) == 0 || bytes.IndexByte(r.uri, '?') >= 0:
		ev.Target = str(r.uri)
	default:
		p.mem.room(len(r.uri) + 1 + len(r.args))
		start := len(p.mem.buf)
		p.mem.buf = append(append(append(p.mem.buf, r.uri...), '?'), r.args...)
		ev.Target = str(p.mem.buf[start:])
	}
	ev.Method, ev.Protocol = method, protocol
}

// isBlankLine tells a line without anything to read.
func isBlankLine(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }

// isErrorLog recognises the beginning of a line of nginx's error log,
// "2026/11/23 13:03:35 [notice] ".
func isErrorLog(line []byte) bool {
	const shape = "dddd/dd/dd dd:dd:dd ["
	if len(line) < len(shape) {
		return false
	}
	for i := range len(shape) {
		if c := shape[i]; c == 'd' && line[i]-'0' > 9 || c != 'd' && line[i] != c {
			return false
		}
	}
	return true
}

// stripSyslog passes over the header that nginx puts before a line it sends to a
// syslog server, "<190>Nov 23 13:03:36 host nginx: ". The first ": " behind the
// stamp ends it: neither host name nor tag can hold a blank.
func stripSyslog(line []byte) []byte {
	const stamp = len("Nov 23 13:03:36 ")
	k := bytes.IndexByte(line, '>')
	if k < 2 || k > 4 || len(line) < k+1+stamp {
		return line
	}
	for _, c := range line[1:k] {
		if c-'0' > 9 {
			return line
		}
	}
	head := line[k+1:]
	if month(head[0], head[1], head[2]) < 0 || head[9] != ':' || head[12] != ':' || head[stamp-1] != ' ' {
		return line
	}
	if end := bytes.Index(head[stamp:], []byte(": ")); end >= 0 {
		return head[stamp+end+2:]
	}
	return line
}
