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
	bits     [2][]int                  // prefix lengths in use, of IPv4 and IPv6, the narrowest first
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
	byID := make(map[string]*track, len(live))
	clear(t.byPrefix)
	clear(t.byName)
	t.bits = [2][]int{}
	for _, d := range live {
		target, err := targetOf(d.Subject, d.Route)
		if err != nil || d.Action == Challenge {
			continue // no gateway holds it; or the log does not tell what a challenge led to
		}
		tr := t.byID[d.ID]
		if tr == nil {
			tr = &track{cfg: t.cfg, held: d.State == Verified}
			if d.State == Verified || d.State == NotEnforced {
				tr.holding = Holding{State: d.State, Code: d.Code, Why: d.Reason}
			}
		}
		tr.d = *d
		byID[d.ID] = tr
		p := target.Prefix
		if !p.IsValid() {
			t.byName[d.Subject] = tr
			continue
		}
		t.byPrefix[p] = tr
		f := family(p.Addr())
		if !slices.Contains(t.bits[f], p.Bits()) {
			t.bits[f] = append(t.bits[f], p.Bits())
		}
	}
	for f := range t.bits {
		slices.SortFunc(t.bits[f], func(a, b int) int { return b - a })
	}
	t.byID = byID
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
	if tr == nil || tr.d.Route != "" && tr.d.Route != s.Route || !tr.see(s) {
		return false
	}
	t.changed[tr.d.ID] = tr.holding
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
