package enrich

import "strings"

// What stands in a template for something else.
const (
	Malformed = "{malformed}" // the request line was not HTTP
	authority = "{authority}" // CONNECT host:443
	anyID     = "{id}"        // a number, UUID, hash, date, address or long slug
	odd       = "{odd}"       // bytes that no route is made of
	rest      = "{rest}"      // what is beyond the bounds
)

// Bounds of a template.
const (
	maxSegments = 8
	maxBytes    = 96
	maxSegment  = 40 // a longer segment is an id
)

// appendTemplate appends the template of a path to dst. Empty segments, "." and ".." are
// resolved and escaped letters unescaped, as gateways do before they route:
// /api//%6Cogin is /api/login. Parameters (;x=1) are dropped.
func appendTemplate(dst []byte, path string) []byte {
	start := len(dst)
	dst, doubt := appendGuess(dst, path)
	if doubt {
		return unmask(dst, start, path)
	}
	return dst
}

// appendGuess is appendTemplate without a second look. doubt tells that the path is
// written in a way that could hide a route from it.
func appendGuess(dst []byte, path string) (_ []byte, doubt bool) {
	if path == "" || path == "*" {
		return append(dst, '*'), false
	}
	if path[0] != '/' {
		return append(dst, authority...), false
	}
	start := len(dst)
	var ends [maxSegments]int // where each segment begins in dst; deeper ones are only counted
	var deep [maxSegment]byte // the segment behind them that was read last, and its number
	var deepLen, deepAt, n int
	var seen tally
	var buf [maxSegment + 1]byte
	escaped, params := strings.IndexByte(path, '%') >= 0, strings.IndexByte(path, ';') >= 0
	for path = path[1:]; path != ""; {
		var seg string
		seg, path = firstSegment(path)
		if params {
			seg, _, _ = strings.Cut(seg, ";")
		}
		if escaped && strings.IndexByte(seg, '%') >= 0 {
			seg = string(unescape(buf[:0], seg))
		}
		switch seg {
		case "", ".":
			continue
		case "..":
			if n > 0 {
				n--
			}
			if n < maxSegments {
				dst = dst[:max(start, min(len(dst), ends[n]))]
			}
			continue
		}
		if n < maxSegments {
			var t tally
			ends[n] = len(dst)
			dst, t = appendSegment(dst, seg)
			seen |= t
		} else {
			deepLen, deepAt = copy(deep[:], seg), n
		}
		n++
	}
	doubt = seen.of(uppers) > 0 || seen.of(strange) > 0 || escaped && seen.of(percents) > 0
	if n == 0 {
		return append(dst, '/'), doubt
	}
	if n <= maxSegments && len(dst)-start <= maxBytes {
		return dst, doubt
	}
	var last []byte
	if n <= maxSegments {
		last = append(deep[:0], dst[min(ends[n-1]+1, len(dst)):]...)
	} else if deepAt == n-1 {
		last = deep[:deepLen]
	}
	return cut(dst, start, ends[:min(n, maxSegments)], last), doubt || n > maxSegments
}

// firstSegment splits a path behind its first segment.
func firstSegment(path string) (seg, rest string) {
	if k := strings.IndexByte(path, '/'); k >= 0 {
		return path[:k], path[k+1:]
	}
	return path, ""
}

// cut shortens a template to the bounds, at a segment's border. A last segment that
// names a login or the like is kept: a deep path must not hide it.
func cut(dst []byte, start int, ends []int, last []byte) []byte {
	tail, most := "/"+rest, maxSegments-1
	if named := tail + "/" + string(last); len(last) > 0 && wellKnown(true, named).TakesCredentials() {
		tail, most = named, maxSegments-2
	}
	n := min(len(ends), most)
	for n > 0 {
		at := len(dst)
		if n < len(ends) {
			at = ends[n]
		}
		if at-start+len(tail) <= maxBytes {
			dst = dst[:at]
			break
		}
		n--
	}
	if n == 0 {
		dst = dst[:start]
	}
	return append(dst, tail...)
}

// unescape undoes %XX of letters, digits, dash, dot, underscore and tilde, which need no
// escape (RFC 3986, section 2.3). The result is at most maxSegment+1 bytes long.
func unescape(buf []byte, seg string) []byte { return unescapeTo(buf, seg, maxSegment) }

// unescapeAll is unescape without the bound.
func unescapeAll(buf []byte, seg string) []byte { return unescapeTo(buf, seg, len(seg)) }

func unescapeTo(buf []byte, seg string, most int) []byte {
	for i := 0; i < len(seg) && len(buf) <= most; i++ {
		c := seg[i]
		if c == '%' && i+2 < len(seg) {
			hi, lo := unhex(seg[i+1]), unhex(seg[i+2])
			if v := byte(hi<<4 | lo); hi|lo < 16 && isUnreserved(v) {
				c = v
				i += 2
			}
		}
		buf = append(buf, c)
	}
	return buf
}

func unhex(c byte) int {
	switch {
	case c-'0' <= 9:
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return 255
}

func isUnreserved(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("-._~", c) >= 0
}
