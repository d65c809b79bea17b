package object

import (
	"bytes"
	"encoding/binary"
)

// A level remembers the keys seen in one place of the table, what they mean, and
// which came behind which. Lines of a log share most of that, so that a key is
// mostly recognised by comparing it, its quotes and its colon with one or two
// guesses. It is of fixed size: a client that makes up header names drives out
// what is remembered and costs look-ups, not memory.
type level struct {
	slots [slots]slot // the first is the beginning of the object
	odd   slot        // a key that is not remembered
}

const (
	slots  = 128
	probes = 4
	maxKey = 128 // longer keys are not remembered
)

// slot is a key.
type slot struct {
	head uint64 // the first eight bytes of lit, as many of them as it has
	mask uint64 // of head
	tail uint64 // the last eight, if it has as many
	lit  []byte // "key":
	to   *node  // nil if nobody asked for it
	next [2]*slot
}

// level returns the memory of a place.
func (r *Reader) level(n *node) *level {
	id := 0
	if n != nil {
		id = n.id
	}
	if r.levels[id] == nil {
		r.levels[id] = &level{}
	}
	return r.levels[id]
}

// expected returns the slot of the key at line[i] if it came behind the key at
// before, or nil. Nearly all keys are told by two looks at eight bytes.
func expected(before *slot, line []byte, i int) *slot {
	if len(line)-i < 8 {
		return nil
	}
	w := binary.LittleEndian.Uint64(line[i:])
	if s := before.next[0]; s != nil && w&s.mask == s.head && (len(s.lit) <= 8 || s.ends(line, i)) {
		return s
	}
	if s := before.next[1]; s != nil && w&s.mask == s.head && (len(s.lit) <= 8 || s.ends(line, i)) {
		return s
	}
	return nil
}

// ends compares what is behind the first eight bytes of a key.
func (s *slot) ends(line []byte, i int) bool {
	end := i + len(s.lit)
	return end <= len(line) && binary.LittleEndian.Uint64(line[end-8:]) == s.tail &&
		(len(s.lit) <= 16 || string(line[i+8:end-8]) == string(s.lit[8:len(s.lit)-8]))
}

// learn makes the slot that of another key.
func (s *slot) learn(lit []byte, to *node) {
	var b [8]byte
	n := copy(b[:], lit)
	*s = slot{lit: append(s.lit[:0], lit...), to: to}
	s.head, s.mask = binary.LittleEndian.Uint64(b[:]), ^uint64(0)>>(64-8*n)
	if len(lit) >= 8 {
		s.tail = binary.LittleEndian.Uint64(lit[len(lit)-8:])
	}
}

// key reads the key at line[i] and its colon, and returns its slot and the index
// of its value, or -1.
func (r *Reader) key(lv *level, before *slot, n *node, line []byte, i int) (*slot, int) {
	if i >= len(line) || line[i] != '"' {
		return nil, -1
	}
	end := closing(line, i+1)
	if end < 0 {
		return nil, -1
	}
	name := line[i+1 : end]
	at := space(line, end+1)
	if at >= len(line) || line[at] != ':' {
		return nil, -1
	}
	s := &lv.odd
	if len(name) > maxKey || at != end+1 {
		s.next = lv.slots[0].next
		s.to = r.find(n, name)
		return s, space(line, at+1)
	}
	lit := line[i : at+1]
	s = lv.seek(lit)
	if string(s.lit) != string(lit) {
		s.learn(lit, r.find(n, name))
	}
	before.next[1], before.next[0] = before.next[0], s
	return s, space(line, at+1)
}

// seek returns the slot that holds a key, or the one that it may take.
func (lv *level) seek(lit []byte) *slot {
	h := hash(lit)
	for p := range probes {
		s := &lv.slots[(h+uint64(p))%(slots-1)+1]
		if len(s.lit) == 0 || string(s.lit) == string(lit) {
			return s
		}
	}
	return &lv.slots[(h+h>>32%probes)%(slots-1)+1]
}

// hash mixes the ends of a key and its length.
func hash(lit []byte) uint64 {
	const a, b = 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f
	if n := len(lit); n >= 8 {
		mid := binary.LittleEndian.Uint64(lit[(n-8)/2:])
		return ((binary.LittleEndian.Uint64(lit)*a ^ mid ^ binary.LittleEndian.Uint64(lit[n-8:])*b + uint64(n)) * a) >> 24
	}
	h := uint64(len(lit))
	for _, c := range lit {
		h = (h ^ uint64(c)) * a
	}
	return h >> 24
}

// find looks a key up.
func (r *Reader) find(n *node, name []byte) *node {
	if bytes.IndexByte(name, '\\') >= 0 {
		if out, ok := r.sink.Mem.UndoJSON(name); ok {
			name = out
		}
	}
	if n == nil {
		return r.flatNode(name)
	}
	return n.find(name)
}
