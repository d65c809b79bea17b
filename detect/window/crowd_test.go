package window_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect/window"
)

// TestCrowdEstimates: within four standard errors, whatever the number, also where
// hashes are the numbers themselves.
func TestCrowdEstimates(t *testing.T) {
	for n := int64(0); n <= 3_000_000; n = n*5/2 + 1 {
		var c window.Crowd
		for i := range n {
			c.Add(uint64(i))
			c.Add(uint64(i) / 2) // seen before
		}
		if got := c.Estimate(); math.Abs(float64(got-n)) > 1+0.37*float64(n) {
			t.Errorf("%d distinct are estimated as %d", n, got)
		}
	}
}

// TestCrowdCommutes: any division of the same hashes, in any order, merges to the same,
// and comes back from its saved form.
func TestCrowdCommutes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hashes := rapid.SliceOfN(rapid.Uint64Range(0, 50), 0, 60).Draw(t, "hashes")
		var whole window.Crowd
		parts := make([]window.Crowd, 3)
		for _, h := range hashes {
			whole.Add(h)
			parts[rapid.IntRange(0, 2).Draw(t, "part")].Add(h)
		}
		var merged window.Crowd
		for _, i := range rapid.Permutation([]int{0, 1, 2}).Draw(t, "order") {
			merged.Merge(&parts[i])
		}
		if merged != whole {
			t.Fatal("merged parts differ from the whole")
		}
		w := window.NewWriter(nil)
		whole.Code(w)
		r, back := window.NewReader(w.Bytes()), window.Crowd{}
		back.Code(r)
		r.Done()
		if r.Err() != nil || back != whole {
			t.Fatalf("saved and read back: %v", r.Err())
		}
	})
}

func FuzzCrowd(f *testing.F) {
	f.Add([]byte{1, 0, 1})
	f.Add([]byte{2, 3, 58, 3, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var c window.Crowd
		k := window.NewReader(data)
		c.Code(k)
		if k.Err() != nil {
			return
		}
		w := window.NewWriter(nil)
		c.Code(w)
		var again window.Crowd
		again.Code(window.NewReader(w.Bytes()))
		if again != c || c.Estimate() < 0 {
			t.Fatal("what was read does not come back")
		}
	})
}
