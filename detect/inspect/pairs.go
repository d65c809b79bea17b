package inspect

import "bytes"

// pairs says which two bytes stand side by side in a text, by a hash: a word of which one
// pair is missing is not in the text, and need not be searched for. It is made for long
// texts only, in which fifty searches would cost more than everything else.
type pairs struct {
	set [pairBits]bool
	of  int // bytes of the text that it is of; 0: it was not made
}

const (
	pairBits  = 4096
	pairLeast = 48 // bytes from which a text is worth it
)

func pairHash(a, b byte) uint { return (uint(a)*67 ^ uint(b)) % pairBits }

// read takes in a text.
func (p *pairs) read(t []byte) {
	p.of = 0
	if len(t) < pairLeast {
		return
	}
	p.of = len(t)
	clear(p.set[:])
	last := t[0]
	for _, b := range t[1:] {
		p.set[pairHash(last, b)] = true
		last = b
	}
}

// may reports whether w may be in the text; false proves that it is not.
func (p *pairs) may(w string) bool {
	for i := 1; i < len(w) && p.of > 0; i++ {
		if !p.set[pairHash(w[i-1], w[i])] {
			return false
		}
	}
	return true
}

// find is where w is in the current field, or -1.
func (l *look) find(w string) int {
	if !l.pairs.may(w) {
		return -1
	}
	return bytes.Index(l.text, []byte(w))
}

// holds reports whether w is in the current field.
func (l *look) holds(w string) bool { return l.find(w) >= 0 }
