// Package marks tells where the strings and brackets of a JSON line are, in one pass
// of vector instructions, so that what nobody asked for is passed over 64 bytes at a
// time. It is there for amd64 with AVX2; elsewhere Read says no, and the caller looks
// for itself.
package marks

// Block says what is at each of 64 bytes, the first in the lowest bit.
type Block struct {
	Quotes  uint64 // that begin or end a string
	Opens   uint64 // brackets outside of strings: { and [
	Closes  uint64 // } and ]
	Slashes uint64 // backslashes
}

// Line holds the blocks of the line that was read last; those beyond it are of other lines.
type Line struct{ Blocks []Block }

// Look is what a line holds anywhere.
type Look struct{ NUL, Escapes, High bool }

// shortest is what the vector code needs; longest bounds the memory: half of it.
const (
	shortest = 64
	longest  = 64 << 10
)

// Read looks at a line. It returns false where the caller must look for itself: on
// another CPU, for lines that are very short or long, and for what is no JSON, a quote
// behind a backslash that is in no string, since readers differ in what they make of it.
func (l *Line) Read(line []byte) (Look, bool) {
	if !fast || len(line) < shortest || len(line) > longest {
		return Look{}, false
	}
	if n := len(line)/64 + 1; n > len(l.Blocks) {
		l.Blocks = make([]Block, max(n, 64))
	}
	if len(line)%64 == 0 {
		l.Blocks[len(line)/64] = Block{}
	}
	seen := scan(&line[0], len(line), &l.Blocks[0])
	return Look{NUL: seen&sawNUL != 0, Escapes: seen&sawEscape != 0, High: seen&sawHigh != 0}, seen&sawStray == 0
}

// What scan saw.
const (
	sawNUL = 1 << iota
	sawEscape
	sawHigh
	sawStray
)
