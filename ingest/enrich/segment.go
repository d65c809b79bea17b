package enrich

import "strings"

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
	puncts         // the other bytes that a segment may hold: .~!$&'()*+,=:
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
		case strings.IndexByte(".~!$&'()*+,=:", b) >= 0:
			t[c] = puncts
		default:
			t[c] = strange
		}
		if b|0x20 >= 'a' && b|0x20 <= 'f' {
			t[c] += hexes
		}
	}
	return t
}()

// appendSegment appends a segment, or what stands for it. The tally is of what may hide
// a route: capitals that stay, escapes, a dot at the end, bytes that no route is made of.
func appendSegment(dst []byte, seg string) ([]byte, tally) {
	long := len(seg) > maxSegment
	if long {
		seg = seg[:maxSegment]
	}
	t := tallyOf(seg)
	if !long && t&^(0xff*lowers) == 0 {
		return append(append(dst, '/'), seg...), 0 // a plain word
	}
	dst = append(dst, '/')
	switch {
	case t.of(strange) > 0:
		return append(dst, odd...), t
	case long || isID(seg, t):
		return append(dst, anyID...), t & (0xff * percents)
	}
	if seg[len(seg)-1] == '.' {
		t |= strange // some systems drop it
	}
	return append(dst, seg...), t
}

func tallyOf(seg string) (t tally) {
	for i := range len(seg) {
		t += tallies[seg[i]]
	}
	return t
}

// isID tells whether a segment names one thing of many.
func isID(seg string, t tally) bool {
	n, d, dash, punct := len(seg), t.of(digits), t.of(dashes), t.of(puncts)
	if d > 0 && d+dash == n || t.of(percents) > 0 {
		return true // numbers, dates; what is still escaped
	}
	if d == 0 {
		// Letters and dashes: a slug, or base64 that says so by its end.
		return n >= 24 && dash >= 3 && punct == 0 || n >= 12 && seg[n-1] == '='
	}
	words := punct == 0
	switch {
	case d+t.of(hexes)+dash == n && n-dash >= 8, // hashes, UUIDs
		words && n >= 24 && dash >= 3,                   // slugs
		words && n >= 16 && d >= 2 && t.of(uppers) > 0,  // base64, ULIDs
		words && n >= 20 && d >= 3 && t.of(uppers) == 0, // base36 and its like
		dash > 0 && numberedSuffix(seg, "-_"),
		2*d > n && d >= 4 && words,                                   // mostly a number: user12345, 2024-W03
		n >= 12 && seg[n-1] == '=',                                   // padded base64
		words && n >= 10 && d >= 2 && t.of(uppers) > 0 && mixed(seg): // short random ids
		return true
	}
	return punct > 0 && isPunctuated(seg, n, d+dash+punct)
}

// isPunctuated knows ids with other signs in them: lists, coordinates and addresses made
// of numbers, times of day, user:123, and any id with a file's ending. A version
// ("1.0", "2.1.3") is none.
func isPunctuated(seg string, n, numeric int) bool {
	if numeric == n && (n >= 8 || strings.IndexByte(seg, '.') < 0) {
		return true
	}
	if seg[0]-'0' <= 9 && strings.Trim(seg, "0123456789TZ:.+-") == "" && strings.IndexByte(seg, ':') > 0 {
		return true // ISO 8601
	}
	if numberedSuffix(seg, ":=,") {
		return true
	}
	k := strings.LastIndexByte(seg, '.')
	if k <= 0 || n-k > 6 || strings.IndexByte(seg[:k], '.') >= 0 {
		return false
	}
	for _, c := range []byte(seg[k+1:]) {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return isID(seg[:k], tallyOf(seg[:k]))
}

// mixed tells whether a segment changes between capitals, small letters and digits at
// every second byte or more often: dQw4w9WgXcQ does, OAuth2Callback does not.
func mixed(seg string) bool {
	changes := 0
	for i := 1; i < len(seg); i++ {
		if (tallies[seg[i]]^tallies[seg[i-1]])&(digits|uppers|lowers|dashes) != 0 {
			changes++
		}
	}
	return 2*changes >= len(seg)
}

// numberedSuffix tells user-123, ord_1a2b3c: a name, and a number or hash behind it.
func numberedSuffix(seg, separators string) bool {
	k := strings.LastIndexAny(seg, separators)
	if k <= 0 {
		return false
	}
	t := tallyOf(seg[k+1:])
	n, d := len(seg)-k-1, t.of(digits)
	return d > 0 && (d == n || d+t.of(hexes) == n && n >= 6)
}
