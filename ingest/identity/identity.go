// Package identity decides who sent a request, and keeps secrets out of what is
// stored.
//
// The client is the address that a trusted hop vouched for: X-Forwarded-For is
// walked from its right end, where the nearest hop wrote, and only as long as
// the writer is trusted. What stands left of that, the client itself may have
// written. API keys, tokens and passwords become keyed pseudonyms: the same
// secret has the same pseudonym within one installation, and nobody can compute it back.
// Addresses can be hidden in what is stored, and shown again with the installation's key.
package identity

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gaissmai/bart"

	"github.com/portcullis/portcullis/ingest"
)

// Config is the "identity" section of the config file.
type Config struct {
	TrustedProxies []string `yaml:"trusted_proxies" default:"127.0.0.0/8,::1/128" doc:"Networks (CIDR) or addresses whose X-Forwarded-For is believed: your load balancers and the gateway itself. Default: this machine only."`
	ClientHeaders  []string `yaml:"client_headers" default:"x-forwarded-for,forwarded,x-real-ip" doc:"Which logged headers of a trusted peer tell the client, best first; the first that is there decides. Leave out what your proxies do not write themselves: a client may have written it. x-real-ip stands for all headers of one address (CF-Connecting-IP, True-Client-IP)."`
	Consumer       []string `yaml:"consumer" default:"gateway,user,subject,jwt" doc:"What tells the consumer, best first: gateway (its own consumer field), user (authenticated user), subject (client certificate), jwt (claims of a token; marked as claimed, since nobody here verifies them)."`
	JWTClaims      []string `yaml:"jwt_claims" default:"client_id,azp,sub" doc:"Claims that may name the consumer, best first."`
	JWTIssuer      bool     `yaml:"jwt_issuer" default:"false" doc:"Put the token's issuer before the claim, as in https://id.example|alice, where several issuers know the same names."`
	BasicUser      bool     `yaml:"basic_user" default:"false" doc:"Take the user from Basic credentials where the gateway logs them and no user. The password is never kept."`
	SessionCookies []string `yaml:"session_cookies" default:"session,sessionid,JSESSIONID,PHPSESSID,connect.sid,sid" doc:"Names of the cookies that hold a session, best first."`
	KeyCache       int      `yaml:"key_cache" default:"16384" doc:"Keys, tokens and sessions whose pseudonym is remembered, per worker; about 250 bytes each."`

	KeyOverlap    time.Duration `yaml:"key_overlap" default:"720h" doc:"For how long after keys rotate the earlier key is kept, for what names a pseudonym that it made. Decisions and the allow-list name addresses so far."`
	HideAddresses bool          `yaml:"hide_addresses" default:"false" doc:"Store client addresses encrypted (ip_...); portcullis reveal shows one, and writes down who asked and why."`
	Redact        RedactConfig  `yaml:"redact" doc:"what counts as a secret in a line"`

	// Key is the installation's secret of KeyBytes bytes that makes pseudonyms. It comes
	// from the key file (Ring.Apply), never from the config. The zero value is refused.
	Key [KeyBytes]byte `yaml:"-"`
	// Older are the earlier keys that are still resolved, newest first.
	Older [][KeyBytes]byte `yaml:"-"`
	// Root is what seals are derived from; zero: it is derived from Key.
	Root [KeyBytes]byte `yaml:"-"`
	// Sealed says that all lines went through Redactor.Batch of this installation: only
	// then is a sealed pseudonym taken for one. In raw lines a client may have written it.
	Sealed bool `yaml:"-"`
	// Aliases, if set, learn the pseudonyms by earlier keys.
	Aliases *Aliases `yaml:"-"`
}

// The values of client_headers and consumer.
const (
	headerXFF       = "x-forwarded-for"
	headerForwarded = "forwarded"
	headerRealIP    = "x-real-ip"

	consumerGateway = "gateway"
	consumerUser    = "user"
	consumerSubject = "subject"
	consumerJWT     = "jwt"
)

var (
	allHeaders   = []string{headerXFF, headerForwarded, headerRealIP}
	allConsumers = []string{consumerGateway, consumerUser, consumerSubject, consumerJWT}
)

// Check reports networks that cannot be read, and names that are none.
func (c *Config) Check(report func(key, message string)) {
	for i, s := range c.TrustedProxies {
		if _, err := parseNetwork(s); err != nil {
			report(fmt.Sprintf("trusted_proxies[%d]", i), err.Error())
		}
	}
	checkWords("client_headers", c.ClientHeaders, allHeaders, report)
	checkWords("consumer", c.Consumer, allConsumers, report)
	for i, s := range c.SessionCookies {
		if s == "" || strings.ContainsAny(s, "=;, \t\"") {
			report(fmt.Sprintf("session_cookies[%d]", i), fmt.Sprintf("%q is no name of a cookie", capped(s)))
		}
	}
	if c.KeyCache < 0 {
		report("key_cache", "must not be negative")
	}
	if c.KeyOverlap < 0 {
		report("key_overlap", "must not be negative")
	}
}

