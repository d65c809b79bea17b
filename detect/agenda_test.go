package detect

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect/window"
)

// agendaTwin is every wake in a list, sorted when asked.
type agendaTwin []struct {
	sec int64
	w   wake
}

func (a *agendaTwin) take() (sec int64, list []wake) {
	sec = math.MaxInt64
	for _, x := range *a {
		sec = min(sec, x.sec)
	}
	rest := agendaTwin{}
	for _, x := range *a {
		if x.sec == sec {
			list = append(list, x.w)
		} else {
			rest = append(rest, x)
		}
	}
	*a = rest
	return sec, list
}

func TestAgendaTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, twin := newAgenda(), agendaTwin{}
		for n := rapid.IntRange(0, 120).Draw(rt, "steps"); n > 0; n-- {
			if len(twin) > 0 && rapid.IntRange(0, 3).Draw(rt, "take") == 0 {
				takeBoth(rt, &a, &twin)
				continue
			}
			sec := rapid.SampledFrom([]int64{0, 1_700_000_000}).Draw(rt, "era") + rapid.Int64Range(0, 60).Draw(rt, "sec")*rapid.SampledFrom([]int64{1, 7}).Draw(rt, "width")
			w := wake{Slot(rapid.Uint32Range(0, 9).Draw(rt, "slot")), rapid.Uint8Range(0, 3).Draw(rt, "rule")}
			a.add(sec, w)
			twin = append(twin, struct {
				sec int64
				w   wake
			}{sec, w})
		}
		w := window.NewWriter(nil)
		a.code(w, 100, nil)
		b := newAgenda()
		r := window.NewReader(w.Bytes())
		b.code(r, 100, func(n uint8) (uint8, bool) { return n, true })
		if r.Err() != nil || len(r.Bytes()) != 0 {
			rt.Fatalf("read back: %v, %d bytes left", r.Err(), len(r.Bytes()))
		}
		for len(twin) > 0 {
			takeBoth(rt, &b, &twin)
		}
		if b.next() != math.MaxInt64 {
			rt.Fatalf("an empty agenda has something at %d", b.next())
		}
	})
}

func takeBoth(rt *rapid.T, a *agenda, twin *agendaTwin) {
	next := a.next()
	sec, list := a.take()
	if a.next() == sec { // some of it was far, and some near
		_, more := a.take()
		list = append(slices.Clip(list), more...)
	}
	wantSec, want := twin.take()
	if sec != wantSec || next != wantSec || !slices.Equal(list, want) {
		rt.Fatalf("second %d (announced %d): %v, want %d: %v", sec, next, list, wantSec, want)
	}
	a.done(list)
}

// TestAgendaRenames: a restored agenda has no wakes for rules that are gone.
func TestAgendaRenames(t *testing.T) {
	a := newAgenda()
	a.add(10, wake{1, 0})
	a.add(10, wake{2, 1})
	a.add(20, wake{3, wakeIdle})
	w := window.NewWriter(nil)
	a.code(w, 100, nil)
	b := newAgenda()
	b.code(window.NewReader(w.Bytes()), 100, func(r uint8) (uint8, bool) {
		if r == 0 {
			return 0, false
		}
		if r == 1 {
			return 5, true
		}
		return r, true
	})
	if sec, list := b.take(); sec != 10 || !slices.Equal(list, []wake{{2, 5}}) {
		t.Errorf("second %d: %v, want rule 1 renamed to 5 and rule 0 gone", sec, list)
	}
	if sec, list := b.take(); sec != 20 || !slices.Equal(list, []wake{{3, wakeIdle}}) {
		t.Errorf("second %d: %v, want the engine's own wake", sec, list)
	}
}

func TestWatermark(t *testing.T) {
	const at = 1_700_000_000
	type step struct {
		sec  int64
		want timing
	}
	for _, c := range []struct {
		name    string
		ceiling int64
		steps   []step
		newest  int64
	}{
		{"in order", 0, []step{{at, onTime}, {at + 1, onTime}, {at + 100, onTime}}, at + 100},
		{"the bound itself is on time", 0, []step{{at, onTime}, {at - 30, onTime}, {at - 31, late}}, at},
		{"an hour ahead is believed", 0, []step{{at, onTime}, {at + 3600, onTime}}, at + 3600},
		{"more is not", 0, []step{{at, onTime}, {at + 3601, future}, {at + 3601, future}}, at},
		{"until three agree", 0, []step{{at, onTime}, {at + 9000, future}, {at + 9001, future}, {at + 9002, onTime}, {at, late}}, at + 9002},
		{"in a row", 0, []step{{at, onTime}, {at + 9000, future}, {at + 9000, future}, {at + 1, onTime}, {at + 9000, future}, {at + 9000, future}}, at + 1},
		{"a late line between them starts over", 0, []step{{at, onTime}, {at + 9000, future}, {at + 9000, future}, {at - 99, late}, {at + 9000, future}}, at},
		{"the clock is above witnesses", at + 300, []step{{at, onTime}, {at + 300, onTime}, {at + 301, future}, {at + 301, future}, {at + 301, future}, {at + 301, future}}, at + 300},
		{"the first line too", at, []step{{at + 1, future}, {at, onTime}}, at},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := watermark{bound: 30, ceiling: c.ceiling}
			for i, s := range c.steps {
				if got := w.pass(s.sec); got != s.want {
					t.Errorf("step %d, %+d s: timing %d, want %d", i, s.sec-at, got, s.want)
				}
			}
			if w.newest != c.newest || w.closed() != c.newest-31 {
				t.Errorf("newest %+d, closed %+d, want newest %+d", w.newest-at, w.closed()-at, c.newest-at)
			}
		})
	}
}

// TestWatermarkNeverGoesBack, whatever comes.
func TestWatermarkNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := watermark{bound: 30}
		sec := int64(1_700_000_000)
		for n := rapid.IntRange(0, 60).Draw(rt, "n"); n > 0; n-- {
			sec += rapid.SampledFrom([]int64{-100_000, -31, -1, 0, 1, 40, 3600, 3601, 100_000}).Draw(rt, "step")
			before := w.closed()
			got := w.pass(sec)
			if w.closed() < before {
				rt.Fatalf("closed went from %d back to %d", before, w.closed())
			}
			if got == onTime && sec <= w.closed() || got == late && sec > w.closed() {
				rt.Fatalf("%d is called %d, closed is %d", sec, got, w.closed())
			}
		}
	})
}
