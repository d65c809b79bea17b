package authz

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
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

// Holds implements enforce.Holder. What it says holds no word of the subject's value: that
// may be a key.
func (s *Service) Holds(t enforce.Target, a enforce.Action) error {
	kind := t.Subject.Kind
	switch {
	case a != enforce.Block && a != enforce.Throttle:
		return fmt.Errorf("gateway authz: it cannot %.32q", string(a))
	case t.Route != "" && !strings.HasPrefix(t.Route, "/"), kind == "route" && !strings.HasPrefix(t.Subject.Value, "/"):
		return errors.New("gateway authz: requests of a route that is no path cannot be told")
	case t.Prefix.IsValid():
		return nil
	case t.Subject.Value == "":
		return fmt.Errorf("gateway authz: a subject of kind %.32q has no value", kind)
	case kind == "class":
		return holdsClass(t.Subject, a)
	case kind == "consumer" && s.cfg.Consumer == "" && !s.guard.Identifies():
		return errors.New("gateway authz: it cannot tell consumers: set authz.access or authz.consumer_header")
	case kind == "account" && !s.accounts:
		return errors.New("gateway authz: it cannot tell accounts, other than those of Basic credentials with identity.basic_user")
	case kind == "key", kind == "session", kind == "route", kind == "consumer", kind == "account":
		return nil
	}
	return fmt.Errorf("gateway authz: it cannot tell a subject of kind %.32q", kind)
}

// Check implements enforce.Gateway.
func (s *Service) Check(context.Context) error { return nil }

// Apply implements enforce.Gateway: answers are by the new list when it returns.
func (s *Service) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	start := time.Now()
	rules := make([]wanted, 0, len(want))
	for i := range want {
		w, err := s.wantedOf(&want[i])
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
		if w.route == "" && w.prefix.IsValid() {
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
func (s *Service) wantedOf(e *enforce.Entry) (wanted, error) {
	w := wanted{target: target{e.Prefix, e.Subject, e.Route}, act: actBlock, id: e.Decision, spare: e.Spare}
	if err := s.Holds(e.Target(), e.Action); err != nil {
		return w, fmt.Errorf("decision %.64q: %w", e.Decision, err)
	}
	if w.prefix.IsValid() {
		w.prefix, w.subject = w.prefix.Masked(), detect.Subject{}
	}
	if e.Action == enforce.Throttle {
		if !(e.Rate > 0) || math.IsInf(e.Rate, 0) || e.Burst < 0 {
			return w, fmt.Errorf("gateway authz: decision %.64q: rate %v and burst %d are none that can be kept", e.Decision, e.Rate, e.Burst)
		}
		w.act, w.pace, w.label = actThrottle, window.NewPace(e.Rate, e.Burst), "throttle"
	}
	return w, nil
}
