package identity

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unsafe"
)

// glance finds the lines that may hold a secret among many: what lies between them does
// not for sure. It searches for the rare signs of one one after the other, with what the
// machine has for that, and looks at eight bytes at a time for names and card numbers.
// What it finds is for redact, which knows better.
type glance struct {
	r     *Redactor
	lines string
	next  [len(rare) + 1]int // by sign, names and cards last: where it is found next; -1: not known
}

// rare are the signs that few lines have, or few bytes of a line.
const rare = `<%\@JBb`

func (r *Redactor) glance(lines string) glance {
	g := glance{r: r, lines: lines}
	for k := range g.next {
		g.next[k] = -1
	}
	return g
}

// seek returns the first index from on at which a secret may begin, or a sign of one
// stand, or the length of lines. Ask for indices in order.
func (g *glance) seek(from int) int {
	if g.r.names == nil || g.r.emails || g.r.ibans {
		return from // personal is for every line
	}
	least := len(g.lines)
	for k := range g.next {
		if g.next[k] < from {
			if k < len(rare) {
				g.next[k] = g.sign(rare[k], from)
			} else {
				g.next[k] = g.words(from)
			}
		}
		least = min(least, g.next[k])
	}
	return least
}

// sign returns where a rare sign stands next that may be one.
func (g *glance) sign(c byte, i int) int {
	for ; i < len(g.lines); i++ {
		n := strings.IndexByte(g.lines[i:], c)
		if n < 0 {
			break
		}
		if i += n; g.isSign(c, i) {
			return i
		}
	}
	return len(g.lines)
}

func (g *glance) isSign(c byte, i int) bool {
	rest := g.lines[i:]
	switch c {
	case '<':
		return len(rest) > 1 && isNameByte(rest[1])
	case '%': // an escaped sign, a quote or a bracket behind a name
		return len(rest) > 2 && (rest[1] == '3' || rest[1] == '2' && rest[2] == '2' || rest[1] == '5' && rest[2]|0x20 == 'd')
	case '\\':
		return len(rest) > 1 && (rest[1] == 'u' || rest[1] == 'x')
	case '@':
		return g.r.passwords && g.behindScheme(i)
	case 'J':
		return i >= 2 && g.lines[i-1] == 'y' && g.lines[i-2] == 'e'
	}
	return len(rest) > 4 && (rest[1]|0x20 == 'e' && rest[2]|0x20 == 'a' && rest[3]|0x20 == 'r' || rest[1]|0x20 == 'a' && rest[2]|0x20 == 's' && rest[3]|0x20 == 'i')
}

// behindScheme tells whether what ends at i may be the user and the password of a URL.
func (g *glance) behindScheme(i int) bool {
	for at := i; at > 0 && i-at <= longestUserinfo; at-- {
		switch c := g.lines[at-1]; {
		case c == '/':
			return at >= 3 && g.lines[at-3:at] == "://"
		case c <= ' ' || c == '"':
			return false
		}
	}
	return false
}

// words returns the first = or : from i on before which the name of a secret may stand, or
// the word in which a card number may begin or go on.
func (g *glance) words(i int) int {
	data := unsafe.Slice(unsafe.StringData(g.lines), len(g.lines))
	skip := uint64(tops) // signs behind a digit are skipped,
	if g.r.names.digits {
		skip = 0 // unless a name ends with one
	}
	before, cards := uint64(0), g.r.cards // before: the last byte was a digit
	for ; i+8 <= len(data); i += 8 {
		x := binary.LittleEndian.Uint64(data[i:i+8:i+8]) &^ tops
		other := ((x ^ ':'*ones) + 0x7f*ones) & ((x ^ '='*ones) + 0x7f*ones)
		digit := (x + (0x80-0x30)*ones) &^ (x + (0x80-0x3A)*ones) & tops
		marks := tops &^ other &^ ((digit<<8 | before) & skip)
		before = digit >> 56
		if marks != 0 {
			if at := g.marked(i, marks); at >= 0 {
				return at
			}
		}
		// Of six bytes of a card number two at most are no digits, five bytes apart.
		if none := lastSix &^ digit; (none&(none-1) == 0 || none == thirdAndLast) && cards && g.cardAround(i+2) {
			return i + 2
		}
	}
	for ; i < len(data); i++ {
		if g.named(i) {
			return i
		}
	}
	return len(data)
}

const (
	lastSix      = tops &^ 0xffff
	thirdAndLast = 0x80<<16 | 0x80<<56
)

// marked looks at the bytes of the word at i that are marked.
func (g *glance) marked(i int, marks uint64) int {
	for ; marks != 0; marks &= marks - 1 {
		if at := i + bits.TrailingZeros64(marks)>>3; g.named(at) {
			return at
		}
	}
	return -1
}

// named tells whether a = or : stands at i and before it may stand the name of a secret.
func (g *glance) named(i int) bool {
	line := g.lines
	if line[i] != ':' && line[i] != '=' || i < 3 {
		return false
	}
	a, b, c := line[i-3], line[i-2], line[i-1]
	if odd[a] || odd[b] || odd[c] {
		return g.r.named(line, i)
	}
	at := tail(a, b, c)
	return g.r.names.tails[at>>6]&(1<<(at&63)) != 0
}

// odd are the bytes that may stand behind a name, or in it without being of it.
var odd = func() (t [256]bool) {
	for _, c := range []byte(`_-.] "'`) {
		t[c] = true
	}
	return t
}()

// cardAround tells whether the byte at i is one of 13 in a row of which a card number can be.
func (g *glance) cardAround(i int) bool {
	from, to := i, i
	for from > 0 && ofCard[g.lines[from-1]] {
		from--
	}
	for to < len(g.lines) && ofCard[g.lines[to]] {
		to++
	}
	return to-from >= 13
}

var ofCard = func() (t [256]bool) {
	for _, c := range []byte("0123456789 +-") {
		t[c] = true
	}
	return t
}()
