package inspect

import (
	"runtime"
	"slices"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// nanos is the processor time of one call, of the best of several rounds of n.
func nanos(t *testing.T, n int, call func()) float64 {
	best := int64(1 << 62)
	for range 7 {
		start := cpu(t)
		for range n {
			call()
		}
		best = min(best, cpu(t)-start)
	}
	return float64(best) / float64(n)
}

// TestCost prints what inspection costs in processor time: of plain requests, of
// attacks, and of the heaviest 8 KB. It asserts nothing about time.
func TestCost(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in := New(Config{})
	plain := plainEvent()
	if in.Suspicious(plain) {
		t.Errorf("the first pass does not clear %q", plain.Target)
	}
	t.Logf("plain %.0f ns", nanos(t, 20000, func() { in.Inspect(plain) }))
	plain.Referer = "https://www.example.com/customers/4711?tab=orders"
	t.Logf("plain with a referer %.0f ns", nanos(t, 20000, func() { in.Inspect(plain) }))
	var costs []float64
	for _, a := range attackLines() {
		ev := &ingest.Event{Target: "/x?q=" + queryEscape(a.text), Agent: plainAgent}
		costs = append(costs, nanos(t, 50, func() { in.Inspect(ev) }))
	}
	slices.Sort(costs)
	t.Logf("%d attacks: median %.1f us, 95 of 100 below %.1f us, worst %.1f us", len(costs),
		costs[len(costs)/2]/1000, costs[len(costs)*95/100]/1000, costs[len(costs)-1]/1000)
	type heavyCost struct {
		unit string
		ns   float64
	}
	var worst []heavyCost
	for _, unit := range heavy {
		ev := &ingest.Event{Target: heavyTarget(unit, 8<<10)}
		worst = append(worst, heavyCost{unit, nanos(t, 2, func() { in.full(ev) })})
	}
	slices.SortFunc(worst, func(a, b heavyCost) int { return int(b.ns - a.ns) })
	for _, w := range worst[:8] {
		t.Logf("8 KB of %-14q %.0f us", w.unit, w.ns/1000)
	}
}

// TestCostOfSets prints what the attacks of the labelled sets cost, whole requests of up to
// 8 KB. It asserts nothing about time.
func TestCostOfSets(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in := New(Config{})
	var costs []int64
	worst, of := int64(0), ""
	for name, rows := range labelledSets(t) {
		for i := range rows {
			r := &rows[i]
			if r.Label != "attack" {
				continue
			}
			headers, best := r.headers(), int64(1<<62)
			for range 3 {
				start := cpu(t)
				in.InspectRequest(r.Method, r.URI, headers, r.Body)
				best = min(best, cpu(t)-start)
			}
			if costs = append(costs, best); best > worst {
				worst, of = best, name+" "+r.ID
			}
		}
	}
	if len(costs) < 1000 {
		t.Fatalf("only %d attacks", len(costs))
	}
	slices.Sort(costs)
	at := func(part float64) float64 { return float64(costs[int(part*float64(len(costs)-1))]) / 1000 }
	t.Logf("%d attacks: median %.1f us, 99 of 100 below %.1f us, 999 of 1000 below %.1f us, worst %.1f us (%s)", len(costs), at(0.5), at(0.99), at(0.999), at(1), of)
}
