package authn

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	lru "github.com/hashicorp/golang-lru/v2"
)

// Bounds of tokens.
const (
	maxToken    = 16 << 10         // bytes of one that is looked at
	badTokens   = 4096             // bad ones that are remembered, so that repeating one costs little
	badFor      = 10 * time.Second // how long they are
	tokenScopes = 128              // scopes of one; more are not looked at
	triedKeys   = 4                // keys that are tried for one that names none
)

// tokens verifies access tokens. What was verified is remembered until it ends, by the
// token's hash; the least recently used is forgotten first, and costs another
// verification.
type tokens struct {
	issuers []*source
	good    *lru.Cache[[sha256.Size]byte, *verified]
	bad     *lru.Cache[[sha256.Size]byte, refusal]
	asked   *introspection
}

// source is one issuer, ready to use.
type source struct {
	cfg  Issuer
	algs []jose.SignatureAlgorithm
	keys *keySet // nil: it has a secret
}

// verified is a token that was found good.
type verified struct {
	who    Identity
	from   *source
	starts time.Time // zero = at once
	ends   time.Time
	cert   [sha256.Size]byte // of the certificate that it is bound to
	bound  bool
}

type refusal struct {
	fault fault
	until time.Time
}

func newTokens(cfg *Config, log *slog.Logger) (*tokens, error) {
	size := cfg.TokenCache
	if size <= 0 {
		size = 1 << 16
	}
	t := new(tokens)
	var err error
	if t.good, err = lru.New[[sha256.Size]byte, *verified](size); err != nil {
		return nil, fmt.Errorf("authz: token_cache: %w", err)
	}
	if t.bad, err = lru.New[[sha256.Size]byte, refusal](badTokens); err != nil {
		return nil, fmt.Errorf("authz: token_cache: %w", err)
	}
	client := &http.Client{Timeout: issuerTime}
	for _, i := range cfg.Tokens {
		s := &source{cfg: i}
		s.cfg.setDefaults()
		s.algs = s.cfg.algorithms()
		if i.Secret == "" {
			s.keys = newKeySet(&s.cfg, client, log, t.good.Purge)
		}
		t.issuers = append(t.issuers, s)
	}
	t.asked, err = newIntrospection(size, client)
	return t, err
}

func (t *tokens) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range t.issuers {
		if s.keys != nil {
			wg.Go(func() { s.keys.follow(ctx) })
		}
	}
	wg.Wait()
}

func (t *tokens) health() error {
	var errs []error
	for _, s := range t.issuers {
		if s.keys != nil {
			errs = append(errs, s.keys.health())
		}
	}
	return errors.Join(errs...)
}

// bytesOf is the text without a copy; nobody writes to it.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// find says who shows a token. Where wait is false it asks no issuer, for a request that
// passes anyhow. cert is the client's certificate, as the gateway tells it.
func (t *tokens) find(ctx context.Context, token, cert string, now time.Time, wait bool) (Identity, fault) {
	if token == "" || len(token) > maxToken {
		return Identity{}, faultUnknown
	}
	id := sha256.Sum256(bytesOf(token))
	v, ok := t.good.Get(id)
	if !ok {
		var f fault
		if v, f = t.verify(ctx, id, token, now, wait); f != faultNone {
			return Identity{}, f
		}
	}
	skew := v.from.cfg.Skew
	switch {
	case !now.Before(v.ends.Add(skew)), now.Add(skew).Before(v.starts):
		return Identity{}, faultExpired
	case v.bound && !sameCert(cert, &v.cert):
		return Identity{}, faultUnknown
	case v.from.cfg.Introspect == introspectAlways:
		if !wait {
			return v.who, faultNone
		}
		if _, f := t.asked.ask(ctx, v.from, id, token, now); f != faultNone {
			return Identity{}, f
		}
	}
	return v.who, faultNone
}

// verify looks at a token that is not remembered.
func (t *tokens) verify(ctx context.Context, id [sha256.Size]byte, token string, now time.Time, wait bool) (*verified, fault) {
	if strings.Count(token, ".") != 2 {
		return t.opaque(ctx, id, token, now, wait)
	}
	if r, ok := t.bad.Get(id); ok && now.Before(r.until) {
		return nil, r.fault
	}
	s := t.issuerOf(token)
	if s == nil {
		return nil, faultUnknown
	}
	v, f := s.verify(ctx, token, now, wait)
	switch f {
	case faultNone:
		v.who.KeyID = tokenName(v.who.KeyID, id)
		t.good.Add(id, v)
	case faultUnknown, faultExpired:
		t.bad.Add(id, refusal{f, now.Add(badFor)})
	}
	return v, f
}

// tokenName is what a token is called in the log: its jti, or the beginning of its hash.
func tokenName(jti string, id [sha256.Size]byte) string {
	if plainText(jti) {
		return jti
	}
	return "sha256:" + hex.EncodeToString(id[:8])
}

// issuerOf finds the issuer that a token names, which is believed only for its keys to be
// tried.
func (t *tokens) issuerOf(token string) *source {
	body := token[strings.IndexByte(token, '.')+1 : strings.LastIndexByte(token, '.')]
	data, err := base64.RawURLEncoding.DecodeString(body)
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err != nil || json.Unmarshal(data, &claims) != nil {
		return nil
	}
	for _, s := range t.issuers {
		if s.cfg.Issuer == claims.Issuer {
			return s
		}
	}
	return nil
}

