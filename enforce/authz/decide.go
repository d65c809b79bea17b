package authz

import (
	"context"
	"hash/maphash"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
)

// What a standing limit counts by.
const (
	perClient   = "client"
	perConsumer = "consumer"
	perKey      = "key"
	perSession  = "session"
)

// outcome is what becomes of a request.
type outcome uint8

const (
	allowed   outcome = iota
	blocked           // 403: a decision
	throttled         // 429: over the rate of a decision or of a standing limit
	open              // passes, since nothing could be decided
	closed            // 503: the same on a route that fails closed
	refused           // 401, 403 and others: for its credentials
	faulty            // 400, 403 and others: the request itself is not as it should be
	outcomes
)

// reason is why nothing could be decided.
type reason uint8

const (
	decided   reason = iota
	notReady         // no list since the start
	stale            // the list was not confirmed for too long
	stranger         // the gateway that asks is no trusted hop
	anonymous        // nobody vouches for an address
	reasons
)

func (r reason) String() string {
	return [reasons]string{"", "no_list", "stale_list", "untrusted_gateway", "no_client"}[r]
}

// verdict is the answer to one request.
type verdict struct {
	outcome outcome
	reason  reason
	rule    *rule  // that decided; nil: none
	policy  string // name of the tightest rate that counted the request; "" = none did
	pace    pace
	left    int64
	wait    time.Duration // until there is one more
	auth    authn.Result  // who asks, and for refused what is said
	quota   authn.Usage   // of whom asks, where one counted the request
	ours    bool          // it comes from a trusted hop itself, such as the probe of a load balancer
	refusal *refusal      // for faulty: what is wrong
}

// decide answers the request in the worker's event, which holds what the gateway told
// of it, secrets included. It waits for nothing but an issuer of tokens, and allocates only
// for what it has not seen before, and where it looks at credentials.
func (s *Service) decide(ctx context.Context, w *worker, n int64) verdict {
	return s.settle(w, s.judge(ctx, w, n))
}

// settle looks at a request that may pass by the list and its credentials, and counts what
// becomes of it.
func (s *Service) settle(w *worker, v verdict) verdict {
	if !v.ours && (v.outcome == allowed || v.outcome == open) {
		v = s.screen(w, v)
	}
	s.counts[v.outcome].Add(1)
	return v
}

// judge decides by the list, the credentials and the limits.
func (s *Service) judge(ctx context.Context, w *worker, n int64) verdict {
	ev := &w.ev
	now := s.now()
	snap := s.list.cur.Load()
	if why := s.blind(now.UnixNano()); why != decided {
		return s.undecided(ctx, w, why)
	}
	w.identity.ResolveClient(ev)
	client := ev.Client.Unmap().WithZone("")
	own := w.identity.Trusted(client) // a hop of our own, which is never enforced on
	if !client.IsValid() || own && ev.Chain == "" && ev.Forwarded == "" && ev.RealIP == "" {
		return s.undecided(ctx, w, anonymous)
	}
	at, rule := way{}, (*rule)(nil)
	if !own {
		if snap.routed > 0 || len(snap.routes) > 0 || len(snap.classes) > 0 || s.routed {
			w.routes.Resolve(ev)
			at = way{ev.Route, enrich.Path(ev.Target)}
		}
		// Who is blocked by address costs no look at credentials.
		if rule = snap.find(client, at); rule != nil && rule.act == actBlock {
			return s.apply(rule, now.UnixNano(), n)
		}
	}
	v := verdict{auth: s.identify(ctx, w, now), ours: own}
	if !own {
		s.rates(w, snap, at, rule, now.UnixNano(), n, &v)
	}
	switch {
	case v.outcome != allowed:
	case v.auth.Status != 0:
		v.outcome = refused
	default:
		if v.quota = s.guard.Use(&v.auth.Who, now, n); v.quota.Over {
			v.outcome = throttled
		}
	}
	return v
}

// identify looks at the credentials, where the question is about them.
func (s *Service) identify(ctx context.Context, w *worker, now time.Time) authn.Result {
	if !w.guarded {
		return authn.Result{}
	}
	w.asked.Path, w.asked.Method = enrich.Path(w.ev.Target), w.ev.Method
	w.asked.Key, w.asked.Authorization = w.ev.Key, w.ev.Token
	return s.guard.Check(ctx, &w.asked, now)
}

