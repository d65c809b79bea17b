package window

import (
	"testing"

	"pgregory.net/rapid"
)

// TestAgingAgainstExactCounts: a sum never misses what lies after its second, and takes
// in at most one cell's width more.
func TestAgingAgainstExactCounts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type point struct {
			sec int64
			n   [AgingKinds]uint32
		}
		var a Aging
		var all []point
		sec := int64(1_700_000_000)
		for range rapid.IntRange(1, 300).Draw(rt, "points") {
			sec += rapid.SampledFrom([]int64{0, 1, 40, 299, 300, 3600, 20_000, 90_000}).Draw(rt, "pause")
			var n [AgingKinds]uint32
			n[rapid.IntRange(0, AgingKinds-1).Draw(rt, "kind")] = rapid.Uint32Range(1, 50).Draw(rt, "n")
			a.Add(sec, n)
			all = append(all, point{sec, n})
		}
		if len(a.cells) > 36+30+36 {
			rt.Fatalf("%d cells", len(a.cells))
		}
		for back, slack := range map[int64]int64{3600: 300, 24 * 3600: 3600, 7 * 24 * 3600: 6 * 3600} {
			got, _ := a.Sum(sec - back)
			var least, most [AgingKinds]uint32
			for _, p := range all {
				for k := range p.n {
					if p.sec > sec-back {
						least[k] += p.n[k]
					}
					if p.sec > sec-back-slack {
						most[k] += p.n[k]
					}
				}
			}
			for k := range got {
				if got[k] < least[k] || got[k] > most[k] {
					rt.Fatalf("kind %d over %d s: %d, want %d to %d", k, back, got[k], least[k], most[k])
				}
			}
		}
		w := NewWriter(nil)
		a.Code(w)
		var b Aging
		r := NewReader(w.Bytes())
		b.Code(r)
		r.Done()
		x, fx := a.Sum(0)
		y, fy := b.Sum(0)
		if r.Err() != nil || x != y || fx != fy || a.Hours(0) != b.Hours(0) || a.Newest() != b.Newest() {
			rt.Fatalf("read back as something else: %v", r.Err())
		}
	})
}

func TestAgingCountsHours(t *testing.T) {
	var a Aging
	start := int64(1_700_000_000 / 3600 * 3600)
	for i := range int64(5) {
		for j := range int64(4) {
			a.Add(start+i*5*3600+j*60, [AgingKinds]uint32{1})
		}
	}
	if n := a.Hours(0); n != 5 {
		t.Errorf("tries in 5 hours are counted as %d", n)
	}
	if n := a.Hours(start + 3600); n != 4 {
		t.Errorf("after the first hour: %d", n)
	}
	a.Add(start+21*3600, [AgingKinds]uint32{0, 0, 3})
	if a.Newest() != start+20*3600+300 {
		t.Errorf("newest is %d", a.Newest()-start)
	}
}

func TestAgingRefusesDamage(t *testing.T) {
	r := NewReader([]byte{1, 0, 9, 0, 0, 0})
	var a Aging
	if a.Code(r); r.Err() == nil {
		t.Error("a cell of an unknown width is taken")
	}
}