// claims are what is read of a token.
type claims struct {
	ID        string           `json:"jti"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
	Scope     string           `json:"scope"`
	Scp       json.RawMessage  `json:"scp"`
	Conf      map[string]any   `json:"cnf"`
}

// verify checks signature and claims.
func (s *source) verify(ctx context.Context, token string, now time.Time, wait bool) (*verified, fault) {
	parsed, err := jwt.ParseSigned(token, s.algs)
	if err != nil || len(parsed.Headers) != 1 || !s.typed(parsed.Headers[0].ExtraHeaders[jose.HeaderType]) {
		return nil, faultUnknown
	}
	body, f := s.signed(ctx, parsed, wait)
	if f != faultNone {
		return nil, f
	}
	var c struct {
		Issuer   string       `json:"iss"`
		Audience jwt.Audience `json:"aud"`
		Type     string       `json:"typ"` // Keycloak marks its own kinds of tokens by it
	}
	if json.Unmarshal(body, &c) != nil || c.Issuer != s.cfg.Issuer || !s.meant(c.Audience) ||
		slices.Contains([]string{"ID", "Refresh", "Logout"}, c.Type) {
		return nil, faultUnknown
	}
	return s.claimed(body, now, true)
}

// claimed is what claims that are to be believed say of their time, their client and what
// they are bound to.
func (s *source) claimed(body []byte, now time.Time, ends bool) (*verified, fault) {
	var c claims
	if json.Unmarshal(body, &c) != nil || ends && c.Expiry == nil {
		return nil, faultUnknown
	}
	v := &verified{from: s, ends: now.Add(s.cfg.Keep), who: Identity{Kind: NeedToken, KeyID: c.ID, Consumer: s.consumer(body), Scopes: c.scopes()}}
	v.who.joined = strings.Join(v.who.Scopes, " ")
	if c.Expiry != nil {
		v.ends = c.Expiry.Time()
	}
	if c.NotBefore != nil {
		v.starts = c.NotBefore.Time()
	}
	early := now.Add(s.cfg.Skew)
	if !now.Before(v.ends.Add(s.cfg.Skew)) || early.Before(v.starts) || c.IssuedAt != nil && early.Before(c.IssuedAt.Time()) {
		return nil, faultExpired
	}
	if len(c.Conf) > 0 {
		// A token that is bound to something is good only with it, and a certificate is
		// all that can be told here (RFC 8705; not RFC 9449).
		text, _ := c.Conf["x5t#S256"].(string)
		sum, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || copy(v.cert[:], sum) != sha256.Size || len(c.Conf) != 1 {
			return nil, faultUnknown
		}
		v.bound = true
	}
	return v, faultNone
}

// signed returns the claims of a token whose signature is good.
func (s *source) signed(ctx context.Context, parsed *jwt.JSONWebToken, wait bool) ([]byte, fault) {
	var body json.RawMessage
	if s.keys == nil {
		if parsed.Claims([]byte(s.cfg.Secret), &body) != nil {
			return nil, faultUnknown
		}
		return body, faultNone
	}
	h := parsed.Headers[0]
	var buffer [triedKeys]*jose.JSONWebKey
	list, blind := s.keys.suitable(buffer[:0], h.KeyID, h.Algorithm)
	if len(list) == 0 && wait {
		if !s.keys.await(ctx) {
			return nil, faultBlind
		}
		list, blind = s.keys.suitable(buffer[:0], h.KeyID, h.Algorithm)
	}
	if blind || len(list) == 0 && !wait {
		return nil, faultBlind
	}
	for _, k := range list[:min(len(list), triedKeys)] {
		if parsed.Claims(k, &body) == nil {
			return body, faultNone
		}
	}
	return nil, faultUnknown
}

// typed tells whether a token is of a type that is taken.
func (s *source) typed(header any) bool {
	typ, _ := header.(string)
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	if s.cfg.Type != "" {
		return typ == strings.TrimPrefix(strings.ToLower(s.cfg.Type), "application/")
	}
	return typ == "" || typ == "jwt" || typ == "at+jwt"
}

// meant tells whether a token is for this API.
func (s *source) meant(audience []string) bool {
	return slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(s.cfg.Audience, a) })
}

// consumer is whom the claims name; a name that cannot stand in a header is quoted.
func (s *source) consumer(body []byte) string {
	var all map[string]any
	if json.Unmarshal(body, &all) != nil {
		return ""
	}
	for _, name := range s.cfg.Consumer {
		if who, _ := all[name].(string); who != "" {
			return headerName(s.cfg.Prefix + who)
		}
	}
	return ""
}

// headerName makes a name that can stand in a header: as it is, or percent-encoded and cut.
func headerName(who string) string {
	if plainText(who) && !strings.Contains(who, "%") {
		return who
	}
	var b strings.Builder
	for i := 0; i < len(who) && b.Len() < longest-3; i++ {
		if c := who[i]; c > ' ' && c <= '~' && c != '"' && c != '\\' && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// scopes are those of the claims scope, with blanks between (RFC 9068), and scp, a list or text.
func (c *claims) scopes() (out []string) {
	list := strings.Fields(c.Scope)
	var text string
	var more []string
	if json.Unmarshal(c.Scp, &more) == nil {
		list = append(list, more...)
	} else if json.Unmarshal(c.Scp, &text) == nil {
		list = append(list, strings.Fields(text)...)
	}
	for _, s := range list[:min(len(list), tokenScopes)] {
		if ScopeName(s) {
			out = append(out, s)
		}
	}
	return out
}
