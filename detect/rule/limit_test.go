package rule_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/detect/rule"
	"github.com/portcullis/portcullis/ingest"
)

// limitRun finds with one limit.
func limitRun(t *testing.T, l rule.Limit, log detecttest.Log) []detect.Finding {
	t.Helper()
	l.Name = "l"
	l.Every = or(l.Every, "second")
	setup := detecttest.Setup{Late: bound, Rules: []string{"limit"}, Configure: func(_ string, cfg any) {
		c := cfg.(*rule.LimitConfig)
		c.Limits = []rule.Limit{l}
		c.Check(func(key, message string) { t.Errorf("%s: %s", key, message) })
	}}
	var list []detect.Finding
	for _, f := range detecttest.Run(t, setup, log) {
		list = append(list, f)
	}
	detect.SortFindings(list)
	return list
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// callsLog has a request of a client every so many milliseconds, in two places of its network
// by turns.
func callsLog(n int, every int64, set func(i int, ev *ingest.Event)) detecttest.Log {
	var log detecttest.Log
	for i := range n {
		ev := ingest.Event{Time: townStart*1e9 + int64(i)*every*1e6, Client: netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i%2)}), Method: "GET", Target: "/a/7",
			Route: "/a/{id}", RouteID: 1, Status: 200, ASN: 64500, Line: fmt.Sprint("line ", i), Pos: ingest.Position{Source: "test", Offset: int64(i) * 100}}
		set(i, &ev)
		log = append(log, ev)
	}
	return log
}

// TestLimit: each kind of subject is found at its limit, with the number of requests that
// are over it, and not below.
func TestLimit(t *testing.T) {
	consumer := func(_ int, ev *ingest.Event) { ev.Consumer = "acme" }
	none := func(int, *ingest.Event) {}
	for _, c := range []struct {
		name    string
		limit   rule.Limit
		log     detecttest.Log
		subject string // "" = no finding
		over    int64
	}{
		{"a client at twice its rate", rule.Limit{Rate: 5, Burst: 9}, callsLog(600, 50, none), "ip 192.0.2.1", 300 - 150 - 9},
		{"a client at its rate", rule.Limit{Rate: 10}, callsLog(600, 50, none), "", 0},
		{"a burst", rule.Limit{Rate: 1, Every: "minute", Burst: 99}, callsLog(200, 1, none), "", 0},
		{"a burst that is larger", rule.Limit{Rate: 1, Every: "minute", Burst: 89}, callsLog(200, 1, none), "ip 192.0.2.1", 10},
		{"a few an hour", rule.Limit{Rate: 4, Every: "hour", Burst: 1}, callsLog(12, 60_000, none), "ip 192.0.2.1", 4},
		{"another method", rule.Limit{Rate: 1, Every: "minute", Method: "POST"}, callsLog(100, 50, none), "", 0},
		{"its method and route", rule.Limit{Rate: 1, Every: "minute", Method: "GET", Route: "/a/{id}"}, callsLog(100, 50, none), "ip 192.0.2.1", 49},
		{"another route", rule.Limit{Rate: 1, Every: "minute", Route: "/b"}, callsLog(100, 50, none), "", 0},
		{"a consumer", rule.Limit{Per: "consumer", Rate: 10}, callsLog(600, 50, consumer), "consumer acme", 300},
		{"a consumer on a route", rule.Limit{Per: "consumer", Rate: 10, Route: "/a/{id}"}, callsLog(600, 50, consumer), "consumer acme", 300},
		{"a consumer at its rate", rule.Limit{Per: "consumer", Rate: 20}, callsLog(600, 50, consumer), "", 0},
		{"no key is logged", rule.Limit{Per: "key", Rate: 1}, callsLog(600, 50, consumer), "", 0},
		{"an account", rule.Limit{Per: "account", Rate: 10}, callsLog(600, 50, func(_ int, ev *ingest.Event) { ev.User = "ann" }), "account ann", 300},
		{"a network", rule.Limit{Per: "network", Rate: 10}, callsLog(600, 50, none), "cidr 192.0.2.0/24", 300},
		{"a network at its rate", rule.Limit{Per: "network", Rate: 20}, callsLog(600, 50, none), "", 0},
		{"a system", rule.Limit{Per: "asn", Rate: 10, Burst: 50}, callsLog(600, 50, none), "asn AS64500", 250},
		{"a route", rule.Limit{Per: "route", Rate: 10}, callsLog(600, 50, none), "route /a/{id}", 300},
		{"all traffic", rule.Limit{Per: "global", Rate: 600, Every: "minute"}, callsLog(600, 50, none), "global all", 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := slices.DeleteFunc(limitRun(t, c.limit, c.log), func(f detect.Finding) bool { return f.Subject.Value == "192.0.2.2" }) // the other half
			if c.subject == "" {
				if len(found) > 0 {
					t.Errorf("%v: %s", found[0].Subject, found[0].Why)
				}
				return
			}
			if len(found) != 1 || found[0].Subject.Kind+" "+found[0].Subject.Value != c.subject || found[0].Count != c.over {
				t.Fatalf("%+v, want %d requests over it by %s", found, c.over, c.subject)
			}
			f := found[0]
			t.Log(f.Severity, f.Why)
			if f.Severity < detect.Medium || len(f.EvidenceLines()) == 0 || !strings.Contains(f.Why, "limit l,") {
				t.Errorf("%s %q, %d lines", f.Severity, f.Why, len(f.EvidenceLines()))
			}
		})
	}
}

