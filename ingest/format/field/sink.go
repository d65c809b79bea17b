package field

import (
	"bytes"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/portcullis/portcullis/ingest"
)

// Sink makes an event of a line's values. A reader has one; it calls Begin before a
// line, gives it every value, its escapes undone, and calls Finish.
type Sink struct {
	Mem   Scratch
	Clock Clock
	Bad   bool // a value was not UTF-8, or held a broken escape
	Multi bool // the target may come from several values; set once, before the first line

	target parts
	ranks  [fields]uint8
}

// parts are what the target is put together from.
type parts struct {
	line, uri, args []byte
	raw             bool  // uri is as sent
	kind            Field // of the line: Request, or one with an absolute URL
	seen            bool  // the line has a place for a target, be it empty
}

// Begin forgets the line before.
func (s *Sink) Begin() {
	s.Bad, s.target.seen = false, false
	if s.Multi {
		s.target = parts{}
	}
}

// Reset lets go of what earlier lines borrow.
func (s *Sink) Reset() {
	s.Mem.Abandon()
	s.target = parts{}
}

// Unrank makes the fields of the next line compete anew; readers of objects need
// it, since keys come in any order.
func (s *Sink) Unrank() { s.ranks = [fields]uint8{} }

// Better reports whether a field says it better than what came before it in this
// line, and remembers it.
func (s *Sink) Better(f Field) bool {
	r := ranks[f]
	if r.n < s.ranks[r.slot] {
		return false
	}
	s.ranks[r.slot] = r.n
	return true
}

// Has reports whether the line told a fact, by this field or a rival of it.
func (s *Sink) Has(f Field) bool { return s.ranks[ranks[f].slot] != 0 }

// SeeTarget notes that the line has a place for a target.
func (s *Sink) SeeTarget() { s.target.seen = true }

// TargetSeen reports it.
func (s *Sink) TargetSeen() bool { return s.target.seen }

// Text stores a value.
func (s *Sink) Text(f Field, v []byte, ev *ingest.Event) {
	switch f {
	case Request:
		s.request(f, v, ev)
	case Referer:
		ev.Referer = Str(v)
	case Agent:
		ev.Agent = Str(v)
	case User:
		ev.User = Str(v)
	case Method:
		ev.Method = Str(v)
	case Protocol:
		ev.Protocol = protocol(v)
	case Chain:
		ev.Chain = Str(v)
	case Key:
		ev.Key = Str(v)
	case Host, HTTPHost, ServerName:
		ev.Host = Str(v)
	case RequestURI, URI:
		s.target.uri, s.target.raw, s.target.seen = v, f == RequestURI, true
	case Args:
		s.target.args = bytes.TrimPrefix(v, []byte("?"))
	case HostURI:
		k := max(bytes.IndexByte(v, '/'), 0)
		ev.Host = Str(v[:k])
		s.target.uri, s.target.raw, s.target.seen = v[k:], true, true
	case URL:
		s.url(v, ev)
	default:
		s.rare(f, v, ev)
	}
}

// rare stores the values that few logs have.
func (s *Sink) rare(f Field, v []byte, ev *ingest.Event) {
	switch f {
	case BuiltRequest, FramedRequest:
		s.request(f, v, ev)
	case RequestID:
		ev.RequestID = Str(v)
	case Body:
		ev.Body = Str(v)
	case TLS:
		ev.TLS = Str(v)
	case Cipher:
		ev.Cipher = Str(v)
	case Print:
		ev.Print = Str(v)
	case Scheme:
		ev.Scheme = SchemeOf(Str(v))
	case Forwarded:
		ev.Forwarded = Str(v)
	case RealIP:
		ev.RealIP = Str(v)
	case Consumer:
		ev.Consumer = Str(v)
	case Subject:
		ev.Subject = Str(v)
	case Token:
		ev.Token = Str(v)
	case Session:
		ev.Session = Str(v)
	}
}

// protocols are other spellings of what the request line would say.
var protocols = map[string]string{
	"1.0": "HTTP/1.0", "1.1": "HTTP/1.1", "2": "HTTP/2.0", "2.0": "HTTP/2.0", "3": "HTTP/3.0", "3.0": "HTTP/3.0",
	"h2": "HTTP/2.0", "h2c": "HTTP/2.0", "h3": "HTTP/3.0", "HTTP/2": "HTTP/2.0", "HTTP/3": "HTTP/3.0",
	"HTTP10": "HTTP/1.0", "HTTP11": "HTTP/1.1", "HTTP2": "HTTP/2.0", "HTTP3": "HTTP/3.0",
}

