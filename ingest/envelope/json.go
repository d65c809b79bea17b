package envelope

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Docker reads an entry of the json-file driver:
//
//	{"log":"text\n","stream":"stdout","time":"2019-01-01T11:11:11.111111111Z"}
//
// The engine cuts lines at 16 KiB; a part that goes on in the next entry has no
// newline.
//
// https://docs.docker.com/engine/logging/drivers/json-file/
func Docker(line, dst []byte) (h Header, msg, scratch []byte, ok bool) {
	h.Priority = -1
	s := scanner{b: line, dst: dst}
	found := false
	for s.next() {
		switch text(s.key) {
		case "log":
			msg, found = s.text()
		case "stream":
			v, _ := s.text()
			h.Stream = text(v)
		case "time":
			v, _ := s.text()
			h.Time, _ = rfc3339(v)
		}
	}
	if n := len(msg); n > 0 && msg[n-1] == '\n' {
		msg = msg[:n-1]
	} else {
		h.Partial = true
	}
	return h, msg, s.dst, found && s.whole()
}

// Journald reads an entry of "journalctl -o json": one object, values as strings.
// A value that is not UTF-8 comes as an array of byte numbers, one that occurs
// several times as an array of strings, of which the first is taken.
//
// https://systemd.io/JOURNAL_EXPORT_FORMATS/ and
// https://www.freedesktop.org/software/systemd/man/latest/systemd.journal-fields.html
func Journald(line, dst []byte) (h Header, msg, scratch []byte, ok bool) {
	s := scanner{b: line, dst: dst}
	found := false
	severity, facility := -1, 0
	for s.next() {
		switch text(s.key) {
		case "MESSAGE":
			msg, found = s.text()
		case "__REALTIME_TIMESTAMP":
			h.Time = s.number(1e16) * 1000 // microseconds
		case "SYSLOG_IDENTIFIER":
			s.field(&h.App)
		case "_HOSTNAME":
			s.field(&h.Host)
		case "SYSLOG_PID":
			s.field(&h.ProcID)
		case "_PID":
			if h.ProcID == "" {
				s.field(&h.ProcID)
			}
		case "MESSAGE_ID":
			s.field(&h.MsgID)
		case "PRIORITY":
			severity = int(s.number(8))
		case "SYSLOG_FACILITY":
			facility = int(s.number(24))
		}
	}
	h.Priority = -1
	if severity >= 0 {
		h.Priority = max(facility, 0)*8 + severity
	}
	return h, msg, s.dst, found && s.whole()
}

// scanner walks over the keys of one JSON object. It checks no more than it needs
// to find the values.
type scanner struct {
	b     []byte
	at    int
	key   []byte
	value []byte // as written
	dst   []byte
	began bool
	ended bool
	bad   bool
}

// next goes to the next key; false at the end and at what is no JSON.
func (s *scanner) next() bool {
	c := s.peek()
	switch {
	case s.bad || s.ended:
		return false
	case !s.began:
		s.began = true
		if c != '{' {
			return s.fail()
		}
		s.at++
		if c = s.peek(); c == '}' {
			s.at++
			s.ended = true
			return false
		}
	case c == '}':
		s.at++
		s.ended = true
		return false
	case c == ',':
		s.at++
		c = s.peek()
	default:
		return s.fail()
	}
	from := s.at
	if c != '"' || !s.skip() {
		return s.fail()
	}
	ok := false
	if s.key, ok = s.unquote(s.b[from:s.at]); !ok || s.peek() != ':' {
		return s.fail()
	}
	s.at++
	s.peek()
	from = s.at
	if !s.skip() {
		return s.fail()
	}
	s.value = s.b[from:s.at]
	return true
}

// whole reports that the object ended and that nothing stands behind it.
func (s *scanner) whole() bool {
	return s.ended && !s.bad && s.peek() == 0 && s.at == len(s.b)
}

func (s *scanner) fail() bool {
	s.bad = true
	return false
}

