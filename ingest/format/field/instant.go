package field

// InstantBytes marks the bytes of a time in ISO 8601, for formats that must know
// where one can end.
var InstantBytes = func() (t [256]bool) {
	for _, c := range []byte("0123456789-:.TZ+") {
		t[c] = true
	}
	return t
}()

// Instant reads a time like 2026-11-23T13:05:07.508Z at b[i], with any number of
// digits in the fraction or none, and with Z or a zone of +00:00 or +0000. It
// returns the time and the index behind it, or an index of -1.
func Instant(c *Clock, b []byte, i int) (int64, int) {
	const seconds = len("2026-11-23T13:05:07")
	if len(b)-i <= seconds {
		return 0, -1
	}
	sec, ok := c.second(b[i : i+seconds])
	if !ok {
		return 0, -1
	}
	ns, j := sec*1e9, i+seconds
	if b[j] == '.' {
		start, unit := j+1, int64(1e8)
		for j = start; j < len(b) && b[j]-'0' <= 9; j++ {
			ns += int64(b[j]-'0') * unit
			unit /= 10
		}
		if j == start {
			return 0, -1
		}
	}
	offset, j := zoneAt(b, j)
	return ns - offset*1e9, j
}

// second is isoSeconds, remembered: a busy log repeats the second.
func (c *Clock) second(t []byte) (int64, bool) {
	if string(c.instant[:]) == string(t) {
		return c.instantSec, true
	}
	sec, ok := isoSeconds(t)
	if ok {
		copy(c.instant[:], t)
		c.instantSec = sec
	}
	return sec, ok
}

// zoneAt reads Z, +00:00 or +0000 at b[j], with the index behind it, or -1.
func zoneAt(b []byte, j int) (int64, int) {
	z := b[j:]
	switch {
	case len(z) > 0 && z[0] == 'Z':
		return 0, j + 1
	case len(z) >= 6 && z[3] == ':':
		if s, ok := zoneSeconds(z[0], z[1], z[2], z[4], z[5]); ok {
			return s, j + 6
		}
	case len(z) >= 5:
		if s, ok := zoneSeconds(z[0], z[1], z[2], z[3], z[4]); ok {
			return s, j + 5
		}
	}
	return 0, -1
}
