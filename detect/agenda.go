package detect

import (
	"math/bits"

	"github.com/portcullis/portcullis/detect/window"
)

// wake asks for a slot to be evaluated for a rule at the end of a second.
type wake struct {
	slot Slot
	rule uint8
}

// The rule numbers that the engine uses for itself.
const (
	wakeIdle   = 255 // has the client been quiet long enough to be forgotten
	wakeSettle = 254 // its findings' window is over
	wakeHeld   = 253 // requests that wait are to be looked at
)

// agendaNear is how many seconds from the earliest on are kept in a ring: most wakes are
// asked for within the late bound and a minute.
const agendaNear = 128

// agenda holds the wakes of one shard by second: those of the near ones in a ring, which
// starts at base, and those of others in a map, with the seconds as a heap, so that a quiet
// year costs nothing to skip.
type agenda struct {
	base int64 // the first second of the ring; what is earlier is in the map
	ring [agendaNear][]wake
	busy [agendaNear / 64]uint64 // a bit for each place of the ring that has any
	at   map[int64][]wake
	heap []int64
	free [][]wake
}

func newAgenda() agenda { return agenda{at: map[int64][]wake{}} }

func (a *agenda) add(sec int64, w wake) {
	if i := sec % agendaNear; sec >= a.base && sec < a.base+agendaNear {
		if a.busy[i/64]&(1<<(i%64)) == 0 {
			a.busy[i/64] |= 1 << (i % 64)
			a.ring[i] = a.list()
		}
		a.ring[i] = append(a.ring[i], w)
		return
	}
	list, known := a.at[sec]
	if !known {
		a.push(sec)
		list = a.list()
	}
	a.at[sec] = append(list, w)
}

// list is an empty list, of those that were given back if there is one.
func (a *agenda) list() []wake {
	n := len(a.free)
	if n == 0 {
		return nil
	}
	list := a.free[n-1]
	a.free = a.free[:n-1]
	return list
}

// near is the earliest second in the ring that has a wake, or a very late one.
func (a *agenda) near() int64 {
	start := a.base % agendaNear
	for n := int64(0); n < agendaNear; { // by words, from where the ring starts
		i := (start + n) % agendaNear
		if word := a.busy[i/64] >> (i % 64); word != 0 {
			if n += int64(bits.TrailingZeros64(word)); n < agendaNear {
				return a.base + n
			}
			break
		}
		n += 64 - i%64
	}
	return never
}

// never is later than any second.
const never = 1<<63 - 1

// next is the earliest second with a wake, or a very late one.
func (a *agenda) next() int64 {
	sec := a.near()
	if len(a.heap) > 0 {
		sec = min(sec, a.heap[0])
	}
	return sec
}

// take removes the earliest second, or what the map or the ring has of it; give its list back
// with done. Wakes that are added from then on are near from that second.
func (a *agenda) take() (sec int64, list []wake) {
	sec = a.near()
	if len(a.heap) > 0 && a.heap[0] <= sec {
		sec = a.pop()
		list = a.at[sec]
		delete(a.at, sec)
	} else {
		i := sec % agendaNear
		list = a.ring[i]
		a.ring[i] = nil
		a.busy[i/64] &^= 1 << (i % 64)
	}
	a.base = max(a.base, sec) // all that is in the ring is not before it
	return sec, list
}

// pop removes the earliest second of the heap.
func (a *agenda) pop() int64 {
	sec := a.heap[0]
	n := len(a.heap) - 1
	a.heap[0] = a.heap[n]
	a.heap = a.heap[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && a.heap[c+1] < a.heap[c] {
			c++
		}
		if a.heap[i] <= a.heap[c] {
			break
		}
		a.heap[i], a.heap[c] = a.heap[c], a.heap[i]
		i = c
	}
	return sec
}

// each calls use for every second with wakes, in no order; one may come twice, what was asked
// for first then comes first.
func (a *agenda) each(use func(sec int64, list []wake)) {
	for sec, list := range a.at {
		use(sec, list)
	}
	for n := range int64(agendaNear) {
		if list := a.ring[(a.base+n)%agendaNear]; len(list) > 0 {
			use(a.base+n, list)
		}
	}
}

// bytes is an estimate of the memory held: most seconds hold one wake or few.
func (a *agenda) bytes() int64 { return agendaNear*24 + int64(len(a.at))*96 + int64(cap(a.heap))*8 }

func (a *agenda) done(list []wake) {
	if len(a.free) < 64 && cap(list) <= 4096 {
		a.free = append(a.free, list[:0])
	}
}

func (a *agenda) push(sec int64) {
	a.heap = append(a.heap, sec)
	for i := len(a.heap) - 1; i > 0; {
		p := (i - 1) / 2
		if a.heap[p] <= a.heap[i] {
			return
		}
		a.heap[p], a.heap[i] = a.heap[i], a.heap[p]
		i = p
	}
}

// code saves or restores, leaving out wakes for rules that are gone: rename
// maps a saved rule number to today's, or says that there is none.
func (a *agenda) code(k *window.Codec, slots int, rename func(uint8) (uint8, bool)) {
	n := 0
	a.each(func(int64, []wake) { n++ })
	n = k.Len(n)
	if !k.Reading() {
		a.each(func(sec int64, list []wake) {
			k.I64(&sec)
			k.Len(len(list))
			for _, w := range list {
				u := uint32(w.slot)
				k.U32(&u)
				k.U8(&w.rule)
			}
		})
		return
	}
	for ; n > 0 && k.Err() == nil; n-- {
		var sec int64
		k.I64(&sec)
		for m := k.Len(0); m > 0 && k.Err() == nil; m-- {
			var u uint32
			var r uint8
			k.U32(&u)
			k.U8(&r)
			if int64(u) >= int64(slots) {
				k.Fail()
				return
			}
			if r, ok := rename(r); ok {
				a.add(sec, wake{Slot(u), r})
			}
		}
	}
}
