package detect

import "github.com/portcullis/portcullis/detect/window"

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

// agenda holds the wakes of one shard by second, and the seconds as a heap, so
// that a quiet year costs nothing to skip.
type agenda struct {
	at   map[int64][]wake
	heap []int64
	free [][]wake
}

func newAgenda() agenda { return agenda{at: map[int64][]wake{}} }

func (a *agenda) add(sec int64, w wake) {
	list, known := a.at[sec]
	if !known {
		a.push(sec)
		if n := len(a.free); n > 0 {
			list, a.free = a.free[n-1], a.free[:n-1]
		}
	}
	a.at[sec] = append(list, w)
}

// next is the earliest second with a wake, or a very late one.
func (a *agenda) next() int64 {
	if len(a.heap) == 0 {
		return 1<<63 - 1
	}
	return a.heap[0]
}

// take removes the earliest second; give its list back with done.
func (a *agenda) take() (sec int64, list []wake) {
	sec = a.heap[0]
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
	list = a.at[sec]
	delete(a.at, sec)
	return sec, list
}

// bytes is an estimate of the memory held: most seconds hold one wake or few.
func (a *agenda) bytes() int64 { return int64(len(a.at))*96 + int64(cap(a.heap))*8 }

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
	n := k.Len(len(a.at))
	if !k.Reading() {
		for sec, list := range a.at {
			k.I64(&sec)
			k.Len(len(list))
			for _, w := range list {
				u := uint32(w.slot)
				k.U32(&u)
				k.U8(&w.rule)
			}
		}
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
