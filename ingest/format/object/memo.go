package object

import (
	"bytes"
	"encoding/binary"

	"github.com/portcullis/portcullis/ingest/format/field"
)

// A level remembers the keys seen in one place of the table, what they mean, and
// which came behind which. Lines of a log share most of that, so that a key is
// mostly recognised by comparing it, its quotes, its colon and the blanks around it with
// one or two guesses. It is of fixed size: a client that makes up header names drives out
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
	lead [4]uint64 // the first 32 bytes of lit, as many of them as it has
	mask [4]uint64 // of lead
	n    int       // the length of lit
	tail uint64    // the last eight bytes, if it has as many
	to   *node     // nil if nobody asked for it
	leaf *node     // to, if a string or number there is asked for
	next [2]*slot
	lit  []byte // all from behind the comma or bracket to the value: "key":
}

// none is the slot of no key.
var none = slot{lead: [4]uint64{1}}

// level returns the memory of a place.
func (r *Reader) level(n *node) *level {
	id := 0
	if n != nil {
		id = n.id
	}
	if r.levels[id] == nil {
		lv := &level{}
		for i := range lv.slots {
			lv.slots[i] = none
			lv.slots[i].next = [2]*slot{&none, &none}
		}
		r.levels[id] = lv
	}
	return r.levels[id]
}

// expected returns the slot of the key at line[i] if it came behind the key at
// before, or nil. Nearly all keys are told by two looks at eight bytes.
func expected(before *slot, line []byte, i int) *slot {
	if i > len(line)-8 {
		return nil
	}
	w := binary.LittleEndian.Uint64(line[i:])
	if s := before.next[0]; w&s.mask[0] == s.lead[0] && (s.n <= 8 || s.ends(line, i)) {
		return s
	}
	if s := before.next[1]; w&s.mask[0] == s.lead[0] && (s.n <= 8 || s.ends(line, i)) {
		return s
	}
	return nil
}

// ends compares what is behind the first eight bytes of a key.
func (s *slot) ends(line []byte, i int) bool {
	end := i + s.n
	return end <= len(line) && binary.LittleEndian.Uint64(line[end-8:]) == s.tail &&
		(s.n <= 16 || string(line[i+8:end-8]) == string(s.lit[8:s.n-8]))
}

// leads tells whether 32 bytes begin with the key. Longer ones it does not know.
func (s *slot) leads(b *[32]byte) bool {
	return (binary.LittleEndian.Uint64(b[0:])&s.mask[0]^s.lead[0])|(binary.LittleEndian.Uint64(b[8:])&s.mask[1]^s.lead[1])|
		(binary.LittleEndian.Uint64(b[16:])&s.mask[2]^s.lead[2])|(binary.LittleEndian.Uint64(b[24:])&s.mask[3]^s.lead[3]) == 0
}

// learn makes the slot that of another key.
func (s *slot) learn(lit []byte, to *node) {
	*s = slot{lit: append(s.lit[:0], lit...), n: len(lit), next: [2]*slot{&none, &none}}
	s.mean(to)
	var b [32]byte
	n := copy(b[:], lit)
	for k := range s.lead {
		s.lead[k] = binary.LittleEndian.Uint64(b[8*k:])
		s.mask[k] = ^uint64(0) >> (64 - 8*min(max(n-8*k, 0), 8))
	}
	if len(lit) >= 8 {
		s.tail = binary.LittleEndian.Uint64(lit[len(lit)-8:])
	}
}

// mean says what the key is asked for.
func (s *slot) mean(to *node) {
	s.to, s.leaf = to, to
	if to != nil && to.field == field.Skip {
		s.leaf = nil
	}
}

// key reads the key at line[i], with the blanks before it, and its colon, and returns its
// slot and the index of its value, or -1.
func (r *Reader) key(lv *level, before *slot, n *node, line []byte, i int) (*slot, int) {
	at := space(line, i)
	if at >= len(line) || line[at] != '"' {
		return nil, -1
	}
	end := r.closing(line, at+1)
	if end < 0 {
		return nil, -1
	}
	name := line[at+1 : end]
	if at = space(line, end+1); at >= len(line) || line[at] != ':' {
		return nil, -1
	}
	at = space(line, at+1)
	lit := line[i:at]
	s := &lv.odd
	if len(lit) > maxKey {
		s.next = lv.slots[0].next
		s.mean(r.find(n, name))
		return s, at
	}
	s = lv.seek(lit)
	if string(s.lit) != string(lit) {
		s.learn(lit, r.find(n, name))
	}
	before.next[1], before.next[0] = before.next[0], s
	return s, at
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
