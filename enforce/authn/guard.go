package authn

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Identity is who a client turned out to be.
type Identity struct {
	Consumer string
	Plan     string   // of the key, for quotas
	KeyID    string   // of the key, or a name of the token: neither is a secret
	Kind     string   // key or token; "" = nobody
	Scopes   []string // never changed
	joined   string   // Scopes with blanks between
}

// fault is why credentials are not taken.
type fault uint8

const (
	faultNone       fault = iota
	faultMissing          // nothing was shown that the route takes
	faultUnknown          // a key or token that is none of ours
	faultExpired          // or not yet valid, or ended by a rotation
	faultRevoked          // by a person
	faultScope            // good, but not for this
	faultBlind            // it cannot be told now
	faultUnreadable       // the path can be read in too many ways
	faults
)

// String is the fault's name in metrics.
func (f fault) String() string {
	return [faults]string{"", "missing", "unknown", "expired", "revoked", "scope", "unavailable", "unreadable_path"}[f]
}

// Statuses of a refusal.
const (
	statusBad         = 400
	statusUnknown     = 401
	statusForbidden   = 403
	statusUnavailable = 503
)

// Request is what a gateway tells of a request, as far as credentials go. The strings are
// the client's.
type Request struct {
	Path          string // without the query
	Method        string
	Overrides     []string // other methods that the request asks to be taken for
	Elsewhere     []string // other paths that it asks to be taken for
	Key           string   // X-Api-Key
	Authorization string
	Cert          string // the client's certificate as the gateway tells it
}

// Result is what becomes of a request.
type Result struct {
	Status    int // 0 = it passes; else 400, 401, 403 or 503
	Who       Identity
	Challenge string // the WWW-Authenticate field of a refusal
	Detail    string // a refusal in words, for the client
}

// Deps are what a Guard needs of the rest of the program.
type Deps struct {
	Secret [SecretBytes]byte // of the installation, under which keys are stored
	Keys   string            // file of keys where Config.Keys is empty
	Quotas string            // file of what consumers have used of their quotas; "" = it is forgotten at the end
	Log    *slog.Logger
}

// rule is a Rule, ready to use.
type rule struct {
	pattern
	need   string
	scopes []string
}

// maxMethods bounds the methods that one request may ask to be taken for.
const maxMethods = 4

// Guard checks credentials. All methods may be called from any goroutine; Run at most
// once.
type Guard struct {
	cfg      Config
	on       bool
	methods  bool // a rule is for some methods only
	keys     *keyring
	tokens   *tokens
	quotas   *quotas
	rules    []rule
	fallback rule
	work     sync.Pool
	macs     sync.Pool // for signatures

	counts  [faults]atomic.Int64 // refusals; 0: requests of somebody who is known
	noNames atomic.Int64         // requests that passed without credentials
}

// New makes a guard of settings that were checked.
func New(cfg Config, deps Deps) (*Guard, error) {
	var first error
	cfg.Check(func(key, message string) {
		if first == nil {
			first = fmt.Errorf("authz: %s: %s", key, message)
		}
	})
	if first != nil {
		return nil, first
	}
	g := &Guard{cfg: cfg, on: cfg.Enabled(), fallback: rule{need: cfg.Default}}
	if g.fallback.need == "" {
		g.fallback.need = NeedNone
	}
	if g.cfg.Realm == "" {
		g.cfg.Realm = "api"
	}
	for _, r := range cfg.Access {
		p, err := compile(r.Route, r.Methods)
		if err != nil {
			return nil, fmt.Errorf("authz: access: %s", err.text)
		}
		g.rules = append(g.rules, rule{p, orAny(r.Need), r.Scopes})
		g.methods = g.methods || len(p.methods) > 0
	}
	g.work.New = func() any { return new(work) }
	g.macs.New = func() any { return hmac.New(sha256.New, []byte(cfg.Secret)) }
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	path := cfg.Keys
	if path == "" {
		path = deps.Keys
	}
	if path != "" {
		g.keys = newKeyring(path, deps.Secret, deps.Log)
	}
	g.quotas = newQuotas(cfg.Quotas, deps.Quotas, deps.Log)
	var err error
	g.tokens, err = newTokens(&cfg, deps.Log)
	return g, err
}

func orAny(need string) string {
	if need == "" {
		return NeedAny
	}
	return need
}

// Identifies reports whether clients are told by their credentials.
func (g *Guard) Identifies() bool { return g.on || len(g.tokens.issuers) > 0 }

// Load reads what was counted before; call it before the first request and before Run.
func (g *Guard) Load() { g.quotas.load() }

// Use counts n requests of a client that is let in against its quota.
func (g *Guard) Use(who *Identity, now time.Time, n int64) Usage { return g.quotas.take(who, now, n) }

// Run keeps what the guard knows up to date until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	var wg sync.WaitGroup
	if g.keys != nil {
		wg.Go(func() { g.keys.follow(ctx) })
	}
	wg.Go(func() { g.tokens.run(ctx) })
	wg.Go(func() { g.quotas.follow(ctx) })
	wg.Wait()
}

// work is what the check of one request needs.
type work struct {
	paths   []string
	methods []string
	need    []*rule
	key     finding
	token   finding
}

// finding is what a request showed of one kind.
type finding struct {
	fault fault
	who   Identity
	entry *entry
}

