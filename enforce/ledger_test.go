package enforce_test

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
)

func TestPruneKeepsWhatIsOpen(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(20 * time.Minute)
		w.e.Offer(finding("f2", "192.0.2.7"))
		w.pass(time.Second)
		if err := w.ledger.Prune(t.Context(), time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if d := w.only(enforce.Pushed); d.Findings != "f2" || w.history(d.ID) == "" {
			t.Errorf("%+v", d)
		}
		if _, err := w.db.SQL().Exec(`UPDATE changes SET why = ''`); err == nil {
			t.Error("a change could be altered")
		}
	})
}

func TestReadOnlyLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	w, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	r, err := store.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := enforce.OpenLedger(t.Context(), r.SQL()); err == nil || !strings.Contains(err.Error(), "run\" once") {
		t.Errorf("without tables: %v", err)
	}
	if _, err := enforce.OpenLedger(t.Context(), w.SQL()); err != nil {
		t.Fatal(err)
	}
	l, err := enforce.OpenLedger(t.Context(), r.SQL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Post(t.Context(), enforce.Command{Verb: enforce.VerbPanic}); err == nil {
		t.Error("a read-only ledger took a command")
	}
	if p, err := enforce.Prefix(detect.Subject{Kind: "ip", Value: "::ffff:192.0.2.1"}); err != nil || p != netip.MustParsePrefix("192.0.2.1/32") {
		t.Errorf("%v %v", p, err)
	}
}

func TestBusyLedger(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		// A write that fails, for whatever reason, must lose nothing.
		if _, err := w.db.SQL().Exec(`CREATE TRIGGER busy BEFORE INSERT ON decisions BEGIN SELECT RAISE(ABORT, 'database is locked'); END`); err != nil {
			t.Fatal(err)
		}
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(2 * time.Second)
		if h := w.e.Health(); h.Store == "" || h.Queue != 1 || len(w.sims[0].Held()) != 0 {
			t.Fatalf("%+v: nothing may be pushed that is not in the ledger", h)
		}
		if _, err := w.db.SQL().Exec(`DROP TRIGGER busy`); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		if d := w.only(enforce.Pushed); w.history(d.ID) != "approved pushed" || w.e.Health().Store != "" {
			t.Errorf("%+v", d)
		}
	})
}
