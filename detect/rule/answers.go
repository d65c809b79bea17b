package rule

import (
	"math"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
)

// usualAnswers is what is usual at a route: its answers by size and by time, those of long
// ago less and less. A few huge ones change nothing, since only shares are asked for.
type usualAnswers struct {
	tick  int64 // up to which it has faded
	sizes usualCells
	times usualCells
}

type usualCells [detect.AnswerCells]float64

// learn takes in a bucket; they come in the order of time.
func (u *usualAnswers) learn(b *answersOf) {
	if tick := b.at / answerTick; tick > u.tick {
		if u.tick != 0 {
			keep := math.Pow(answerFade, float64(tick-u.tick))
			u.sizes.fade(keep)
			u.times.fade(keep)
		}
		u.tick = tick
	}
	for c := range detect.AnswerCells {
		u.sizes[c] += float64(b.Sizes[c])
		u.times[c] += float64(b.Times[c])
	}
}

func (u *usualCells) fade(keep float64) {
	for c := range u {
		u[c] *= keep
	}
}

// below is what all but one in 200 answers are below, and of how many. It is not known of
// fewer than least.
func (u *usualCells) below(least int) (below, of int64, known bool) {
	all := 0.0
	for _, n := range u {
		all += n
	}
	if all < float64(least) {
		return 0, 0, false
	}
	c, beyond := len(u)-1, 0.0
	for c > 0 && beyond+u[c] <= answerRare*all {
		beyond += u[c]
		c--
	}
	if c == len(u)-1 { // of the last cell it is not known where it ends
		return 0, 0, false
	}
	return 1 << c, int64(all + 0.5), true
}

func (u *usualCells) code(k *window.Codec) {
	for c := range u {
		k.F64(&u[c])
	}
}

func (s *answered) code(k *window.Codec) {
	n := k.Len(len(s.open))
	if k.Reading() {
		s.open = make([]answersOf, n)
	}
	for i := range s.open {
		k.I64(&s.open[i].at)
		s.open[i].Code(k)
	}
	k.I64(&s.usual.tick)
	s.usual.sizes.code(k)
	s.usual.times.code(k)
	if n = k.Len(len(s.tried)); k.Reading() {
		s.tried = make([]answeredAttack, n)
	}
	for i := range s.tried {
		x := &s.tried[i]
		x.who.code(k)
		k.I64(&x.bytes)
		k.I64(&x.nanos)
		k.Bool(&x.sure)
		x.line.Code(k)
	}
	k.I64(&s.done)
	k.I64(&s.last)
	s.now.code(k)
	k.I64(&s.sure)
	k.String(&s.why)
	if n = k.Len(len(s.clients)); k.Reading() {
		s.clients = make([]gotAnswer, n)
	}
	for i := range s.clients {
		s.clients[i].who.code(k)
		k.I64(&s.clients[i].n)
		k.Bool(&s.clients[i].sure)
	}
}
