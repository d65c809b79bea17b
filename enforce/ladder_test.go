package enforce_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

func on(kind, value string) detect.Subject { return detect.Subject{Kind: kind, Value: value} }

// asked sends a request to the first gateway and to the log.
func (w *world) asked(client string, as detect.Subject, route string) int {
	a := netip.MustParseAddr(client)
	status := w.sims[0].StatusOf(a, as, route)
	w.e.Saw(detect.Sighting{Subject: as, Client: a, Time: time.Now().UnixNano(), Status: uint16(status), Route: route, Source: "g0"})
	return status
}

// TestConsumerIsBlockedAndVerified: a subject that is no address, on the one of two
// gateways that can hold it.
func TestConsumerIsBlockedAndVerified(t *testing.T) {
	run(t, enforceAll(), 2, func(t *testing.T, w *world) {
		w.sims[0].Able(true, "consumer", "key")
		f := finding("f1", "")
		f.Subject = on("consumer", "acme")
		w.e.Offer(f)
		w.pass(3 * time.Second)
		d := w.only(enforce.Pushed)
		if !strings.HasPrefix(d.Reason, "taken by gw0;") || len(w.sims[1].HeldAll()) != 0 {
			t.Errorf("only the one that can takes it: %s, %v", d.Reason, w.sims[1].HeldAll())
		}
		if _, ok := w.watch(f.Subject); !ok {
			t.Error("the consumer is not watched")
		}
		if got := w.asked("203.0.113.9", f.Subject, "/orders"); got != 403 {
			t.Errorf("the consumer got %d", got)
		}
		if got := w.asked("203.0.113.9", on("consumer", "other"), "/orders"); got != 200 {
			t.Errorf("another consumer got %d", got)
		}
		w.pass(time.Second)
		w.only(enforce.Verified)
		w.pass(15 * time.Minute)
		w.only(enforce.Expired)
		if got := w.asked("203.0.113.9", f.Subject, "/orders"); got != 200 {
			t.Errorf("after its time the consumer got %d", got)
		}
	})
}

// TestNobodyCanHoldIt: without such a gateway it waits, and not even a person can.
func TestNobodyCanHoldIt(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		f := finding("f1", "")
		f.Subject = on("session", "s_0011223344556677")
		w.e.Offer(f)
		w.pass(time.Second)
		d := w.only(enforce.Proposed)
		if d.Code != enforce.CodeUnsupported || !strings.Contains(d.Reason, "session") {
			t.Errorf("it says %s: %s", d.Code, d.Reason)
		}
		if got := w.post("approve", d.ID, 0); !strings.HasPrefix(got, "error: ") {
			t.Error(got)
		}
	})
}

// TestCrowdIsThrottledOnTheRoute: two hundred people behind an address lose nothing
// but speed at the one route, until the attacker goes on elsewhere.
func TestCrowdIsThrottledOnTheRoute(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.sims[0].Able(true)
		f := finding("f1", "192.0.2.7")
		f.Route, f.Standing = "/login", detect.Standing{Successes: 900, People: 20}
		w.e.Offer(f)
		w.pass(3 * time.Second)
		d := w.only(enforce.Pushed)
		if d.Action != enforce.Throttle || d.Route != "/login" || d.Code != enforce.CodePeople && !strings.Contains(w.words(d.ID), "narrowed to a throttle on /login") {
			t.Fatalf("not narrowed: %+v", d)
		}
		for range 50 {
			if w.asked("192.0.2.7", detect.Subject{}, "/orders") != 200 {
				t.Fatal("another route is throttled too")
			}
		}
		w.pass(time.Second)
		w.only(enforce.Pushed) // what got through elsewhere does not count against it
		denied := 0
		for range 50 {
			if w.asked("192.0.2.7", detect.Subject{}, "/login") == 429 {
				denied++
			}
		}
		w.pass(time.Second)
		w.only(enforce.Verified)
		if denied == 0 {
			t.Error("nothing is denied")
		}
		g := finding("f2", "192.0.2.7")
		g.Route, g.Standing = "/token", f.Standing
		w.e.Offer(g)
		w.pass(3 * time.Second)
		live := w.decisions(enforce.DecisionQuery{Live: true})
		if len(live) != 1 || live[0].Action != enforce.Throttle || live[0].Route != "" {
			t.Errorf("it went on elsewhere: %+v", live)
		}
	})
}

// TestMembersOfACampaign: those who take part are throttled on the route, the surest
// first; those that hardly do, and the route itself, are left alone.
func TestMembersOfACampaign(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.sims[0].Able(true, "route")
		f := finding("f1", "")
		f.Subject = on("route", "/login")
		var ms []detect.Member
		for i := range 6 {
			ms = append(ms, detect.Member{Subject: on("ip", fmt.Sprintf("192.0.2.%d", i)), Score: 0.95 - 0.17*float64(i), Count: 10})
		}
		f.Members = detect.PackMembers(ms)
		w.e.Offer(f)
		w.pass(3 * time.Second)
		got := map[string]enforce.Decision{}
		for _, d := range w.decisions(enforce.DecisionQuery{}) {
			got[d.Subject.Kind+" "+d.Subject.Value] = d
		}
		if d := got["route /login"]; d.State != enforce.Proposed || d.Code != enforce.CodeWide {
			t.Errorf("the route itself: %+v", d)
		}
		for i := range 3 {
			if d := got[fmt.Sprintf("ip 192.0.2.%d", i)]; d.State != enforce.Pushed || d.Action != enforce.Throttle || d.Route != "/login" || !strings.HasPrefix(d.Collateral, "not known") {
				t.Errorf("member %d: %+v", i, d)
			}
		}
		if d, ok := got["ip 192.0.2.5"]; ok {
			t.Errorf("one that hardly takes part: %+v", d)
		}
	})
}

// TestTarpit: a gateway that can keeps it waiting, another refuses at once.
func TestTarpit(t *testing.T) {
	cfg := enforceAll()
	cfg.Policy.Tarpit = true
	run(t, cfg, 2, func(t *testing.T, w *world) {
		w.sims[0].Does(enforce.Block, enforce.Tarpit)
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		if d := w.only(enforce.Pushed); d.Action != enforce.Tarpit {
			t.Errorf("decided %s", d.Action)
		}
		p := netip.MustParsePrefix("192.0.2.7/32")
		if a, b := w.sims[0].Held()[p].Action, w.sims[1].Held()[p].Action; a != enforce.Tarpit || b != enforce.Block {
			t.Errorf("held as %q and %q", a, b)
		}
	})
}

// TestRevokeWaits: it is proposed on the repeated offence only, and done by a person.
func TestRevokeWaits(t *testing.T) {
	cfg := enforceAll()
	cfg.Policy.Revoke = 1
	run(t, cfg, 1, func(t *testing.T, w *world) {
		w.sims[0].Able(false, "key").Does(enforce.Block, enforce.Revoke)
		f := finding("f1", "")
		f.Subject = on("key", "k_0011223344556677")
		w.e.Offer(f)
		w.pass(time.Second)
		d := w.only(enforce.Proposed)
		if d.Action != enforce.Revoke || d.Code != enforce.CodeFinal {
			t.Fatalf("%+v", d)
		}
		if got := w.post("approve", d.ID, 0); !strings.HasPrefix(got, "approved ") {
			t.Fatal(got)
		}
		w.only(enforce.Pushed)
	})
}

// words is all that the history says of a decision.
func (w *world) words(id string) string {
	w.Helper()
	cs, err := w.ledger.History(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, c := range cs {
		out = append(out, c.Why)
	}
	return strings.Join(out, "; ")
}
