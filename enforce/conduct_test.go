package enforce_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

func TestLeakAndBack(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		w.request("192.0.2.7")
		w.pass(5 * time.Second)
		d := w.only(enforce.Verified)
		w.sims[0].Forget()
		if w.request("192.0.2.7") != 200 {
			t.Fatal("the gateway forgot nothing")
		}
		w.pass(time.Second) // a leak asks for a push at once
		if got := w.only(enforce.NotEnforced); got.Code != enforce.CodeLost {
			t.Errorf("%+v", got)
		}
		for range 40 {
			if w.request("192.0.2.7") != 403 {
				t.Fatal("the leak was not mended")
			}
			w.pass(time.Second)
		}
		w.only(enforce.Verified)
		if got := w.history(d.ID); got != "approved pushed verified not_enforced not_enforced verified" {
			t.Errorf("history: %s", got)
		}
	})
}

// TestSeenLate: who sees a finding long after it fired, and grown, decides as who saw it
// fire.
func TestSeenLate(t *testing.T) {
	for name, late := range map[string]time.Duration{"as it fires": 0, "eight minutes later": 8 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			run(t, enforceAll(), 1, func(t *testing.T, w *world) {
				f := finding("f1", "192.0.2.7")
				f.Family, f.Severity, f.Confidence = detect.Rate, detect.Medium, 0.8 // 3.2 points of 3, for five and a half minutes
				f.FiredAt -= int64(late)
				w.e.Offer(f)
				w.pass(time.Second)
				if d := w.decisions(enforce.DecisionQuery{Live: true}); len(d) != 1 || d[0].Action != enforce.Throttle {
					t.Errorf("%+v", d)
				}
			})
		})
	}
}

func TestOffencesEscalate(t *testing.T) {
	cfg := enforceAll()
	cfg.Push.Poll, cfg.Push.Reconcile = 5*time.Minute, time.Hour // a month passes here
	run(t, cfg, 1, func(t *testing.T, w *world) {
		for i, span := range []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour, 168 * time.Hour, 168 * time.Hour} {
			begin := time.Now()
			w.e.Offer(finding(fmt.Sprint("f", i), "192.0.2.7"))
			w.pass(time.Second)
			d := w.decisions(enforce.DecisionQuery{Live: true})
			if len(d) != 1 || d[0].Offence != i+1 || time.Unix(0, d[0].Expires).Sub(begin) != span {
				t.Fatalf("offence %d: %+v", i+1, d)
			}
			if i == 2 {
				w.restart()
			}
			w.pass(span + 11*time.Minute)
		}
	})
}

func TestFloodIsThrottledThenBlocked(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		f := finding("f1", "192.0.2.7")
		f.Family, f.Rule = detect.Rate, "rate-client"
		w.e.Offer(f)
		w.pass(time.Second)
		first := w.only(enforce.Pushed)
		seen := map[int]int{}
		for range 20 {
			seen[w.request("192.0.2.7")]++
		}
		if first.Action != enforce.Throttle || first.Rate != 2 || seen[429] == 0 || seen[200] == 0 {
			t.Fatalf("%+v %v", first, seen)
		}
		w.pass(2 * time.Minute)
		again := finding("f2", "192.0.2.7")
		again.Family, again.Rule = detect.Rate, "rate-client"
		w.e.Offer(again)
		w.pass(time.Second)
		live := w.decisions(enforce.DecisionQuery{Live: true})
		if len(live) != 1 || live[0].Action != enforce.Block || live[0].Offence != 2 || w.request("192.0.2.7") != 403 {
			t.Errorf("on repetition: %+v", live)
		}
		if got := w.history(first.ID); got != "approved pushed verified released" {
			t.Errorf("the throttle: %s", got)
		}
	})
}

func TestBreaker(t *testing.T) {
	cfg := enforceAll()
	cfg.Guard.PerMinute = 5
	run(t, cfg, 1, func(t *testing.T, w *world) {
		for i := range 8 {
			w.e.Offer(finding(fmt.Sprint("f", i), fmt.Sprintf("192.0.2.%d", i)))
		}
		w.pass(time.Second)
		w.restart() // the count survives
		w.e.Offer(finding("f9", "192.0.2.9"))
		w.pass(time.Second)
		waiting := w.decisions(enforce.DecisionQuery{State: enforce.Proposed})
		if len(waiting) != 4 || waiting[0].Code != enforce.CodeBreaker || w.e.Health().Breaker == "" || len(w.sims[0].Held()) != 5 {
			t.Fatalf("%d wait, %d held", len(waiting), len(w.sims[0].Held()))
		}
		w.pass(2 * time.Minute)
		if w.e.Health().Breaker != "" || len(w.sims[0].Held()) != 5 {
			t.Error("what the breaker held back waits for a person")
		}
		if got := w.post("approve", waiting[0].ID, 0); !strings.HasPrefix(got, "approved") {
			t.Error(got)
		}
	})
}

func TestDeadMan(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.lag(6 * time.Minute)
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		if d := w.only(enforce.Proposed); d.Code != enforce.CodeLag || w.e.Health().Lag == 0 {
			t.Fatalf("%+v", d)
		}
		w.lag(time.Second)
		w.pass(time.Second)
		if d := w.only(enforce.Pushed); w.history(d.ID) != "proposed approved pushed" {
			t.Errorf("once detection has caught up: %s", w.history(d.ID))
		}
	})
}

func TestOldLogBlocksNobody(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		f := finding("f1", "192.0.2.7")
		f.FiredAt -= int64(2 * time.Hour)
		f.LastSeen = f.FiredAt
		w.e.Offer(f)
		w.pass(time.Second)
		w.only(enforce.Expired)
		future := finding("f2", "192.0.2.8")
		future.FiredAt += int64(1000 * time.Hour)
		w.e.Offer(future)
		w.pass(time.Second)
		live := w.decisions(enforce.DecisionQuery{Live: true})
		if len(live) != 1 || time.Until(time.Unix(0, live[0].Expires)) > 10*time.Minute {
			t.Errorf("a line from the future: %+v", live)
		}
	})
}

func TestSubjectsNoGatewayHolds(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		f := finding("f1", "alice")
		f.Subject.Kind = "consumer"
		w.e.Offer(f)
		w.pass(time.Second)
		if d := w.only(enforce.Proposed); d.Code != enforce.CodeUnsupported {
			t.Errorf("%+v", d)
		}
	})
}

func TestNoGateway(t *testing.T) {
	run(t, enforceAll(), 0, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		if d := w.only(enforce.Approved); !strings.Contains(d.Reason, "no gateway is configured") {
			t.Errorf("%+v", d)
		}
		w.pass(11 * time.Minute)
		w.only(enforce.Expired)
	})
}

func TestNewRefuses(t *testing.T) {
	bad := enforce.DefaultConfig()
	bad.Guard.WidestV4 = 0
	if _, err := enforce.New(bad, nil, nil, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "guard.widest_v4") {
		t.Errorf("%v", err)
	}
}
