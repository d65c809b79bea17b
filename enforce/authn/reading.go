package authn

import (
	"slices"
	"strings"
)

// Bounds of the readings of one path: how many there may be, and how long all of them
// together. What goes beyond can be told by nobody and is refused where anything is.
const (
	maxReadings  = 64
	readingBytes = 64 << 10
)

// readings are the paths that servers behind a gateway may take a path for. Each of the
// steps is one that some servers take and others do not, so all of their sequences
// count: every path that can come out of the steps in any order is in the list, the path itself
// first. ok is false where there are too many.
//
// A path in plain letters, which nearly all are, has one reading and costs one look at its
// bytes.
func readings(into []string, path string) (list []string, ok bool) {
	list = append(into, path)
	if plainPath(path) {
		return list, true
	}
	size := len(path)
	for i := 0; i < len(list); i++ {
		for _, step := range steps {
			next := step(list[i])
			if slices.Contains(list, next) {
				continue
			}
			if size += len(next); len(list) >= maxReadings || size > readingBytes {
				return list, false
			}
			list = append(list, next)
		}
	}
	return list, true
}

// plainPath tells a path that every server reads alike: no step changes it.
func plainPath(path string) bool {
	if path == "/" {
		return true
	}
	last := byte(0)
	for i := range len(path) {
		c := path[i]
		switch {
		case c == '/' && (i == len(path)-1 || last == '/' || last == '.' || last == ' '):
			return false
		case c == '%', c == ';', c == '\\', c == '?', c == '#', c <= ' ', c == 0x7f, c == '.' && last == '/':
			return false
		}
		last = c
	}
	return strings.HasPrefix(path, "/") && last != '.'
}

// steps are what servers do to a path.
var steps = []func(string) string{
	func(s string) string { return decoded(s, true) },
	func(s string) string { return decoded(s, false) },
	func(s string) string { return strings.ReplaceAll(s, `\`, "/") },
	withoutParameters, mergedSlashes, withoutDots, withoutEnds,
	func(s string) string { return s[:cutAt(s, "?")] },
	func(s string) string { return s[:cutAt(s, "#")] },
	func(s string) string { return s[:cutAt(s, "\x00")] },
	func(s string) string {
		if len(s) > 1 {
			return strings.TrimSuffix(s, "/")
		}
		return s
	},
}

func cutAt(s, sign string) int {
	if k := strings.Index(s, sign); k >= 0 {
		return k
	}
	return len(s)
}

// decoded undoes percent-encoding once. What is no escape stays. Some servers leave slashes
// and backslashes as they are.
func decoded(s string, slashes bool) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, okHi := nibble(s[i+1])
			lo, okLo := nibble(s[i+2])
			if c := hi<<4 | lo; okHi && okLo && (slashes || c != '/' && c != '\\') {
				b = append(b, c)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// eachPart rewrites the parts of a path.
func eachPart(s string, change func(string) string) string {
	parts := strings.Split(s, "/")
	for i := range parts {
		parts[i] = change(parts[i])
	}
	return strings.Join(parts, "/")
}

// withoutParameters takes path parameters away: /a;v=1/b is /a/b (RFC 3986, section 3.3).
func withoutParameters(s string) string {
	if !strings.Contains(s, ";") {
		return s
	}
	return eachPart(s, func(p string) string { return p[:cutAt(p, ";")] })
}

// withoutEnds takes dots and blanks from the ends of parts, as file systems do.
func withoutEnds(s string) string {
	return eachPart(s, func(p string) string {
		if p == "." || p == ".." {
			return p
		}
		return strings.TrimRight(p, ". \t\r\n")
	})
}

func mergedSlashes(s string) string {
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	return s
}

// withoutDots removes dot segments (RFC 3986, section 5.2.4).
func withoutDots(s string) string {
	if !strings.Contains(s, "/.") {
		return s
	}
	parts := strings.Split(s, "/")
	out := make([]string, 0, len(parts))
	for i, p := range parts {
		last := i == len(parts)-1
		switch {
		case p == "." && last:
			out = append(out, "")
		case p == ".":
		case p == ".." && len(out) > 1:
			out = out[:len(out)-1]
			if last {
				out = append(out, "")
			}
		case p == ".." && last:
			out = append(out, "")
		case p == "..":
		default:
			out = append(out, p)
		}
	}
	return strings.Join(out, "/")
}
