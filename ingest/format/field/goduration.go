package field

// GoDuration reads a duration as Go's time.Duration writes it, "1m2.5s", "12.3ms",
// "415.2µs" or "0s", and returns nanoseconds with the index behind it, or an index
// of -1.
func GoDuration(b []byte, i int) (int64, int) {
	var sum int64
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		// Seconds reads a number with a fraction in billionths: the fraction of any unit.
		n, j := Seconds(b, i)
		if j < 0 {
			return 0, -1
		}
		unit, k := goUnit(b, j)
		whole, frac := n/1e9, n%1e9
		if k < 0 || whole > 1e9*1e9/unit { // 31 years: no request takes that long
			return 0, -1
		}
		sum += whole*unit + frac*unit/1e9
		i = k
	}
	if i == start {
		return 0, -1
	}
	return sum, i
}

// goUnit reads a unit at b[i]: its nanoseconds and the index behind it, or -1.
func goUnit(b []byte, i int) (int64, int) {
	rest := b[i:]
	two := len(rest) > 1 && rest[1] == 's'
	switch {
	case len(rest) == 0:
		return 0, -1
	case rest[0] == 'n' && two:
		return 1, i + 2
	case rest[0] == 'u' && two:
		return 1e3, i + 2
	case len(rest) > 2 && (string(rest[:2]) == "µ" || string(rest[:2]) == "μ") && rest[2] == 's':
		return 1e3, i + 3
	case rest[0] == 'm' && two:
		return 1e6, i + 2
	case rest[0] == 's':
		return 1e9, i + 1
	case rest[0] == 'm':
		return 60e9, i + 1
	case rest[0] == 'h':
		return 3600e9, i + 1
	}
	return 0, -1
}
