package inspect

import "hash/maphash"

// memo remembers strings that were found clean, one per slot, each an owned
// copy that is compared in full: a collision costs a second look, never a
// wrong answer. Its memory is bounded by slots times memoBytes.
type memo struct {
	seed  maphash.Seed
	slots [][]byte
}

// memoBytes caps what is remembered: longer strings are looked at each time.
const memoBytes = 512

func newMemo(slots int) memo { // slots is a power of two
	return memo{seed: maphash.MakeSeed(), slots: make([][]byte, slots)}
}

// slot returns where s belongs and whether it is there.
func (m *memo) slot(s string) (int, bool) {
	i := int(maphash.String(m.seed, s) & uint64(len(m.slots)-1))
	return i, string(m.slots[i]) == s
}

// put remembers s in its slot, in place of what was there. The slot keeps its
// buffer, so a table in use allocates nothing.
func (m *memo) put(i int, s string) {
	if len(s) > memoBytes {
		return
	}
	m.slots[i] = append(m.slots[i][:0], s...)
}
