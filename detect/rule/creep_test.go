package rule_test

import (
	"math"
	"testing"

	"github.com/portcullis/portcullis/detect"
)

// ramp is a fleet that asks for the feed from one hour to another, twenty times as often at
// the end as when it began, and returns its addresses. each does what one of it does.
func (w *town) ramp(from, to, most float64, size int, each func(at float64, n int)) map[string]bool {
	members := map[string]bool{}
	for at := from * 3600; at < to*3600; at += w.rnd.ExpFloat64() * 3600 / (most * math.Pow(0.05, 1-(at/3600-from)/(to-from))) {
		n := w.rnd.IntN(size)
		members[address(4_000_000+n*5).String()] = true
		each(at, n)
	}
	return members
}

// feeds asks for the feed with an agent of few, or with one of the usual.
func (w *town) feeds(agent func(n int) string) func(at float64, n int) {
	return func(at float64, n int) { w.request(at, address(4_000_000+n*5), agent(n), 6, 200) }
}

func ownAgent(n int) string { return []string{"okhttp/4.9", "okhttp/4.12"}[n%2] }

// TestRateRouteFindsASlowRamp: three hundred addresses come within hours, of which none asks
// often, and the feed never gets one request a second: found in the first half, with its
// members.
func TestRateRouteFindsASlowRamp(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	for name, agent := range map[string]func(int) string{"own agents": ownAgent, "the usual agents": func(n int) string { return townAgent(n * 31) }} {
		t.Run(name, func(t *testing.T) {
			w := newTown(31)
			w.people(0, 20*3600, 0.02, 1)
			fleet := w.ramp(9, 18, 900, 300, w.feeds(agent))
			hits, wrong, first := map[string]bool{}, 0, int64(0)
			for _, f := range w.run(t, "rate-route") {
				if f.Subject.Value != "/v1/feed" || f.Severity < detect.Medium {
					t.Errorf("%s %s: %s", f.Severity, f.Subject.Value, f.Why)
					continue
				}
				if at := f.FiredAt/1e9 - townStart; first == 0 || at < first {
					first = at
				}
				if at := f.FiredAt/1e9 - townStart; at > 19.5*3600 {
					t.Errorf("fires %d minutes after the last came: %s", (at-18*3600)/60, f.Why)
				}
				for _, m := range f.MemberList() {
					if fleet[m.Subject.Value] {
						hits[m.Subject.Value] = true
					} else {
						wrong++
					}
				}
			}
			t.Logf("found %d minutes after it began, %d of %d members, %d wrong", first/60-9*60, len(hits), len(fleet), wrong)
			if first < 9*3600 || first > 13*3600+1800 || len(hits)*10 < len(fleet)*8 || wrong*100 > len(hits) {
				t.Error("want it in the first half, 80 % of the members, and 1 % wrong")
			}
		})
	}
}

// TestSlowGrowthThatIsHonest: what grows within hours for a good reason is no fleet, and what
// a fleet must do to be none.
func TestSlowGrowthThatIsHonest(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	for name, happen := range map[string]func(*town){
		"readers of the feed, each from a new address, four times as many by day": func(w *town) {
			for at := 0.0; at < 20*3600; at += w.rnd.ExpFloat64() * 40 * (1 + 3*math.Pow(math.Cos(at/86400*math.Pi), 2)) {
				w.request(at, address(5_000_000+int(at)), "reader/2.1", 6, 200)
			}
		},
		"an advertisement for an hour, and who follows it leaves again": func(w *town) {
			for at := 12 * 3600.0; at < 13*3600; at += w.rnd.ExpFloat64() * 5 {
				w.request(at, address(5_000_000+int(at)), townAgent(int(at)), 6, 200)
			}
		},
		"more and more people, who do what people do": func(w *town) {
			for h := 9.0; h < 18; h++ {
				w.people(h*3600, 3600, 0.02*(h-8), 5_000_000)
			}
		},
		"a fleet that comes within the first eight hours": func(w *town) { w.ramp(0, 7.5, 300, 300, w.feeds(ownAgent)) },
		"a fleet whose every member asks for two things first": func(w *town) {
			w.ramp(9, 18, 300, 300, func(at float64, n int) {
				w.feeds(ownAgent)(at, n)
				w.request(at+5, address(4_000_000+n*5), ownAgent(n), 3, 200)
			})
		},
		"thirty of a fleet": func(w *town) { w.ramp(9, 18, 200, 30, w.feeds(ownAgent)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(37)
			w.people(0, 20*3600, 0.02, 1)
			happen(w)
			for _, f := range w.run(t, "rate-route") {
				t.Logf("%s %s: %s", f.Severity, f.Subject.Value, f.Why)
				if f.Severity > detect.Low {
					t.Errorf("%s is accused: %s", f.Subject.Value, f.Why)
				}
			}
		})
	}
}

// TestASlowRampDoesNotDependOnOrder: in any order, by any number of workers, and after a
// restart while the alarm goes on.
func TestASlowRampDoesNotDependOnOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and workers meet in shorter tests: leave out -short")
	}
	w := newTown(41)
	w.people(0, 16*3600, 0.01, 1)
	w.ramp(9, 15, 900, 300, w.feeds(ownAgent))
	want := w.run(t, "rate-route")
	if len(want) < 2 {
		t.Errorf("%d findings: the test shows nothing", len(want))
	}
	w.sameAnyway(t, want, "rate-route")
}