// peek passes over white space and returns the byte there, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.b) {
		switch c := s.b[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// skip passes over one value.
func (s *scanner) skip() bool {
	depth := 0
	for s.at < len(s.b) {
		switch s.b[s.at] {
		case '"':
			n := quoted(s.b[s.at:])
			if n == 0 {
				return false
			}
			s.at += n
			if depth == 0 {
				return true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return true
			}
			if depth--; depth == 0 {
				s.at++
				return true
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return true
			}
		}
		s.at++
	}
	return false
}

// quoted returns the length of the string that b begins with, 0 if it has no end.
func quoted(b []byte) int {
	for at := 1; ; {
		n := bytes.IndexByte(b[at:], '"')
		if n < 0 {
			return 0
		}
		at += n + 1
		slashes := 0
		for b[at-2-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return at
		}
	}
}

// text returns the value as bytes.
func (s *scanner) text() ([]byte, bool) {
	v := s.value
	if len(v) > 0 && v[0] == '[' {
		inner := scanner{b: v[1 : len(v)-1]}
		switch c := inner.peek(); {
		case c == '"':
			from := inner.at
			if !inner.skip() {
				return nil, false
			}
			v = inner.b[from:inner.at]
		case c >= '0' && c <= '9':
			return s.bytes(inner.b)
		}
	}
	if len(v) > 0 && v[0] == '"' {
		return s.unquote(v)
	}
	return nil, false
}

// field sets a field that has a text.
func (s *scanner) field(to *string) {
	if v, ok := s.text(); ok {
		*to = text(v)
	}
}

// number reads a whole number below limit, with or without quotes, else -1.
func (s *scanner) number(limit int64) int64 {
	v := bytes.Trim(s.value, `"`)
	n := int64(0)
	for _, c := range v {
		if c-'0' > 9 || n > limit/10 {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	if len(v) == 0 || n >= limit {
		return -1
	}
	return n
}

// bytes reads "1,2,3" as bytes into the scratch.
func (s *scanner) bytes(list []byte) ([]byte, bool) {
	from := len(s.dst)
	n, digits := 0, 0
	for i := 0; i <= len(list); i++ {
		if i < len(list) && list[i]-'0' <= 9 && n < 256 {
			n, digits = n*10+int(list[i]-'0'), digits+1
			continue
		}
		if i == len(list) || list[i] == ',' {
			if digits == 0 || n > 255 {
				return nil, false
			}
			s.dst = append(s.dst, byte(n))
			n, digits = 0, 0
		} else if list[i] != ' ' {
			return nil, false
		}
	}
	return s.dst[from:len(s.dst):len(s.dst)], true
}

// unquote undoes the escapes of a string in quotes, in the scratch where it has
// any. Bytes that are not UTF-8 stay: the formats tell them.
func (s *scanner) unquote(b []byte) ([]byte, bool) {
	b = b[1 : len(b)-1]
	at := bytes.IndexByte(b, '\\')
	if at < 0 {
		return b, true
	}
	from := len(s.dst)
	for at >= 0 {
		s.dst = append(s.dst, b[:at]...)
		n := 0
		if s.dst, n = unescape(s.dst, b[at:]); n == 0 {
			return nil, false
		}
		b = b[at+n:]
		at = bytes.IndexByte(b, '\\')
	}
	s.dst = append(s.dst, b...)
	return s.dst[from:len(s.dst):len(s.dst)], true
}

// unescape appends what the escape at the beginning of b stands for, and returns
// its length, 0 where it is none. Half of a surrogate pair becomes U+FFFD.
func unescape(dst, b []byte) ([]byte, int) {
	if len(b) < 2 {
		return dst, 0
	}
	switch c := b[1]; c {
	case '"', '\\', '/':
		return append(dst, c), 2
	case 'n':
		return append(dst, '\n'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'u':
		r := hex4(b)
		if r < 0 {
			return dst, 0
		}
		if !utf16.IsSurrogate(r) {
			return utf8.AppendRune(dst, r), 6
		}
		if pair := utf16.DecodeRune(r, hex4(b[6:])); pair != utf8.RuneError {
			return utf8.AppendRune(dst, pair), 12
		}
		return utf8.AppendRune(dst, utf8.RuneError), 6
	}
	return dst, 0
}

// hex4 reads \uXXXX, -1 where it is none.
func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
