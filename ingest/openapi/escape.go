package openapi

import "unsafe"

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
