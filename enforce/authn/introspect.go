package authn

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	lru "github.com/hashicorp/golang-lru/v2"
)

// Bounds of introspection.
const (
	introspectTime = 1500 * time.Millisecond // for one question: the gateway waits
	inFlight       = 64                      // questions at once; more are answered 503
	inactiveFor    = 10 * time.Second        // how long a token that is not active is remembered
)

// introspection asks issuers about tokens (RFC 7662). An answer is remembered for a while,
// good or bad; of those who show the same token at once one asks for all.
type introspection struct {
	client *http.Client
	slots  chan struct{}
	known  *lru.Cache[[sha256.Size]byte, answerOf]
	denied *lru.Cache[[sha256.Size]byte, answerOf]

	mu      sync.Mutex
	running map[[sha256.Size]byte]*question
}

// answerOf is what an issuer said of a token.
type answerOf struct {
	who   *verified // nil: it is not active
	until time.Time
}

// question is one that is under way.
type question struct {
	done   chan struct{}
	answer answerOf
	err    error
}

func newIntrospection(size int, client *http.Client) (*introspection, error) {
	i := &introspection{client: client, slots: make(chan struct{}, inFlight), running: map[[sha256.Size]byte]*question{}}
	var err error
	if i.known, err = lru.New[[sha256.Size]byte, answerOf](size); err != nil {
		return nil, fmt.Errorf("authz: token_cache: %w", err)
	}
	if i.denied, err = lru.New[[sha256.Size]byte, answerOf](badTokens); err != nil {
		return nil, fmt.Errorf("authz: token_cache: %w", err)
	}
	return i, nil
}

// opaque asks about a token that is no JWT, all issuers that can be asked in turn.
func (t *tokens) opaque(ctx context.Context, id [sha256.Size]byte, token string, now time.Time, wait bool) (*verified, fault) {
	worst := faultUnknown
	if !headerSafe(token) {
		return nil, worst
	}
	for _, s := range t.issuers {
		if s.cfg.Introspect != introspectOpaque && s.cfg.Introspect != introspectAlways {
			continue
		}
		if !wait {
			return nil, faultBlind
		}
		v, f := t.asked.ask(ctx, s, id, token, now)
		if f == faultNone {
			c := *v
			c.who.KeyID = tokenName(c.who.KeyID, id)
			return &c, faultNone
		}
		if f == faultBlind {
			worst = f
		}
	}
	return nil, worst
}

// headerSafe tells a b64token (RFC 6750, section 2.1).
func headerSafe(token string) bool {
	for i := range len(token) {
		if c := token[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// ask asks an issuer about a token, unless that is known.
func (i *introspection) ask(ctx context.Context, s *source, id [sha256.Size]byte, token string, now time.Time) (*verified, fault) {
	key := sha256.Sum256(append([]byte(s.cfg.Issuer+"\n"), id[:]...))
	for _, kept := range []*lru.Cache[[sha256.Size]byte, answerOf]{i.known, i.denied} {
		if a, ok := kept.Get(key); ok && now.Before(a.until) {
			return a.said()
		}
	}
	i.mu.Lock()
	q, runs := i.running[key]
	if !runs {
		q = &question{done: make(chan struct{})}
		i.running[key] = q
	}
	i.mu.Unlock()
	if runs {
		select {
		case <-q.done:
		case <-ctx.Done():
			return nil, faultBlind
		}
	} else {
		i.put(s, key, q, token, now)
	}
	if q.err != nil {
		return nil, faultBlind
	}
	return q.answer.said()
}

func (a answerOf) said() (*verified, fault) {
	if a.who == nil {
		return nil, faultRevoked
	}
	return a.who, faultNone
}

// put puts a question for all who wait, so it does not end with the request that came first.
func (i *introspection) put(s *source, key [sha256.Size]byte, q *question, token string, now time.Time) {
	defer func() {
		i.mu.Lock()
		delete(i.running, key)
		i.mu.Unlock()
		close(q.done)
	}()
	select {
	case i.slots <- struct{}{}:
		defer func() { <-i.slots }()
	default:
		q.err = fmt.Errorf("authz: %d questions are under way at the issuers", inFlight)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), introspectTime)
	defer cancel()
	if q.answer, q.err = i.question(ctx, s, token, now); q.err != nil {
		return
	}
	if q.answer.who == nil {
		i.denied.Add(key, q.answer)
		return
	}
	i.known.Add(key, q.answer)
}

func (i *introspection) question(ctx context.Context, s *source, token string, now time.Time) (answerOf, error) {
	at, err := s.introspector(ctx)
	if err != nil {
		return answerOf{}, err
	}
	form := "token=" + url.QueryEscape(token) + "&token_type_hint=access_token"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form))
	if err != nil {
		return answerOf{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(s.cfg.ClientID), url.QueryEscape(s.cfg.ClientSecret)) // RFC 6749, section 2.3.1
	var raw json.RawMessage
	if err := answered(i.client, req, &raw); err != nil {
		return answerOf{}, err
	}
	v := s.active(raw, now)
	if v == nil {
		return answerOf{until: now.Add(inactiveFor)}, nil
	}
	a := answerOf{who: v, until: now.Add(s.cfg.Keep)}
	if v.ends.Before(a.until) {
		a.until = v.ends
	}
	return a, nil
}

// introspector is where an issuer is asked.
func (s *source) introspector(ctx context.Context) (string, error) {
	if s.cfg.Introspector != "" {
		return s.cfg.Introspector, nil
	}
	at, err := s.keys.where(ctx)
	if err == nil && at.Introspection == "" {
		err = fmt.Errorf("authz: %s has no introspection endpoint: set introspection_url", s.cfg.Issuer)
	}
	return at.Introspection, err
}

// active reads an answer (RFC 7662, section 2.2); nil: the token is not good here. An issuer
// need not say for whom a token is or when it ends; what it says counts.
func (s *source) active(raw []byte, now time.Time) *verified {
	var said struct {
		Active   bool         `json:"active"`
		Issuer   string       `json:"iss"`
		Audience jwt.Audience `json:"aud"`
	}
	if json.Unmarshal(raw, &said) != nil || !said.Active || said.Issuer != "" && said.Issuer != s.cfg.Issuer || len(said.Audience) > 0 && !s.meant(said.Audience) {
		return nil
	}
	v, f := s.claimed(raw, now, false)
	if f != faultNone {
		return nil
	}
	return v
}
