package window

import (
	"testing"

	"pgregory.net/rapid"
)

// ringTwin counts every bucket for ever and knows which ones a Ring may forget.
type ringTwin struct {
	n      map[uint32]uint32
	newest uint32
}

func (r *ringTwin) add(bucket uint32, times int) {
	if bucket+RingCells <= r.newest {
		return // older than the ring
	}
	r.newest = max(r.newest, bucket)
	r.n[bucket] = min(1<<16-1, r.n[bucket]+uint32(times))
}

func (r *ringTwin) at(bucket uint32) uint32 {
	if bucket > r.newest || bucket+RingCells <= r.newest {
		return 0
	}
	return r.n[bucket]
}

func TestRingTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var r Ring
		twin := ringTwin{n: map[uint32]uint32{}}
		now := rapid.Uint32Range(1, 1<<31).Draw(rt, "start")
		for n := rapid.IntRange(1, 50).Draw(rt, "steps"); n > 0; n-- {
			now += rapid.SampledFrom([]uint32{0, 0, 1, 1, 2, 19, 20, 21, 500}).Draw(rt, "gap")
			bucket := now - min(now-1, rapid.Uint32Range(0, 25).Draw(rt, "behind"))
			times := rapid.SampledFrom([]int{1, 2, 3, 40_000}).Draw(rt, "times")
			var got uint16
			for range times {
				got = r.Add(bucket)
			}
			twin.add(bucket, times)
			if uint32(got) != twin.at(bucket) {
				rt.Fatalf("Add(%d) = %d, want %d", bucket, got, twin.at(bucket))
			}
		}
		checkRing(rt, &r, &twin)
		checkRing(rt, recode(rt, &r, new(Ring)), &twin)
	})
}

func checkRing(rt *rapid.T, r *Ring, twin *ringTwin) {
	var total uint32
	first, last := twin.newest-min(twin.newest, RingCells+3), twin.newest+3
	for b := first; b <= last; b++ {
		total += twin.at(b)
		if uint32(r.At(b)) != twin.at(b) {
			rt.Fatalf("At(%d) = %d, want %d (newest %d)", b, r.At(b), twin.at(b), twin.newest)
		}
		for _, width := range []uint32{1, 2, 12, RingCells} {
			var want, wantFirst uint32
			for i := b; i > 0 && i+width > b; i-- {
				if n := twin.at(i); n > 0 {
					want, wantFirst = want+n, i
				}
			}
			if sum, f := r.Sum(b, width); sum != want || f != wantFirst {
				rt.Fatalf("Sum(%d, %d) = %d from %d, want %d from %d", b, width, sum, f, want, wantFirst)
			}
		}
	}
	if r.Total() != total || r.Newest() != twin.newest {
		rt.Fatalf("Total %d, Newest %d; want %d, %d", r.Total(), r.Newest(), total, twin.newest)
	}
	if o := r.Oldest(); o < 1 || twin.newest >= RingCells && o != twin.newest-RingCells+1 {
		rt.Fatalf("Oldest() = %d with newest %d", o, twin.newest)
	}
}

// TestRingCommutes holds for events of one ring's length, which is what the late
// bound allows.
func TestRingCommutes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		base := rapid.Uint32Range(1, 1000).Draw(rt, "base")
		list := rapid.SliceOfN(rapid.Uint32Range(base, base+RingCells-1), 1, 60).Draw(rt, "buckets")
		var a, b Ring
		for _, x := range list {
			a.Add(x)
		}
		for _, x := range rapid.Permutation(list).Draw(rt, "other order") {
			b.Add(x)
		}
		if a != b {
			rt.Fatalf("order matters: %+v and %+v", a, b)
		}
	})
}

func TestRingSaturates(t *testing.T) {
	var r Ring
	for range 70_000 {
		r.Add(5)
	}
	if r.At(5) != 65_535 || r.Total() != 65_535 {
		t.Errorf("after 70 000 events: %d in the bucket, %d in all; want 65 535", r.At(5), r.Total())
	}
	r.Add(6)
	if r.Total() != 65_536 {
		t.Errorf("total %d, want 65 536: another bucket goes on counting", r.Total())
	}
}
