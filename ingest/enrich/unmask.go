package enrich

import "strings"

// maxUnmask bounds the path that gets a second look. NGINX refuses a longer request line
// (large_client_header_buffers, 8k: nginx.org/en/docs/http/ngx_http_core_module.html).
const maxUnmask = 8 << 10

// unmask looks again at a path whose template is dst[start:], in the most generous reading
// that any gateway or application has: escapes undone, twice; backslashes as slashes;
// letters as small ones; blanks and dots at the end of a segment dropped. If that
// reading takes credentials, it is the route: /LOGIN, /api%2Flogin and /%256Cogin are
// counted with /login. Otherwise the path stays what it was.
func unmask(dst []byte, start int, path string) []byte {
	if len(path) > maxUnmask {
		return dst
	}
	var buf [256]byte
	plain := generous(buf[:0], path)
	var work [maxBytes + maxSegments*(maxSegment+8)]byte
	alt, _ := appendGuess(work[:0], string(plain))
	if wellKnown(true, string(alt)).TakesCredentials() {
		return append(dst[:start], alt...)
	}
	return dst
}

// generous appends the generous reading of a path.
func generous(buf []byte, path string) []byte {
	for i := 0; i < len(path); {
		c, n := unescapeTwice(path[i:])
		i += n
		switch {
		case c == 0:
			return trimSegment(buf)
		case c == '\\':
			c = '/'
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		}
		if c == '/' {
			buf = trimSegment(buf)
		}
		buf = append(buf, c)
	}
	return trimSegment(buf)
}

// unescapeTwice reads one byte that may be written %2F or %252F, and how long that is.
func unescapeTwice(s string) (byte, int) {
	c, n := s[0], 1
	if c == '%' && len(s) > 2 {
		if hi, lo := unhex(s[1]), unhex(s[2]); hi|lo < 16 {
			c, n = byte(hi<<4|lo), 3
		}
	}
	if c == '%' && n == 3 && len(s) > 4 {
		if hi, lo := unhex(s[3]), unhex(s[4]); hi|lo < 16 {
			c, n = byte(hi<<4|lo), 5
		}
	}
	return c, n
}

// trimSegment drops blanks and dots from the end of a segment, but leaves "." and "..".
func trimSegment(buf []byte) []byte {
	seg := buf[strings.LastIndexByte(string(buf), '/')+1:]
	n := len(seg)
	for n > 0 && (seg[n-1] == '.' || seg[n-1] <= ' ') {
		n--
	}
	if n == 0 {
		return buf
	}
	return buf[:len(buf)-len(seg)+n]
}
