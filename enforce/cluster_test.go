package enforce_test

import (
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/journal"
)

// elect lets the consumer group choose a node, and time pass until it leads.
func (f *fleet) elect(i int) {
	f.Helper()
	f.owner.Store(int64(i))
	f.pass(3 * time.Second)
	if !f.nodes[i].membership().Leading {
		f.Fatalf("node %d does not lead: %+v", i, f.nodes[i].membership())
	}
}

// same fails unless all ledgers are equal.
func (f *fleet) same() {
	f.Helper()
	want := f.nodes[0].dump()
	for _, n := range f.nodes[1:] {
		if got := n.dump(); got != want {
			f.errf("node %d holds\n%s\nnode 0 holds\n%s", n.id, got, want)
		}
	}
	if len(f.wrong) > 0 {
		f.Fatal(strings.Join(f.wrong, "\n"))
	}
}

func TestStandbyTakesOver(t *testing.T) {
	cluster(t, 2, func(t *testing.T, f *fleet) {
		f.elect(0)
		f.offer(finding("f1", "192.0.2.7"))
		f.pass(2 * time.Second)
		d := f.nodes[1].decisions()
		if len(d) != 1 || d[0].State != enforce.Pushed || len(f.sim.Held()) != 1 {
			t.Fatalf("the standby holds %+v, the gateway %v", d, f.sim.Held())
		}
		f.nodes[0].stop() // kill -9
		f.offer(finding("f2", "192.0.2.8"))
		f.sim.Forget()
		f.elect(1)
		f.pass(2 * time.Second)
		if len(f.sim.Held()) != 2 {
			t.Errorf("after the fail-over the gateway holds %v", f.sim.Held())
		}
		f.nodes[0].start()
		f.offer(finding("f1", "192.0.2.7"))
		f.pass(2 * time.Second)
		for _, d := range f.nodes[0].decisions() {
			if got := f.nodes[0].steps(d.ID); got != "approved pushed" {
				t.Errorf("%s of the one that comes back: %s", d.Subject.Value, got)
			}
		}
		if m := f.nodes[0].membership(); m.Epoch != 2 || m.Leading || m.Leader != f.nodes[1].membership().Leader || m.Owed != 0 {
			t.Errorf("membership: %+v", m)
		}
		f.same()
	})
}

// TestFirstLeaderDiesAtOnce: what comes while nobody leads is judged by the next leader,
// also after hours, and where the first one ended before it had judged anything.
func TestFirstLeaderDiesAtOnce(t *testing.T) {
	cluster(t, 2, func(t *testing.T, f *fleet) {
		f.elect(0)
		f.owner.Store(-1)
		f.nodes[0].stop()
		f.nodes[0].start()
		f.offer(finding("f1", "192.0.2.7"))
		f.pass(90 * time.Minute)
		f.elect(1)
		f.pass(5 * time.Second)
		if got := f.nodes[1].dump(); !strings.Contains(got, "|f1|auth-burst|") {
			t.Errorf("the finding was never judged:\n%s", got)
		}
	})
}

// TestStoppedLeaderDoesNoHarm: a leader is stopped in the middle of a push,
// another leads for a while, and the first one wakes up.
func TestStoppedLeaderDoesNoHarm(t *testing.T) {
	cluster(t, 3, func(t *testing.T, f *fleet) {
		f.elect(0)
		f.offer(finding("f1", "192.0.2.7"))
		f.pass(2 * time.Second)
		f.offer(finding("f2", "192.0.2.8"))
		f.pass(110 * time.Millisecond) // decided, and being pushed
		zombie := f.nodes[0]
		zombie.hold.freeze()
		f.elect(1)
		id, err := f.nodes[2].ledger.Post(t.Context(), enforce.Command{Who: "ana", Verb: enforce.VerbRelease, Arg: "192.0.2.7", Why: "a customer"})
		if err != nil {
			t.Fatal(err)
		}
		f.pass(5 * time.Second)
		if c, ok, err := f.nodes[2].ledger.Command(t.Context(), id); err != nil || !ok || !c.Done || !strings.HasPrefix(c.Result, "released ") {
			t.Fatalf("a command posted on a standby: %+v %v", c, err)
		}
		if held := f.sim.Held(); len(held) != 1 {
			t.Fatalf("the gateway holds %v", held)
		}
		f.offer(finding("f3", "192.0.2.9"))
		f.pass(2 * time.Second)
		zombie.hold.thaw()
		f.pass(5 * time.Second)
		if m := zombie.membership(); m.Leading || zombie.enforcer() != nil || m.Epoch != 2 {
			t.Errorf("it did not step down: %+v", m)
		}
		held := f.sim.Held()
		for _, d := range f.nodes[1].decisions() {
			p, _ := enforce.Prefix(d.Subject)
			if _, ok := held[p]; ok != d.State.Live() {
				t.Errorf("%s is %s, and held: %v", d.Subject.Value, d.State, ok)
			}
		}
		if f.nodes[2].membership().Stale == 0 {
			t.Error("the one that woke up wrote nothing: the test tests nothing")
		}
		f.same()
	})
}

