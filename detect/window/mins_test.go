package window

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMinsTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOfN(rapid.Uint64Range(0, 150), 0, 300).Draw(rt, "values")
		var m, left, right Mins
		twin := map[uint32]bool{}
		for i, v := range values {
			m.Add(v)
			twin[mix32(v)] = true
			if i%2 == 0 {
				left.Add(v)
			} else {
				right.Add(v)
			}
		}
		want := make([]uint32, 0, len(twin))
		for h := range twin {
			want = append(want, h)
		}
		slices.Sort(want)
		want = want[:min(len(want), MinsLimit)]
		if !slices.Equal(m.list, want) {
			rt.Fatalf("kept %v, want the smallest: %v", m.list, want)
		}
		if m.Exact() && m.Count() != int64(len(twin)) {
			rt.Fatalf("counted %d of %d", m.Count(), len(twin))
		}
		left.Merge(&right)
		if !slices.Equal(left.list, want) {
			rt.Fatalf("merged %v, want %v", left.list, want)
		}
		if got := recode(rt, &m, new(Mins)); !slices.Equal(got.list, want) {
			rt.Fatalf("read back %v, want %v", got.list, want)
		}
	})
}

// TestMinsEstimate: of many values the count is good to four standard errors.
func TestMinsEstimate(t *testing.T) {
	for _, n := range []int{100, 1000, 50_000} {
		sum := 0.0
		const runs = 40
		for run := range runs {
			var m Mins
			for i := range n {
				m.Add(uint64(run)<<32 | uint64(i))
			}
			got := float64(m.Count())
			if math.Abs(got-float64(n)) > 4*0.13*float64(n) {
				t.Errorf("%d values are counted as %.0f", n, got)
			}
			sum += got
		}
		if mean := sum / runs; math.Abs(mean-float64(n)) > 0.08*float64(n) {
			t.Errorf("%d values are counted as %.0f on average: biased", n, mean)
		}
	}
}
