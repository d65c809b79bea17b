package openapi

import (
	"net/netip"
	"strings"
)

// formats are the formats of strings that are looked at; all others admit anything.
var formats = map[string]func(string) bool{
	"date": isDate, "date-time": isDateTime, "uuid": isUUID,
	"ipv4": func(v string) bool { a, err := netip.ParseAddr(v); return err == nil && a.Is4() },
	"ipv6": func(v string) bool { a, err := netip.ParseAddr(v); return err == nil && a.Is6() },
}

// Format returns what tells whether a text is of a format, or nil where any text is.
func Format(name string) func(string) bool { return formats[name] }

// IsInteger reports whether a text is a decimal number of 64 bits, or of 32.
func IsInteger(v string, small bool) bool { return isInteger(v, small) }

// IsNumber reports whether a text is a number as JSON writes it.
func IsNumber(v string) bool { return isNumber(v) }

func isDigit(c byte) bool { return c-'0' <= 9 }

// isInteger reads a decimal number of 64 bits, or of 32.
func isInteger(v string, small bool) bool {
	digits, most := strings.TrimPrefix(v, "-"), "9223372036854775807"
	switch negative := len(digits) != len(v); {
	case small && negative:
		most = "2147483648"
	case small:
		most = "2147483647"
	case negative:
		most = "9223372036854775808"
	}
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	return digits != "" && digitsOf(digits) == len(digits) && (len(digits) < len(most) || len(digits) == len(most) && digits <= most)
}

// isNumber reads a number as JSON writes it.
func isNumber(v string) bool {
	v = strings.TrimPrefix(v, "-")
	n := digitsOf(v)
	if v = v[n:]; n == 0 {
		return false
	}
	if v != "" && v[0] == '.' {
		n = digitsOf(v[1:])
		if v = v[1+n:]; n == 0 {
			return false
		}
	}
	if v != "" && v[0]|0x20 == 'e' {
		v = v[1:]
		if v != "" && (v[0] == '-' || v[0] == '+') {
			v = v[1:]
		}
		return v != "" && digitsOf(v) == len(v)
	}
	return v == ""
}

// digitsOf counts the digits at the beginning.
func digitsOf(v string) int {
	n := 0
	for n < len(v) && isDigit(v[n]) {
		n++
	}
	return n
}

// shaped compares a text with a shape in which 0 stands for a digit, x for a hexadecimal one,
// and everything else for itself.
func shaped(v, shape string) bool {
	if len(v) != len(shape) {
		return false
	}
	for i := range len(v) {
		switch c := v[i]; shape[i] {
		case '0':
			if !isDigit(c) {
				return false
			}
		case 'x':
			if !isDigit(c) && c|0x20-'a' > 5 {
				return false
			}
		default:
			if c != shape[i] {
				return false
			}
		}
	}
	return true
}

func isUUID(v string) bool { return shaped(v, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") }

// isDate reads a full-date of RFC 3339.
func isDate(v string) bool {
	return shaped(v, "0000-00-00") && between(v[5:7], 1, 12) && between(v[8:10], 1, 31)
}

// isDateTime reads a date-time of RFC 3339.
func isDateTime(v string) bool {
	if len(v) < len("2006-01-02T15:04:05Z") || !isDate(v[:10]) || v[10]|0x20 != 't' && v[10] != ' ' || !shaped(v[11:19], "00:00:00") ||
		!between(v[11:13], 0, 23) || !between(v[14:16], 0, 59) || !between(v[17:19], 0, 60) {
		return false
	}
	if v = v[19:]; v[0] == '.' {
		n := digitsOf(v[1:])
		if v = v[1+n:]; n == 0 {
			return false
		}
	}
	if len(v) == 6 && (v[0] == '+' || v[0] == '-' || v[0] == ' ') { // a plus that was not escaped is a blank
		return shaped(v[1:], "00:00") && between(v[1:3], 0, 23) && between(v[4:6], 0, 59)
	}
	return v == "Z" || v == "z"
}

// between reads two digits.
func between(v string, low, high int) bool {
	n := int(v[0]-'0')*10 + int(v[1]-'0')
	return n >= low && n <= high
}
