package field

import "time"

// Clock reads times and remembers the last one of each shape: a busy log repeats
// the second, a quiet one at least the day.
type Clock struct {
	local     [LocalWidth]byte
	localTime int64
	day       int64 // Unix Seconds of midnight of local's day, in its zone
	iso       [ISOWidth]byte
	isoTime   int64

	instant    [19]byte // of Instant, without fraction and zone
	instantSec int64
	memos      [4]memo // of layouts
	nextMemo   int
	quarter    int64 // of an hour, on the wall clock of zone
	zone       *time.Location
	zoneShift  int64 // what the zone is ahead of UTC in it
}

// Widths of nginx's two times of fixed width.
const (
	LocalWidth = len("23/Nov/2026:13:03:36 +0000")
	ISOWidth   = len("2026-11-23T13:03:36+00:00")
)

// ReadLocal reads a $time_local of fixed width at b[i]; ok is false if it is none.
func (c *Clock) ReadLocal(b []byte, i int) (ns int64, ok bool) {
	if len(b)-i < LocalWidth {
		return 0, false
	}
	t := (*[LocalWidth]byte)(b[i:])
	if *t == c.local {
		return c.localTime, true
	}
	return c.newLocal(t)
}

func (c *Clock) newLocal(t *[LocalWidth]byte) (int64, bool) {
	const date, zone = len("23/Nov/2026:"), len("23/Nov/2026:13:03:36")
	if t[14] != ':' || t[17] != ':' {
		return 0, false
	}
	clockSeconds := daySeconds(t[12], t[13], t[15], t[16], t[18], t[19])
	if clockSeconds < 0 {
		return 0, false
	}
	day := c.day
	if c.localTime == 0 || string(t[:date]) != string(c.local[:date]) || string(t[zone:]) != string(c.local[zone:]) {
		if t[2] != '/' || t[6] != '/' || t[11] != ':' || t[20] != ' ' {
			return 0, false
		}
		d, m, y := two(t[0], t[1]), month(t[3], t[4], t[5]), two(t[7], t[8])*100+two(t[9], t[10])
		offset, ok := zoneSeconds(t[21], t[22], t[23], t[24], t[25])
		if day = midnight(y, m, d); day < 0 || !ok || two(t[7], t[8]) < 0 || two(t[9], t[10]) < 0 {
			return 0, false
		}
		day -= offset
	}
	c.day, c.local, c.localTime = day, *t, (day+clockSeconds)*1e9
	return c.localTime, true
}

// ReadISO reads a $time_iso8601 of fixed width at b[i].
func (c *Clock) ReadISO(b []byte, i int) (ns int64, ok bool) {
	if len(b)-i < ISOWidth {
		return 0, false
	}
	t := (*[ISOWidth]byte)(b[i:])
	if *t == c.iso {
		return c.isoTime, true
	}
	sec, ok := isoSeconds(t[:19])
	offset, okZone := zoneSeconds(t[19], t[20], t[21], t[23], t[24])
	if !ok || !okZone || t[22] != ':' {
		return 0, false
	}
	c.iso, c.isoTime = *t, (sec-offset)*1e9
	return c.isoTime, true
}

// ReadAny reads a whole value whose shape only its text tells: ISO 8601 with or
// without a fraction, $time_local, or Seconds since 1970 with a fraction.
func (c *Clock) ReadAny(b []byte) (int64, bool) {
	switch {
	case len(b) == ISOWidth && b[10] == 'T' && b[19] != '.': // 13:03:36.5752Z is as long
		return c.ReadISO(b, 0)
	case len(b) == LocalWidth && b[2] == '/':
		return c.ReadLocal(b, 0)
	case len(b) > 19 && b[10] == 'T':
		return c.readRFC3339(b)
	}
	if ms, end := Integer(b, 0); end == len(b) && ms > 1e11 && ms < 9e12 {
		return ms * 1e6, true // milliseconds since 1970
	}
	// Below 1973 it is a duration that somebody called "time".
	ns, end := Seconds(b, 0)
	return ns, end == len(b) && ns > 1e17
}

// readRFC3339 reads what ReadISO does not: a fraction, Z, or a zone of "+0000".
func (c *Clock) readRFC3339(b []byte) (int64, bool) {
	sec, ok := c.second(b[:19])
	if !ok {
		return 0, false
	}
	var frac int64
	i := 19
	if b[i] == '.' {
		start, unit := i+1, int64(1e8)
		for i = start; i < len(b) && b[i]-'0' <= 9; i++ {
			frac += int64(b[i]-'0') * unit
			unit /= 10
		}
		if i == start {
			return 0, false
		}
	}
	var offset int64
	switch z := b[i:]; {
	case len(z) == 1 && z[0] == 'Z':
	case len(z) == 6 && z[3] == ':':
		offset, ok = zoneSeconds(z[0], z[1], z[2], z[4], z[5])
	case len(z) == 5:
		offset, ok = zoneSeconds(z[0], z[1], z[2], z[3], z[4])
	default:
		ok = false
	}
	return (sec-offset)*1e9 + frac, ok
}

// isoSeconds reads "2026-11-23T13:03:36" as if it were UTC.
func isoSeconds(t []byte) (int64, bool) {
	if t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' {
		return 0, false
	}
	hi, lo := two(t[0], t[1]), two(t[2], t[3])
	day := midnight(hi*100+lo, two(t[5], t[6]), two(t[8], t[9]))
	s := daySeconds(t[11], t[12], t[14], t[15], t[17], t[18])
	return day + s, day >= 0 && s >= 0 && hi >= 0 && lo >= 0
}

// two reads two digits; it returns a number below -1000 if they are none.
func two(a, b byte) int {
	x, y := a-'0', b-'0'
	if x > 9 || y > 9 {
		return -100_000
	}
	return int(x)*10 + int(y)
}

func daySeconds(h1, h2, m1, m2, s1, s2 byte) int64 {
	h, m, s := two(h1, h2), two(m1, m2), two(s1, s2)
	if h < 0 || m < 0 || s < 0 || h > 23 || m > 59 || s > 59 {
		return -1
	}
	return int64(h*3600 + m*60 + s)
}

func zoneSeconds(sign, h1, h2, m1, m2 byte) (int64, bool) {
	h, m := two(h1, h2), two(m1, m2)
	if h < 0 || m < 0 || h > 23 || m > 59 || sign != '+' && sign != '-' {
		return 0, false
	}
	s := int64(h*3600 + m*60)
	if sign == '-' {
		s = -s
	}
	return s, true
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

func month(a, b, c byte) int {
	for m := range 12 {
		if months[3*m] == a && months[3*m+1] == b && months[3*m+2] == c {
			return m + 1
		}
	}
	return -1
}

// midnight returns the Unix Seconds at which a date begins in UTC, or -1. Years are
// limited to 1971..2261: what nanoseconds in an int64 hold in any time zone.
func midnight(y, m, d int) int64 {
	if y < 1971 || y > 2261 || m < 1 || m > 12 || d < 1 || d > monthDays(y, m) {
		return -1
	}
	// March is the first month, so that the leap day is the last of a year.
	mm := (m + 9) % 12
	if m < 3 {
		y--
	}
	days := 365*y + y/4 - y/100 + y/400 + (mm*153+2)/5 + d - 1
	return int64(days-719468) * 86400
}

func monthDays(y, m int) int {
	switch {
	case m == 2 && (y%4 == 0 && y%100 != 0 || y%400 == 0):
		return 29
	case m == 2:
		return 28
	case m == 4 || m == 6 || m == 9 || m == 11:
		return 30
	}
	return 31
}
