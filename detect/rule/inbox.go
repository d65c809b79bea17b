package rule

import "github.com/portcullis/portcullis/detect/window"

// inbox holds what came in of seconds that are still open, so that a rule can take the
// seconds in one after the other as they close: what it then makes of them may depend
// on their order, and is the same whatever order the lines came in. What is kept of one
// second must be commutative.
type inbox[T any] struct {
	list  []dated[T] // by second
	taken int        // so many at the front are gone
}

type dated[T any] struct {
	sec int64
	v   T
}

// waiting are the seconds that are not taken yet.
func (b *inbox[T]) waiting() []dated[T] { return b.list[b.taken:] }

// at returns what is kept of a second, and whether it is new. It is valid until the
// next call.
func (b *inbox[T]) at(sec int64) (*T, bool) {
	i := len(b.list)
	for i > b.taken && b.list[i-1].sec > sec {
		i--
	}
	if i > b.taken && b.list[i-1].sec == sec {
		return &b.list[i-1].v, false
	}
	b.list = append(b.list, dated[T]{})
	copy(b.list[i+1:], b.list[i:])
	b.list[i] = dated[T]{sec: sec}
	return &b.list[i].v, true
}

// take hands over the seconds up to and including sec, in order, and forgets them.
func (b *inbox[T]) take(sec int64, use func(sec int64, v *T)) {
	for b.taken < len(b.list) && b.list[b.taken].sec <= sec {
		x := &b.list[b.taken]
		use(x.sec, &x.v)
		*x = dated[T]{}
		b.taken++
	}
	switch {
	case b.empty():
		*b = inbox[T]{}
	case b.taken > len(b.list)/2:
		kept := copy(b.list, b.list[b.taken:])
		clear(b.list[kept:])
		b.list, b.taken = b.list[:kept], 0
	}
}

func (b *inbox[T]) empty() bool { return b.taken == len(b.list) }

func (b *inbox[T]) code(k *window.Codec, each func(*T, *window.Codec)) {
	list := b.waiting()
	n := k.Len(len(list))
	if k.Reading() {
		b.list, b.taken = make([]dated[T], n), 0
		list = b.list
	}
	for i := range list {
		k.I64(&list[i].sec)
		each(&list[i].v, k)
	}
}
