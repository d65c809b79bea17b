package field

import "time"

// Wall reads times that a gateway wrote without a zone, as the clock on its wall had
// them. It is for one goroutine. In the hour that a zone repeats when summer ends,
// the log does not say which of the two it means; the first is taken.
type Wall struct {
	zone   *time.Location // nil: UTC
	minute [len("2026-11-23") + len("13:04")]byte
	start  int64 // Unix seconds of that minute
}

// NewWall makes a reader of times in a zone.
func NewWall(zone *time.Location) Wall {
	if zone == time.UTC {
		zone = nil
	}
	return Wall{zone: zone}
}

// Read reads a day (2026-11-23 or 2026/11/23) and a time of day (13:04:50). ok is
// false if they are none.
func (w *Wall) Read(day, clock []byte) (ns int64, ok bool) {
	const date = len("2026-11-23")
	if len(day) != date || len(clock) != len("13:04:50") || clock[5] != ':' {
		return 0, false
	}
	s := two(clock[6], clock[7])
	if s < 0 || s > 59 {
		return 0, false
	}
	if string(day) != string(w.minute[:date]) || string(clock[:5]) != string(w.minute[date:]) {
		start, ok := w.minuteOf(day, clock)
		if !ok {
			return 0, false
		}
		copy(w.minute[:], day)
		copy(w.minute[date:], clock)
		w.start = start
	}
	return (w.start + int64(s)) * 1e9, true
}

// minuteOf returns the Unix seconds at which the minute of a time begins.
func (w *Wall) minuteOf(day, clock []byte) (int64, bool) {
	if day[4] != day[7] || day[4] != '-' && day[4] != '/' || clock[2] != ':' {
		return 0, false
	}
	hi, lo := two(day[0], day[1]), two(day[2], day[3])
	y, m, d := hi*100+lo, two(day[5], day[6]), two(day[8], day[9])
	midnight, sec := midnight(y, m, d), daySeconds(clock[0], clock[1], clock[3], clock[4], '0', '0')
	if hi < 0 || lo < 0 || midnight < 0 || sec < 0 {
		return 0, false
	}
	if w.zone == nil {
		return midnight + sec, true
	}
	return time.Date(y, time.Month(m), d, 0, int(sec)/60, 0, 0, w.zone).Unix(), true
}
