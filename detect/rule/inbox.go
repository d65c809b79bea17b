package rule

import "github.com/portcullis/portcullis/detect/window"

// inbox holds what came in of seconds that are still open, so that a rule can take the
// seconds in one after the other as they close: what it then makes of them may depend
// on their order, and is the same whatever order the lines came in. What is kept of one
// second must be commutative.
type inbox[T any] struct{ list []dated[T] }

type dated[T any] struct {
	sec int64
	v   T
}

// at returns what is kept of a second, and whether it is new.
func (b *inbox[T]) at(sec int64) (*T, bool) {
	i := len(b.list)
	for i > 0 && b.list[i-1].sec > sec {
		i--
	}
	if i > 0 && b.list[i-1].sec == sec {
		return &b.list[i-1].v, false
	}
	b.list = append(b.list, dated[T]{})
	copy(b.list[i+1:], b.list[i:])
	b.list[i] = dated[T]{sec: sec}
	return &b.list[i].v, true
}

// take hands over the seconds up to and including sec, in order, and forgets them.
func (b *inbox[T]) take(sec int64, use func(sec int64, v *T)) {
	n := 0
	for n < len(b.list) && b.list[n].sec <= sec {
		use(b.list[n].sec, &b.list[n].v)
		n++
	}
	if n == len(b.list) {
		b.list = nil
		return
	}
	if n > 0 {
		kept := copy(b.list, b.list[n:])
		clear(b.list[kept:])
		b.list = b.list[:kept]
	}
}

func (b *inbox[T]) empty() bool { return len(b.list) == 0 }

func (b *inbox[T]) code(k *window.Codec, each func(*T, *window.Codec)) {
	n := k.Len(len(b.list))
	if k.Reading() {
		b.list = make([]dated[T], n)
	}
	for i := range b.list {
		k.I64(&b.list[i].sec)
		each(&b.list[i].v, k)
	}
}
