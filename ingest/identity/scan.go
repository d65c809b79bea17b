package identity

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

const (
	ones  = 0x0101010101010101
	tops  = 0x80 * ones
	lower = 0x20 * ones
)

// str borrows bytes as a string.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// hasEscapes tells whether next has to look for escaped signs.
func hasEscapes(line string) bool {
	return strings.IndexByte(line, '%') >= 0 || strings.IndexByte(line, '\\') >= 0
}

// next returns the first index from i on at which secretAt may find something, or the
// line's length. It looks at eight bytes at a time for those that begin a sign, and for
// so many digits that a card number may be among them. Bytes beyond ASCII may be
// mistaken for others here; begins and card look again.
func (r *Redactor) next(line string, i int, escapes bool) int {
	data := unsafe.Slice(unsafe.StringData(line), len(line))
	from := i
	for ; i+8 <= len(data); i += 8 {
		x := binary.LittleEndian.Uint64(data[i:]) &^ tops
		ge3A := x + (0x80-0x3A)*ones
		// The high bit of a byte of other is clear where it is one of b B j J.
		other := ((x | 0x28*ones) ^ 'j'*ones) + 0x7f*ones
		if escapes {
			other &= (x ^ '%'*ones) + 0x7f*ones
			other &= (x ^ '\\'*ones) + 0x7f*ones
		}
		signs := (ge3A&^(x+(0x80-0x3E)*ones) | ^other) & tops
		digit := (x + (0x80-0x30)*ones) &^ ge3A & tops
		crowd := ((digit>>7)*ones)>>56 >= 5
		if signs == 0 && !crowd {
			continue
		}
		at := len(line)
		if signs != 0 {
			at = r.sign(line, i, from, signs)
		}
		if crowd && r.cards && mayBeCard(x, digit) {
			at = min(at, cardNear(line, max(from, i-7), i+8))
		}
		if at < len(line) {
			return at
		}
	}
	for ; i < len(data); i++ {
		if at := r.begins(line, i, from); at >= 0 {
			return at
		}
	}
	return len(line)
}

// mayBeCard tells whether the eight bytes, or the last six of them, are all of what a card
// number is written with. A number of 13 bytes or more either fills a word, or has
// six or seven bytes at the end of one and the rest at the beginning of the next.
func mayBeCard(x, digit uint64) bool {
	other := (x ^ ' '*ones) + 0x7f*ones
	other &= (x ^ '+'*ones) + 0x7f*ones
	other &= (x ^ '-'*ones) + 0x7f*ones
	const lastSix = tops &^ 0xffff
	return (digit|^other)&lastSix == lastSix
}

// sign looks closer at the bytes of the word at line[i] that are marked.
func (r *Redactor) sign(line string, i, from int, marks uint64) int {
	for ; marks != 0; marks &= marks - 1 {
		if at := r.begins(line, i+bits.TrailingZeros64(marks)>>3, from); at >= 0 {
			return at
		}
	}
	return len(line)
}

// cardNear returns the first card number that begins within line[i:end], or the line's length.
func cardNear(line string, i, end int) int {
	for ; i < end; i++ {
		if line[i]-'0' <= 9 && (i == 0 || !isNameByte(line[i-1]) || line[i-1] == '-') {
			if from, to := card(line, i); to > from {
				return i
			}
		}
	}
	return len(line)
}

// begins returns the index at which the sign at line[i] begins, or -1 if it is none.
func (r *Redactor) begins(line string, i, from int) int {
	yes := false
	switch c := line[i]; c {
	case '=', ':':
		yes = r.named(line, i) || c == ':' && hasUserinfo(line[i+1:])
	case '<':
		yes = i+1 < len(line) && isNameByte(line[i+1])
	case '%':
		yes = i+2 < len(line) && line[i+1] == '3'
	case '\\':
		yes = i+5 < len(line) && line[i+1] == 'u' && line[i+4] == '3'
	case 'b', 'B':
		yes = i+4 < len(line) && (line[i+1]|0x20 == 'e' || line[i+1]|0x20 == 'a')
	case 'J':
		if i-2 >= from && line[i-1] == 'y' && line[i-2] == 'e' {
			return i - 2
		}
	}
	if yes {
		return i
	}
	return -1
}

// hasUserinfo tells whether what follows a colon may be //user:password@host.
func hasUserinfo(s string) bool {
	return len(s) > 2 && s[0] == '/' && s[1] == '/' && strings.IndexByte(s[:min(len(s), 2+longestUserinfo)], '@') > 0
}

// named tells whether before the = or : at line[i] may stand the name of a secret: it
// looks at the last three bytes of it.
func (r *Redactor) named(line string, i int) bool {
	k := i - 1
	for k >= 0 && line[k] == ' ' && line[i] == ':' {
		k--
	}
	if k < 2 {
		return k >= 1
	}
	switch line[k] {
	case '"', '\'':
		for k--; k >= 0 && line[k] == '\\'; k-- {
		}
	case '2', '7':
		if before := line[k-2]; line[k-1] == '2' && (before == '%' || before == 'x' || before == '0') {
			return true // a quote: %22, \x22, \u0022, \u0027
		}
	}
	if k < 2 {
		return k >= 1
	}
	a, b, c := line[k-2], line[k-1], line[k]
	if isPunct[a] || isPunct[b] || isPunct[c] || b == '5' && c|0x20 == 'd' {
		return true // punctuation in a name, or %5D
	}
	at := tail(a, b, c)
	return r.names.tails[at>>6]&(1<<(at&63)) != 0
}

// unescape undoes the escapes of JSON, nginx and Apache once: what a parser makes of the
// value, and so what its pseudonym is of.
func unescape(s string) string {
	k := strings.IndexByte(s, '\\')
	if k < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:k]...)
	for i := k; i < len(s); {
		if s[i] != '\\' || i+1 >= len(s) {
			b = append(b, s[i])
			i++
			continue
		}
		var n int
		b, n = escape(b, s[i:])
		i += n
	}
	return string(b)
}

// escape appends what the escape at the beginning of s means, and returns its length.
func escape(b []byte, s string) ([]byte, int) {
	const simple, meant = `"\/'bfnrtv`, "\"\\/'\b\f\n\r\t\v"
	if k := strings.IndexByte(simple, s[1]); k >= 0 {
		return append(b, meant[k]), 2
	}
	switch s[1] {
	case 'x':
		if c, ok := unhex(s, 2, 2); ok {
			return append(b, byte(c)), 4
		}
	case 'u':
		c, ok := unhex(s, 2, 4)
		if !ok {
			break
		}
		if low, ok := unhex(s, 8, 4); utf16.IsSurrogate(c) && ok && s[6:8] == `\u` {
			return utf8.AppendRune(b, utf16.DecodeRune(c, low)), 12
		}
		return utf8.AppendRune(b, c), 6
	}
	return append(b, s[0]), 1
}

// unhex reads n hexadecimal digits at s[i:].
func unhex(s string, i, n int) (c rune, ok bool) {
	if len(s) < i+n {
		return 0, false
	}
	for _, d := range []byte(s[i : i+n]) {
		switch {
		case d-'0' <= 9:
			c = c<<4 | rune(d-'0')
		case isHex(d):
			c = c<<4 | rune(d|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return c, true
}
