package detect_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	_ "github.com/portcullis/portcullis/detect/rule"
	"github.com/portcullis/portcullis/ingest"
)

// start is a second in the middle of a finding's window.
const start = 1_700_000_000

// logOf numbers the events as a log file would have them.
func logOf(list ...[]ingest.Event) detecttest.Log {
	var log detecttest.Log
	for _, evs := range list {
		log = append(log, evs...)
	}
	for i := range log {
		log[i].Pos = ingest.Position{Source: "test", File: 1, Offset: int64(i) * 100}
		log[i].Line = fmt.Sprintf("line %d", i)
	}
	return log
}

// plain is one harmless request.
func plain(sec int64, client string) ingest.Event {
	return ingest.Event{Time: sec * 1e9, Client: netip.MustParseAddr(client), Method: "GET", Target: "/items/1",
		Route: "/items/{id}", RouteID: 1, Status: 200, Agent: "app/1.0"}
}

// refused is one refused login.
func refused(sec int64, client string) ingest.Event {
	ev := plain(sec, client)
	ev.Method, ev.Target, ev.Route, ev.RouteID, ev.Kind, ev.Status = "POST", "/login", "/login", 2, ingest.RouteLogin, 401
	return ev
}

// injected is one request with an attack in it.
func injected(sec int64, client string, status uint16) ingest.Event {
	ev := plain(sec, client)
	ev.Target, ev.Status = "/items?q=1%27%20UNION%20SELECT%20password%20FROM%20users--", status
	return ev
}

// each makes n events, one a second.
func each(n int, from int64, make func(sec int64) ingest.Event) []ingest.Event {
	var list []ingest.Event
	for i := range int64(n) {
		list = append(list, make(from+i))
	}
	return list
}

func one(ev ingest.Event) []ingest.Event { return []ingest.Event{ev} }

// feed runs events from to to-1 of a log.
func feed(e *detect.Engine, from, to int) {
	for i := from; i < to; i += 100 {
		e.Feed(detecttest.Batch(i, min(i+100, to)))
	}
}

// only is the single finding of a rule; more or none fail the test.
func only(t *testing.T, found map[string]detect.Finding, rule string) detect.Finding {
	t.Helper()
	var list []detect.Finding
	for _, f := range found {
		if f.Rule == rule {
			list = append(list, f)
		}
	}
	if len(list) != 1 {
		t.Fatalf("%d findings of %s, want one: %+v", len(list), rule, list)
	}
	return list[0]
}

func none(t *testing.T, found map[string]detect.Finding) {
	t.Helper()
	for _, f := range found {
		t.Errorf("unexpected: %s %s, count %d: %s", f.Rule, f.Subject.Value, f.Count, f.Why)
	}
}
