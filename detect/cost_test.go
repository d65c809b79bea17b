package detect_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
)

// spender takes time of a clock that stands still otherwise.
type spender struct {
	clock *atomic.Int64
	takes int64
}

func (s *spender) Observe(*ingest.Event, detect.Slot) { s.clock.Add(s.takes) }
func (s *spender) Close(detect.Slot, int64)           {}

// spending is a detector that takes so long for each event of its concern.
func spending(name string, clock *atomic.Int64, by detect.By, concern detect.Concern, takes int64) detect.RuleConfig {
	return detect.RuleConfig{Name: name, Spec: detect.Spec{By: by, Concern: concern, New: func(*detect.Env, any) (detect.Rule, error) {
		return &spender{clock, takes}, nil
	}}}
}

// feedSmall feeds a log in batches of so many lines.
func feedSmall(e *detect.Engine, log detecttest.Log, size int) {
	for i := 0; i < len(log); i += size {
		e.Feed(detecttest.Batch(i, min(i+size, len(log))))
	}
}

// TestCosts: what each detector takes of a line is told, on average over all lines, and not
// what reading the clock takes.
func TestCosts(t *testing.T) {
	var log detecttest.Log
	for i := range 12_000 { // every fourth line is a refusal
		ev := plain(start+int64(i)/1000, fmt.Sprintf("10.0.%d.%d", i>>8&255, i&255))
		if i%4 == 0 {
			ev = refused(start+int64(i)/1000, fmt.Sprintf("10.0.%d.%d", i>>8&255, i&255))
		}
		log = append(log, ev)
	}
	for _, workers := range []int{1, 2} {
		var clock atomic.Int64
		cfg := detecttest.Config(t, detecttest.Setup{Late: 5, Workers: workers}, log)
		cfg.Rules = []detect.RuleConfig{
			spending("every", &clock, detect.ByClient, detect.Any, 100), spending("refusals", &clock, detect.ByClient, detect.Refused, 400),
			spending("long", &clock, detect.ByClient, detect.Any, 1e9), spending("never", &clock, detect.ByClient, detect.ServerError, 1e6), spending("routes", &clock, detect.ByRoute, detect.Refused, 800),
		}
		cfg.Costs = detect.NewCosts(func() int64 { return clock.Add(7) }) // what it takes to read it
		e, err := detect.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Costs.PerLine() != nil {
			t.Error("before the first line")
		}
		feedSmall(e, log, 4)
		e.Finish()
		e.Close()
		if n := cfg.Costs.Lines(); n == 0 || n > int64(len(log))/100 {
			t.Errorf("%d of %d lines were timed", n, len(log))
		}
		got := cfg.Costs.PerLine()
		if workers > 1 {
			// Two goroutines share the test's clock: each sees what the other takes, in the
			// detectors' time as in that of reading the clock, which is taken off.
			if got["every"] <= 0 || got["never"] != 0 {
				t.Errorf("%d workers: %v", workers, got)
			}
			continue
		}
		for name, want := range map[string]float64{"every": 100, "refusals": 100, "long": 100_000, "never": 0, "routes": 200} {
			if diff := got[name] - want; diff > 8 || diff < -8 {
				t.Errorf("%s: %.1f ns a line, want about %.0f", name, got[name], want)
			}
		}
	}
}

// TestCostsChangeNothing: with the timing on, the same is found.
func TestCostsChangeNothing(t *testing.T) {
	var log detecttest.Log
	for i := range 6000 {
		at, client := start+int64(i)/20, fmt.Sprintf("198.51.100.%d", i%40)
		switch {
		case i%5 == 0:
			log = append(log, refused(at, attacker))
		case i%97 == 0:
			log = append(log, injected(at, client, 200))
		default:
			log = append(log, plain(at, client))
		}
	}
	for _, workers := range []int{1, 3} {
		found := func(c *detect.Costs) map[string]detect.Finding {
			cfg := detecttest.Config(t, detecttest.Setup{Late: 5, Workers: workers}, log)
			cfg.Costs = c
			e, err := detect.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			feedSmall(e, log, 3)
			return detecttest.ByID(nil, e.Finish().Findings)
		}
		var clock atomic.Int64
		costs := detect.NewCosts(func() int64 { return clock.Add(1) })
		want, got := found(nil), found(costs)
		if diff := detecttest.Diff(want, got); diff != "" || len(want) < 2 {
			t.Errorf("%d workers, %d findings: %s", workers, len(want), diff)
		}
		if costs.Lines() == 0 {
			t.Error("nothing was timed")
		}
	}
}
