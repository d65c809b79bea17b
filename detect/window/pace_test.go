package window

import (
	"testing"

	"pgregory.net/rapid"
)

// TestPaceOver: of requests of which only the second is known, no more pass than rate and
// burst allow in the time from the first of these seconds to the end of the last.
func TestPaceOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.02, 50).Draw(t, "rate")
		burst := rapid.IntRange(0, 60).Draw(t, "burst")
		p := NewPace(rate, burst)
		at, due := int64(1e18), int64(0)
		type span struct{ at, passed int64 }
		var spans []span
		for range rapid.IntRange(1, 60).Draw(t, "seconds") {
			at += rapid.Int64Range(1, 20).Draw(t, "gap") * 1e9
			n := rapid.Int64Range(1, 90).Draw(t, "requests")
			over := int64(0)
			due, over = p.Over(due, at, at+1e9, n)
			spans = append(spans, span{at, n - over})
			if over < 0 || over > n {
				t.Fatalf("%d of %d are over", over, n)
			}
		}
		for i := range spans {
			sum := int64(0)
			for j := i; j < len(spans); j++ {
				sum += spans[j].passed
				if most := (spans[j].at+1e9-1-spans[i].at)/p.Every + int64(burst) + 1; sum > most {
					t.Fatalf("%d passed in %d s, at most %d may", sum, (spans[j].at-spans[i].at)/1e9+1, most)
				}
			}
		}
	})
}

// TestPaceOverIsFair: who keeps to the rate and its burst is never over it, whatever part
// of a second the log tells.
func TestPaceOverIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := NewPace(rapid.Float64Range(0.02, 50).Draw(t, "rate"), rapid.IntRange(0, 60).Draw(t, "burst"))
		width := rapid.SampledFrom([]int64{1, 10}).Draw(t, "width") * 1e9
		now, due := int64(1e18), int64(0)
		count, order := map[int64]int64{}, []int64{}
		for range rapid.IntRange(1, 400).Draw(t, "requests") {
			now += rapid.Int64Range(0, 2*p.Every).Draw(t, "gap")
			after, ok := p.Next(due, now, 1)
			if due = after; !ok {
				continue
			}
			at := now - now%width
			if count[at] == 0 {
				order = append(order, at)
			}
			count[at]++
		}
		loose := int64(0)
		for _, at := range order {
			var over int64
			if loose, over = p.Over(loose, at, at+width, count[at]); over > 0 {
				t.Fatalf("%d of %d that all passed are said to be over", over, count[at])
			}
		}
	})
}
