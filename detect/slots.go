package detect

import (
	"unsafe"

	"github.com/portcullis/portcullis/detect/window"
)

// container is per-slot state of one detector, for each shard apart; the engine drops and
// saves it.
type container interface {
	drop(s Slot)
	code(k *window.Codec, slots int)
	bytes(shard int) int64
	dense() bool // whether every client has an item
	toucher
}

// Sparse is state that few clients have: four bytes for each client, an item
// only for those concerned. Item pointers are valid until the next At.
type Sparse[T any] struct {
	env    *Env
	shards []*sparse[T] // by number, as far as any was needed; nil where nobody has an item
	each   func(*T, *window.Codec)
	plain  bool // it tells nothing against a client
}

// sparse are the items of one shard.
type sparse[T any] struct {
	index []uint32 // slot -> item + 1
	items []T
	free  []uint32
}

func (t *sparse[T]) get(slot Slot) *T {
	if t != nil && int(slot) < len(t.index) && t.index[slot] != 0 {
		return &t.items[t.index[slot]-1]
	}
	return nil
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

func (s *Sparse[T]) dense() bool { return false }

// touch implements toucher.
func (s *Sparse[T]) touch(shard int, slot Slot) byte {
	if shard < len(s.shards) {
		if x := s.shards[shard].get(slot); x != nil {
			return *(*byte)(unsafe.Pointer(x))
		}
	}
	return 0
}

// here are the items of the shard at work.
func (s *Sparse[T]) here() *sparse[T] {
	if n := s.env.w.sh.number; n < len(s.shards) {
		return s.shards[n]
	}
	return nil
}

// make makes room for items in the shard at work.
func (s *Sparse[T]) make() *sparse[T] {
	n := s.env.w.sh.number
	if n >= len(s.shards) {
		s.shards = append(s.shards, make([]*sparse[T], n+1-len(s.shards))...)
	}
	s.shards[n] = &sparse[T]{}
	return s.shards[n]
}

// Get returns the item of a slot, or nil.
func (s *Sparse[T]) Get(slot Slot) *T { return s.here().get(slot) }

// At returns the item of a slot, a zero one if there was none.
func (s *Sparse[T]) At(slot Slot) *T {
	t := s.here()
	if x := t.get(slot); x != nil {
		return x
	}
	if t == nil {
		t = s.make()
	}
	if int(slot) >= len(t.index) {
		t.index = append(t.index, make([]uint32, int(slot)+1-len(t.index))...)
	}
	var i uint32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = uint32(len(t.items))
		t.items = append(t.items, *new(T))
	}
	t.index[slot] = i + 1
	if !s.plain {
		s.env.suspect(slot, 1)
	}
	return &t.items[i]
}

// Each calls use for every item, in the order of their slots. That order depends on who
// came first: what use adds up must not.
func (s *Sparse[T]) Each(use func(Slot, *T)) {
	t := s.here()
	if t == nil {
		return
	}
	for slot, i := range t.index {
		if i != 0 {
			use(Slot(slot), &t.items[i-1])
		}
	}
}

// Drop forgets the item of a slot.
func (s *Sparse[T]) Drop(slot Slot) { s.drop(slot) }

func (s *Sparse[T]) drop(slot Slot) {
	t := s.here()
	if t == nil || int(slot) >= len(t.index) || t.index[slot] == 0 {
		return
	}
	i := t.index[slot] - 1
	t.index[slot] = 0
	t.items[i] = *new(T)
	t.free = append(t.free, i)
	if !s.plain {
		s.env.suspect(slot, -1)
	}
}

func (s *Sparse[T]) code(k *window.Codec, slots int) {
	n := 0
	s.Each(func(Slot, *T) { n++ })
	n = k.Len(n)
	if !k.Reading() {
		s.Each(func(slot Slot, x *T) {
			u := uint64(slot)
			k.U64(&u)
			s.each(x, k)
		})
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

func (s *Sparse[T]) bytes(shard int) int64 {
	if shard >= len(s.shards) || s.shards[shard] == nil {
		return 0
	}
	t := s.shards[shard]
	return int64(cap(t.index))*4 + int64(cap(t.items))*int64(sizeOf[T]())
}

// Dense is state that every client has.
type Dense[T any] struct {
	env    *Env
	shards [][]T // by number, as far as any was needed
	each   func(*T, *window.Codec)
}

// NewDense makes a container with an item for every client.
func NewDense[T any](env *Env, code func(*T, *window.Codec)) *Dense[T] {
	d := &Dense[T]{env: env, each: code}
	env.adopt(d)
	return d
}

// here are the items of the shard at work.
func (d *Dense[T]) here() *[]T {
	n := d.env.w.sh.number
	if n >= len(d.shards) {
		d.shards = append(d.shards, make([][]T, n+1-len(d.shards))...)
	}
	return &d.shards[n]
}

// At returns the item of a slot.
func (d *Dense[T]) At(slot Slot) *T {
	items := d.here()
	if int(slot) >= len(*items) {
		*items = append(*items, make([]T, int(slot)+1-len(*items))...)
	}
	return &(*items)[slot]
}

func (d *Dense[T]) dense() bool { return true }

// touch implements toucher.
func (d *Dense[T]) touch(shard int, slot Slot) byte {
	if shard < len(d.shards) && int(slot) < len(d.shards[shard]) {
		return *(*byte)(unsafe.Pointer(&d.shards[shard][slot]))
	}
	return 0
}

func (d *Dense[T]) drop(slot Slot) {
	if items := *d.here(); int(slot) < len(items) {
		items[slot] = *new(T)
	}
}

func (d *Dense[T]) code(k *window.Codec, slots int) {
	items := d.here()
	n := k.Len(len(*items))
	if n > slots {
		k.Fail()
		return
	}
	if k.Reading() {
		*items = make([]T, n)
	}
	for i := range *items {
		d.each(&(*items)[i], k)
	}
}

func (d *Dense[T]) bytes(shard int) int64 {
	if shard >= len(d.shards) {
		return 0
	}
	return int64(cap(d.shards[shard])) * int64(sizeOf[T]())
}