// checkWords reports what is no word of a list, and words that are there twice.
func checkWords(key string, words, known []string, report func(key, message string)) {
	for i, w := range words {
		switch {
		case !slices.Contains(known, w):
			report(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%q is none of %s", capped(w), strings.Join(known, ", ")))
		case slices.Contains(words[:i], w):
			report(fmt.Sprintf("%s[%d]", key, i), w+" is there twice")
		}
	}
}

// Resolver sets who sent an event, and replaces its secrets by pseudonyms. Resolve
// is for one goroutine at a time, so make one per worker; Trusted and Older may be
// called from any.
type Resolver struct {
	trusted  *bart.Lite
	lastPeer netip.Addr // most lines of a gateway have one of few peers
	lastOK   bool
	headers  []string
	mint     *mint
	aliases  *Aliases
	cfg      Config
	subjects names // common names of certificates that had to be unescaped
}

// New makes a resolver. Lists of the config that are nil are the defaults.
func New(cfg Config) (*Resolver, error) {
	r := &Resolver{trusted: new(bart.Lite), aliases: cfg.Aliases, cfg: withDefaults(cfg)}
	for i, s := range cfg.TrustedProxies {
		p, err := parseNetwork(s)
		if err != nil {
			return nil, fmt.Errorf("identity: trusted_proxies[%d]: %w", i, err)
		}
		r.trusted.Insert(p)
	}
	var problem error
	r.cfg.Check(func(key, message string) {
		if problem == nil {
			problem = fmt.Errorf("identity: %s: %s", key, message)
		}
	})
	if problem != nil {
		return nil, problem
	}
	r.headers = r.cfg.ClientHeaders
	var err error
	r.mint, err = newMint(&r.cfg)
	return r, err
}

// withDefaults fills the lists that a config made in code left out.
func withDefaults(c Config) Config {
	for _, l := range []struct {
		list *[]string
		all  []string
	}{
		{&c.ClientHeaders, allHeaders},
		{&c.Consumer, allConsumers},
		{&c.JWTClaims, []string{"client_id", "azp", "sub"}},
		{&c.SessionCookies, []string{"session", "sessionid", "JSESSIONID", "PHPSESSID", "connect.sid", "sid"}},
	} {
		if *l.list == nil {
			*l.list = l.all
		}
	}
	return c
}

// Resolve sets ev.Client from ev.Peer and the headers that a trusted peer passed on,
// sets ev.Consumer, and replaces ev.Key, ev.Token and ev.Session by pseudonyms. Of
// what it has seen before it does not allocate.
func (r *Resolver) Resolve(ev *ingest.Event) {
	r.ResolveClient(ev)
	var claimed string
	if ev.Key != "" {
		ev.Key = r.pseudonym(kindKey, ev.Key)
	}
	if ev.Token != "" {
		claimed = r.token(ev)
	}
	if ev.Session != "" {
		ev.Session = r.session(ev.Session)
	}
	if claimed != "" || ev.Subject != "" || ev.User != "" || ev.Consumer != "" {
		r.consumer(ev, claimed)
	}
}

// ResolveClient is Resolve as far as it sets ev.Client; the secrets stay.
func (r *Resolver) ResolveClient(ev *ingest.Event) {
	ev.Client = ev.Peer
	if ev.Chain != "" || ev.Forwarded != "" || ev.RealIP != "" {
		r.client(ev)
	}
}

// pseudonym returns the pseudonym of a secret by the newest key.
func (r *Resolver) pseudonym(kind byte, secret string) string {
	if blank(secret) {
		return ""
	}
	return r.minted(kind, secret).name
}

// minted returns what is known of a secret, or of the sealed pseudonym in its place.
func (r *Resolver) minted(kind byte, secret string) *minted {
	d := r.mint.digest(kind, secret)
	p, ok := r.mint.cache.Get(d)
	if !ok {
		p = r.open(kind, secret)
		r.cfg.describe(p, kind, secret)
		r.mint.cache.Add(d, p)
	}
	if len(p.older) > 0 {
		r.aliases.learn(p)
	}
	return p
}

func (r *Resolver) open(kind byte, secret string) *minted {
	if r.cfg.Sealed {
		if p, name, ok := r.mint.unseal(kind, secret); ok {
			p.consumer, p.user = name, name // the scheme tells which
			return p
		}
	}
	return r.mint.make(kind, secret)
}

// Older returns the pseudonyms that an API key had by the earlier keys, newest first.
func (r *Resolver) Older(key string) []string {
	return slices.Clone(r.mint.make(kindKey, key).older)
}

// blank tells whether a gateway wrote something in place of a secret: nothing is known
// then. Caddy, Kong and Traefik write REDACTED.
func blank(s string) bool {
	switch s {
	case "", "-", "REDACTED", "[REDACTED]", "redacted", "<redacted>", "null":
		return true
	}
	return s[0] == '*' && strings.Trim(s, "*") == ""
}

// parseNetwork reads "10.0.0.0/8" or a single address, IPv4 in IPv6 as IPv4.
func parseNetwork(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is no network: write it like 10.0.0.0/8 or 2001:db8::/32", capped(s))
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%q mixes IPv4 and IPv6: write the IPv4 network", capped(s))
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func capped(s string) string {
	const limit = 64
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}

// Trusted tells whether an address is a hop whose word is taken.
func (r *Resolver) Trusted(a netip.Addr) bool {
	return a.IsValid() && r.trusted.Contains(a.Unmap().WithZone(""))
}
