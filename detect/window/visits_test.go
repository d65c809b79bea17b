package window

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestVisitsTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		values := rapid.SliceOfN(rapid.Uint64Range(0, 150), 0, 400).Draw(rt, "values")
		var v, left, right Visits
		twin := map[uint32]uint32{}
		for i, x := range values {
			v.Add(x)
			twin[mix32(x)]++
			if i%3 == 0 {
				left.Add(x)
			} else {
				right.Add(x)
			}
		}
		want := []visit{}
		for h, n := range twin {
			want = append(want, visit{h, n})
		}
		slices.SortFunc(want, func(a, b visit) int { return cmp.Compare(a.hash, b.hash) })
		want = want[:min(len(want), MinsLimit)]
		if left.Merge(&right); !slices.Equal(v.list, want) || !slices.Equal(left.list, want) {
			rt.Fatalf("kept %v and merged %v, want %v", v.list, left.list, want)
		}
		if got := recode(rt, &v, new(Visits)); !slices.Equal(got.list, v.list) {
			rt.Fatalf("read back %v, want %v", got.list, v.list)
		}
		if n := len(twin); n > 0 && n < MinsLimit && (v.Count() != int64(n) || v.Mean() != float64(len(values))/float64(n)) {
			rt.Fatalf("%d values, each %.2f times; want %d of %d", v.Count(), v.Mean(), n, len(values))
		}
	})
}
