package enforcetest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// Sim is a gateway that stands in no network but denies as one would: it
// answers by the set that it holds, and throttles by a token bucket on its own
// clock. It may be used from any goroutine.
type Sim struct {
	name  string
	now   func() time.Time
	kinds []string // of subjects that it holds besides addresses
	acts  []enforce.Action
	route bool

	mu      sync.Mutex
	held    map[enforce.Target]enforce.Entry
	buckets map[enforce.Target]*bucket
	applies int
}

type bucket struct {
	tokens float64
	at     time.Time
}

// NewSim returns a gateway that holds nothing.
func NewSim(name string, now func() time.Time) *Sim {
	return &Sim{name: name, now: now, acts: []enforce.Action{enforce.Block, enforce.Throttle},
		held: map[enforce.Target]enforce.Entry{}, buckets: map[enforce.Target]*bucket{}}
}

// Able makes it hold subjects of more kinds, and entries that are confined to a
// route. Call it before anything else.
func (s *Sim) Able(routes bool, kinds ...string) *Sim {
	s.route, s.kinds = routes, kinds
	return s
}

// Does makes it able to do these actions only. Call it before anything else.
func (s *Sim) Does(acts ...enforce.Action) *Sim {
	s.acts = acts
	return s
}

// Name implements enforce.Gateway.
func (s *Sim) Name() string { return s.name }

// Check implements enforce.Gateway.
func (s *Sim) Check(ctx context.Context) error { return ctx.Err() }

// Holds implements enforce.Holder.
func (s *Sim) Holds(t enforce.Target, a enforce.Action) error {
	switch {
	case !t.Prefix.IsValid() && !slices.Contains(s.kinds, t.Subject.Kind):
		return fmt.Errorf("%s cannot hold a subject of kind %.32q", s.name, t.Subject.Kind)
	case t.Route != "" && !s.route:
		return fmt.Errorf("%s cannot tell routes apart", s.name)
	case !slices.Contains(s.acts, a):
		return fmt.Errorf("%s cannot %.32q", s.name, a)
	}
	return nil
}

// Apply implements enforce.Gateway.
func (s *Sim) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	if err := ctx.Err(); err != nil {
		return enforce.Applied{}, err
	}
	next := make(map[enforce.Target]enforce.Entry, len(want))
	for _, e := range want {
		t := e.Target()
		if _, twice := next[t]; twice {
			return enforce.Applied{}, fmt.Errorf("sim: two entries for %v", t)
		}
		if err := s.Holds(t, e.Action); err != nil {
			return enforce.Applied{}, err
		}
		next[t] = e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applies++
	changed := 0
	for t, e := range next {
		if s.held[t] != e {
			changed++
			delete(s.buckets, t)
		}
	}
	for t := range s.held {
		if _, stays := next[t]; !stays {
			changed++
		}
	}
	s.held = next
	return enforce.Applied{Entries: len(next), Changed: changed, At: s.now()}, nil
}

// Status answers a request of the client: 200, 401 (what is revoked), 403 or 429. The narrowest entry
// counts.
func (s *Sim) Status(client netip.Addr) int {
	return s.StatusOf(client, detect.Subject{}, "")
}

// StatusOf answers a request that a client makes as a subject, on a route.
func (s *Sim) StatusOf(client netip.Addr, as detect.Subject, route string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	targets := []enforce.Target{{Subject: as, Route: route}, {Subject: as}, {Subject: detect.Subject{Kind: "route", Value: route}}}
	for bits := client.BitLen(); bits >= 0; bits-- {
		p, err := client.Prefix(bits)
		if err != nil {
			break
		}
		targets = append(targets, enforce.Target{Prefix: p, Route: route}, enforce.Target{Prefix: p})
	}
	for _, t := range targets {
		e, ok := s.held[t]
		switch {
		case !ok:
		case e.Action == enforce.Revoke:
			return 401
		case e.Action != enforce.Throttle:
			return 403
		case s.spend(t, e):
			return 200
		default:
			return 429
		}
	}
	return 200
}

func (s *Sim) spend(t enforce.Target, e enforce.Entry) bool {
	now := s.now()
	b := s.buckets[t]
	if b == nil {
		b = &bucket{tokens: float64(e.Burst) + 1, at: now}
		s.buckets[t] = b
	}
	b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*e.Rate, float64(e.Burst)+1)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Held returns a copy of what it holds of addresses everywhere, by prefix.
func (s *Sim) Held() map[netip.Prefix]enforce.Entry {
	out := map[netip.Prefix]enforce.Entry{}
	for t, e := range s.HeldAll() {
		if t.Prefix.IsValid() && t.Route == "" {
			out[t.Prefix] = e
		}
	}
	return out
}

// HeldAll returns a copy of all that it holds.
func (s *Sim) HeldAll() map[enforce.Target]enforce.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.held)
}

// Applies is how often Apply succeeded.
func (s *Sim) Applies() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applies
}

// Forget empties the gateway, as a restart does.
func (s *Sim) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = map[enforce.Target]enforce.Entry{}
}
