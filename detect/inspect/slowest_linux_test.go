package inspect

import (
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// TestSoakSlowest looks for the 8 KB that cost most: units of heavy and pieces of attacks,
// put together at random, repeated or not, the slowest of which breed: for a moment, and with
// PORTCULLIS_SOAK for a minute. It asserts nothing about time, what it finds belongs into
// heavy; but all that carries an attack has to pass the first look.
func TestSoakSlowest(t *testing.T) {
	limit := time.Second / 2
	if os.Getenv("PORTCULLIS_SOAK") != "" {
		limit = time.Minute
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	type made struct {
		parts []string
		cost  int64
	}
	in, r := New(Config{}), rand.New(rand.NewPCG(1, 2))
	var words []string
	for _, a := range attackLines() {
		words = append(words, strings.Fields(a.text)...)
	}
	words = append(words, heavy...)
	if os.Getenv("PORTCULLIS_SOAK") == "one" {
		words = slices.DeleteFunc(words, func(w string) bool { return strings.Contains(w, "&") })
	}
	cost := func(parts []string) int64 {
		ev := &ingest.Event{Target: heavyTarget(strings.Join(parts, ""), 8<<10)}
		best := int64(1 << 62)
		for range 3 {
			start := cpu(t)
			v := in.full(ev)
			best = min(best, cpu(t)-start)
			if v.Class != "" && !in.Suspicious(ev) {
				t.Fatalf("%s is found in what the first look lets pass: %.200q", v.Class, ev.Target)
			}
		}
		return best
	}
	var slow []made
	for start := time.Now(); time.Since(start) < limit; {
		var parts []string
		if len(slow) > 0 && r.IntN(3) > 0 {
			parts = slices.Clone(slow[r.IntN(len(slow))].parts)
		}
		for n := 1 + r.IntN(3); n > 0; n-- {
			switch w := words[r.IntN(len(words))]; {
			case len(parts) > 1 && r.IntN(3) == 0:
				parts = slices.Delete(parts, 0, 1)
			case len(parts) > 0 && r.IntN(2) == 0:
				parts[r.IntN(len(parts))] = w
			default:
				parts = slices.Insert(parts, r.IntN(len(parts)+1), w)
			}
		}
		slow = append(slow, made{parts, cost(parts)})
		slices.SortFunc(slow, func(a, b made) int { return int(b.cost - a.cost) })
		slow = slow[:min(len(slow), 40)]
	}
	for _, s := range slow[:min(len(slow), 12)] {
		t.Logf("%4d us (again: %d us) %q", s.cost/1000, cost(s.parts)/1000, strings.Join(s.parts, ""))
	}
}
