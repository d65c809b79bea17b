package detect

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/detect/window"
)

// draft is a finding as a rule reports it.
func draft(sev Severity, confidence float64, count int64) Finding {
	return Finding{Rule: "r", Subject: Subject{"ip", "192.0.2.1"}, Severity: sev, Confidence: confidence, Count: count}
}

func TestPut(t *testing.T) {
	type step struct {
		f     Finding
		early bool
		emits bool
		kept  int64 // count of the finding that is kept then
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"the first is emitted, the same again is not", []step{{draft(Low, 0.5, 1), false, true, 1}, {draft(Low, 0.5, 2), false, false, 2}}},
		{"graver is emitted", []step{{draft(Low, 0.5, 1), false, true, 1}, {draft(High, 0.5, 2), false, true, 2}}},
		{"newly certain is emitted, once", []step{{draft(High, 0.94, 1), false, true, 1}, {draft(High, 0.95, 2), false, true, 2}, {draft(High, 0.98, 3), false, false, 3}}},
		{"less grave corrects in silence", []step{{draft(High, 0.5, 1), false, true, 1}, {draft(Low, 0.5, 2), false, false, 2}}},
		{"early is emitted, confirmed in silence", []step{{draft(Low, 0.5, 3), true, true, 3}, {draft(Low, 0.5, 2), false, false, 2}}},
		{"early does not override what is confirmed", []step{{draft(Medium, 0.5, 5), false, true, 5}, {draft(Medium, 0.5, 9), true, false, 5}, {draft(Low, 0.9, 9), true, false, 5}}},
		{"nor another early", []step{{draft(Medium, 0.5, 5), true, true, 5}, {draft(Medium, 0.5, 6), true, false, 5}}},
		{"unless it is graver", []step{{draft(Medium, 0.5, 5), false, true, 5}, {draft(High, 0.5, 9), true, true, 9}, {draft(Medium, 0.5, 6), false, false, 6}}},
		{"or newly certain", []step{{draft(Medium, 0.5, 5), false, true, 5}, {draft(Medium, 0.96, 9), true, true, 9}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var emitted []Finding
			fs := newFindings(func(f Finding) { emitted = append(emitted, f) }, FindingID)
			for i, s := range c.steps {
				emitted = nil
				fs.put(windowKey{}, s.f, s.early)
				if (len(emitted) == 1) != s.emits {
					t.Errorf("step %d: %d emitted, want %v", i, len(emitted), s.emits)
				}
				if s.emits && (len(emitted) == 0 || emitted[0].Count != s.f.Count || emitted[0].ID == "") {
					t.Errorf("step %d: emitted %+v, want what was put, with its id", i, emitted)
				}
				o := fs.open[windowKey{}]
				if o.f.Count != s.kept || o.f.ID != FindingID("r", s.f.Subject, 0) {
					t.Errorf("step %d: kept count %d, id %s; want count %d", i, o.f.Count, o.f.ID, s.kept)
				}
			}
		})
	}
}

func TestCollectGivesEveryChangeOnce(t *testing.T) {
	fs := newFindings(func(Finding) {}, FindingID)
	k := windowKey{slot: 3, start: 7200e9}
	fs.put(k, draft(Low, 0.5, 1), false)
	if got := fs.collect(nil); len(got) != 1 {
		t.Fatalf("%d collected, want 1", len(got))
	}
	fs.put(k, draft(Low, 0.5, 1), false)
	if got := fs.collect(nil); len(got) != 0 {
		t.Errorf("unchanged, and collected again: %v", got)
	}
	fs.settle(windowKey{slot: 4, start: 7200e9}) // not there
	fs.settle(k)
	if got := fs.collect(nil); len(got) != 0 || len(fs.open) != 0 {
		t.Errorf("settled without a change: %v collected, %d open", got, len(fs.open))
	}
	fs.put(k, draft(Low, 0.5, 2), false)
	fs.settle(k)
	if got := fs.collect(nil); len(got) != 1 || got[0].Count != 2 {
		t.Errorf("changed, then settled: collected %v, want the last state", got)
	}
	if got := fs.collect(nil); len(got) != 0 {
		t.Errorf("collected twice: %v", got)
	}
}

