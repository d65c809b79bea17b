package rule_test

import (
	"fmt"
	"testing"

	"github.com/portcullis/portcullis/detect"
)

// identityCase is what one consumer does among the people of a town.
type identityCase struct {
	name string
	want detect.Severity // Info: no finding
	do   func(w *town, as func(at float64, addr, route, id int, status uint16))
}

func runIdentity(t *testing.T, rule string, cases []identityCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(5)
			w.people(0, 3600, 0.3, 1)
			c.do(w, func(at float64, addr, route, id int, status uint16) {
				w.request(at, address(7_000_000+addr), "okhttp/4.9", route, status)
				ev := &w.log[len(w.log)-1]
				ev.Consumer = "partner"
				ev.Target = ev.Route[:len(ev.Route)-len("{id}")] + fmt.Sprint(id)
			})
			got := detect.Info
			for _, f := range w.run(t, rule) {
				t.Logf("%s %s %s: %s", f.Severity, f.Subject.Kind, f.Subject.Value, f.Why)
				if f.Subject != (detect.Subject{Kind: "consumer", Value: "partner"}) {
					t.Errorf("accused: %v", f.Subject)
				}
				got = max(got, f.Severity)
			}
			if got != c.want {
				t.Errorf("found as %s, want %s", got, c.want)
			}
		})
	}
}

func TestRateIdentity(t *testing.T) {
	batches := func(sizes ...int) func(*town, func(float64, int, int, int, uint16)) {
		return func(w *town, as func(float64, int, int, int, uint16)) {
			for i, size := range sizes {
				for n := range size { // three minutes each, every five
					as(float64(i)*300+float64(n)*180/float64(size), n%40, 2, 1+w.rnd.IntN(1e6), 200)
				}
			}
		}
	}
	runIdentity(t, "rate-identity", []identityCase{
		{"batches of one size", detect.Info, batches(900, 900, 1200, 900, 2000, 900, 1500)},
		{"the sixth is six times as large, from forty addresses", detect.Low, batches(900, 900, 900, 900, 900, 5400)},
		{"twenty times as large", detect.Medium, batches(900, 900, 900, 900, 900, 18_000)},
		{"unknown yet", detect.Info, batches(900, 900, 3000)},
		{"unknown yet, and far above the limit", detect.Medium, batches(900, 900, 18_000)},
	})
}

func TestBOLAIdentity(t *testing.T) {
	runIdentity(t, "bola-identity", []identityCase{
		{"a walk from ten addresses", detect.Medium, func(w *town, as func(float64, int, int, int, uint16)) {
			for n := range 100 {
				as(float64(n)*20, n%10, 2, 40_000+n, 200)
			}
		}},
		{"a walk that is mostly refused", detect.High, func(w *town, as func(float64, int, int, int, uint16)) {
			for n := range 100 {
				as(float64(n)*3, n%10, 2, 40_000+n, []uint16{200, 403, 404}[n%3])
			}
		}},
		{"guesses far apart", detect.Medium, func(w *town, as func(float64, int, int, int, uint16)) {
			for n := range 100 {
				as(float64(n)*3, n%10, 2, 40_000+n*971, []uint16{200, 403, 404}[n%3])
			}
		}},
		{"a key in the hands of thirty", detect.Medium, func(w *town, as func(float64, int, int, int, uint16)) {
			for n := range 300 {
				as(float64(n)*3, n%30, 2, 40_000+n*13, 200)
			}
		}},
		{"its own objects, many times over", detect.Info, func(w *town, as func(float64, int, int, int, uint16)) {
			for n := range 1000 {
				as(float64(n)*3, n%10, 2, 40_000+w.rnd.IntN(60), 200)
			}
		}},
		{"its own objects among those of all", detect.Info, func(w *town, as func(float64, int, int, int, uint16)) {
			for n := range 500 {
				as(float64(n)*3, 1, 2, 40_000+w.rnd.IntN(20_000), 200)
			}
		}},
	})
}

// TestIdentityRulesForget: who comes back after longer than the engine remembers is new.
func TestIdentityRulesForget(t *testing.T) {
	w := newTown(3)
	w.people(0, 200_000, 0.02, 1)
	call := func(from float64, n int, every float64) {
		for i := range n {
			w.request(from+float64(i)*every, address(7_000_000), "okhttp/4.9", 2, 200)
			w.log[len(w.log)-1].Consumer = "partner"
		}
	}
	call(0, 1200, 1)
	call(100_000, 1200, 0.1)
	if found := w.run(t, "rate-identity"); len(found) != 0 {
		t.Errorf("%v", found)
	}
}
