package field

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Scratch holds values whose escapes were undone. It only grows: what was handed
// out is never written again, and a full chunk is left to the garbage collector.
type Scratch struct{ buf []byte }

const chunk = 64 << 10

// Room makes sure that n more bytes fit without moving what is there.
func (s *Scratch) Room(n int) {
	if cap(s.buf)-len(s.buf) < n {
		s.buf = make([]byte, 0, max(n, chunk))
	}
}

// Abandon lets go of everything handed out.
func (s *Scratch) Abandon() { s.buf = s.buf[len(s.buf):] }

// hexValue is 0..15 for a hexadecimal digit and 255 otherwise.
var hexValue = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	for i, c := range []byte("ABCDEF") {
		t[c] = byte(10 + i)
	}
	return t
}()

// UndoHex undoes the escapes of nginx's default once: \xHH. It also takes the \" and
// \\ of Apache's combined format, which nginx never writes; anything else stays.
func (s *Scratch) UndoHex(v []byte) []byte {
	k := bytes.IndexByte(v, '\\')
	if k < 0 {
		return v
	}
	s.Room(len(v))
	start := len(s.buf)
	out := append(s.buf, v[:k]...)
	for v = v[k:]; len(v) > 0; {
		if v[0] == '\\' && len(v) > 1 {
			if v[1] == 'x' && len(v) > 3 && hexValue[v[2]]|hexValue[v[3]] < 16 {
				out = append(out, hexValue[v[2]]<<4|hexValue[v[3]])
				v = v[4:]
				continue
			}
			if v[1] == '"' || v[1] == '\\' {
				out = append(out, v[1])
				v = v[2:]
				continue
			}
		}
		out = append(out, v[0])
		v = v[1:]
	}
	s.buf = out
	return out[start:len(out):len(out)]
}

// UndoLog undoes the escapes of Apache's log once: \xhh, the letters of C, and the
// quote and backslash themselves (ap_escape_logitem in server/util.c). Anything else
// stays.
func (s *Scratch) UndoLog(v []byte) []byte {
	return s.undo(v, '\\', func(v []byte) (byte, int) {
		if len(v) > 3 && v[1] == 'x' && hexValue[v[2]]|hexValue[v[3]] < 16 {
			return hexValue[v[2]]<<4 | hexValue[v[3]], 4
		}
		switch {
		case len(v) < 2:
		case v[1] == '"' || v[1] == '\\':
			return v[1], 2
		case v[1] == 'v':
			return '\v', 2
		case v[1] != '/':
			if c := jsonEscape(v[1]); c != 0 {
				return c, 2
			}
		}
		return v[0], 1
	})
}

// UndoHash undoes HAProxy's #HH once.
func (s *Scratch) UndoHash(v []byte) []byte {
	return s.undo(v, '#', func(v []byte) (byte, int) {
		if len(v) > 2 && hexValue[v[1]]|hexValue[v[2]] < 16 {
			return hexValue[v[1]]<<4 | hexValue[v[2]], 3
		}
		return v[0], 1
	})
}

// UndoBackslash takes the backslash from before what RFC 5424, section 6.3.3, escapes.
func (s *Scratch) UndoBackslash(v []byte) []byte {
	return s.undo(v, '\\', func(v []byte) (byte, int) {
		if len(v) > 1 && (v[1] == '"' || v[1] == '\\' || v[1] == ']') {
			return v[1], 2
		}
		return v[0], 1
	})
}

// undo replaces what one reads at each marker.
func (s *Scratch) undo(v []byte, marker byte, one func([]byte) (byte, int)) []byte {
	out, _ := s.rewrite(v, marker, func(out, v []byte) ([]byte, int) {
		c, n := one(v)
		return append(out, c), n
	})
	return out
}

// rewrite copies v and has one append what stands for each marker; one returns how
// many bytes it took, at least as many as it appended, or 0 if what is there is
// broken. ok is false then.
func (s *Scratch) rewrite(v []byte, marker byte, one func(out, v []byte) ([]byte, int)) (_ []byte, ok bool) {
	k := bytes.IndexByte(v, marker)
	if k < 0 {
		return v, true
	}
	s.Room(len(v) + utf8.UTFMax)
	start := len(s.buf)
	out := append(s.buf, v[:k]...)
	for v = v[k:]; len(v) > 0; {
		if v[0] != marker {
			out = append(out, v[0])
			v = v[1:]
			continue
		}
		var n int
		if out, n = one(out, v); n == 0 {
			return nil, false
		}
		v = v[n:]
	}
	s.buf = out
	return out[start:len(out):len(out)], true
}

// IsHex tells a hexadecimal digit.
func IsHex(c byte) bool { return hexValue[c] < 16 }

// UndoJSON undoes JSON's escapes once; ok is false if one of them is not JSON. It does
// without rewrite, whose call for each escape costs lines full of them 5 %.
func (s *Scratch) UndoJSON(v []byte) (_ []byte, ok bool) {
	k := bytes.IndexByte(v, '\\')
	if k < 0 {
		return v, true
	}
	s.Room(len(v) + utf8.UTFMax)
	start := len(s.buf)
	out := append(s.buf, v[:k]...)
	for v = v[k:]; len(v) > 0; {
		if v[0] != '\\' {
			out = append(out, v[0])
			v = v[1:]
			continue
		}
		if len(v) < 2 {
			return nil, false
		}
		if v[1] != 'u' {
			c := jsonEscape(v[1])
			if c == 0 {
				return nil, false
			}
			out = append(out, c)
			v = v[2:]
			continue
		}
		r, n := jsonRune(v)
		if n == 0 {
			return nil, false
		}
		out = utf8.AppendRune(out, r)
		v = v[n:]
	}
	s.buf = out
	return out[start:len(out):len(out)], true
}

func jsonEscape(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	}
	return 0
}

// jsonRune reads \uXXXX, or two of them that make one character. A half pair
// becomes U+FFFD, as elsewhere.
func jsonRune(v []byte) (rune, int) {
	r := unit(v)
	if r < 0 {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if r2 := unit(v[6:]); r2 >= 0 {
		if full := utf16.DecodeRune(r, r2); full != utf8.RuneError {
			return full, 12
		}
	}
	return utf8.RuneError, 6
}

func unit(v []byte) rune {
	if len(v) < 6 || v[0] != '\\' || v[1] != 'u' {
		return -1
	}
	a, b, c, d := hexValue[v[2]], hexValue[v[3]], hexValue[v[4]], hexValue[v[5]]
	if a|b|c|d > 15 {
		return -1
	}
	return rune(a)<<12 | rune(b)<<8 | rune(c)<<4 | rune(d)
}

// Closing returns the index of the quote that ends the value starting at b[i],
// passing over escaped ones, or -1.
func Closing(b []byte, i int) int {
	for j := i; ; j++ {
		k := bytes.IndexByte(b[j:], '"')
		if k < 0 {
			return -1
		}
		j += k
		if j == i || b[j-1] != '\\' {
			return j
		}
		n := 1
		for j-n-1 >= i && b[j-n-1] == '\\' {
			n++
		}
		if n%2 == 0 {
			return j
		}
	}
}
