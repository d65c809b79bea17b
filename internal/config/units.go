package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a duration as time.ParseDuration does and knows days and
// weeks besides: 7d, 1w, 1d12h. A day is 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("want a duration like 30s, 5m, 2h or 7d, got %s", shown(s))
	rest, sign := s, time.Duration(1)
	if strings.HasPrefix(rest, "-") {
		rest, sign = rest[1:], -1
	}
	var days float64
	for _, u := range [...]struct {
		unit string
		days float64
	}{{"w", 7}, {"d", 1}} {
		head, tail, ok := strings.Cut(rest, u.unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(head, 64)
		if err != nil || strings.ContainsAny(head, "+-eExXpP_nN") {
			return 0, bad
		}
		days, rest = days+n*u.days, tail
	}
	whole := days * 24 * float64(time.Hour)
	if whole > math.MaxInt64/2 {
		return 0, errors.New("longer than 146 years: " + shown(s))
	}
	if rest == "" && days == 0 && !strings.ContainsAny(s, "dw") {
		return 0, bad
	}
	var clock time.Duration
	if rest != "" {
		var err error
		if clock, err = time.ParseDuration(rest); err != nil || strings.HasPrefix(rest, "-") {
			return 0, bad
		}
	}
	if clock > math.MaxInt64/2 {
		return 0, errors.New("longer than 146 years: " + shown(s))
	}
	return sign * (time.Duration(whole) + clock), nil
}

// FormatDuration writes a duration so that ParseDuration reads it back, in days
// where it is whole days, without the zero parts of time.Duration.String.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d != 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// sizes in descending order, so that formatting takes the largest that fits.
var sizes = [...]struct {
	unit  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

// ParseSize reads a number of bytes: 4096, 64KiB, 1.5MiB, 10MB.
func ParseSize(s string) (int64, error) {
	bad := fmt.Errorf("want a size like 65536, 64KiB or 10MB, got %s", shown(s))
	number, factor := s, int64(1)
	for _, u := range sizes {
		if head, ok := strings.CutSuffix(s, u.unit); ok {
			number, factor = strings.TrimSuffix(head, " "), u.bytes
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/factor || n < math.MinInt64/factor {
			return 0, errors.New("too large: " + shown(s))
		}
		return n * factor, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || factor == 1 || strings.ContainsAny(number, "xXpPnN_") {
		return 0, bad
	}
	if math.Abs(f)*float64(factor) >= math.MaxInt64 {
		return 0, errors.New("too large: " + shown(s))
	}
	return int64(f * float64(factor)), nil
}

// FormatSize writes a number of bytes with the largest binary unit that keeps it
// whole.
func FormatSize(n int64) string {
	for _, u := range sizes[:4] {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.unit
		}
	}
	return strconv.FormatInt(n, 10)
}

// isSize reports whether text is a number with a unit of bytes.
func isSize(s string) bool {
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return false
	}
	_, err := ParseSize(s)
	return err == nil
}