func protocol(v []byte) string {
	if len(v) == len("HTTP/1.1") {
		return Str(v)
	}
	if p, ok := protocols[Str(v)]; ok {
		return p
	}
	return Str(v)
}

// url takes an absolute URL apart; what is none is a target.
func (s *Sink) url(v []byte, ev *ingest.Event) {
	s.target.uri, s.target.raw, s.target.seen = v, true, true
	host, target, ok := cutURL(Str(v))
	if !ok {
		return
	}
	if s.Better(HTTPHost) {
		ev.Host = host
	}
	s.target.uri = unsafe.Slice(unsafe.StringData(target), len(target))
}

// SchemeOf reads the scheme that a gateway logs, "" where it is none of HTTP's.
func SchemeOf(s string) string {
	switch s {
	case "http", "ws":
		return "http"
	case "https", "wss", "on": // on: nginx's $https
		return "https"
	}
	return ""
}

// request takes a whole request line; with other parts of the target it waits.
func (s *Sink) request(f Field, v []byte, ev *ingest.Event) {
	if s.Multi {
		s.target.line, s.target.kind, s.target.seen = v, f, true
		return
	}
	if !splitRequest(f, v, ev) {
		Malformed(v, ev)
	}
}

// splitRequest reads a request line of any kind.
func splitRequest(f Field, v []byte, ev *ingest.Event) bool {
	if !SplitRequest(v, ev) {
		return false
	}
	if f == Request {
		return true
	}
	if ev.Method == "-" { // the gateway could not read it
		ev.Method, ev.Protocol = "", ""
		Malformed(nil, ev)
		return true
	}
	if f == BuiltRequest || ev.Protocol >= "HTTP/2" {
		if host, target, ok := cutURL(ev.Target); ok {
			ev.Target = target
			if ev.Host == "" {
				ev.Host = host
			}
		}
	}
	return true
}

// cutURL takes an absolute URL apart. A host that a client sent with a slash in it
// cannot be told from the beginning of a path.
func cutURL(v string) (host, target string, ok bool) {
	k := strings.Index(v, "://")
	if k < 1 || k > len("https") {
		return "", "", false
	}
	rest := v[k+3:]
	end := EndOfAuthority(rest)
	if end == len(rest) {
		return rest, "/", true
	}
	return rest[:end], rest[end:], true
}

// EndOfAuthority returns where the path, query or fragment begins behind a host and its
// port, or the length (RFC 3986, section 3.2). They are short, so that a search for any
// of three bytes costs more than it saves.
func EndOfAuthority(s string) int {
	i := 0
	for i < len(s) && s[i] != '/' && s[i] != '?' && s[i] != '#' {
		i++
	}
	return i
}

// Finish settles what depends on the whole line; high says that it holds bytes
// beyond ASCII.
func (s *Sink) Finish(line []byte, high bool, ev *ingest.Event) {
	if s.Multi {
		s.settle(ev)
	}
	if s.Bad || high && !utf8.Valid(line) {
		ev.Flags |= ingest.FlagInvalidUTF8
	}
}

// settle puts the target together: the request line holds it as sent, then comes
// the target by itself, then the path with the query.
func (s *Sink) settle(ev *ingest.Event) {
	r := &s.target
	method, protocol := ev.Method, ev.Protocol
	if len(r.line) > 0 && splitRequest(r.kind, r.line, ev) {
		return
	}
	switch {
	case !r.seen: // the format does not tell
	case len(r.uri) == 0:
		Malformed(r.line, ev)
	case r.raw || len(r.args) == 0 || bytes.IndexByte(r.uri, '?') >= 0:
		ev.Target = Str(r.uri)
	default:
		ev.Target = s.Mem.Join(r.uri, "?", r.args)
	}
	ev.Method, ev.Protocol = method, protocol
}

// Join puts two values and what stands between them together in the scratch.
func (s *Scratch) Join(a []byte, between string, b []byte) string {
	s.Room(len(a) + len(between) + len(b))
	start := len(s.buf)
	s.buf = append(append(append(s.buf, a...), between...), b...)
	return Str(s.buf[start:])
}

// Capped keeps a quoted message short.
func Capped(s string) string {
	const limit = 80
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}

// IsBlankLine tells a line without anything to read.
func IsBlankLine(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }

// IsObject tells whether a line begins like a JSON object.
func IsObject(line []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("{")) }

// IsErrorLog recognises the beginning of a line of nginx's error log,
// "2026/11/23 13:03:35 [notice] ".
func IsErrorLog(line []byte) bool {
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
