package enforce_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/enforce/journal"
	"github.com/portcullis/portcullis/ingest/identity"
)

// foreign writes to the topic past every enforcer.
func (f *fleet) foreign(r journal.Record) {
	f.Helper()
	if err := f.topic.Append(f.Context(), r.Epoch, []journal.Record{r}); err != nil {
		f.Fatal(err)
	}
}

// tellsNothing fails where the topic holds an address in clear.
func (f *fleet) tellsNothing() {
	f.Helper()
	recs, _, err := f.topic.Read(f.Context(), 0, 1000)
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range recs {
		if strings.Contains(r.Key, "192.0.2.") || bytes.Contains(r.Value, []byte("192.0.2.")) {
			f.Errorf("the topic tells an address: %s %s", r.Key, r.Value)
		}
	}
}

// TestWhatIsKeptOut: records that no portcullis writes, and of a newer one.
func TestWhatIsKeptOut(t *testing.T) {
	cluster(t, 2, func(t *testing.T, f *fleet) {
		f.elect(0)
		f.offer(finding("f1", "192.0.2.7"))
		odd := finding("f2", "x")
		odd.Subject = detect.Subject{Kind: "account", Value: "a/b\xff\x00%2F"} // any bytes that a client sent
		f.offer(odd)
		f.pass(2 * time.Second)
		before := f.nodes[1].dump()
		id := f.nodes[1].decisions()[0].ID
		for _, r := range []journal.Record{
			{Key: "decision/" + id, Value: []byte("not JSON"), Epoch: 9},
			{Key: "decision/" + id, Value: []byte(`{"v":1,"id":"other","kind":"ip","action":"block","state":"pushed","expires":1}`), Epoch: 9},
			{Key: "decision/" + id, Value: []byte(`{"v":1,"id":"` + id + `","kind":"ip","action":"burn","state":"pushed","expires":1}`), Epoch: 9},
			{Key: "decision/" + id, Value: []byte("{}")}, // of nobody
			{Key: "change/" + id + "/x", Value: []byte(`{"v":1,"to":"pushed"}`), Epoch: 9},
			{Key: "meta/version", Value: []byte(`{"v":1,"text":"7"}`), Epoch: 9},
			{Key: "\xff", Value: []byte("{}"), Epoch: 9},
			{Key: "request/u", Value: []byte(`{"v":1}`)},
			{Key: "decision/" + id, Value: []byte(`{"v":2,"id":[]}`), Epoch: 9},
			{Key: "weather/today", Value: []byte(`{"v":1}`), Epoch: 9},
		} {
			f.foreign(r)
		}
		f.pass(2 * time.Second)
		if got := f.nodes[1].dump(); got != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, got)
		}
		if m := f.nodes[1].membership(); m.Refused != 8 || m.Newer != 2 || m.Owed != 0 {
			t.Errorf("%+v", m)
		}
		end, _ := f.topic.End()
		f.topic.Compact(end, 0)
		f.add() // what the foreign records took away is there again
		f.pass(time.Second)
		f.same()
	})
}

func TestApplyReports(t *testing.T) {
	cluster(t, 1, func(t *testing.T, f *fleet) {
		l := f.nodes[0].ledger
		recs := []journal.Record{
			journal.Term{Epoch: 4, Member: "m", Needs: 1}.Record(),
			{Key: "allow/192.0.2.1", Value: []byte(`{"v":1,"created":1}`), Epoch: 4, Offset: 1},
			{Key: "allow/192.0.2.2", Value: []byte(`{"v":1,"created":1}`), Epoch: 3, Offset: 2},
			{Key: "allow/192.0.2.3", Value: []byte(`"x"`), Epoch: 4, Offset: 3},
			{Key: "allow/192.0.2.4", Value: []byte(`{"v":2}`), Epoch: 4, Offset: 7},
		}
		rep, err := l.Apply(t.Context(), recs, 8)
		if err != nil || rep.Applied != 2 || rep.Stale != 1 || rep.Newer != 1 || len(rep.Refused) != 1 || rep.Refused[0].Index != 3 || rep.Refused[0].Reason == "" {
			t.Errorf("%+v %v", rep, err)
		}
		rep, err = l.Apply(t.Context(), recs, 8)
		if at, posErr := l.Position(t.Context()); err != nil || posErr != nil || rep.Repeated != 5 || at != 8 {
			t.Errorf("again: %+v %v, at %d %v", rep, err, at, posErr)
		}
		allowed, err := l.Allowed(t.Context())
		if err != nil || len(allowed) != 1 || allowed[0].Value != "192.0.2.1" {
			t.Errorf("%+v %v", allowed, err)
		}
	})
}

