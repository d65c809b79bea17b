package enforce_test

import (
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// TestAudit lets the policy and a person act, and demands that the trail, the counts and
// the commands tell it.
func TestAudit(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.e.Offer(finding("f2", "192.0.2.8"))
		w.pass(2 * time.Second)
		c := enforce.Command{UID: "00000000000000000000000000000001", Who: "kim", Verb: enforce.VerbRelease, Arg: "192.0.2.7", Why: "a mistake"}
		first, err := w.ledger.Post(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := w.ledger.Post(t.Context(), c)
		if err != nil || again != first {
			t.Errorf("posted twice: %d and %d (%v)", first, again, err)
		}
		w.pass(2 * time.Second)
		posted, ok, err := w.ledger.Posted(t.Context(), c.UID)
		if err != nil || !ok || posted.ID != first || !posted.Done || !w.ledger.Same(posted, c) {
			t.Errorf("posted %+v, %v, %v", posted, ok, err)
		}
		other := c
		other.Arg = "192.0.2.8"
		if w.ledger.Same(posted, other) {
			t.Error("another command is taken for the same")
		}
		trail := audited(t, w, enforce.AuditQuery{})
		for i := 1; i < len(trail); i++ {
			if trail[i].Seq >= trail[i-1].Seq {
				t.Errorf("row %d is not older than the one before", i)
			}
		}
		if people := audited(t, w, enforce.AuditQuery{People: true}); len(people) != 1 || people[0].Who != "kim" || people[0].Subject.Value != "192.0.2.7" || people[0].To != enforce.Released {
			t.Errorf("what people did: %+v", people)
		}
		if of := audited(t, w, enforce.AuditQuery{Text: "192.0.2.8"}); len(of) == 0 || len(of) >= len(trail) || of[0].Subject.Value != "192.0.2.8" {
			t.Errorf("of one subject: %+v", of)
		}
		page := audited(t, w, enforce.AuditQuery{Limit: 2})
		rest := audited(t, w, enforce.AuditQuery{Before: page[1].Seq})
		if len(page)+len(rest) != len(trail) || rest[0] != trail[2] {
			t.Errorf("%d + %d rows of %d", len(page), len(rest), len(trail))
		}
		judged, err := w.ledger.Judged(t.Context(), 0)
		if err != nil || len(judged) != 1 || judged[0].Decided != 2 || judged[0].TakenOff != 1 || judged[0].Standing != 1 || judged[0].Approved != 0 {
			t.Errorf("judged %+v, %v", judged, err)
		}
		states, err := w.ledger.States(t.Context(), 0)
		if err != nil || states[enforce.Released] != 1 || len(states) != 2 {
			t.Errorf("states %v, %v", states, err)
		}
		commands, err := w.ledger.Commands(t.Context(), enforce.AuditQuery{})
		if err != nil || len(commands) != 1 || commands[0].Why != "a mistake" {
			t.Errorf("commands %+v, %v", commands, err)
		}
	})
}

func audited(t *testing.T, w *world, q enforce.AuditQuery) []enforce.Trace {
	t.Helper()
	list, err := w.ledger.Trail(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
