package enforce

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"pgregory.net/rapid"
)

// TestDerivedIsWhatALookAtAllGives lets decisions come, change, run out and go, and compares
// what is kept beside them after each step with what all of them say, and the tracker with
// one that is told all of them.
func TestDerivedIsWhatALookAtAllGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &Enforcer{tracker: newTracker(DefaultConfig().Verify), mem: memory{open: map[string]*Decision{}, bySubject: map[detect.Subject][]string{}, since: map[string]uint64{}, leaving: map[string]uint64{}}}
		e.mem.deriveAll()
		slow := newTracker(DefaultConfig().Verify)
		for now := range int64(rapid.IntRange(1, 30).Draw(t, "steps")) {
			b := newBatch()
			for range rapid.IntRange(0, 5).Draw(t, "changes") {
				changeOne(t, e, b, now)
			}
			checkUnsettled(t, e, b, now)
			if rapid.IntRange(0, 9).Draw(t, "read anew") == 0 {
				e.mem.deriveAll()
				e.mem.left = nil
				e.tracker.set(e.mem.inForce())
			} else {
				e.changed(b)
			}
			slow.set(e.mem.inForce())
			checkDerived(t, e, slow)
			if rapid.Bool().Draw(t, "push") {
				checkPush(t, e)
			}
		}
	})
}

func changeOne(t *rapid.T, e *Enforcer, b *batch, now int64) {
	m := &e.mem
	id := fmt.Sprintf("d%02d", rapid.IntRange(0, 15).Draw(t, "id"))
	d := m.open[id]
	if d == nil {
		d = &Decision{ID: id, Created: now, State: rapid.SampledFrom([]State{Proposed, Approved}).Draw(t, "new"), Good: int64(len(id)), People: rapid.Int64Range(0, 3).Draw(t, "people"),
			Expires: now + rapid.Int64Range(1, 12).Draw(t, "for"), Action: rapid.SampledFrom([]Action{Challenge, Throttle, Block}).Draw(t, "action"), Code: rapid.SampledFrom([]string{"", CodeLag}).Draw(t, "code")}
		all := []detect.Subject{ip("192.0.2.1"), cidr("192.0.2.1/32"), cidr("192.0.2.0/24"), ip("2001:db8::1"), {Kind: "consumer", Value: "a"}, {Kind: "class", Value: `/ "curl"`}, {Kind: "nonsense", Value: "x"}}
		at := int(id[2]-'0') + 10*int(id[1]-'0') // an id says whom it is about
		d.Subject, d.Route = all[at%len(all)], []string{"", "/login"}[at/len(all)%2]
		m.add(d)
		b.decisions[id] = *d
		return
	}
	switch rapid.IntRange(0, 3).Draw(t, "change") {
	case 0:
		d.State = rapid.SampledFrom([]State{Approved, Pushed, Verified, NotEnforced}).Draw(t, "state")
	case 1:
		if _, gone := m.leaving[id]; !gone { // as extend does
			d.Expires = now + rapid.Int64Range(1, 12).Draw(t, "longer")
		}
	case 2:
		if d.Expires <= now && d.State.Live() { // as expire does
			if _, gone := m.leaving[id]; !gone {
				m.leaving[id], m.left = 0, append(m.left, id)
			}
			return
		}
	case 3:
		d.State = Released
		m.drop(d)
	}
	b.decisions[id] = *d
}

func checkUnsettled(t *rapid.T, e *Enforcer, b *batch, now int64) {
	want := e.sorted(func(d *Decision) bool {
		return d.Expires <= now || d.State == Approved || d.State == Proposed && d.Code == CodeLag
	})
	if got := e.mem.unsettled(b, now); !slices.Equal(got, want) {
		t.Fatalf("at %d: unsettled are %v, want %v", now, ids(got), ids(want))
	}
}

func ids(ds []*Decision) (out []string) {
	for _, d := range ds {
		out = append(out, d.ID)
	}
	return out
}

func checkDerived(t *rapid.T, e *Enforcer, slow *tracker) {
	m := &e.mem
	states, live, good := map[State]int{}, 0, int64(0)
	for _, d := range m.open {
		states[d.State]++
		if d.State.Live() {
			live++
			good += shared(detect.Standing{Successes: d.Good, People: d.People})
		}
	}
	if !maps.Equal(states, m.states) || live != m.derived.live || good != m.derived.good {
		t.Fatalf("counted %v, %d in force, %d at risk; want %v, %d, %d", m.states, m.derived.live, m.derived.good, states, live, good)
	}
	for id := range m.waits {
		if d := m.open[id]; d == nil || !waiting(d) {
			t.Fatalf("%s is kept as one that waits: %+v", id, d)
		}
	}
	for id := range m.over {
		if m.open[id] == nil {
			t.Fatalf("%s, which ended, is kept as one whose time is over", id)
		}
	}
	tr := e.tracker
	if len(tr.byID) != len(slow.byID) || !slices.Equal(tr.bits[0], slow.bits[0]) || !slices.Equal(tr.bits[1], slow.bits[1]) {
		t.Fatalf("%d followed, lengths %v; want %d, %v", len(tr.byID), tr.bits, len(slow.byID), slow.bits)
	}
	for _, a := range []string{"192.0.2.1", "192.0.2.9", "2001:db8::1", "198.51.100.1"} {
		got, want := tr.find(netip.MustParseAddr(a)), slow.find(netip.MustParseAddr(a))
		if (got == nil) != (want == nil) || got != nil && got.d != want.d {
			t.Fatalf("%s is followed for %+v, want %+v", a, got, want)
		}
	}
	for s, want := range slow.byName {
		if got := tr.byName[s]; got == nil || got.d != want.d {
			t.Fatalf("%v is followed for %+v, want %+v", s, got, want)
		}
	}
}

func checkPush(t *rapid.T, e *Enforcer) {
	m := &e.mem
	m.gen++
	spare := rapid.SampledFrom([]string{"", "192.0.2.1/32"}).Draw(t, "spare")
	before := slices.Clone(m.roster.want)
	held := m.roster.want
	if got, want := m.pending(spare), entries(m.inForce(), spare); !slices.Equal(got, want) {
		t.Fatalf("wanted %+v, want %+v", got, want)
	}
	if !slices.Equal(before, held) {
		t.Fatal("a push changed the list of the push before, which a gateway may be reading")
	}
	for _, d := range m.inForce() {
		if m.since[d.ID] == 0 {
			t.Fatalf("no push is the first with %s", d.ID)
		}
	}
	for id, gen := range m.leaving {
		if gen == 0 {
			t.Fatalf("no push is the first without %s", id)
		}
	}
}
