package window

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestBlocksTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ids := rapid.SliceOfN(rapid.Uint64Range(0, 1500), 0, 400).Draw(rt, "ids")
		var a, b Blocks
		seen := map[uint64]int{}
		for _, id := range ids {
			kept := false
			fresh := a.Add(id)
			for _, x := range a.list {
				kept = kept || x.hash == mix32(id/BlockIDs)
			}
			if kept && fresh != (seen[id] == 0) && len(a.list) < BlocksLimit {
				rt.Fatalf("id %d: new=%v, seen %d times before", id, fresh, seen[id])
			}
			seen[id]++
		}
		for _, id := range rapid.Permutation(ids).Draw(rt, "other order") {
			b.Add(id)
		}
		if !slices.Equal(a.list, b.list) {
			rt.Fatalf("order matters: %v and %v", a.list, b.list)
		}
		if got := recode(rt, &a, new(Blocks)); !slices.Equal(got.list, a.list) {
			rt.Fatalf("read back %v, want %v", got.list, a.list)
		}
		if len(a.list) < BlocksLimit && (a.Distinct() != int64(len(seen)) || a.Hits() != int64(len(ids))) {
			rt.Fatalf("%d distinct of %d, want %d of %d", a.Distinct(), a.Hits(), len(seen), len(ids))
		}
	})
}

// TestBlocksTellAWalk: whoever goes through neighbouring ids once is told from visits by
// chance, sparse or so many that they fill blocks.
func TestBlocksTellAWalk(t *testing.T) {
	random := func(n int, among uint64) *Blocks {
		var b Blocks
		x := uint64(1)
		for range n {
			x = x*6364136223846793005 + 1442695040888963407
			b.Add((x >> 20) % among)
		}
		return &b
	}
	walk := func(b *Blocks, from, to uint64) *Blocks {
		for id := from; id < to; id++ {
			b.Add(id)
		}
		return b
	}
	stride := func(b *Blocks, step uint64) *Blocks {
		for i := range uint64(100) {
			b.Add(7000 + i*step)
		}
		return b
	}
	gaps := func(n int) *Blocks {
		var b Blocks
		x, id := uint64(9), uint64(100_000)
		for range n {
			x = x*6364136223846793005 + 1442695040888963407
			id += 1 + (x>>33)%9
			b.Add(id)
		}
		return &b
	}
	for _, c := range []struct {
		name     string
		b        *Blocks
		min, max int64
	}{
		{"forty in a row", walk(new(Blocks), 4711, 4751), 30, 40},
		{"a walk among visits", walk(random(30, 1_000_000), 5000, 5200), 80, 400},
		{"ten thousand in a row", walk(new(Blocks), 0, 10_000), 6000, 14_000},
		{"every second", stride(new(Blocks), 2), 80, 100},
		{"every third", stride(new(Blocks), 3), 80, 100},
		{"every fourth", stride(new(Blocks), 4), 0, 0},
		{"one to nine apart", gaps(3000), 0, 300},
		{"sparse visits", random(2000, 1_000_000), 0, 0},
		{"many visits to few objects", random(20_000, 1000), 0, 0},
		{"as many visits as objects", random(1000, 1000), 0, 100},
	} {
		if got := c.b.Walked(1.3); got < c.min || got > c.max {
			t.Errorf("%s: %d ids walked, want %d to %d", c.name, got, c.min, c.max)
		}
	}
}

// TestCould is never below what a few more requests make of it.
func TestCould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Blocks
		run := rapid.Custom(func(t *rapid.T) (ids []uint64) {
			first, step := rapid.Uint64Range(0, 300).Draw(t, "first"), rapid.Uint64Range(1, 4).Draw(t, "step")
			for i := range rapid.Uint64Range(1, 20).Draw(t, "length") {
				ids = append(ids, first+i*step)
			}
			return ids
		})
		for _, ids := range rapid.SliceOfN(run, 0, 12).Draw(t, "before") {
			for _, x := range ids {
				b.Add(x)
			}
		}
		more := rapid.IntRange(1, 10).Draw(t, "more")
		could := b.Could(1.3, more)
		want := rapid.Int64Range(0, 2*could+2).Draw(t, "want")
		for _, n := range []int64{want, could, could + 1} {
			if got := b.Reaches(n, 1.3, more); got != (could >= n) {
				t.Fatalf("%d could be, and Reaches(%d) says %v", could, n, got)
			}
		}
		for _, x := range run.Draw(t, "after") {
			if more--; more >= 0 {
				b.Add(x)
			}
		}
		if got := b.Walked(1.3); got > could {
			t.Fatalf("%d were walked, at most %d could be", got, could)
		}
	})
}
