package enforce_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest/identity"
)

// conceal starts the enforcer anew with hiding on or off.
func (w *world) conceal(hide bool) *identity.Cloak {
	w.Helper()
	c, err := identity.NewCloak([identity.KeyBytes]byte{7})
	if err != nil {
		w.Fatal(err)
	}
	w.stop()
	w.ledger.Conceal(c, hide)
	w.start()
	return c
}

// tells returns the files of the ledger that hold a text.
func (w *world) tells(text string) (where []string) {
	w.Helper()
	files, err := filepath.Glob(w.path + "*")
	if err != nil || len(files) == 0 {
		w.Fatal(files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			w.Fatal(err)
		}
		if i := bytes.Index(data, []byte(text)); i >= 0 {
			where = append(where, filepath.Base(name)+": "+string(data[max(0, i-40):min(len(data), i+40)]))
		}
	}
	return where
}

// held are the prefixes that the first gateway holds.
func (w *world) held() string {
	var out []string
	for _, e := range w.sims[0].Held() {
		out = append(out, e.Prefix.String())
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestLedgerConcealed(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		c := w.conceal(true)
		const addr, friend, net = "192.0.2.77", "192.0.2.88", "2001:db8:0:7::/64"
		hidden := c.HideText(addr)
		f, six := finding("f1", addr), finding("f2", net)
		f.Why, six.Subject.Kind = "12 refused logins of "+addr, "cidr"
		w.e.Offer(f)
		w.e.Offer(six)
		w.pass(time.Second)
		if w.held() != addr+"/32 "+net {
			t.Fatalf("the gateway holds %q", w.held())
		}
		var ds []enforce.Decision
		for _, by := range []string{addr, hidden} {
			ds = w.decisions(enforce.DecisionQuery{Subject: detect.Subject{Kind: "ip", Value: by}})
			if len(ds) != 1 || ds[0].Subject.Value != hidden || ds[0].Why != "12 refused logins of "+hidden {
				t.Fatalf("by %s: %+v", by, ds)
			}
		}
		if w.request(addr) != 403 {
			t.Error("not denied")
		}
		w.pass(time.Second)
		w.restart()
		w.e.Offer(f) // judged already
		w.pass(time.Second)
		again := w.decisions(enforce.DecisionQuery{Subject: detect.Subject{Value: addr}})
		if len(again) != 1 || again[0].ID != ds[0].ID || again[0].State != enforce.Verified || w.held() != addr+"/32 "+net {
			t.Errorf("after a restart: %+v, the gateway holds %q", again, w.held())
		}
		if got := w.post("allow", friend, 0); got != "allowed "+c.HideText(friend) {
			t.Errorf("allow: %q", got)
		}
		w.restart()
		w.e.Offer(finding("f3", friend))
		w.pass(time.Second)
		if strings.Contains(w.held(), friend) {
			t.Errorf("somebody allowed is held: %s", w.held())
		}
		if got := w.post("release", hidden, 0); !strings.HasPrefix(got, "released ") || !strings.Contains(got, hidden) {
			t.Errorf("release: %q", got)
		}
		if got := w.post("release", "2001:db8:0:7::31", 0); !strings.HasPrefix(got, "released ") {
			t.Errorf("release of an address by its network: %q", got)
		}
		if got := w.post("disallow", friend, 0); !strings.HasPrefix(got, "removed ") || strings.Contains(got, friend) {
			t.Errorf("disallow: %q", got)
		}
		if w.held() != "" {
			t.Errorf("released, and the gateway holds %q", w.held())
		}
		for _, text := range []string{addr, friend, "2001:db8:0:7"} {
			if where := w.tells(text); where != nil {
				t.Errorf("the ledger tells %s: %q", text, where)
			}
		}
	})
}

func TestConcealedExpires(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.conceal(true)
		w.e.Offer(finding("f1", "192.0.2.77"))
		w.pass(time.Second)
		w.restart()
		w.pass(2 * time.Hour)
		w.only(enforce.Expired)
		if w.held() != "" {
			t.Errorf("expired, and the gateway holds %q", w.held())
		}
	})
}

// TestLedgerSwitched writes in clear, switches hiding on, and off again.
func TestLedgerSwitched(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		const addr, friend = "192.0.2.77", "192.0.2.88"
		f := finding("f1", addr)
		f.Why = "12 refused logins of " + addr
		w.e.Offer(f)
		w.post("allow", friend, 0)
		before := w.decisions(enforce.DecisionQuery{})[0]
		if w.tells(addr) == nil {
			t.Fatal("without hiding the address is not found: the test tests nothing")
		}
		c := w.conceal(true)
		w.stop()
		if err := w.ledger.HideStored(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.db.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.pass(time.Second)
		for _, text := range []string{addr, friend} {
			if where := w.tells(text); where != nil {
				t.Errorf("the ledger tells %s: %q", text, where)
			}
		}
		if d := w.decisions(enforce.DecisionQuery{})[0]; d.ID != before.ID || d.Subject.Value != c.HideText(addr) || w.held() != addr+"/32" {
			t.Errorf("switched on: %+v, the gateway holds %q", d, w.held())
		}
		if _, err := w.db.SQL().Exec(`UPDATE changes SET why = ''`); err == nil {
			t.Error("history can be changed now")
		}
		w.conceal(false)
		w.e.Offer(f) // judged while it was hidden
		w.e.Offer(finding("f2", friend))
		w.pass(time.Second)
		if w.held() != addr+"/32" || len(w.decisions(enforce.DecisionQuery{Live: true})) != 1 {
			t.Errorf("switched off: the gateway holds %q: %+v", w.held(), w.decisions(enforce.DecisionQuery{}))
		}
		if got := w.post("allow", friend, time.Hour); !strings.HasPrefix(got, "allowed "+friend) {
			t.Errorf("allow: %q", got)
		}
		list, err := w.ledger.Allowed(t.Context())
		if err != nil || len(list) != 1 || list[0].Value != friend {
			t.Errorf("the allow-list: %+v (%v)", list, err)
		}
		if got := w.post("release", addr, 0); !strings.HasPrefix(got, "released ") || w.held() != "" {
			t.Errorf("release: %q, the gateway holds %q", got, w.held())
		}
	})
}

// TestConcealedIDs: an id must not be a hash of an address that can be tried.
func TestConcealedIDs(t *testing.T) {
	var ids []string
	for _, hide := range []bool{false, true} {
		run(t, enforceAll(), 1, func(t *testing.T, w *world) {
			w.conceal(hide)
			w.e.Offer(finding("f1", "192.0.2.77"))
			w.pass(time.Second)
			ids = append(ids, w.decisions(enforce.DecisionQuery{})[0].ID)
		})
	}
	if len(slices.Compact(ids)) != 2 {
		t.Errorf("the same id with hiding and without: %v", ids)
	}
}