func TestOpenFindingsAreBounded(t *testing.T) {
	fs := newFindings(func(Finding) {}, FindingID)
	const over = 10
	for i := range MaxOpenFindings + over {
		f := draft(Medium, 0.5, 1)
		f.Window = int64(i) * 1e9
		fs.put(windowKey{slot: Slot(i), start: f.Window}, f, false)
	}
	if len(fs.open) != MaxOpenFindings {
		t.Errorf("%d open, want %d", len(fs.open), MaxOpenFindings)
	}
	for i := range over {
		if fs.open[windowKey{slot: Slot(i), start: int64(i) * 1e9}] != nil {
			t.Errorf("window %d is among the %d oldest and still open", i, over)
		}
	}
	if got := fs.collect(nil); len(got) != MaxOpenFindings+over {
		t.Errorf("%d collected, want all %d: a finding settled early is not lost", len(got), MaxOpenFindings+over)
	}
}

func TestFindingsCode(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := newFindings(func(Finding) {}, FindingID)
		for i := range rapid.IntRange(0, 9).Draw(rt, "n") {
			f := draft(Severity(i%5), float64(i)/9, int64(i))
			f.Window, f.FiredAt, f.Why, f.Route = int64(i)*3600e9, rapid.Int64().Draw(rt, "fired"), rapid.String().Draw(rt, "why"), "/a"
			f.Family, f.Version, f.Standing = Recon, 3, Standing{1, 2, 3}
			for j := range i % (MaxEvidence + 1) {
				f.Evidence[j] = Evidence{"s", int64(j), 5, fmt.Sprint("line ", j), "curl/8", "note"}
			}
			fs.put(windowKey{uint8(i % 2), Slot(i), f.Window}, f, i%3 == 0)
		}
		w := window.NewWriter(nil)
		fs.code(w, nil)
		back := newFindings(nil, FindingID)
		r := window.NewReader(w.Bytes())
		back.code(r, func(r uint8) (uint8, bool) { return r + 4, r == 0 })
		if r.Err() != nil || len(r.Bytes()) != 0 {
			rt.Fatalf("read back: %v, %d bytes left", r.Err(), len(r.Bytes()))
		}
		for k, o := range fs.open {
			got := back.open[windowKey{k.rule + 4, k.slot, k.start}]
			switch {
			case k.rule != 0 && got != nil:
				rt.Fatalf("the finding of a rule that is gone came back: %+v", got)
			case k.rule == 0 && (got == nil || got.f != o.f || got.early != o.early):
				rt.Fatalf("wrote %+v, read %+v", o, got)
			}
		}
	})
}

func TestSortFindings(t *testing.T) {
	list := []Finding{{ID: "b", FiredAt: 2}, {ID: "a", FiredAt: 2}, {ID: "z", FiredAt: 1}, {ID: "a", FiredAt: 2}}
	SortFindings(list)
	var ids []string
	for _, f := range list {
		ids = append(ids, f.ID)
	}
	if !slices.Equal(ids, []string{"z", "a", "a", "b"}) {
		t.Errorf("order %v", ids)
	}
}

func TestFindingID(t *testing.T) {
	a := FindingID("rule", Subject{"ip", "192.0.2.1"}, 3600e9)
	if len(a) != 24 || a != FindingID("rule", Subject{"ip", "192.0.2.1"}, 3600e9) {
		t.Errorf("id %q: want the same 24 hex digits each time", a)
	}
	for _, b := range []string{
		FindingID("rulei", Subject{"p", "192.0.2.1"}, 3600e9),
		FindingID("rule", Subject{"ip1", "92.0.2.1"}, 3600e9),
		FindingID("rule", Subject{"ip", "192.0.2.1"}, 7200e9),
	} {
		if a == b {
			t.Errorf("two findings share the id %s", a)
		}
	}
}

// TestHiddenIDs: where addresses are hidden, an id is made of what is stored.
func TestHiddenIDs(t *testing.T) {
	s := Subject{Kind: "ip", Value: "203.0.113.7"}
	plain := &worker{cfg: &Config{}}
	if got := plain.id("auth-burst", s, 5); got != FindingID("auth-burst", s, 5) {
		t.Errorf("plain: %s", got)
	}
	hiding := &worker{cfg: &Config{Hide: func(v string) string { return "hidden " + v }}}
	if got := hiding.id("auth-burst", s, 5); got != FindingID("auth-burst", Subject{Kind: "ip", Value: "hidden 203.0.113.7"}, 5) {
		t.Errorf("hidden: %s", got)
	}
}