// TestGrowsFromOneMachine: what was decided alone goes to the journal when the
// machine begins to lead, and two ledgers that were alone are not mixed.
func TestGrowsFromOneMachine(t *testing.T) {
	run(t, enforceAll(), 1, func(t *testing.T, w *world) {
		w.e.Offer(finding("f1", "192.0.2.7"))
		w.post("allow", "192.0.2.99", 0)
		w.stop()
		w.close()
		f := &fleet{T: t, dir: strings.TrimSuffix(w.path, "/portcullis.db"), cfg: w.cfg, topic: enforcetest.NewTopic(), sim: w.sims[0]}
		f.wire = f.topic
		defer f.close()
		f.owner.Store(-1)
		n := &node{T: t, fleet: f, path: w.path}
		f.nodes = append(f.nodes, n)
		n.start()
		f.elect(0)
		f.pass(2 * time.Second)
		late := f.add()
		f.pass(2 * time.Second)
		if d := late.decisions(); len(d) != 1 || late.steps(d[0].ID) != "approved pushed" || late.membership().Owed != 0 {
			t.Errorf("the one that joins holds %+v: %+v", d, late.membership())
		}
		f.same()
		n.stop()
		w.open() // "run" on the ledger of a cluster
		w.make()
		if err := w.e.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "portcullis enforce") {
			t.Errorf("alone on the ledger of a cluster: %v", err)
		}
		if err := w.ledger.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		w.work()
		w.pass(time.Second)
		w.only(enforce.Pushed)
		w.stop()
		from, err := w.ledger.Resume(t.Context(), time.Now(), time.Hour)
		if err != nil || from != 0 {
			t.Fatal(from, err)
		}
		recs, next, err := f.topic.Read(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.ledger.Apply(t.Context(), recs, next); err == nil || !strings.Contains(err.Error(), "state directory") {
			t.Errorf("two ledgers were mixed: %v", err)
		}
		f.nodes = f.nodes[1:] // its file is the world's again
	})
}

// TestAwayForTooLong: deletions may be gone from the topic, so the ledger is
// read from the beginning.
func TestAwayForTooLong(t *testing.T) {
	cluster(t, 0, func(t *testing.T, f *fleet) {
		f.cfg.Push.Poll = 5 * time.Second
		f.add()
		f.add()
		f.elect(0)
		if _, err := f.nodes[1].ledger.Post(t.Context(), enforce.Command{Who: "ana", Verb: enforce.VerbAllow, Arg: "192.0.2.99"}); err != nil {
			t.Fatal(err)
		}
		f.pass(time.Minute)
		f.nodes[1].stop()
		if _, err := f.nodes[0].ledger.Post(t.Context(), enforce.Command{Who: "ana", Verb: enforce.VerbDisallow, Arg: "192.0.2.99"}); err != nil {
			t.Fatal(err)
		}
		f.pass(retention + time.Minute)
		end, _ := f.topic.End()
		f.topic.Compact(end, end)
		f.nodes[1].start()
		f.pass(2 * time.Second)
		f.same()
		if err := f.nodes[1].ledger.Rebuild(t.Context()); err != nil {
			t.Error(err)
		}
		if at, err := f.nodes[1].ledger.Position(t.Context()); err != nil || at != 0 {
			t.Errorf("rebuilt, and reads on at %d (%v)", at, err)
		}
		f.nodes[1].stop()
		f.nodes[1].start()
		f.pass(2 * time.Second)
		f.same()
	})
}

// TestJournalIsPruned: the compacted topic does not grow for ever, and a request
// that was sent twice is not done again by who reads it late.
func TestJournalIsPruned(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and other tests have the same goroutines: leave out -short")
	}
	cluster(t, 0, func(t *testing.T, f *fleet) {
		f.cfg.Policy.Forget, f.cfg.Keep, f.cfg.Push.Poll = 3*time.Hour, 3*time.Hour, 5*time.Second
		f.add()
		f.add()
		f.elect(0)
		for i := range 50 {
			f.offer(finding(fmt.Sprint("f", i), fmt.Sprintf("192.0.2.%d", i)))
		}
		if _, err := f.nodes[1].ledger.Post(t.Context(), enforce.Command{Who: "ana", Verb: enforce.VerbAllow, Arg: "198.51.100.1", For: time.Hour}); err != nil {
			t.Fatal(err)
		}
		f.pass(time.Minute)
		recs, _, err := f.topic.Read(t.Context(), 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			if strings.HasPrefix(r.Key, journal.Request) && r.Value != nil {
				f.foreign(journal.Record{Key: r.Key, Value: r.Value}) // its sender did not hear that it arrived
			}
		}
		f.elect(1)
		f.nodes[0].stop()
		f.nodes[0].start()
		f.found = nil
		f.pass(time.Hour)
		end, _ := f.topic.End()
		f.topic.Compact(end, 0)
		if _, n := f.topic.End(); n < 150 {
			t.Fatalf("%d records: the test tests nothing", n)
		}
		f.pass(f.cfg.Keep + 2*time.Hour)
		end, _ = f.topic.End()
		f.topic.Compact(end, end)
		if _, n := f.topic.End(); n > 3 { // the term, a mark, and nothing else
			recs, _, _ := f.topic.Read(t.Context(), 0, 1000)
			t.Errorf("%d records stay: %+v", n, recs)
		}
		f.add()
		f.pass(2 * time.Second)
		f.same()
	})
}

