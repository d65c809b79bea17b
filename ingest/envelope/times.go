package envelope

import (
	"math"
	"time"
)

// rfc3339 reads a time with zone, such as 2003-08-24T05:14:15.000003-07:00, and
// returns Unix nanoseconds and how long it was, 0 where there is none. A leap
// second counts as the second before it: RFC 5424 forbids it, clocks do it.
func rfc3339(b []byte) (ns int64, n int) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10] != 'T' {
		return 0, 0
	}
	year := two(b)*100 + two(b[2:])
	sec, ok := seconds(year, two(b[5:]), two(b[8:]), b[11:])
	if !ok || two(b) < 0 || two(b[2:]) < 0 {
		return 0, 0
	}
	frac, n := fraction(b, 19)
	if n >= len(b) || n == 20 {
		return 0, 0
	}
	switch c := b[n]; {
	case c == 'Z':
		return nanos(sec, frac), n + 1
	case c != '+' && c != '-' || len(b) < n+6 || b[n+3] != ':':
		return 0, 0
	}
	hours, minutes := two(b[n+1:]), two(b[n+4:])
	if hours < 0 || hours > 23 || minutes < 0 || minutes > 59 {
		return 0, 0
	}
	offset := int64(hours*3600 + minutes*60)
	if b[n] == '-' {
		offset = -offset
	}
	return nanos(sec-offset, frac), n + 6
}

// nanos makes Unix nanoseconds; a time that they cannot hold (before 1678 or
// behind 2261) is not said.
func nanos(sec, frac int64) int64 {
	const most = math.MaxInt64/1_000_000_000 - 1
	if sec > most || sec < -most {
		return 0
	}
	return sec*1e9 + frac
}

// fraction reads ".digits" at n: nanoseconds, and the index behind it, n+1 where
// there is a point without digits. More than nine digits are passed over.
func fraction(b []byte, n int) (ns int64, end int) {
	if n >= len(b) || b[n] != '.' {
		return 0, n
	}
	unit := int64(1e8)
	for n++; n < len(b) && b[n]-'0' <= 9; n++ {
		ns += int64(b[n]-'0') * unit
		unit /= 10
	}
	return ns, n
}

// bsdTime reads the time of RFC 3164, such as "Jan  2 15:04:05", and returns Unix
// nanoseconds and how long it was, 0 where there is none.
func bsdTime(b []byte, ref time.Time) (ns int64, n int) {
	if len(b) < 15 || b[3] != ' ' {
		return 0, 0
	}
	month := monthOf(b)
	day, at := two(b[4:]), 6
	if b[4] == ' ' {
		day = int(b[5] - '0')
	} else if b[5] == ' ' { // not padded
		day, at = int(b[4]-'0'), 5
	}
	if month == 0 || day < 1 || day > 31 || b[at] != ' ' {
		return 0, 0
	}
	at++
	year := 0
	if len(b) >= at+13 && b[at+4] == ' ' && b[at+7] == ':' { // "Jan  2 2006 15:04:05"
		year = two(b[at:])*100 + two(b[at+2:])
		if two(b[at:]) < 0 || two(b[at+2:]) < 0 {
			return 0, 0
		}
		at += 5
	}
	if len(b) < at+8 {
		return 0, 0
	}
	clock := b[at:]
	frac, end := fraction(b, at+8)
	if end == at+9 {
		end, frac = at+8, 0
	}
	if year == 0 && len(b) >= end+5 && b[end] == ' ' && yearAt(b[end+1:]) { // "Jan  2 15:04:05 2006"
		year, end = two(b[end+1:])*100+two(b[end+3:]), end+5
	}
	sec, ok := local(year, month, day, clock, ref)
	if !ok {
		return 0, 0
	}
	return nanos(sec, frac), end
}

// yearAt tells a year behind the clock from a host that begins with a number.
func yearAt(b []byte) bool {
	return (two(b) == 19 || two(b) == 20) && two(b[2:]) >= 0 && len(b) > 4 && b[4] == ' '
}

