package rule

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect"
)

// What is remembered of each route is what looking at all of them anew would say.
func TestWalkNear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const ids = 30
		var s strolls
		next := [4]uint64{}
		for range rapid.IntRange(1, 150).Draw(t, "requests") {
			route := rapid.Uint32Range(0, 3).Draw(t, "route")
			next[route] += rapid.Uint64Range(0, 3).Draw(t, "step")
			half := rapid.Uint32Range(1, 2).Draw(t, "half")
			if c := s.cell(half, route); c != nil {
				c.add(&detect.Request{Sec: half * walkHalf, Object: next[route]})
			}
			want := false
			for i := range s.cells {
				want = want || s.cells[i].half == half && s.cells[i].ids.Could(walkMost, detect.HeldMost) >= ids
			}
			if got := s.near(half, ids); got != want {
				t.Fatalf("near: %v, and anew %v", got, want)
			}
		}
	})
}
