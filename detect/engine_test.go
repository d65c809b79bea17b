package detect_test

import (
	"fmt"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	"github.com/portcullis/portcullis/ingest"
)

const attacker = "192.0.2.1"

func guess(sec int64) ingest.Event { return refused(sec, attacker) }

// TestLateEventsAreInspectedButNotCounted: the tenth refusal comes behind the
// bound and counts nowhere; an attack that comes as late is found all the same.
func TestLateEventsAreInspectedButNotCounted(t *testing.T) {
	nine, newer := each(9, start, guess), one(plain(start+100, "192.0.2.2"))
	setup := detecttest.Setup{Late: 30}

	in := detecttest.Run(t, setup, logOf(nine, one(guess(start+9)), newer))
	if f := only(t, in, "auth-burst"); f.Count != 10 || f.FiredAt != (start+9)*1e9 {
		t.Errorf("in time: count %d, fired at %d", f.Count, f.FiredAt/1e9)
	}
	none(t, detecttest.Run(t, setup, logOf(nine, newer, one(guess(start+9)))))

	log := logOf(nine, newer, one(injected(start+9, attacker, 200)))
	e := detecttest.Engine(t, setup, log)
	defer e.Close()
	feed(e, 0, len(log))
	s := e.Finish()
	if f := only(t, detecttest.ByID(nil, s.Findings), "injection"); f.FiredAt != (start+100-30)*1e9 {
		t.Errorf("late attack: fired at %d, want the earliest open second %d", f.FiredAt/1e9, start+70)
	}
	if row := s.Ledger[0]; row.Late != 1 || row.Processed != 11 || row.LastTime != (start+100)*1e9 {
		t.Errorf("ledger %+v, want one late of eleven", row)
	}
}

// TestALineFromTheFutureClosesNothing, whether there is a clock or not.
func TestALineFromTheFutureClosesNothing(t *testing.T) {
	year := one(plain(start+5+365*86400, "192.0.2.2"))
	log := logOf(each(5, start, guess), year, each(5, start+5, guess))
	e := detecttest.Engine(t, detecttest.Setup{Late: 30}, log)
	defer e.Close()
	feed(e, 0, len(log))
	s := e.Finish()
	if f := only(t, detecttest.ByID(nil, s.Findings), "auth-burst"); f.Count != 10 {
		t.Errorf("count %d, want 10", f.Count)
	}
	if row := s.Ledger[0]; row.Future != 1 || row.Late != 0 || row.LastTime != (start+9)*1e9 {
		t.Errorf("ledger %+v, want one line from the future and none late", row)
	}
}

// TestAQuietNightIsBelieved: after a gap of hours the third line moves the clock on.
func TestAQuietNightIsBelieved(t *testing.T) {
	const morning = start + 9*3600
	got := detecttest.Run(t, detecttest.Setup{Late: 30}, logOf(each(3, start, guess), each(20, morning, guess)))
	if f := only(t, got, "auth-burst"); f.FirstSeen != (morning+2)*1e9 || f.Count != 18 {
		t.Errorf("first seen %+d, count %d: want the two witnesses left out", f.FirstSeen/1e9-morning, f.Count)
	}
}

