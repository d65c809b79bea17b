package enforce_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// TestStanding: the ledger alone says what the gateways were given, at every step.
func TestStanding(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		var mark int64
		same := func(what string, want int) enforce.Standing {
			t.Helper()
			s, err := w.ledger.Standing(t.Context(), enforce.DefaultConfig().Guard, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			held := map[string]bool{}
			for p := range w.sims[0].Held() {
				held[p.String()] = true
			}
			for _, e := range s.Entries {
				if !held[e.Prefix.String()] {
					t.Errorf("%s: the ledger has %s, the gateway not", what, e.Prefix)
				}
			}
			if len(s.Entries) != want || len(held) != want {
				t.Errorf("%s: the ledger has %d, the gateway %d, want %d", what, len(s.Entries), len(held), want)
			}
			n, err := w.ledger.Mark(t.Context())
			if err != nil || n <= mark && want > 0 {
				t.Errorf("%s: mark %d after %d: %v", what, n, mark, err)
			}
			mark = n
			return s
		}
		same("at the start", 0)
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		same("one", 1)
		w.e.Offer(finding("f2", "2001:db8::7"))
		w.pass(time.Second)
		s := same("two", 2)
		ids := []string{"none"}
		for _, e := range s.Entries {
			ids = append(ids, e.Decision)
		}
		for i := range 2 * 500 { // more than one query takes
			ids = append(ids, fmt.Sprint("none", i))
		}
		if list, err := w.ledger.ByID(t.Context(), ids); err != nil || len(list) != 2 {
			t.Errorf("%d of 2 by id: %v", len(list), err)
		}
		w.post(enforce.VerbRelease, "192.0.2.7", 0)
		w.pass(time.Second)
		same("one released", 1)
		if list, err := w.ledger.ReleasedEarly(t.Context(), time.Now()); err != nil || len(list) != 1 || list[0].Subject.Value != "192.0.2.7" {
			t.Errorf("released early: %+v %v", list, err)
		}
		panicked(t, w, same)
	})
}

// panicked: the panic switch takes everything back, and what is allowed is told while it is.
func panicked(t *testing.T, w *world, same func(string, int) enforce.Standing) {
	t.Helper()
	w.post(enforce.VerbAllow, "198.51.100.0/24", time.Minute)
	w.post(enforce.VerbPanic, "", 0)
	w.pass(time.Second)
	if s := same("panic", 0); s.Panic == "" {
		t.Error("the panic switch is not told")
	}
	if list, err := w.ledger.Allowing(t.Context(), time.Now()); err != nil || len(list) != 1 {
		t.Errorf("allowed: %+v %v", list, err)
	}
	if list, err := w.ledger.Allowing(t.Context(), time.Now().Add(time.Hour)); err != nil || len(list) != 0 {
		t.Errorf("allowed an hour later: %+v %v", list, err)
	}
}
