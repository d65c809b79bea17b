package detect

import (
	"math/bits"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect/window"
)

func TestEstimate(t *testing.T) {
	if got := estimate(0); got != 0 {
		t.Errorf("nobody: %d", got)
	}
	if got := estimate(1 << 17); got != 1 {
		t.Errorf("one bit: %d people, want 1", got)
	}
	if got := estimate(^uint64(0)); got != agentBits+225 {
		t.Errorf("all bits: %d, want the bounds %d + 225", got, agentBits)
	}
	if got := estimate(1<<agentBits - 1); got != agentBits {
		t.Errorf("every agent there is: %d people, want at most %d", got, agentBits)
	}
	for _, people := range []int{2, 5, 10, 20, 40, 80} {
		var sum int64
		const rounds = 200
		for r := range rounds {
			var bitmap uint64
			for i := range people {
				bitmap |= 1 << userBit(stableHash(string(rune(r))+"/"+string(rune(i))))
			}
			sum += estimate(bitmap)
		}
		mean := float64(sum) / rounds
		if mean < 0.85*float64(people) || mean > 1.15*float64(people) {
			t.Errorf("%d people are taken for %.1f on the average", people, mean)
		}
	}
}

// TestPraiseInAnyOrder: requests that come within the late bound of the newest
// give the same client whatever their order.
func TestPraiseInAnyOrder(t *testing.T) {
	const late, granule = 30, 60
	type hit struct {
		sec int64
		who uint64
	}
	rapid.Check(t, func(rt *rapid.T) {
		var list, delayed []hit
		sec := rapid.Int64Range(1_700_000_000, 1_700_100_000).Draw(rt, "start")
		for n := rapid.IntRange(1, 60).Draw(rt, "n"); n > 0; n-- {
			sec += rapid.SampledFrom([]int64{0, 1, 20, 29, 61, 3600, 43200, 90000}).Draw(rt, "pause")
			list = append(list, hit{sec, rapid.Uint64().Draw(rt, "who")})
		}
		// Swapping neighbours that are at most the bound apart keeps every delay within it.
		delayed = append(delayed, list...)
		for i := 1; i < len(delayed); i++ {
			if delayed[i].sec-delayed[i-1].sec <= late && rapid.Bool().Draw(rt, "swap") {
				delayed[i], delayed[i-1] = delayed[i-1], delayed[i]
				i++
			}
		}
		a, b := client{since: uint32(list[0].sec)}, client{since: uint32(list[0].sec)}
		for _, h := range list {
			a.praise(h.sec, granule, h.who)
		}
		for _, h := range delayed {
			b.praise(h.sec, granule, h.who)
		}
		if end := sec + 120; a.standing(end, granule/2, granule) != b.standing(end, granule/2, granule) {
			rt.Fatalf("standing %+v in order, %+v swapped", a.standing(end, granule/2, granule), b.standing(end, granule/2, granule))
		}
	})
}

// TestStandingTwin counts the praised requests by hand: those of the half day of
// the question and of the two before it; never those of a minute that was not
// complete half a minute before the question.
func TestStandingTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sec := rapid.Int64Range(1_700_000_000, 1_700_100_000).Draw(rt, "start")
		c := client{since: uint32(sec)}
		good := map[int64]int64{} // by minute
		var newest, before int64
		for n := rapid.IntRange(1, 40).Draw(rt, "n"); n > 0; n-- {
			sec += rapid.SampledFrom([]int64{0, 1, 59, 61, 3600, 20_000, 43_200, 86_400, 200_000}).Draw(rt, "pause")
			c.praise(sec, 60, 3)
			good[sec/60]++
			if m := sec / 60; m > newest {
				newest, before = m, newest
			}
		}
		at := sec + rapid.SampledFrom([]int64{0, 60, 3600, 43_200, 86_400}).Draw(rt, "later")
		var want int64
		for m, n := range good {
			recent := m/halfDay+2 >= at/60/halfDay
			kept := m/halfDay+2 >= before/halfDay || m == newest || m == before
			if m < (at-30)/60 && recent && kept {
				want += n
			}
		}
		got := c.standing(at, 30, 60)
		if got.Successes != want || got.Since != int64(c.since)*1e9 {
			rt.Fatalf("%d successes since %d, want %d since %d", got.Successes, got.Since/1e9, want, c.since)
		}
		if (got.People == 1) != (want > 0) {
			rt.Fatalf("%d people with %d successes of one", got.People, want)
		}
	})
}

func TestClientCode(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := client{key: key{rapid.Uint64().Draw(rt, "hi"), rapid.Uint64().Draw(rt, "lo")}, flags: flagLive}
		sec := int64(1_700_000_000)
		for n := rapid.IntRange(0, 30).Draw(rt, "n"); n > 0; n-- {
			sec += rapid.Int64Range(0, 5000).Draw(rt, "pause")
			c.praise(sec, 60, rapid.Uint64().Draw(rt, "who"))
		}
		w := window.NewWriter(nil)
		c.code(w)
		var got client
		r := window.NewReader(w.Bytes())
		if got.code(r); got != c || r.Err() != nil || len(r.Bytes()) > 0 {
			rt.Fatalf("wrote %+v, read %+v, %v", c, got, r.Err())
		}
	})
}

func TestStableHashSpreads(t *testing.T) {
	var seen uint64
	for i := range 1000 {
		seen |= 1 << (stableHash("agent/"+string(rune('0'+i%10))+string(rune(i))) & 63)
	}
	if bits.OnesCount64(seen) != 64 {
		t.Errorf("1000 agents fall on %d of 64 bits", bits.OnesCount64(seen))
	}
	if stableHash("curl/8.4.0") != stableHash("curl/"+"8.4.0") || stableHash("") == stableHash("a") {
		t.Error("the hash does not depend on the text alone")
	}
}
