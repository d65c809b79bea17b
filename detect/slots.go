package detect

import "github.com/portcullis/portcullis/detect/window"

// container is per-slot state of one detector in one shard; the engine drops
// and saves it.
type container interface {
	drop(s Slot)
	code(k *window.Codec, slots int)
	bytes() int64
}

// Sparse is state that few clients have: four bytes for each client, an item
// only for those concerned. Item pointers are valid until the next At.
type Sparse[T any] struct {
	env   *Env
	index []uint32 // slot -> item + 1
	items []T
	free  []uint32
	each  func(*T, *window.Codec)
	plain bool // it tells nothing against a client
}

// NewSparse makes a container that the engine drops, saves and restores with
// the client. code passes one item through a codec, in either direction.
func NewSparse[T any](env *Env, code func(*T, *window.Codec)) *Sparse[T] {
	s := &Sparse[T]{env: env, each: code}
	env.adopt(s)
	return s
}

// Ordinary says that having an item tells nothing against a client, as of state that any
// client may get by ordinary requests: it then neither keeps an idle client from being
// forgotten nor one from making room for others. It returns the container.
func (s *Sparse[T]) Ordinary() *Sparse[T] {
	s.plain = true
	return s
}

// Get returns the item of a slot, or nil.
func (s *Sparse[T]) Get(slot Slot) *T {
	if int(slot) < len(s.index) && s.index[slot] != 0 {
		return &s.items[s.index[slot]-1]
	}
	return nil
}

// At returns the item of a slot, a zero one if there was none.
func (s *Sparse[T]) At(slot Slot) *T {
	if x := s.Get(slot); x != nil {
		return x
	}
	if int(slot) >= len(s.index) {
		s.index = append(s.index, make([]uint32, int(slot)+1-len(s.index))...)
	}
	var i uint32
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		i = uint32(len(s.items))
		s.items = append(s.items, *new(T))
	}
	s.index[slot] = i + 1
	if !s.plain {
		s.env.suspect(slot, 1)
	}
	return &s.items[i]
}

// Each calls use for every item, in the order of their slots. That order depends on who
// came first: what use adds up must not.
func (s *Sparse[T]) Each(use func(Slot, *T)) {
	for slot, i := range s.index {
		if i != 0 {
			use(Slot(slot), &s.items[i-1])
		}
	}
}

// Drop forgets the item of a slot.
func (s *Sparse[T]) Drop(slot Slot) { s.drop(slot) }

func (s *Sparse[T]) drop(slot Slot) {
	if int(slot) >= len(s.index) || s.index[slot] == 0 {
		return
	}
	i := s.index[slot] - 1
	s.index[slot] = 0
	s.items[i] = *new(T)
	s.free = append(s.free, i)
	if !s.plain {
		s.env.suspect(slot, -1)
	}
}

func (s *Sparse[T]) code(k *window.Codec, slots int) {
	n := 0
	for _, i := range s.index {
		if i != 0 {
			n++
		}
	}
	n = k.Len(n)
	if !k.Reading() {
		for slot, i := range s.index {
			if i != 0 {
				u := uint64(slot)
				k.U64(&u)
				s.each(&s.items[i-1], k)
			}
		}
		return
	}
	for ; n > 0 && k.Err() == nil; n-- {
		var u uint64
		k.U64(&u)
		if u >= uint64(slots) {
			k.Fail()
			return
		}
		s.each(s.At(Slot(u)), k)
	}
}

func (s *Sparse[T]) bytes() int64 {
	return int64(cap(s.index))*4 + int64(cap(s.items))*int64(sizeOf[T]())
}

// Dense is state that every client has.
type Dense[T any] struct {
	items []T
	each  func(*T, *window.Codec)
}

// NewDense makes a container with an item for every client.
func NewDense[T any](env *Env, code func(*T, *window.Codec)) *Dense[T] {
	d := &Dense[T]{each: code}
	env.adopt(d)
	return d
}

// At returns the item of a slot.
func (d *Dense[T]) At(slot Slot) *T {
	if int(slot) >= len(d.items) {
		d.items = append(d.items, make([]T, int(slot)+1-len(d.items))...)
	}
	return &d.items[slot]
}

func (d *Dense[T]) drop(slot Slot) {
	if int(slot) < len(d.items) {
		d.items[slot] = *new(T)
	}
}

func (d *Dense[T]) code(k *window.Codec, slots int) {
	n := k.Len(len(d.items))
	if n > slots {
		k.Fail()
		return
	}
	if k.Reading() {
		d.items = make([]T, n)
	}
	for i := range d.items {
		d.each(&d.items[i], k)
	}
}

func (d *Dense[T]) bytes() int64 { return int64(cap(d.items)) * int64(sizeOf[T]()) }