// local makes Unix seconds of a time in the zone of ref; without a year the one
// that brings it nearest to ref.
func local(year, month, day int, clock []byte, ref time.Time) (int64, bool) {
	if year != 0 {
		return zoned(year, month, day, clock, ref)
	}
	now := ref.Unix()
	year = ref.Year()
	best, ok := zoned(year, month, day, clock, ref)
	const half = 365 * 86400 / 2
	if ok && best-now <= half && now-best <= half {
		return best, true
	}
	for _, other := range [...]int{year - 1, year + 1} { // also where Feb 29 is in another year only
		sec, valid := zoned(other, month, day, clock, ref)
		if valid && (!ok || away(sec, now) < away(best, now)) {
			best, ok = sec, true
		}
	}
	return best, ok
}

func away(a, b int64) int64 { return max(a-b, b-a) }

// zoned makes Unix seconds of a time in the zone of ref.
func zoned(year, month, day int, clock []byte, ref time.Time) (int64, bool) {
	sec, ok := seconds(year, month, day, clock)
	if !ok || ref.Location() == time.UTC {
		return sec, ok
	}
	// The zone of the hour itself decides: daylight saving may have changed since.
	_, offset := time.Unix(sec, 0).In(ref.Location()).Zone()
	guess := sec - int64(offset)
	_, offset = time.Unix(guess, 0).In(ref.Location()).Zone()
	return sec - int64(offset), true
}

// seconds makes Unix seconds of a day and a clock "15:04:05", as of UTC.
func seconds(year, month, day int, clock []byte) (int64, bool) {
	if len(clock) < 8 || clock[2] != ':' || clock[5] != ':' {
		return 0, false
	}
	h, m, s := two(clock), two(clock[3:]), two(clock[6:])
	if h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60 ||
		month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	return days(year, month, day)*86400 + int64(h*3600+m*60+min(s, 59)), true
}

func daysIn(year, month int) int {
	if month == 2 && (year%4 != 0 || year%100 == 0 && year%400 != 0) {
		return 28
	}
	return int([12]uint8{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1])
}

// days counts the days from 1970-01-01 in the Gregorian calendar. The year is
// taken to begin in March, so that the leap day is its last.
func days(year, month, day int) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	const cycle = 146097 // days in 400 years; one is added so that no year is negative
	year += 400
	return int64(365*year+year/4-year/100+year/400+(153*(month-3)+2)/5+day-1) - 719468 - cycle
}

// two reads two digits; less than 0 where they are none.
func two(b []byte) int {
	hi, lo := b[0]-'0', b[1]-'0'
	if hi > 9 || lo > 9 {
		return -1 << 20 // stays negative through what is added to it
	}
	return int(hi)*10 + int(lo)
}

// monthOf returns 1 to 12 for an English abbreviation, else 0.
func monthOf(b []byte) int {
	switch uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) {
	case 'J'<<16 | 'a'<<8 | 'n':
		return 1
	case 'F'<<16 | 'e'<<8 | 'b':
		return 2
	case 'M'<<16 | 'a'<<8 | 'r':
		return 3
	case 'A'<<16 | 'p'<<8 | 'r':
		return 4
	case 'M'<<16 | 'a'<<8 | 'y':
		return 5
	case 'J'<<16 | 'u'<<8 | 'n':
		return 6
	case 'J'<<16 | 'u'<<8 | 'l':
		return 7
	case 'A'<<16 | 'u'<<8 | 'g':
		return 8
	case 'S'<<16 | 'e'<<8 | 'p':
		return 9
	case 'O'<<16 | 'c'<<8 | 't':
		return 10
	case 'N'<<16 | 'o'<<8 | 'v':
		return 11
	case 'D'<<16 | 'e'<<8 | 'c':
		return 12
	}
	return 0
}
