package enforce_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
)

func TestObservedWaitsForAPerson(t *testing.T) {
	run(t, enforce.DefaultConfig(), 1, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		d := w.only(enforce.Proposed)
		if d.Code != enforce.CodeObserve || len(w.sims[0].Held()) != 0 {
			t.Fatalf("observed: %+v", d)
		}
		f := finding("f2", "192.0.2.7")
		w.e.Offer(f)
		w.pass(time.Second)
		if d = w.only(enforce.Proposed); d.Findings != "f1 f2" {
			t.Errorf("a further finding belongs to the proposal: %+v", d)
		}
		if got := w.post("approve", d.ID[:6], 10*time.Minute); !strings.HasPrefix(got, "approved ") {
			t.Fatal(got)
		}
		if got := w.only(enforce.Pushed); w.request("192.0.2.7") != 403 || time.Until(time.Unix(0, got.Expires)) < 9*time.Minute {
			t.Errorf("approved: %+v", got)
		}
		if got := w.post("approve", d.ID, 0); !strings.HasPrefix(got, "error: ") {
			t.Errorf("approved twice: %s", got)
		}
		if got := w.post("extend", d.ID, 10*time.Minute); !strings.HasPrefix(got, "extended ") {
			t.Error(got)
		}
		w.pass(15 * time.Minute)
		if w.request("192.0.2.7") != 403 {
			t.Error("the extension does not hold")
		}
		w.pass(20 * time.Minute)
		w.only(enforce.Expired)
	})
}

func TestProposalsAreUpgradedAndExpire(t *testing.T) {
	run(t, enforce.DefaultConfig(), 1, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.e.Offer(finding("g1", "192.0.2.8"))
		w.pass(time.Second)
		sure := finding("f2", "192.0.2.7")
		sure.Confidence = 0.99
		w.e.Offer(sure)
		w.pass(time.Second)
		d := w.decisions(enforce.DecisionQuery{Live: true})
		if len(d) != 1 || w.history(d[0].ID) != "proposed approved pushed" {
			t.Errorf("near certain: %+v", d)
		}
		w.pass(11 * time.Minute)
		if left := w.decisions(enforce.DecisionQuery{State: enforce.Expired}); len(left) != 2 {
			t.Errorf("a proposal expires too: %+v", left)
		}
	})
}

func TestReleaseForgives(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		f := finding("f1", "192.0.2.7")
		w.e.Offer(f)
		w.pass(time.Second)
		if got := w.post("release", "192.0.2.7", 0); !strings.HasPrefix(got, "released ") {
			t.Fatal(got)
		}
		f.Severity, f.LastSeen = detect.Critical, time.Now().UnixNano()
		w.e.Offer(f) // the finding that a person looked at grows
		low := finding("f2", "192.0.2.7")
		low.Severity = detect.Low
		w.e.Offer(low)
		w.pass(time.Second)
		w.only(enforce.Released)
		if w.request("192.0.2.7") != 200 {
			t.Error("blocked again by what a person released")
		}
		w.e.Offer(finding("f3", "192.0.2.7")) // new abuse is a first offence again
		w.pass(time.Second)
		if d := w.decisions(enforce.DecisionQuery{Live: true}); len(d) != 1 || d[0].Offence != 1 {
			t.Errorf("%+v", d)
		}
		for _, arg := range []string{"nothing", "203.0.113.1", ""} {
			if got := w.post("release", arg, 0); !strings.HasPrefix(got, "error: ") {
				t.Errorf("release %q: %s", arg, got)
			}
		}
	})
}

