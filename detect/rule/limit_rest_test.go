package rule

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect/window"
)

// What is due is forgotten no earlier than it can count in no span that may still come, with
// however little of it behind the second that is closed.
func TestDueIsForgottenInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := limits{width: rapid.SampledFrom([]int64{1, 10}).Draw(t, "width")}
		due := rapid.Int64Range(0, 200e9).Draw(t, "due")
		pace := window.NewPace(rapid.Float64Range(0.01, 20).Draw(t, "rate"), rapid.IntRange(0, 60).Draw(t, "burst"))
		n := rapid.Int64Range(1, 200).Draw(t, "requests")
		for at := int64(0); at < 300; at += r.width {
			if at+r.width-1 <= r.counts(due) {
				continue // closed by then
			}
			after, over := pace.Over(due, at*1e9, (at+r.width)*1e9, n)
			if a, o := pace.Over(0, at*1e9, (at+r.width)*1e9, n); a != after || o != over {
				t.Fatalf("span at %d: with what is due %d over, without %d", at, over, o)
			}
		}
	})
}
