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
	maxScan     = 64 // segments looked at, dots resolved, before the rest is cut
)

// appendTemplate appends the template of a path to dst. Empty segments, "." and ".." are
// resolved and escaped letters unescaped, as gateways do before they route:
// /api//%6Cogin is /api/login. Parameters (;x=1) are dropped.
func appendTemplate(dst []byte, path string) []byte {
	if path == "" || path == "*" {
		return append(dst, '*')
	}
	if path[0] != '/' {
		return append(dst, authority...)
	}
	start := len(dst)
	var ends [maxScan]int // where each segment kept so far begins in dst
	n, scanned := 0, 0
	var buf [maxSegment + 1]byte
	escaped := strings.IndexByte(path, '%') >= 0
	params := strings.IndexByte(path, ';') >= 0
	for path = path[1:]; path != ""; scanned++ {
		if scanned == maxScan-1 {
			return cut(dst, start, ends[:n])
		}
		var seg string
		if k := strings.IndexByte(path, '/'); k >= 0 {
			seg, path = path[:k], path[k+1:]
		} else {
			seg, path = path, ""
		}
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
				dst = dst[:ends[n]]
			}
			continue
		}
		ends[n] = len(dst)
		n++
		dst = appendSegment(dst, seg)
	}
	if n == 0 {
		return append(dst, '/')
	}
	if n > maxSegments || len(dst)-start > maxBytes {
		return cut(dst, start, ends[:n])
	}
	return dst
}

// cut shortens a template to the bounds, at a segment's border.
func cut(dst []byte, start int, ends []int) []byte {
	n := min(len(ends), maxSegments-1)
	for n > 0 {
		at := len(dst)
		if n < len(ends) {
			at = ends[n]
		}
		if at-start+1+len(rest) <= maxBytes {
			dst = dst[:at]
			break
		}
		n--
	}
	if n == 0 {
		dst = dst[:start]
	}
	return append(append(dst, '/'), rest...)
}

// unescape undoes %XX of letters, digits, dash, dot, underscore and tilde, which need no
// escape (RFC 3986, section 2.3). The result is at most maxSegment+1 bytes long.
func unescape(buf []byte, seg string) []byte {
	for i := 0; i < len(seg) && len(buf) <= maxSegment; i++ {
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

// tally counts the bytes of a segment by class, eight bits for each class, so that a
// byte costs one addition. A segment is at most maxSegment bytes long.
type tally uint64

const (
	digits   tally = 1 << (8 * iota)
	hexes          // a-f in both cases
	uppers         // A-Z
	lowers         // a-z
	dashes         // - and _
	percents       // % and @: what is still escaped, or a mail address
	strange        // what no route is made of
)

func (t tally) of(class tally) int { return int(t/class) & 0xff }

var tallies = func() (t [256]tally) {
	for c := range 256 {
		b := byte(c)
		switch {
		case b-'0' <= 9:
			t[c] = digits
		case b >= 'a' && b <= 'z':
			t[c] = lowers
		case b >= 'A' && b <= 'Z':
			t[c] = uppers
		case b == '-' || b == '_':
			t[c] = dashes
		case b == '%' || b == '@':
			t[c] = percents
		case strings.IndexByte(".~!$&'()*+,=:", b) < 0:
			t[c] = strange
		}
		if b|0x20 >= 'a' && b|0x20 <= 'f' {
			t[c] += hexes
		}
	}
	return t
}()

// appendSegment appends a segment, or what stands for it.
func appendSegment(dst []byte, seg string) []byte {
	long := len(seg) > maxSegment
	if long {
		seg = seg[:maxSegment]
	}
	var t tally
	for i := range len(seg) {
		t += tallies[seg[i]]
	}
	if !long && t&^(0xff*lowers) == 0 {
		return append(append(dst, '/'), seg...) // a plain word
	}
	dst = append(dst, '/')
	switch {
	case t.of(strange) > 0:
		return append(dst, odd...)
	case long || isID(seg, t):
		return append(dst, anyID...)
	}
	return append(dst, seg...)
}

// isID tells whether a segment names one thing of many.
func isID(seg string, t tally) bool {
	n, d, dash := len(seg), t.of(digits), t.of(dashes)
	words := d+t.of(uppers)+t.of(lowers)+dash == n
	switch {
	case t.of(percents) > 0,
		d > 0 && d+dash == n,                            // numbers, dates
		d > 0 && d+t.of(hexes)+dash == n && n-dash >= 8, // hashes, UUIDs
		n >= 24 && dash >= 3 && words,                   // slugs
		n >= 16 && d >= 2 && t.of(uppers) > 0 && words,  // base64
		n >= 20 && d >= 3 && t.of(uppers) == 0 && words, // base36 and its like
		dash > 0 && numberedSuffix(seg):
		return true
	}
	return false
}

// numberedSuffix tells user-123, ord_1a2b3c: a name, and a number or hash behind it.
func numberedSuffix(seg string) bool {
	k := len(seg) - 1
	for k >= 0 && seg[k] != '-' && seg[k] != '_' {
		k--
	}
	var t tally
	for _, c := range []byte(seg[k+1:]) {
		t += tallies[c]
	}
	n := len(seg) - k - 1
	d := t.of(digits)
	return k > 0 && d > 0 && (d == n || d+t.of(hexes) == n && n >= 6)
}