// rates applies what is decided on others than addresses, and counts the request.
func (s *Service) rates(w *worker, snap *snapshot, at way, r *rule, now, n int64, v *verdict) {
	ev := &w.ev
	who := v.auth
	if len(snap.others) > 0 || s.named {
		w.identity.Resolve(ev)
		// What a token only claims counts for nothing where tokens are verified.
		if who.Who.Consumer != "" || ev.Flags&ingest.FlagClaimed != 0 && s.guard.Identifies() {
			ev.Consumer, ev.Flags = who.Who.Consumer, ev.Flags&^ingest.FlagClaimed
		}
	}
	if len(snap.others) > 0 {
		r = snap.everyone(at, s.others(snap, ev, at, r))
		r = snap.class(ev.Client.Unmap().WithZone(""), ev.Agent, at, r)
	}
	if r != nil {
		*v = s.apply(r, now, n)
	}
	for i := range s.limits {
		if v.outcome != allowed || s.limits[i].fits(ev) && !s.standing(&s.limits[i], ev, ev.Client.Unmap().WithZone(""), now, n, v) {
			break
		}
	}
	v.auth = who
}

// others looks for rules on what else tells who asks.
func (s *Service) others(snap *snapshot, ev *ingest.Event, at way, best *rule) *rule {
	for _, sub := range [...]detect.Subject{
		{Kind: "consumer", Value: ev.Consumer}, {Kind: "key", Value: ev.Key}, {Kind: "key", Value: ev.Token},
		{Kind: "session", Value: ev.Session}, {Kind: "account", Value: ev.User},
	} {
		if sub.Value != "" {
			best = snap.subject(sub, at, best)
		}
	}
	return best
}

// apply does what a rule says.
func (s *Service) apply(r *rule, now, n int64) verdict {
	switch r.act {
	case actBlock:
		return verdict{outcome: blocked, rule: r}
	case actThrottle:
		due, ok := take(r.pace, &r.due, now, n)
		return rated(r, r.label, r.pace, due, now, ok)
	}
	s.noted.Add(1)
	return verdict{rule: r}
}

func rated(r *rule, policy string, p pace, due, now int64, ok bool) verdict {
	v := verdict{rule: r, policy: policy, pace: p}
	v.left, v.wait = p.Left(due, now)
	if !ok {
		v.outcome = throttled
	}
	return v
}

// limit is a standing limit, ready to use.
type limit struct {
	Limit
	pace pace
	seed maphash.Seed
}

func (l *limit) fits(ev *ingest.Event) bool { return l.Route == "" || l.Route == ev.Route }

// standing counts a request against a limit. It reports whether it may pass, and
// keeps the verdict with the least quota left.
func (s *Service) standing(l *limit, ev *ingest.Event, client netip.Addr, now, n int64, v *verdict) bool {
	due, ok := s.cells.take(l.key(ev, client), l.pace, now, n)
	next := rated(v.rule, l.Name, l.pace, due, now, ok)
	if !ok || v.policy == "" || next.left < v.left {
		*v = next
	}
	return ok
}

// key is whose quota a request is counted against.
func (l *limit) key(ev *ingest.Event, client netip.Addr) uint64 {
	who := ""
	switch l.Per {
	case perConsumer:
		who = ev.Consumer
	case perKey:
		if who = ev.Key; who == "" {
			who = ev.Token
		}
	case perSession:
		who = ev.Session
	}
	if who != "" {
		return maphash.String(l.seed, who)
	}
	b := client.As16()
	if client.Is6() {
		clear(b[8:]) // one sender has as many addresses as it likes within a /64
	}
	return maphash.Bytes(l.seed, b[:])
}

// blind says why the list cannot be used.
func (s *Service) blind(now int64) reason {
	at := s.confirmed.Load()
	switch {
	case at == 0:
		return notReady
	case s.cfg.MaxAge > 0 && now-at > int64(s.cfg.MaxAge):
		return stale
	}
	return decided
}

// undecided lets a request pass, or not, where its route fails closed or needs
// credentials that it does not show.
func (s *Service) undecided(ctx context.Context, w *worker, why reason) verdict {
	v := verdict{outcome: open, reason: why}
	if s.failsClosed(w.ev.Target) {
		v.outcome = closed
	} else if v.auth = s.identify(ctx, w, s.now()); v.auth.Status != 0 {
		v.outcome = refused
	}
	s.unsure[why].Add(1)
	return v
}

// failsClosed looks at the path as an API would read it, so that another spelling of
// it is no way in. One that cannot be read is refused where anything is.
func (s *Service) failsClosed(raw string) bool {
	if len(s.cfg.FailClosed) == 0 {
		return false
	}
	decoded, err := url.PathUnescape(enrich.Path(raw))
	if err != nil || !strings.HasPrefix(decoded, "/") {
		return true
	}
	clean := path.Clean(decoded)
	for _, p := range s.cfg.FailClosed {
		below := strings.HasSuffix(p, "/")
		if p = strings.TrimSuffix(p, "/"); strings.EqualFold(clean, p) || p == "" && clean == "/" {
			return true
		}
		if below && len(clean) > len(p) && clean[len(p)] == '/' && strings.EqualFold(clean[:len(p)], p) {
			return true
		}
	}
	return false
}
