package authn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	oidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// Bounds of what an issuer is asked.
const (
	issuerTime  = 5 * time.Second         // for each of its answers
	askAgain    = time.Second             // between two questions for keys, whatever is asked of us
	retryEvery  = 5 * time.Second         // while it does not answer
	maxAnswer   = 1 << 20                 // bytes
	maxWaiters  = 1024                    // requests that wait for keys at once; more are answered 503
	maxKeySet   = 64                      // keys of an issuer; more are not looked at
	waitForKeys = 1500 * time.Millisecond // the snippets let a gateway wait for 2 s
)

// keySet are the keys of one issuer. A request reads one immutable set. One whose key
// is not among them waits for the next reading, of which there is one a second at most; so
// whoever makes up names of keys costs the issuer no more than that. While the issuer is
// away its last keys stay.
type keySet struct {
	cfg    *Issuer
	client *http.Client
	log    *slog.Logger
	forget func() // called when a key is gone

	keys    atomic.Pointer[[]jose.JSONWebKey]
	waiters atomic.Int64
	told    bool // that it does not answer

	mu      sync.Mutex
	found   *endpoints    // nil: not discovered yet
	next    chan struct{} // closed when the next reading is done
	wanted  chan struct{} // a request waits for a reading
	reading bool          // one is under way
	problem error         // why the last reading failed
}

// endpoints are where an issuer answers.
type endpoints struct {
	JWKS          string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
}

func newKeySet(cfg *Issuer, client *http.Client, log *slog.Logger, forget func()) *keySet {
	return &keySet{cfg: cfg, client: client, log: log, forget: forget, next: make(chan struct{}), wanted: make(chan struct{}, 1),
		problem: errors.New("not asked yet")}
}

// follow reads the keys now, at every refresh, and when a request wants them.
func (s *keySet) follow(ctx context.Context) {
	var last time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wanted:
			if rest := askAgain - time.Since(last); rest > 0 {
				select {
				case <-ctx.Done():
					return
				case <-time.After(rest):
				}
			}
		}
		last = time.Now()
		s.mu.Lock()
		s.reading = true
		s.mu.Unlock()
		err := s.read(ctx)
		s.done(err)
		wait := s.cfg.Refresh
		if err != nil {
			wait = min(wait, retryEvery)
		}
		timer.Reset(wait)
	}
}

// done wakes those who wait for a reading.
func (s *keySet) done(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem, s.reading = err, false
	close(s.next)
	s.next = make(chan struct{})
	if err != nil && !s.told {
		s.log.Warn("the keys of an issuer of tokens cannot be read; those known last stay in force", "issuer", s.cfg.Issuer, "error", err)
	}
	s.told = err != nil
}

// read asks the issuer for its keys.
func (s *keySet) read(ctx context.Context) error {
	at, err := s.where(ctx)
	if err != nil {
		return err
	}
	var set jose.JSONWebKeySet
	if err := s.get(ctx, at.JWKS, &set); err != nil {
		s.mu.Lock()
		s.found = nil // it may have moved
		s.mu.Unlock()
		return fmt.Errorf("authz: the keys of %s: %w", s.cfg.Issuer, err)
	}
	var keys []jose.JSONWebKey
	for _, k := range set.Keys[:min(len(set.Keys), maxKeySet)] {
		if k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return fmt.Errorf("authz: %s has no key for signatures at %s", s.cfg.Issuer, at.JWKS)
	}
	old := s.keys.Swap(&keys)
	if old != nil && lost(*old, keys) {
		s.forget()
	}
	return nil
}

// lost reports whether a key is gone, or another one under its name.
func lost(old, now []jose.JSONWebKey) bool {
	have := map[string]bool{}
	for i := range now {
		have[thumb(&now[i])] = true
	}
	for i := range old {
		if !have[thumb(&old[i])] {
			return true
		}
	}
	return false
}

func thumb(k *jose.JSONWebKey) string {
	b, err := json.Marshal(k)
	if err != nil {
		return ""
	}
	return string(b)
}

// where is where the issuer answers, by the settings or by discovery.
func (s *keySet) where(ctx context.Context) (endpoints, error) {
	s.mu.Lock()
	found := s.found
	s.mu.Unlock()
	if found == nil {
		found = new(endpoints)
		if s.cfg.JWKS == "" || s.cfg.Introspector == "" && s.cfg.Introspect != "" && s.cfg.Introspect != introspectNever {
			ctx, cancel := context.WithTimeout(ctx, issuerTime)
			defer cancel()
			p, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), s.cfg.Issuer)
			if err != nil {
				return *found, fmt.Errorf("authz: %w (is the issuer right, and reachable from here?)", err)
			}
			if err := p.Claims(found); err != nil {
				return *found, fmt.Errorf("authz: %s: %w", s.cfg.Issuer, err)
			}
		}
		s.mu.Lock()
		s.found = found
		s.mu.Unlock()
	}
	at := *found
	if s.cfg.JWKS != "" {
		at.JWKS = s.cfg.JWKS
	}
	if s.cfg.Introspector != "" {
		at.Introspection = s.cfg.Introspector
	}
	return at, nil
}

func (s *keySet) get(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, issuerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return answered(s.client, req, into)
}

// answered sends a request and reads the JSON of its answer.
func answered(client *http.Client, req *http.Request, into any) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answered %s", req.URL.Redacted(), resp.Status)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", req.URL.Redacted(), err)
	}
	return nil
}

// suitable are the keys that may have signed a token with this key id and algorithm.
func (s *keySet) suitable(into []*jose.JSONWebKey, kid, alg string) (list []*jose.JSONWebKey, blind bool) {
	keys := s.keys.Load()
	if keys == nil {
		return nil, true
	}
	for i := range *keys {
		k := &(*keys)[i]
		if (kid == "" || k.KeyID == kid) && (k.Algorithm == "" || k.Algorithm == alg) {
			into = append(into, k)
		}
	}
	return into, false
}

// await waits for a reading of the keys that begins after now. It reports whether there
// was one that went well.
func (s *keySet) await(ctx context.Context) bool {
	if s.waiters.Add(1) > maxWaiters {
		s.waiters.Add(-1)
		return false
	}
	defer s.waiters.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, waitForKeys)
	defer cancel()
	s.mu.Lock()
	rounds := 1
	if s.reading {
		rounds = 2 // the one under way may have begun before the key was there
	}
	s.mu.Unlock()
	for range rounds {
		s.mu.Lock()
		next := s.next
		s.mu.Unlock()
		select {
		case s.wanted <- struct{}{}:
		default: // it is wanted already
		}
		select {
		case <-ctx.Done():
			return false
		case <-next:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem == nil
}

// health says that there are no keys.
func (s *keySet) health() error {
	if s.keys.Load() != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("authz: no keys of the issuer %s yet: %w", s.cfg.Issuer, s.problem)
}
