package authz

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect/window"
)

// TestPaceExact: after the burst exactly the rate passes, whatever the asking rate.
func TestPaceExact(t *testing.T) {
	for _, c := range []struct {
		rate  float64
		burst int
	}{{1, 0}, {2, 10}, {0.5, 3}, {100, 5}, {1000, 1000}} {
		p := window.NewPace(c.rate, c.burst)
		due, passed := int64(0), 0
		const span = 60 * int64(time.Second)
		start := int64(1e18)
		for at := start; at < start+span; at += int64(time.Millisecond) / 4 {
			var ok bool
			if due, ok = p.Next(due, at, 1); ok {
				passed++
			}
		}
		want := int(c.rate*60) + c.burst
		if passed < want || passed > want+1 { // the first one comes at once
			t.Errorf("rate %v burst %d: %d passed in a minute, want %d or %d", c.rate, c.burst, passed, want, want+1)
		}
	}
}

// TestPaceNeverMore: in no span of any length do more pass than rate times span and
// the burst, and what left promises passes.
func TestPaceNeverMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.01, 5000).Draw(t, "rate")
		burst := rapid.IntRange(0, 200).Draw(t, "burst")
		p := window.NewPace(rate, burst)
		now, due := int64(1e18), int64(0)
		var passed []int64
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			now += rapid.Int64Range(0, 3*p.Every).Draw(t, "gap")
			left, wait := p.Left(due, now)
			after, ok := p.Next(due, now, 1)
			if ok != (left > 0) {
				t.Fatalf("left says %d, but the request passed: %v", left, ok)
			}
			if !ok {
				if _, early := p.Next(due, now+int64(wait)-1, 1); early {
					t.Fatalf("wait says %s, but one passes earlier", wait)
				}
				if _, then := p.Next(due, now+int64(wait), 1); !then {
					t.Fatalf("after a wait of %s none passes", wait)
				}
			} else {
				passed = append(passed, now)
			}
			due = after
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				most := (passed[j]-passed[i])/p.Every + int64(burst) + 1
				if n := int64(j - i + 1); n > most {
					t.Fatalf("%d passed within %d ns, want %d at most", n, passed[j]-passed[i], most)
				}
			}
		}
	})
}

func TestPaceManyAtOnce(t *testing.T) {
	p := window.NewPace(1, 4)
	if _, ok := p.Next(0, 1e18, 6); ok {
		t.Error("6 requests passed a quota of 5")
	}
	due, ok := p.Next(0, 1e18, 5)
	if left, _ := p.Left(due, 1e18); !ok || left != 0 {
		t.Errorf("5 requests of a quota of 5: %v, %d left", ok, left)
	}
	if _, ok := p.Next(due, 1e18, math.MaxInt64); ok {
		t.Error("an overflow passed")
	}
	if q, w := p.Quota(), p.Window(); q != 5 || w != 5 {
		t.Errorf("quota %d in %d s", q, w)
	}
}

// TestCellsBounded: a table keeps its size, forgets the least hurt, and counts what it
// forgot too early.
func TestCellsBounded(t *testing.T) {
	c := newCells(minCells)
	p := window.NewPace(1, 2)
	now := int64(1e18)
	for i := range uint64(100 * minCells) {
		if _, ok := c.take(i*0x9e3779b97f4a7c15+1, p, now, 1); !ok {
			t.Fatalf("the first request of subject %d was refused", i)
		}
	}
	if c.lost.Load() == 0 {
		t.Error("nothing was counted as forgotten")
	}
	total := 0
	for i := range c.shards {
		total += len(c.shards[i].table)
	}
	if total != minCells {
		t.Errorf("%d cells, want %d", total, minCells)
	}
	before := c.lost.Load()
	later := now + int64(time.Hour)
	if _, ok := c.take(42, p, later, 1); !ok || c.lost.Load() != before {
		t.Errorf("passed %v; forgetting whose quota is full again counted: %d", ok, c.lost.Load()-before)
	}
}
