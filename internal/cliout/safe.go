// Package cliout writes what commands print: aligned tables, JSON lines and a
// progress line. Text that an attacker may have written reaches a terminal only
// through Safe; colours and progress appear only where a person looks at them.
package cliout

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe makes text harmless for a terminal and caps it at limit columns, a cut
// being shown by "…"; limit ≤ 0 means no cap. Control characters (and with them
// ANSI sequences), characters that reorder or hide text, blanks other than the
// ordinary one and bytes that are not UTF-8 become escapes such as \x1b and
// \u202e. A backslash stays as it is, so an escape that was in the text looks the
// same as one made here.
func Safe(s string, limit int) string {
	if plainASCII(s) && (limit <= 0 || len(s) <= limit) {
		return s
	}
	var b strings.Builder
	used, cutAt := 0, 0
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		part := s[i : i+n]
		switch {
		case r == utf8.RuneError && n == 1:
			part = fmt.Sprintf(`\x%02x`, s[i])
		case !printable(r):
			part = escape(r)
		}
		// A combining mark counts here, although it takes no column: a pile of them is
		// no text.
		w := max(Width(part), 1)
		if limit > 0 && used+w > limit {
			return b.String()[:cutAt] + "…"
		}
		b.WriteString(part)
		if used += w; limit > 0 && used <= limit-1 {
			cutAt = b.Len()
		}
		i += n
	}
	return b.String()
}

// plainASCII reports whether the text has nothing to escape and one column a byte.
func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// printable reports whether a character may reach the terminal as it is: letters,
// marks, numbers, symbols and the ordinary blank. Bidirectional controls, zero
// width characters and other blanks are none of these.
func printable(r rune) bool {
	return unicode.IsPrint(r) && !hidden(r)
}

// hidden names characters that count as letters, marks or symbols but show as
// nothing.
func hidden(r rune) bool {
	return r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0 || r == 0x2800 || // blank letters and Braille
		r == 0x034f || r == 0x17b4 || r == 0x17b5 || r >= 0x180b && r <= 0x180f ||
		r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef // variation selectors
}

// escape writes one character as an escape.
func escape(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r == '\r':
		return `\r`
	case r < 0x80:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// Width is how many columns a terminal gives to text that went through Safe.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// wide are the blocks whose characters take two columns; rare exceptions in them
// cost a column of alignment, no more.
var wide = [...][2]rune{
	{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf}, {0x4e00, 0x9fff}, {0xa000, 0xa4cf},
	{0xa960, 0xa97f}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6},
	{0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
}

// runeWidth is 0 for combining marks, 2 for wide characters, else 1.
func runeWidth(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	for _, w := range wide {
		if r >= w[0] && r <= w[1] {
			return 2
		}
	}
	return 1
}