// TestDeafLeaderPushesNothing: one that does not hear that another leads must
// not hold up its old list against the gateway, minute by minute.
func TestDeafLeaderPushesNothing(t *testing.T) {
	cluster(t, 2, func(t *testing.T, f *fleet) {
		f.elect(0)
		f.offer(finding("f1", "192.0.2.7"))
		f.pass(2 * time.Second)
		f.nodes[0].ears.freeze()
		f.elect(1)
		if _, err := f.nodes[1].ledger.Post(t.Context(), enforce.Command{Who: "ana", Verb: enforce.VerbRelease, Arg: "192.0.2.7"}); err != nil {
			t.Fatal(err)
		}
		f.pass(5 * time.Second)
		for range 3000 {
			f.pass(100 * time.Millisecond)
			if len(f.sim.Held()) != 0 {
				t.Fatalf("the gateway holds %v", f.sim.Held())
			}
		}
		if h := f.nodes[0].enforcer().Health(); !strings.Contains(h.Gateways[0].Error, "come back") {
			t.Errorf("it does not say why it pushes nothing: %+v", h)
		}
		f.nodes[0].ears.thaw()
		f.pass(2 * time.Second)
		if f.nodes[0].enforcer() != nil {
			t.Error("it did not step down when it heard")
		}
		f.same()
	})
}

// TestJournalFaults: whatever the journal does, what is not in it is not pushed,
// and nothing is lost or done twice.
func TestJournalFaults(t *testing.T) {
	for name, mode := range map[string]int64{"refuses": refuses, "deceives": deceives, "hangs": hangs} {
		t.Run(name, func(t *testing.T) {
			cluster(t, 2, func(t *testing.T, f *fleet) {
				f.elect(0)
				lead := f.nodes[0]
				lead.mode.Store(mode)
				f.offer(finding("f1", "192.0.2.7"))
				f.pass(25 * time.Second)
				if h := lead.enforcer().Health(); mode != deceives && (!strings.Contains(h.Store, "write to the journal") || len(f.sim.Held()) != 0) {
					t.Errorf("health: %q, the gateway holds %v", h.Store, f.sim.Held())
				}
				lead.mode.Store(fine)
				f.pass(2 * time.Minute)
				d := f.nodes[1].decisions()
				if len(d) != 1 || f.nodes[1].steps(d[0].ID) != "approved pushed" || len(f.sim.Held()) != 1 {
					t.Errorf("afterwards: %+v, the gateway holds %v", d, f.sim.Held())
				}
				if h := lead.enforcer().Health(); h.Store != "" || h.Queue != 0 {
					t.Errorf("health: %+v", h)
				}
				f.same()
			})
		})
	}
}

// TestLedgerFailsAfterTheAppend: the journal has it, the file of the leader does
// not take it, or the leader dies before it does.
func TestLedgerFailsAfterTheAppend(t *testing.T) {
	for _, dies := range []bool{false, true} {
		cluster(t, 2, func(t *testing.T, f *fleet) {
			f.elect(0)
			lead := f.nodes[0]
			lead.exec(`CREATE TRIGGER busy BEFORE INSERT ON decisions BEGIN SELECT RAISE(ABORT, 'disk is full'); END`)
			f.offer(finding("f1", "192.0.2.7"))
			f.pass(15 * time.Second)
			if h := lead.enforcer().Health(); !strings.Contains(h.Store, "disk is full") || len(f.sim.Held()) != 0 || len(lead.decisions()) != 0 {
				t.Errorf("health: %q, the gateway holds %v", h.Store, f.sim.Held())
			}
			if dies {
				lead.stop()
				f.elect(1)
				lead.start()
			}
			lead.exec(`DROP TRIGGER busy`)
			f.pass(time.Minute)
			d := lead.decisions()
			if len(d) != 1 || lead.steps(d[0].ID) != "approved pushed" || len(f.sim.Held()) != 1 {
				t.Errorf("afterwards: %+v %s, the gateway holds %v", d, lead.steps(d[0].ID), f.sim.Held())
			}
			f.same()
		})
	}
}

// TestWatchListInTheJournal: detectors elsewhere follow whom to report.
func TestWatchListInTheJournal(t *testing.T) {
	cluster(t, 2, func(t *testing.T, f *fleet) {
		f.elect(0)
		f.offer(finding("f1", "192.0.2.7"))
		f.offer(finding("f2", "192.0.2.8"))
		f.pass(2 * time.Second)
		if got := f.view(); len(got) != 2 || got[0].Subject.Value != "192.0.2.7" || got[0].Deny != 403 || got[0].Since == 0 {
			t.Fatalf("watched: %+v", got)
		}
		f.nodes[0].stop()
		f.elect(1)
		f.pass(11 * time.Minute) // over, and lingered
		if got := f.view(); len(got) != 0 {
			t.Errorf("still watched: %+v", got)
		}
		f.nodes[0].start()
		f.pass(time.Second)
		f.same()
	})
}

func TestRetireAlone(t *testing.T) {
	cluster(t, 1, func(t *testing.T, f *fleet) {
		f.elect(0)
		f.offer(finding("f1", "192.0.2.7"))
		f.pass(2 * time.Second)
		n := f.nodes[0]
		n.ledger.Follow()
		f.owner.Store(-1)
		f.pass(2 * time.Second)
		at := f.topic.Appends()
		f.offer(finding("f2", "192.0.2.8"))
		f.pass(5 * time.Minute)
		if n.enforcer() != nil || f.topic.Appends() != at || len(f.sim.Held()) != 1 {
			t.Errorf("after stepping down: %d appends more, the gateway holds %v", f.topic.Appends()-at, f.sim.Held())
		}
		if err := n.ledger.Prune(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "does not lead") {
			t.Errorf("a follower was pruned: %v", err)
		}
		f.elect(0)
		f.pass(3 * time.Second)
		if len(f.sim.Held()) != 2 {
			t.Errorf("what was found meanwhile is lost: the gateway holds %v", f.sim.Held())
		}
	})
}

// view is the watch list as a detector reads it from the beginning of the topic.
func (f *fleet) view() []detect.Watch {
	f.Helper()
	v := journal.NewView(100, nil)
	recs, _, err := f.topic.Read(f.Context(), 0, 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range recs {
		if _, err := v.Apply(r); err != nil {
			f.Fatal(err)
		}
	}
	return v.List()
}