// TestLimitsDoNotDependOnOrder: shuffled within the late bound, by several workers, and
// resumed in the middle, the requests over a limit are the same.
func TestLimitsDoNotDependOnOrder(t *testing.T) {
	w := newTown(23)
	w.people(0, 900, 1.5, 1)
	w.log = append(w.log, callsLog(6000, 100, func(i int, ev *ingest.Event) {
		ev.Consumer, ev.Key, ev.Session, ev.User = "acme", fmt.Sprint("k", i%3), fmt.Sprint("s", i%7), fmt.Sprint("u", i%2)
		if i%5 == 0 {
			ev.Route, ev.Target, ev.RouteID, ev.Method, ev.Kind = "/login", "/login", 40, "POST", ingest.RouteLogin
		}
	})...)
	setup := detecttest.Setup{Late: bound, Rules: []string{"limit"}, Configure: small}
	want := detecttest.Run(t, setup, w.sorted())
	kinds := map[string]bool{}
	for _, f := range want {
		kinds[f.Subject.Kind] = true
	}
	if len(kinds) != 8 {
		t.Errorf("found are only %v: a limit of each kind should be exceeded", kinds)
	}
	shuffled := w.shuffled()
	for _, workers := range []int{1, 3} {
		setup.Workers = workers
		if d := detecttest.Diff(want, detecttest.Run(t, setup, shuffled)); d != "" {
			t.Fatalf("%d workers:\n%.3000s", workers, d)
		}
	}
	e, cut := detecttest.Engine(t, setup, shuffled), len(shuffled)/2
	e.Feed(detecttest.Batch(0, cut))
	saved := e.Snapshot()
	e.Close()
	e = detecttest.Engine(t, setup, shuffled)
	defer e.Close()
	if err := e.Restore(saved); err != nil {
		t.Fatal(err)
	}
	e.Feed(detecttest.Batch(cut, len(shuffled)))
	if d := detecttest.Diff(want, detecttest.ByID(detecttest.ByID(nil, saved.Findings), e.Finish().Findings)); d != "" {
		t.Fatalf("resumed:\n%.3000s", d)
	}
}

func TestLimitConfig(t *testing.T) {
	for _, c := range []struct {
		limit rule.Limit
		key   string
	}{
		{rule.Limit{Name: "a", Rate: 1}, ""},
		{rule.Limit{Name: "a", Rate: 1, Per: "route", Route: "/x", Every: "hour", Burst: 3}, ""},
		{rule.Limit{Rate: 1}, "limits[0].name"},
		{rule.Limit{Name: "a"}, "limits[0].rate"},
		{rule.Limit{Name: "a", Rate: 1, Per: "country"}, "limits[0].per"},
		{rule.Limit{Name: "a", Rate: 1, Per: "asn", Route: "/x"}, "limits[0].route"},
		{rule.Limit{Name: "a", Rate: 1, Route: "x"}, "limits[0].route"},
		{rule.Limit{Name: "a", Rate: 1, Per: "key", Method: "GET"}, "limits[0].method"},
		{rule.Limit{Name: "a", Rate: 1, Every: "day"}, "limits[0].every"},
		{rule.Limit{Name: "a", Rate: 1, Burst: -1}, "limits[0].burst"},
		{rule.Limit{Name: "a", Rate: 1, Every: "hour", Burst: 100}, "limits[0].burst"},
	} {
		var got []string
		cfg := rule.LimitConfig{Limits: []rule.Limit{c.limit}, HighFactor: 10}
		cfg.Check(func(key, _ string) { got = append(got, key) })
		if fmt.Sprint(got) != fmt.Sprint(strings.Fields(c.key)) {
			t.Errorf("%+v: %v, want %s", c.limit, got, c.key)
		}
	}
	twice := rule.LimitConfig{Limits: []rule.Limit{{Name: "a", Rate: 1}, {Name: "a", Rate: 2}}, HighFactor: 1}
	var got []string
	twice.Check(func(key, _ string) { got = append(got, key) })
	if fmt.Sprint(got) != "[limits[1].name high_factor]" {
		t.Error(got)
	}
}
