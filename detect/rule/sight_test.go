package rule_test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/detect/rule"
	"github.com/portcullis/portcullis/ingest"
)

// sightLogs are logs in which detectors find something: the cases of testdata, and what
// a combined log cannot show.
func sightLogs(t *testing.T) map[string]detecttest.Log {
	logs := map[string]detecttest.Log{"batch": batchLog(), "walk": walkLog(), "floods": floodsLog(), "places": placesLog(), "handshakes": handshakesLog()}
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(section(t, archive, "want").Data) > 0 {
			logs[strings.TrimSuffix(filepath.Base(name), ".txtar")] = decoded(t, readingOf(t, archive), expand(t, section(t, archive, "log").Data))
		}
	}
	return logs
}

// decoded are the events of a log, which outlive it.
func decoded(t *testing.T, r reading, data []byte) (log detecttest.Log) {
	d, err := r.config(t).NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	batches(data, func(b *ingest.Batch) {
		d.Decode(b, func(ev *ingest.Event) { log = append(log, *ev) }, func(r ingest.Reject) { t.Fatalf("%+v", r) })
	})
	return log
}

// without is a log whose lines do not say some fields, nor what is made of them.
func without(log detecttest.Log, f ingest.Fields) detecttest.Log {
	out := slices.Clone(log)
	for i := range out {
		ev := &out[i]
		f.Without(ev)
		if f&ingest.FieldTarget != 0 {
			ev.Route, ev.RouteID, ev.Kind, ev.API = "", 0, ingest.RouteOrdinary, ingest.API{}
		}
		if f&ingest.FieldAgent != 0 {
			ev.Class, ev.Crawler = ingest.AgentNone, ingest.CrawlerNo
		}
	}
	return out
}

// limited sets a limit by client, without which there is none to go beyond.
func limited(name string, cfg any) {
	if name == "limit" {
		cfg.(*rule.LimitConfig).Limits = []rule.Limit{{Name: "a", Rate: 60, Every: "minute", Burst: 50}, {Name: "b", Per: "network", Rate: 2, Burst: 100}}
	}
}

// found are the findings of one rule, less what words and lines say.
func found(t *testing.T, name string, log detecttest.Log) map[string]detect.Finding {
	out := map[string]detect.Finding{}
	for id, f := range detecttest.Run(t, detecttest.Setup{Late: bound, Rules: []string{name}, Configure: limited}, log) {
		f.Evidence, f.Why, f.Standing = detect.Finding{}.Evidence, "", detect.Standing{}
		out[id] = f
	}
	return out
}

// batchLog has a consumer who sends twenty times its usual batch, from forty addresses.
func batchLog() detecttest.Log {
	w := newTown(5)
	for i, size := range []int{900, 900, 900, 900, 900, 12_000} {
		for n := range size {
			w.request(float64(i)*300+float64(n)*180/float64(size), address(7_000_000+n%40), "okhttp/4.9", 2, 200)
			w.log[len(w.log)-1].Consumer = "partner"
		}
	}
	return w.sorted()
}

// walkLog has a consumer who walks through objects from ten addresses.
func walkLog() detecttest.Log {
	w := newTown(5)
	for n := range 100 {
		w.request(float64(n)*3, address(7_000_000+n%10), "okhttp/4.9", 2, []uint16{200, 403, 404}[n%3])
		ev := &w.log[len(w.log)-1]
		ev.Consumer, ev.Target = "partner", fmt.Sprint("/v1/orders/", 40_000+n)
	}
	return w.sorted()
}

// floodsLog has a fleet that floods one route and makes it fail.
func floodsLog() detecttest.Log {
	w := newTown(7)
	w.people(0, 2100, 0.4, 1)
	for i := range 5000 {
		w.request(1800+w.rnd.Float64()*210, address(3_000_000+i*5), "bot/1", 3, 503)
	}
	for i := range w.log {
		w.log[i].ASN = 64_500
	}
	return w.sorted()
}

// placesLog has a key in the hands of a thief, and an account in two countries.
func placesLog() detecttest.Log {
	w := newBorough(11)
	keyCases["a key that leaked"].make(w)
	accountCases["a new phone in a new network"].make(w)
	carol := alice
	carol.set = func(ev *ingest.Event) { ev.User = "carol" }
	w.calls(0, 9000, 60, carol, "/v1/me")
	thief := spain(carol)
	thief.addr, thief.agent = "198.51.100.7", "Mozilla/5.0"
	w.calls(5000, 5200, 60, thief, "/v1/me")
	return (&town{log: w.log}).sorted()
}

// handshakesLog has a client with old TLS, and one that says it is a crawler.
func handshakesLog() detecttest.Log {
	w := newTown(3)
	for i := range 60 {
		w.request(float64(i), address(1), "Mozilla/5.0", 0, 200)
		ev := &w.log[len(w.log)-1]
		ev.TLS, ev.Cipher = "TLSv1", "RC4-SHA"
		w.request(float64(i), netip.MustParseAddr("198.51.100.9"), "Googlebot/2.1", 0, 200)
		w.log[len(w.log)-1].Crawler = ingest.CrawlerFake
	}
	return w.sorted()
}

// TestSight: a detector says what it needs. Where its log lacks one of those it finds
// nothing, and what it does not name makes no difference.
func TestSight(t *testing.T) {
	logs := sightLogs(t)
	for _, rule := range detect.Rules() {
		t.Run(rule, func(t *testing.T) {
			spec, _ := detect.SpecOf(rule)
			if spec.Fields == nil {
				t.Fatal("no Fields: say what the log must have, or that client and time are enough")
			}
			named := spec.Helps
			for _, need := range spec.Fields {
				named |= need
			}
			shows := 0
			for name, log := range logs {
				want := found(t, rule, log)
				if len(want) == 0 {
					continue
				}
				shows++
				for _, need := range spec.Fields {
					if got := found(t, rule, without(log, need)); len(got) > 0 {
						t.Errorf("%s: without %v it finds %d of %d: it does not need them", name, need, len(got), len(want))
					}
				}
				if d := detecttest.Diff(want, found(t, rule, without(log, ingest.AllFields&^named))); d != "" {
					t.Errorf("%s: it says that it needs only %v:\n%.600s", name, named, d)
				}
			}
			if shows == 0 {
				t.Error("no log shows anything to it")
			}
		})
	}
}
