package inspect

import "sync"

// textTable is the text gate as an automaton with one state for each set of positions that
// can be reached: one look-up a byte instead of one for each word of positions.
type textTable struct {
	class   [256]uint8 // column of a byte
	next    []uint16   // state<<tableShift | column
	start   uint16     // behind the '_' that is taken to stand in front
	none    uint16     // no position
	hits    uint16     // first of the states that are a hit in a value
	agents  uint16     // the state, the last, that is a hit in an agent too
	overlap int        // one less than the longest word
}

// tableShift leaves room for 64 columns.
const tableShift = 6

// decoded is built when it is first asked.
var decoded = sync.OnceValue(func() *textTable { return newTextTable(newTextGate()) })

// newTextTable numbers the states so that one comparison tells a hit: those that are none,
// those that are one in a value, and the one that is one everywhere, which is never left.
func newTextTable(g *textGate) *textTable {
	t := &textTable{}
	columns := t.mustColumns(g)
	var kinds [2][][textWords]uint64 // states that are no hit, and those that are one in a value
	number := make(map[[textWords]uint64]int)
	visit := func(d [textWords]uint64) {
		if _, known := number[d]; known || g.meets(&d, &g.head) {
			return
		}
		kind := pick(g.meets(&d, &g.end), 1, 0)
		number[d] = len(kinds[kind])
		kinds[kind] = append(kinds[kind], d)
	}
	none := [textWords]uint64{}
	first := g.step(none, '_')
	visit(none)
	visit(first)
	for done := [2]int{}; done[0] < len(kinds[0]) || done[1] < len(kinds[1]); {
		for kind := range kinds {
			for ; done[kind] < len(kinds[kind]); done[kind]++ {
				for _, b := range columns {
					visit(g.step(kinds[kind][done[kind]], b))
				}
			}
		}
	}
	t.hits, t.agents = uint16(len(kinds[0])), uint16(len(kinds[0])+len(kinds[1]))
	state := func(d [textWords]uint64) uint16 {
		switch {
		case g.meets(&d, &g.head):
			return t.agents
		case g.meets(&d, &g.end):
			return t.hits + uint16(number[d])
		}
		return uint16(number[d])
	}
	for _, kind := range kinds {
		for _, d := range kind {
			row := [1 << tableShift]uint16{}
			for c, b := range columns {
				row[c] = state(g.step(d, b))
			}
			t.next = append(t.next, row[:]...)
		}
	}
	for range 1 << tableShift {
		t.next = append(t.next, t.agents)
	}
	t.start, t.none = state(first), state(none)
	for _, l := range textLiterals {
		t.overlap = max(t.overlap, len(l.word)-1)
	}
	return t
}

// mustColumns gives bytes that every position takes alike one column, and returns a byte of each.
func (t *textTable) mustColumns(g *textGate) (of []byte) {
	known := make(map[[textWords]uint64]uint8)
	for b := range 256 {
		c, ok := known[g.next[b]]
		if !ok {
			if len(of) == 1<<tableShift {
				panic("inspect: the text gate tells more than 64 kinds of bytes apart")
			}
			c = uint8(len(of))
			known[g.next[b]] = c
			of = append(of, byte(b))
		}
		t.class[b] = c
	}
	return of
}

// hit says whether decoded, lower-cased text needs the full look. A '_' is taken
// to stand before and behind it, so that a word counts at its ends too.
func (t *textTable) hit(s []byte, agent bool) bool {
	least := t.hits
	if agent {
		least = t.agents
	}
	at := t.start
	if len(s) >= 64 { // two halves side by side, since each step waits for the one before
		half := len(s) / 2
		a, b := s[:half], s[half:]
		late := t.none
		for _, ch := range s[half-t.overlap : half] {
			late = t.next[int(late)<<tableShift|int(t.class[ch])]
		}
		for i, ch := range a {
			at = t.next[int(at)<<tableShift|int(t.class[ch])]
			late = t.next[int(late)<<tableShift|int(t.class[b[i]])]
			if at >= least || late >= least {
				return true
			}
		}
		s, at = b[half:], late
	}
	for _, ch := range s {
		at = t.next[int(at)<<tableShift|int(t.class[ch])]
		if at >= least {
			return true
		}
	}
	return t.next[int(at)<<tableShift|int(t.class['_'])] >= least
}