// TestChurnDoesNotPushOutASuspect: addresses that come once are forgotten before
// a client with refusals is, and memory stays bounded.
func TestChurnDoesNotPushOutASuspect(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	const limit, churn = 16_384, 100_000
	log := each(9, start, guess)
	for i := range churn {
		log = append(log, plain(start+9+int64(i)/10_000, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
	}
	all := logOf(log, one(guess(start+20)))
	e := detecttest.Engine(t, detecttest.Setup{Late: 30, MaxClients: limit}, all)
	defer e.Close()
	feed(e, 0, len(all))
	e.Publish()
	if s := e.Stats(); s.Clients > limit || s.Evicted < churn-limit {
		t.Errorf("%d clients tracked, %d evicted; want at most %d tracked", s.Clients, s.Evicted, limit)
	}
	if f := only(t, detecttest.ByID(nil, e.Finish().Findings), "auth-burst"); f.Count != 10 || f.Subject.Value != attacker {
		t.Errorf("the suspect's finding: %+v, want count 10", f)
	}
}

// TestIdleClientsAreForgotten, and a busy one is not.
func TestIdleClientsAreForgotten(t *testing.T) {
	const day = 24 * 3600
	log := one(plain(start, "192.0.2.1"))
	for sec := int64(start); sec <= start+2*day; sec += 1800 {
		log = append(log, plain(sec, "192.0.2.2"))
	}
	all := logOf(log)
	e := detecttest.Engine(t, detecttest.Setup{Late: 30}, all)
	defer e.Close()
	feed(e, 0, 2)
	e.Publish()
	if n := e.Stats().Clients; n != 2 {
		t.Fatalf("%d clients tracked, want 2", n)
	}
	feed(e, 2, len(all))
	e.Publish()
	if n := e.Stats().Clients; n != 1 {
		t.Errorf("%d clients tracked after two days, want the one that stayed", n)
	}
}

// TestAdvanceClosesWithoutEvents: a quiet source's last seconds are evaluated,
// and what comes behind is late.
func TestAdvanceClosesWithoutEvents(t *testing.T) {
	log := logOf(each(10, start, guess), one(guess(start+10)))
	e := detecttest.Engine(t, detecttest.Setup{Late: 30}, log)
	defer e.Close()
	feed(e, 0, 10)
	if got := e.Findings(); len(got) != 0 {
		t.Fatalf("found before any second was closed: %v", got)
	}
	e.Advance(start + 10)
	if f := only(t, detecttest.ByID(nil, e.Findings()), "auth-burst"); f.Count != 10 {
		t.Errorf("count %d, want 10", f.Count)
	}
	if got := e.Findings(); len(got) != 0 {
		t.Errorf("returned twice: %v", got)
	}
	feed(e, 10, 11)
	if row := e.Finish().Ledger[0]; row.Late != 1 {
		t.Errorf("ledger %+v, want the line of a closed second late", row)
	}
}

// TestLiveFiresWithTheEvent: a live engine does not wait for the second to close,
// and the confirmed finding has the same id.
func TestLiveFiresWithTheEvent(t *testing.T) {
	log := logOf(each(10, start, guess))
	var early []detect.Finding
	e := detecttest.Engine(t, detecttest.Setup{Late: 30, Live: true, Emit: func(f detect.Finding) { early = append(early, f) }}, log)
	defer e.Close()
	feed(e, 0, 9)
	if len(early) != 0 {
		t.Fatalf("fired below the limit: %+v", early)
	}
	feed(e, 9, 10)
	if len(early) != 1 || early[0].Rule != "auth-burst" || early[0].FiredAt != (start+9)*1e9 {
		t.Fatalf("emitted %+v, want auth-burst at the tenth refusal", early)
	}
	final := only(t, detecttest.ByID(nil, e.Finish().Findings), "auth-burst")
	if final.ID != early[0].ID || final.Count != 10 || len(early) != 1 {
		t.Errorf("confirmed as %s with count %d, emitted %d times; early was %s", final.ID, final.Count, len(early), early[0].ID)
	}
}

// TestRollupsAddUp: every event is in exactly one minute of the whole and of its route.
func TestRollupsAddUp(t *testing.T) {
	log := logOf(each(120, start, func(s int64) ingest.Event { return plain(s, "192.0.2.7") }), each(9, start+120, guess))
	e := detecttest.Engine(t, detecttest.Setup{Late: 30, Workers: 1}, log)
	defer e.Close()
	rows := map[[2]string]detect.Rollup{}
	for i := 0; i < len(log); i += 50 {
		feed(e, i, min(i+50, len(log)))
		keep(rows, e.Snapshot().Rollups)
	}
	keep(rows, e.Finish().Rollups)
	sum := map[string]int64{}
	for _, r := range rows {
		sum[r.Route] += r.Requests
		if r.Requests != r.S2xx+r.S3xx+r.S4xx+r.S5xx {
			t.Errorf("%+v: the classes do not add up", r)
		}
		if r.Route == "/login" && r.Refused != r.S4xx {
			t.Errorf("%+v: refused logins are not counted as such", r)
		}
	}
	if sum[""] != int64(len(log)) || sum["/items/{id}"] != 120 || sum["/login"] != 9 {
		t.Errorf("requests by route: %v", sum)
	}
}

func keep(rows map[[2]string]detect.Rollup, list []detect.Rollup) {
	for _, r := range list {
		rows[[2]string{r.Route, fmt.Sprint(r.Minute)}] = r
	}
}
