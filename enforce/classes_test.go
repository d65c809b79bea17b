package enforce_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// fleetFinding is a finding of a route that says what its clients have in common.
func fleetFinding(successes, people int64) (detect.Finding, detect.Subject) {
	f := finding("f1", "")
	f.Subject, f.Route = on("route", "/login"), "/login"
	class := detect.Class{Route: "/login", Agent: "tool/1"}
	f.Suspects = detect.PackSuspects([]detect.Suspects{{Class: class, Clients: 40, Standing: detect.Standing{Successes: successes, People: people}}})
	f.Members = detect.PackMembers([]detect.Member{{Subject: on("ip", "192.0.2.1"), Score: 0.99, Count: 3}})
	return f, class.Subject()
}

// TestClassOfAFleet: the class is throttled, never blocked, at what its ordinary clients
// need, before the members; and what is on the allow-list is spared.
func TestClassOfAFleet(t *testing.T) {
	cfg := enforceAll()
	cfg.Guard.Allow = []string{"198.51.100.0/24", "consumer:acme"}
	run(t, cfg, 2, func(t *testing.T, w *world) {
		w.sims[0].Able(true, "class")
		f, class := fleetFinding(2880, 3)
		w.e.Offer(f)
		w.pass(3 * time.Second)
		list := w.decisions(enforce.DecisionQuery{})
		by := map[detect.Subject]enforce.Decision{}
		for _, d := range list {
			by[d.Subject] = d
		}
		d, m := by[class], by[on("ip", "192.0.2.1")]
		// 2880 a day are one in 30 s on the average; ten times that is one in 3 s.
		if d.Action != enforce.Throttle || d.State != enforce.Pushed || d.Rate < 0.33 || d.Rate > 0.34 || d.People != 3 || d.Good != 2880 {
			t.Errorf("the class: %+v", d)
		}
		if m.State != enforce.Pushed || m.Action != enforce.Throttle {
			t.Errorf("the member: %+v", m)
		}
		held := w.sims[0].HeldAll()[enforce.Target{Subject: class}]
		if held.Spare != "198.51.100.0/24" || len(w.sims[1].HeldAll()) != 0 && w.sims[1].HeldAll()[enforce.Target{Subject: class}].Decision != "" {
			t.Errorf("held: %+v", held)
		}
		if _, ok := w.watch(class); !ok {
			t.Error("it is not watched")
		}
		w.post("allow", "203.0.113.7", time.Minute)
		w.pass(time.Second)
		if got := w.sims[0].HeldAll()[enforce.Target{Subject: class}].Spare; got != "198.51.100.0/24 203.0.113.7/32" {
			t.Errorf("after an allow it spares %q", got)
		}
		if got := w.post("allow", "class:"+class.Value, 0); !strings.Contains(got, "released") {
			t.Errorf("a class that is allowed: %s", got)
		}
		w.pass(time.Second)
		if _, ok := w.sims[0].HeldAll()[enforce.Target{Subject: class}]; ok {
			t.Error("it is still held")
		}
	})
}

// TestClassOverBudget: with too many ordinary clients in it, it waits for a person; and
// where no gateway can tell it, nothing is decided on it.
func TestClassOverBudget(t *testing.T) {
	for name, c := range map[string]struct {
		kinds []string
		found bool
	}{"a gateway can": {[]string{"class"}, true}, "none can": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			run(t, enforceAll(), 1, func(t *testing.T, w *world) {
				w.sims[0].Able(true, c.kinds...)
				f, class := fleetFinding(5000, 51)
				w.e.Offer(f)
				w.pass(3 * time.Second)
				found := false
				for _, d := range w.decisions(enforce.DecisionQuery{}) {
					if d.Subject != class {
						continue
					}
					found = true
					if d.State != enforce.Proposed || d.Code != enforce.CodePeople {
						t.Errorf("%+v", d)
					}
				}
				if found != c.found {
					t.Errorf("a decision on the class: %v, want %v", found, c.found)
				}
			})
		})
	}
}
