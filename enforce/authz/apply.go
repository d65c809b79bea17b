package authz

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// sources is what the list is made of: decisions, and lists of others.
type sources struct {
	decisions []wanted
	foreign   []Foreign
}

// Foreign is an entry of somebody else's list.
type Foreign struct {
	Prefix  netip.Prefix // masked
	List    string       // name of the list
	Observe bool         // only count who would be blocked
}

// Name implements enforce.Gateway.
func (s *Service) Name() string { return "authz" }

// Check implements enforce.Gateway.
func (s *Service) Check(context.Context) error { return nil }

// Apply implements enforce.Gateway: answers are by the new list when it returns.
func (s *Service) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	start := time.Now()
	rules := make([]wanted, 0, len(want))
	for i := range want {
		w, err := wantedOf(&want[i])
		if err != nil {
			return enforce.Applied{}, err
		}
		rules = append(rules, w)
	}
	if err := ctx.Err(); err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway authz: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources.decisions = rules
	changed := s.rebuild()
	s.confirmed.Store(s.now().UnixNano())
	for why := range s.told {
		s.told[why].Store(false)
	}
	return enforce.Applied{Entries: len(rules), Changed: changed, Took: time.Since(start), At: time.Now()}, nil
}

// SetForeign replaces the entries of others' lists. A decision on the same prefix
// counts more.
func (s *Service) SetForeign(list []Foreign) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources.foreign = list
	s.rebuild()
}

// rebuild makes one list of both.
func (s *Service) rebuild() (changed int) {
	if len(s.sources.foreign) == 0 {
		return s.list.replace(s.sources.decisions)
	}
	decided := make(map[netip.Prefix]bool, len(s.sources.decisions))
	all := make([]wanted, 0, len(s.sources.decisions)+len(s.sources.foreign))
	for _, w := range s.sources.decisions {
		all = append(all, w)
		if w.route == "" {
			decided[w.prefix] = true
		}
	}
	for _, f := range s.sources.foreign {
		if decided[f.Prefix] {
			continue
		}
		w := wanted{target: target{prefix: f.Prefix}, act: actBlock, id: "list:" + f.List}
		if f.Observe {
			w.act = actNote
		}
		all = append(all, w)
	}
	return s.list.replace(all)
}

// wantedOf makes a rule of a decision.
func wantedOf(e *enforce.Entry) (wanted, error) {
	w := wanted{id: e.Decision, label: "throttle"}
	if w.prefix = e.Prefix; !w.prefix.IsValid() {
		return w, fmt.Errorf("gateway authz: decision %.64q names no address", e.Decision)
	}
	w.prefix = w.prefix.Masked()
	switch e.Action {
	case enforce.Block:
		w.act, w.label = actBlock, ""
	case enforce.Throttle:
		if !(e.Rate > 0) || math.IsInf(e.Rate, 0) || e.Burst < 0 {
			return w, fmt.Errorf("gateway authz: decision %.64q: rate %v and burst %d are none that can be kept", e.Decision, e.Rate, e.Burst)
		}
		w.act, w.pace = actThrottle, newPace(e.Rate, e.Burst)
	default:
		return w, fmt.Errorf("gateway authz: decision %.64q: it cannot %.32q", e.Decision, string(e.Action))
	}
	return w, nil
}
