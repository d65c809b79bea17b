package field

import (
	"bytes"
	"time"
)

// ReadWall reads a time that names no zone, in the zone given: "2026/11/23 13:06:32.059"
// (Go's log package, Caddy's "wall"), the same with dashes or a T, and C's asctime,
// "Mon Nov 23 13:34:08 2026". Of an hour that a zone has twice it takes the first.
func ReadWall(b []byte, zone *time.Location) (int64, bool) {
	if zone == nil || len(b) < len("2006-01-02 15:04:05") {
		return 0, false
	}
	var y, m, d int
	var clock []byte
	switch {
	case len(b) == len(time.ANSIC) && b[3] == ' ' && b[19] == ' ':
		if b[8] == ' ' {
			d = int(b[9] - '0')
		} else {
			d = two(b[8], b[9])
		}
		y, m, clock = two(b[20], b[21])*100+two(b[22], b[23]), month(b[4], b[5], b[6]), b[11:19]
	case b[4] == b[7] && (b[4] == '-' || b[4] == '/') && (b[10] == ' ' || b[10] == 'T'):
		y, m, d, clock = two(b[0], b[1])*100+two(b[2], b[3]), two(b[5], b[6]), two(b[8], b[9]), b[11:]
	default:
		return 0, false
	}
	if clock[2] != ':' || clock[5] != ':' || midnight(y, m, d) < 0 {
		return 0, false
	}
	s := daySeconds(clock[0], clock[1], clock[3], clock[4], clock[6], clock[7])
	var frac int64
	if rest := clock[8:]; len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') {
		n, ok := Scaled(append(append(make([]byte, 0, 16), "0."...), rest[1:min(len(rest), 12)]...), 1e9)
		if frac = n; !ok || bytes.IndexByte(rest[1:], '.') >= 0 {
			return 0, false
		}
	} else if len(rest) > 0 {
		return 0, false
	}
	if s < 0 {
		return 0, false
	}
	return time.Date(y, time.Month(m), d, 0, 0, int(s), 0, zone).UnixNano() + frac, true
}
