package enforcetest

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// Sim is a gateway that stands in no network but denies as one would: it
// answers by the set that it holds, and throttles by a token bucket on its own
// clock. It may be used from any goroutine.
type Sim struct {
	name string
	now  func() time.Time

	mu      sync.Mutex
	held    map[netip.Prefix]enforce.Entry
	buckets map[netip.Prefix]*bucket
	applies int
}

type bucket struct {
	tokens float64
	at     time.Time
}

// NewSim returns a gateway that holds nothing.
func NewSim(name string, now func() time.Time) *Sim {
	return &Sim{name: name, now: now, held: map[netip.Prefix]enforce.Entry{}, buckets: map[netip.Prefix]*bucket{}}
}

// Name implements enforce.Gateway.
func (s *Sim) Name() string { return s.name }

// Check implements enforce.Gateway.
func (s *Sim) Check(ctx context.Context) error { return ctx.Err() }

// Apply implements enforce.Gateway.
func (s *Sim) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	if err := ctx.Err(); err != nil {
		return enforce.Applied{}, err
	}
	next := make(map[netip.Prefix]enforce.Entry, len(want))
	for _, e := range want {
		if _, twice := next[e.Prefix]; twice {
			return enforce.Applied{}, errors.New("sim: two entries for " + e.Prefix.String())
		}
		next[e.Prefix] = e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applies++
	changed := 0
	for p, e := range next {
		if s.held[p] != e {
			changed++
			delete(s.buckets, p)
		}
	}
	for p := range s.held {
		if _, stays := next[p]; !stays {
			changed++
		}
	}
	s.held = next
	return enforce.Applied{Entries: len(next), Changed: changed, At: s.now()}, nil
}

// Status answers a request of the client: 200, 403 or 429. The narrowest entry
// counts.
func (s *Sim) Status(client netip.Addr) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for bits := client.BitLen(); bits >= 0; bits-- {
		p, err := client.Prefix(bits)
		if err != nil {
			return 200
		}
		e, ok := s.held[p]
		switch {
		case !ok:
		case e.Action == enforce.Block:
			return 403
		case s.spend(e):
			return 200
		default:
			return 429
		}
	}
	return 200
}

func (s *Sim) spend(e enforce.Entry) bool {
	now := s.now()
	b := s.buckets[e.Prefix]
	if b == nil {
		b = &bucket{tokens: float64(e.Burst) + 1, at: now}
		s.buckets[e.Prefix] = b
	}
	b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*e.Rate, float64(e.Burst)+1)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Held returns a copy of what it holds, by prefix.
func (s *Sim) Held() map[netip.Prefix]enforce.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[netip.Prefix]enforce.Entry, len(s.held))
	for p, e := range s.held {
		out[p] = e
	}
	return out
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
	s.held = map[netip.Prefix]enforce.Entry{}
}