func TestAllowWins(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		if got := w.post("allow", "192.0.2.0/28", time.Hour); !strings.Contains(got, "released ") {
			t.Fatal(got)
		}
		if w.request("192.0.2.7") != 200 {
			t.Error("allowed, and still denied")
		}
		w.e.Offer(finding("f2", "192.0.2.7"))
		w.pass(time.Second)
		ds := w.decisions(enforce.DecisionQuery{State: enforce.Proposed})
		if len(ds) != 1 || ds[0].Code != enforce.CodeAllowed || !strings.Contains(ds[0].Reason, "by ana: a reason") {
			t.Fatalf("%+v", ds)
		}
		if got := w.post("approve", ds[0].ID, 0); !strings.HasPrefix(got, "error: withheld") {
			t.Errorf("the allow-list must win over an approval: %s", got)
		}
		w.restart()
		w.pass(2 * time.Hour)
		w.e.Offer(finding("f3", "192.0.2.7"))
		w.pass(time.Second)
		if w.request("192.0.2.7") != 403 {
			t.Error("the entry is over, and still counts")
		}
		w.post("allow", "consumer:partner", 0)
		if as, err := w.ledger.Allowed(t.Context()); err != nil || len(as) != 2 || as[0].Value != "consumer:partner" || as[0].Expires != 0 {
			t.Errorf("%+v %v", as, err)
		}
		if got := w.post("disallow", "consumer:partner", 0); strings.HasPrefix(got, "error") {
			t.Error(got)
		}
		for _, arg := range []string{"consumer:partner", "\x1b[2Jx"} {
			if got := w.post("disallow", arg, 0); !strings.HasPrefix(got, "error: ") || strings.ContainsRune(got, 0x1b) {
				t.Errorf("%q", got)
			}
		}
	})
}

func TestPanic(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.e.Offer(finding("f2", "192.0.2.8"))
		w.pass(time.Second)
		if got := w.post("panic", "", 0); !strings.HasPrefix(got, "lifted 2 ") {
			t.Fatal(got)
		}
		w.restart()
		w.e.Offer(finding("f3", "192.0.2.9"))
		w.pass(time.Second)
		if len(w.sims[0].Held()) != 0 || w.e.Health().Panic == "" {
			t.Fatalf("after panic and a restart: %v %+v", w.sims[0].Held(), w.e.Health())
		}
		ds := w.decisions(enforce.DecisionQuery{State: enforce.Proposed})
		if len(ds) != 1 || ds[0].Code != enforce.CodePanic {
			t.Fatalf("%+v", ds)
		}
		if got := w.post("approve", ds[0].ID, 0); !strings.HasPrefix(got, "error: ") {
			t.Errorf("approved under panic: %s", got)
		}
		w.post("resume", "", 0)
		if got := w.post("resume", "", 0); !strings.HasPrefix(got, "error: ") {
			t.Error(got)
		}
		w.e.Offer(finding("f4", "192.0.2.7"))
		w.pass(time.Second)
		if d := w.decisions(enforce.DecisionQuery{Live: true}); len(d) != 1 || d[0].Offence != 1 || w.e.Health().Panic != "" {
			t.Errorf("after resume: %+v", d)
		}
	})
}

func TestCommandsWhileNobodyRuns(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		w.stop()
		w.sims[0].Forget()
		client, err := store.OpenClient(w.path)
		if err != nil {
			t.Fatal(err)
		}
		inbox, err := enforce.OpenLedger(t.Context(), client.SQL())
		if err != nil {
			t.Fatal(err)
		}
		id, err := inbox.Post(t.Context(), enforce.Command{Who: "ana", Verb: enforce.VerbRelease, Arg: "192.0.2.7"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inbox.Post(t.Context(), enforce.Command{Verb: "explode"}); err == nil {
			t.Error("an unknown verb was taken")
		}
		applies := w.sims[0].Applies()
		w.start()
		w.pass(time.Second)
		if c, ok, err := inbox.Command(t.Context(), id); err != nil || !ok || !strings.HasPrefix(c.Result, "released ") {
			t.Errorf("%+v %v %v", c, ok, err)
		}
		if w.sims[0].Applies() == applies || len(w.sims[0].Held()) != 0 {
			t.Error("the release must come before the first push")
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
}
