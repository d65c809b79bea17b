package inspect

// matcher finds all literals in a text in one pass (Aho–Corasick, as a dense
// table over the bytes that literals use). It is built once and then shared.
type matcher struct {
	class  [256]uint8 // column of a byte; column 0 is every byte that no literal uses
	width  int
	next   []uint16  // state*width + column
	out    [][]int32 // literals that end in a state, those of its suffixes included
	single []bool    // state has output
}

func newMatcher(literals []string) *matcher {
	m := &matcher{width: 1}
	for _, lit := range literals {
		for i := range len(lit) {
			if m.class[lit[i]] == 0 {
				m.class[lit[i]] = uint8(m.width)
				m.width++
			}
		}
	}
	m.grow()
	for id, lit := range literals {
		s := 0
		for i := range len(lit) {
			c := int(m.class[lit[i]])
			t := int(m.next[s*m.width+c])
			if t == 0 {
				t = len(m.out)
				m.grow()
				m.next[s*m.width+c] = uint16(t)
			}
			s = t
		}
		m.out[s] = append(m.out[s], int32(id))
	}
	m.link()
	return m
}

func (m *matcher) grow() {
	m.next = append(m.next, make([]uint16, m.width)...)
	m.out = append(m.out, nil)
}

// link turns the trie into an automaton, breadth first.
func (m *matcher) link() {
	fail := make([]int, len(m.out))
	queue := make([]int, 0, len(m.out))
	for c := range m.width {
		if t := int(m.next[c]); t != 0 {
			queue = append(queue, t)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		m.out[s] = append(m.out[s], m.out[fail[s]]...)
		for c := range m.width {
			via := int(m.next[fail[s]*m.width+c])
			if t := int(m.next[s*m.width+c]); t != 0 {
				fail[t] = via
				queue = append(queue, t)
			} else {
				m.next[s*m.width+c] = uint16(via)
			}
		}
	}
	m.single = make([]bool, len(m.out))
	for s, o := range m.out {
		m.single[s] = len(o) > 0
	}
}

// each calls found with every literal and the offset behind its last byte.
func (m *matcher) each(text []byte, found func(id int32, end int)) {
	s := 0
	for i, b := range text {
		s = int(m.next[s*m.width+int(m.class[b])])
		if m.single[s] {
			for _, id := range m.out[s] {
				found(id, i+1)
			}
		}
	}
}