// Check looks at the credentials of a request, if its route needs any. Where it needs none
// it passes, whatever it shows; good credentials name it still.
func (g *Guard) Check(ctx context.Context, r *Request, now time.Time) Result {
	if !g.on && r.Key == "" && r.Authorization == "" {
		return Result{}
	}
	w, _ := g.work.Get().(*work)
	defer g.work.Put(w)
	defer w.reset()
	readable := g.needs(w, r)
	g.shown(ctx, w, r, now)
	if len(w.need) > 0 && !readable {
		return g.refuse(faultUnreadable, nil)
	}
	for _, need := range w.need {
		if f := w.satisfies(need); f != faultNone {
			return g.refuse(f, need)
		}
	}
	who := w.who()
	if who.Kind == "" {
		g.noNames.Add(1)
	} else {
		g.counts[faultNone].Add(1)
	}
	return Result{Who: who}
}

func (w *work) reset() {
	clear(w.paths)
	clear(w.methods)
	*w = work{paths: w.paths[:0], methods: w.methods[:0], need: w.need[:0]}
}

// needs collects the rules of all readings of a request. It reports false where there are
// too many readings; then each rule counts.
func (g *Guard) needs(w *work, r *Request) bool {
	path := r.Path
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	var ok bool
	w.paths, ok = readings(w.paths, path)
	for _, other := range r.Elsewhere {
		var more bool
		w.paths, more = readings(w.paths, other)
		ok = ok && more
	}
	// A gateway that does not tell what is asked for must not open what a rule closes.
	ok = ok && r.Path != "" && (r.Method != "" || !g.methods)
	w.methods = append(w.methods, r.Method)
	for _, list := range r.Overrides {
		for m := range strings.SplitSeq(list, ",") {
			if m = strings.TrimSpace(m); !slices.Contains(w.methods, m) {
				w.methods = append(w.methods, m)
			}
			ok = ok && len(w.methods) <= maxMethods
		}
	}
	if !g.on {
		return true
	}
	if !ok {
		w.need = append(w.need, &g.fallback)
		return false
	}
	for _, method := range w.methods {
		for _, path := range w.paths {
			g.add(w, g.first(path, method, false))
			g.add(w, g.first(path, method, true))
		}
	}
	return true
}

func (g *Guard) add(w *work, r *rule) {
	if r.need != NeedNone && !slices.Contains(w.need, r) {
		w.need = append(w.need, r)
	}
}

// first is the rule for one reading.
func (g *Guard) first(path, method string, fold bool) *rule {
	for i := range g.rules {
		if g.rules[i].takes(method) && g.rules[i].fits(path, fold) {
			return &g.rules[i]
		}
	}
	return &g.fallback
}

// shown looks at what the request shows. Where the route needs nothing, no issuer is asked:
// what is not known then names nobody.
func (g *Guard) shown(ctx context.Context, w *work, r *Request, now time.Time) {
	key, token := credentials(r)
	w.key.fault, w.token.fault = faultMissing, faultMissing
	if key != "" && g.keys != nil {
		w.key.entry, w.key.fault = g.keys.find(key, now)
	}
	if e := w.key.entry; e != nil {
		w.key.who = e.who
		if !e.opens(w.paths, w.methods) {
			w.key.fault = faultScope
		}
	}
	if token == "" || len(g.tokens.issuers) == 0 {
		return
	}
	wanted := len(w.need) == 0 && w.key.fault != faultNone
	for _, need := range w.need {
		wanted = wanted || need.need == NeedToken || need.need == NeedAny && w.key.satisfies(need) != faultNone
	}
	if wanted {
		w.token.who, w.token.fault = g.tokens.find(ctx, token, r.Cert, now, len(w.need) > 0)
	}
}

// credentials are the client key and the token that a request shows. A key may stand in
// either field, and is known by its beginning.
func credentials(r *Request) (key, token string) {
	scheme, rest, _ := strings.Cut(r.Authorization, " ")
	rest = strings.Trim(rest, " \t")
	switch {
	case r.Key != "":
		key = r.Key
	case strings.EqualFold(scheme, "ApiKey"), strings.EqualFold(scheme, "Bearer") && isKey(rest):
		return rest, ""
	}
	if strings.EqualFold(scheme, "Bearer") && !isKey(rest) {
		token = rest
	}
	return key, token
}

// satisfies says what a rule misses.
func (w *work) satisfies(r *rule) fault {
	switch r.need {
	case NeedKey:
		return w.key.satisfies(r)
	case NeedToken:
		return w.token.satisfies(r)
	}
	f := w.key.satisfies(r)
	if f == faultNone {
		return f
	}
	if t := w.token.satisfies(r); t == faultNone || f == faultMissing {
		return t
	}
	return f
}

func (f *finding) satisfies(r *rule) fault {
	if f.fault != faultNone {
		return f.fault
	}
	for _, s := range r.scopes {
		if !slices.Contains(f.who.Scopes, s) {
			return faultScope
		}
	}
	return faultNone
}

// who is whom the credentials name.
func (w *work) who() Identity {
	if w.key.fault == faultNone {
		return w.key.who
	}
	if w.token.fault == faultNone {
		return w.token.who
	}
	return Identity{}
}
