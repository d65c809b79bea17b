package inspect

import (
	"bytes"
	"testing"
)

// slowHit is what textTable.hit says, read off the sets of positions.
func slowHit(g *textGate, s []byte, agent bool) bool {
	end := &g.end
	if agent {
		end = &g.head
	}
	d := g.step([textWords]uint64{}, '_')
	for _, b := range append(s[:len(s):len(s)], '_') {
		if d = g.step(d, b); g.meets(&d, end) {
			return true
		}
	}
	return false
}

// FuzzTextGate holds the table against the sets that it is made of, also where the text
// is long enough to be read in two halves.
func FuzzTextGate(f *testing.F) {
	for _, l := range textLiterals {
		f.Add([]byte(l.word), uint8(0), uint8(0))
		f.Add([]byte(l.word), uint8(40), uint8(30))
		f.Add([]byte(l.word), uint8(29), uint8(60))
	}
	g := newTextGate()
	f.Fuzz(func(t *testing.T, s []byte, before, behind uint8) {
		text := bytes.Join([][]byte{bytes.Repeat([]byte("a"), int(before)), s, bytes.Repeat([]byte("b"), int(behind))}, nil)
		for _, agent := range []bool{false, true} {
			if got, want := decoded().hit(text, agent), slowHit(g, text, agent); got != want {
				t.Errorf("%q, agent %t: the table says %t, the sets %t", text, agent, got, want)
			}
		}
	})
}

// TestTextGateHalves puts each word at every place around the middle of a text.
func TestTextGateHalves(t *testing.T) {
	g := newTextGate()
	for _, l := range textLiterals {
		word := bytes.ReplaceAll([]byte(l.word), []byte("N"), []byte("7"))
		for at := range 100 - len(word) {
			text := bytes.Repeat([]byte("m"), 100)
			copy(text[at:], word)
			if !decoded().hit(text, false) || !slowHit(g, text, false) {
				t.Errorf("%q at %d is no hit", l.word, at)
			}
			if decoded().hit(text, true) != slowHit(g, text, true) {
				t.Errorf("%q at %d: table and sets differ in an agent", l.word, at)
			}
		}
	}
}
