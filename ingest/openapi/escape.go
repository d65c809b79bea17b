package openapi

import (
	"strings"
	"unsafe"
)

// unescape undoes %XX, and with plus also + for a blank, in room that it takes at the end of
// buf. What is no escape stays as it is. The text is valid until buf is used again.
func unescape(s string, buf []byte, plus bool) (string, []byte) {
	start := len(buf)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16:
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		case c == '+' && plus:
			c = ' '
		}
		buf = append(buf, c)
	}
	out := buf[start:]
	return text(out), buf
}

// Unhex is the value of a hexadecimal digit, or 255.
func Unhex(c byte) byte { return unhex(c) }

// Unescape undoes %XX, and with plus also + for a blank. It reports whether there is an
// escape that cannot be read, which stays as it is.
func Unescape(s string, plus bool) (string, bool) {
	if !escaped(s) {
		return s, false
	}
	bad := false
	for i := strings.IndexByte(s, '%'); i >= 0 && i < len(s) && !bad; i++ {
		bad = s[i] == '%' && (i+2 >= len(s) || unhex(s[i+1]) > 15 || unhex(s[i+2]) > 15)
	}
	out, _ := unescape(s, make([]byte, 0, len(s)), plus)
	return out, bad
}

func unhex(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// text reads bytes as a text, which is valid as long as they are.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
