package enforce

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/portcullis/portcullis/detect"
)

// tracker follows every decision in force. Requests are counted where they are
// reported, under one lock and in constant time, so there is no queue that could
// fill up; only changed verdicts wait for the enforcer, one per decision.
type tracker struct {
	cfg VerifyConfig

	mu       sync.Mutex
	byID     map[string]*track
	byPrefix map[netip.Prefix]*track
	byName   map[detect.Subject]*track // subjects of other kinds
	used     [2][129]int               // prefixes of each length, of IPv4 and IPv6
	bits     [2][]int                  // the lengths that are in use, the narrowest first
	changed  map[string]Holding
}

func newTracker(cfg VerifyConfig) *tracker {
	return &tracker{cfg: cfg, byID: map[string]*track{}, byPrefix: map[netip.Prefix]*track{}, byName: map[detect.Subject]*track{}, changed: map[string]Holding{}}
}

// set replaces the decisions that are followed; what was counted of those that
// stay is kept.
func (t *tracker) set(live []*Decision) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stays := make(map[string]bool, len(live))
	for _, d := range live {
		stays[d.ID] = true
	}
	for id := range t.byID {
		if !stays[id] {
			t.drop(id)
		}
	}
	for _, d := range live {
		t.put(d)
	}
}

// level does the same for the decisions with these ids alone; find is the one in force by
// its id, nil if it is not.
func (t *tracker) level(ids []string, find func(id string) *Decision) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		if d := find(id); d != nil {
			t.put(d)
		} else {
			t.drop(id)
		}
	}
}

// put follows a decision, or takes in what changed of it: never whom it hits, which its id
// is made of.
func (t *tracker) put(d *Decision) {
	if tr := t.byID[d.ID]; tr != nil {
		tr.d = followedOf(d)
		return
	}
	target, err := targetOf(d.Subject, d.Route)
	if err != nil || d.Action == Challenge {
		return // no gateway holds it; or the log does not tell what a challenge led to
	}
	tr := &track{cfg: &t.cfg, d: followedOf(d), held: d.State == Verified, subject: d.Subject, prefix: target.Prefix}
	if d.State == Verified || d.State == NotEnforced {
		tr.holding = Holding{State: d.State, Code: d.Code, Why: d.Reason}
	}
	t.byID[d.ID] = tr
	p := target.Prefix
	if !p.IsValid() {
		t.byName[d.Subject] = tr.among(t.byName[d.Subject])
		return
	}
	first := t.byPrefix[p]
	t.byPrefix[p] = tr.among(first)
	if first == nil {
		t.uses(p, 1)
	}
}

// drop follows a decision no longer.
func (t *tracker) drop(id string) {
	tr := t.byID[id]
	if tr == nil {
		return
	}
	delete(t.byID, id)
	if p := tr.prefix; p.IsValid() {
		if left := tr.without(t.byPrefix[p]); left != nil {
			t.byPrefix[p] = left
		} else {
			delete(t.byPrefix, p)
			t.uses(p, -1)
		}
		return
	}
	if left := tr.without(t.byName[tr.subject]); left != nil {
		t.byName[tr.subject] = left
	} else {
		delete(t.byName, tr.subject)
	}
}

// uses counts a prefix more or less of its length.
func (t *tracker) uses(p netip.Prefix, more int) {
	f := family(p.Addr())
	n := &t.used[f][p.Bits()]
	*n += more
	switch {
	case *n == 1 && more == 1:
		t.bits[f] = append(t.bits[f], p.Bits())
		slices.SortFunc(t.bits[f], func(a, b int) int { return b - a })
	case *n == 0:
		t.bits[f] = slices.DeleteFunc(t.bits[f], func(b int) bool { return b == p.Bits() })
	}
}

func family(a netip.Addr) int {
	if a.Is6() {
		return 1
	}
	return 0
}

// saw counts requests and reports whether a verdict changed by them.
func (t *tracker) saw(s detect.Sightings) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	tr := t.byName[s.Subject]
	if s.Subject == (detect.Subject{}) {
		tr = t.find(s.Client.Unmap().WithZone(""))
	}
	if tr == nil || tr.d.route != "" && tr.d.route != s.Route || !tr.see(s) {
		return false
	}
	t.changed[tr.d.id] = tr.holding
	return true
}

func (t *tracker) find(a netip.Addr) *track {
	if !a.IsValid() {
		return nil
	}
	for _, b := range t.bits[family(a)] {
		if p, err := a.Prefix(b); err == nil {
			if tr := t.byPrefix[p]; tr != nil {
				return tr
			}
		}
	}
	return nil
}

// take hands over the verdicts that changed.
func (t *tracker) take() map[string]Holding {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.changed) == 0 {
		return nil
	}
	out := t.changed
	t.changed = map[string]Holding{}
	return out
}

// putBack returns verdicts that could not be written; newer ones win.
func (t *tracker) putBack(hs map[string]Holding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, h := range hs {
		if _, ok := t.changed[id]; !ok {
			t.changed[id] = h
		}
	}
}

// seen returns when each decision was last checked, in log time.
func (t *tracker) seen() map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[string]int64, len(t.byID))
	for id, tr := range t.byID {
		if tr.seen != 0 {
			out[id] = tr.seen
		}
	}
	return out
}
