package enforce_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

func TestFromFindingToVerifiedBlock(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		if got := w.request("192.0.2.7"); got != 200 {
			t.Fatalf("before: %d", got)
		}
		begin := time.Now()
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(150 * time.Millisecond)
		if got := w.request("192.0.2.7"); got != 403 {
			t.Fatalf("%s after the finding: %d", time.Since(begin), got)
		}
		w.pass(time.Second)
		d := w.only(enforce.Verified)
		if got := w.history(d.ID); got != "approved pushed verified" {
			t.Errorf("history: %s", got)
		}
		if d.Rule != "auth-burst" || d.Findings != "f1" || d.Offence != 1 || d.PushedAt == 0 || d.Checked == 0 || d.Trigger != begin.UnixNano() ||
			!strings.Contains(d.Reason, "denied with 403 on /login") || d.Collateral == "" || d.Expires != begin.Add(10*time.Minute).UnixNano() {
			t.Errorf("decision: %+v", d)
		}
		if x, ok := w.watch(d.Subject); !ok || x.Deny != 403 || x.Since != d.Trigger {
			t.Errorf("watched: %+v %v", x, ok)
		}
		h := w.e.Health()
		if h.States[enforce.Verified] != 1 || h.Gateways[0].Entries != 1 || h.Gateways[0].Behind || h.Store != "" || h.Watched != 1 {
			t.Errorf("health: %+v", h)
		}
		w.pass(11 * time.Minute)
		if w.request("192.0.2.7") != 200 || w.only(enforce.Expired).ID != d.ID || w.history(d.ID) != "approved pushed verified expired" {
			t.Errorf("after its time: %s", w.history(d.ID))
		}
	})
}

func TestWatchLingersAfterTheEnd(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		f := finding("f1", "192.0.2.7")
		w.e.Offer(f)
		w.pass(time.Second)
		if got := w.post("release", "192.0.2.7", 0); !strings.HasPrefix(got, "released ") {
			t.Fatal(got)
		}
		if _, ok := w.watch(f.Subject); !ok {
			t.Error("denials that are still on their way through the log would count against the subject")
		}
		w.pass(2 * time.Minute)
		if _, ok := w.watch(f.Subject); ok {
			t.Error("still watched long after the release")
		}
	})
}

func TestRestartKeepsEverything(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		f := finding("f1", "192.0.2.7")
		w.e.Offer(f)
		w.pass(time.Second)
		w.request("192.0.2.7")
		w.pass(time.Second)
		d := w.only(enforce.Verified)
		w.stop()
		w.sims[0].Forget() // the gateway starts empty as well
		w.start()
		if w.request("192.0.2.7") != 403 {
			t.Error("the block is not pushed again after a restart")
		}
		w.e.Offer(f) // the engine finds the same again
		f.LastSeen += 1e9
		w.e.Offer(f)
		w.pass(time.Second)
		if got := w.only(enforce.Verified); got.ID != d.ID || w.history(d.ID) != "approved pushed verified" {
			t.Errorf("after the restart: %+v, %s", got, w.history(d.ID))
		}
	})
}

func TestFindingsOfBeforeACrashAreTaken(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.stop()
		// The engine saved the finding, and the process died before it was judged.
		if err := w.db.SaveFindings(t.Context(), []detect.Finding{finding("f1", "192.0.2.7")}); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.pass(time.Second)
		w.only(enforce.Pushed)
	})
}

func TestAFullQueueLosesNothing(t *testing.T) {
	cfg := enforceAll()
	cfg.Queue, cfg.Guard.PerMinute = 10, 1000
	run(t, cfg, 1, func(t *testing.T, w *world) {
		w.stop()
		w.make() // nobody takes from the queue yet
		var all []detect.Finding
		for i := range 50 {
			all = append(all, finding(fmt.Sprint("f", i), fmt.Sprintf("198.51.100.%d", i)))
		}
		for _, f := range all {
			w.e.Offer(f)
		}
		w.work()
		if err := w.db.SaveFindings(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		w.pass(3 * time.Minute)
		if h := w.e.Health(); h.Overflowed != 40 {
			t.Errorf("%d of 50 found a queue of 10 full", h.Overflowed)
		}
		if got := len(w.decisions(enforce.DecisionQuery{Live: true})); got != 50 {
			t.Errorf("%d of 50 decisions", got)
		}
	})
}

func TestFailingGateway(t *testing.T) {
	run(t, enforceAll(), 2, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		w.faults[1].Set(1, 0, 0)
		w.e.Offer(finding("f2", "192.0.2.8"))
		w.pass(5 * time.Second)
		d := w.decisions(enforce.DecisionQuery{Subject: detect.Subject{Value: "192.0.2.8"}})[0]
		if d.State != enforce.Approved || d.Code != enforce.CodeGateway || !strings.Contains(d.Reason, "gw1: gw1: injected fault") {
			t.Errorf("the decision does not show why: %+v", d)
		}
		h := w.e.Health().Gateways
		if h[0].Error != "" || h[0].Entries != 2 || h[1].Error == "" || h[1].Fails < 2 || !h[1].Behind {
			t.Errorf("health: %+v", h)
		}
		if len(w.sims[1].Held()) != 1 || len(w.sims[0].Held()) != 2 {
			t.Error("one gateway's failure held up the other, or the last good state went")
		}
		w.faults[1].Set(0, 0, 0)
		w.pass(time.Minute)
		if d, _, _ = w.ledger.Decision(t.Context(), d.ID); d.State != enforce.Pushed || d.Code != "" {
			t.Errorf("after it was mended: %+v", d)
		}
	})
}

func TestExpiryWaitsForTheGateway(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.pass(time.Second)
		w.faults[0].Set(1, 0, 0)
		w.pass(11 * time.Minute)
		if d := w.only(enforce.Pushed); !strings.Contains(d.Reason, "still in force") {
			t.Errorf("it is over, but the gateway still holds it: %+v", d)
		}
		w.restart()
		w.faults[0].Set(0, 0, 0)
		w.pass(time.Minute)
		w.only(enforce.Expired)
		if len(w.sims[0].Held()) != 0 {
			t.Error("still held")
		}
	})
}

func TestSlowGatewayHoldsNobodyUp(t *testing.T) {
	run(t, enforceAll(), 2, func(t *testing.T, w *world) {
		w.faults[1].Set(0, 1, 10*time.Second)
		for i := range 20 {
			w.e.Offer(finding(fmt.Sprint("f", i), fmt.Sprintf("192.0.2.%d", i)))
			w.pass(200 * time.Millisecond)
		}
		if len(w.sims[0].Held()) != 20 {
			t.Errorf("the quick gateway holds %d of 20", len(w.sims[0].Held()))
		}
		w.pass(30 * time.Second)
		if len(w.sims[1].Held()) != 20 || w.sims[1].Applies() > 6 {
			t.Errorf("the slow one holds %d after %d pushes: it should take the newest state each time", len(w.sims[1].Held()), w.sims[1].Applies())
		}
	})
}