// TestClusterConcealed: where addresses are hidden, the topic tells none.
func TestClusterConcealed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c, err := identity.NewCloak([identity.KeyBytes]byte{7})
		if err != nil {
			t.Fatal(err)
		}
		f := newFleet(t, dir, 0)
		defer f.close()
		f.cloak = c
		f.add()
		f.add()
		f.elect(0)
		x := finding("f1", "192.0.2.7")
		x.Why = "12 refused logins of 192.0.2.7"
		f.offer(x)
		if _, err := f.nodes[1].ledger.Post(t.Context(), enforce.Command{Who: "ana", Verb: enforce.VerbAllow, Arg: "192.0.2.8", Why: "192.0.2.8 is ours"}); err != nil {
			t.Fatal(err)
		}
		f.pass(2 * time.Second)
		f.nodes[0].stop()
		f.sim.Forget()
		f.elect(1)
		f.offer(finding("f2", "192.0.2.8"))
		f.pass(2 * time.Second)
		held := f.sim.Held()
		if p, _ := enforce.Prefix(detect.Subject{Kind: "ip", Value: "192.0.2.7"}); len(held) != 1 || held[p].Decision == "" {
			t.Errorf("the gateway holds %+v", held)
		}
		f.tellsNothing()
		if got := f.view(); len(got) != 1 || c.ShowText(got[0].Subject.Value) != "192.0.2.7" {
			t.Errorf("watched: %+v", got)
		}
		f.nodes[0].start()
		f.pass(time.Second)
		f.same()
	})
}

// TestHidingSwitchedOnInACluster: one machine after the other, and in the end
// the topic tells no address any more.
func TestHidingSwitchedOnInACluster(t *testing.T) {
	cluster(t, 2, func(t *testing.T, f *fleet) {
		f.elect(0)
		f.offer(finding("f1", "192.0.2.7"))
		if _, err := f.nodes[1].ledger.Post(t.Context(), enforce.Command{Who: "ana", Verb: enforce.VerbAllow, Arg: "192.0.2.8", Why: "192.0.2.8 is ours"}); err != nil {
			t.Fatal(err)
		}
		f.pass(2 * time.Second)
		c, err := identity.NewCloak([identity.KeyBytes]byte{7})
		if err != nil {
			t.Fatal(err)
		}
		f.cloak = c
		for _, n := range f.nodes {
			n.stop()
			n.start()
			f.pass(2 * time.Second)
		}
		f.elect(1)
		f.pass(2 * time.Minute)
		end, _ := f.topic.End()
		f.topic.Compact(end, end)
		f.add()
		f.pass(time.Second)
		f.tellsNothing()
		if len(f.sim.Held()) != 1 {
			t.Errorf("the gateway holds %v", f.sim.Held())
		}
		f.same()
	})
}

// TestMarksOfOthers: what the leader before wrote, read together with the own
// beginning, must not be taken for what came back of one's own.
func TestMarksOfOthers(t *testing.T) {
	cluster(t, 1, func(t *testing.T, f *fleet) {
		n := f.nodes[0]
		n.ears.freeze()
		f.foreign(journal.Term{Epoch: 1, Member: "m", Needs: 1}.Record())
		f.pass(time.Second) // this one is read alone, the two that follow together
		f.foreign(journal.Record{Key: journal.Mark, Value: []byte(`{"v":1,"n":99}`), Epoch: 1})
		f.generation = 5
		f.owner.Store(0)
		f.pass(3 * time.Second)
		n.ears.thaw()
		f.pass(3 * time.Second)
		if m := n.membership(); !m.Leading || m.Epoch != 5 {
			t.Fatalf("%+v", m)
		}
		n.ears.freeze()
		f.offer(finding("f1", "192.0.2.7"))
		f.pass(3 * time.Second)
		if len(f.sim.Held()) != 0 {
			t.Error("pushed before it came back from the journal")
		}
		n.ears.thaw()
		f.pass(3 * time.Second)
		if len(f.sim.Held()) != 1 {
			t.Error("not pushed")
		}
	})
}

// TestNewerLeader: a leader that needs a newer program is not succeeded by this
// one, which goes on to follow.
func TestNewerLeader(t *testing.T) {
	cluster(t, 1, func(t *testing.T, f *fleet) {
		n := f.nodes[0]
		f.foreign(journal.Term{Epoch: 1, Member: "m", Needs: 2}.Record())
		f.foreign(journal.Record{Key: "allow/192.0.2.1", Value: []byte(`{"v":1,"created":1}`), Epoch: 1})
		f.pass(time.Second)
		if _, err := n.ledger.Lead(t.Context(), n, 0); err == nil || !strings.Contains(err.Error(), "upgrade") {
			t.Errorf("%v", err)
		}
		if list, err := n.ledger.Allowed(t.Context()); err != nil || len(list) != 1 {
			t.Errorf("it does not follow: %+v %v", list, err)
		}
	})
}
