// Package identity decides who sent a request, and keeps secrets out of what is
// stored.
//
// The client is the address that a trusted hop vouched for: X-Forwarded-For is
// walked from its right end, where the nearest hop wrote, and only as long as
// the writer is trusted. What stands left of that, the client itself may have
// written. API keys, tokens and passwords become keyed pseudonyms: the same
// secret has the same pseudonym within one installation, and nobody can compute it back.
package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/portcullis/portcullis/ingest"
)

// KeyBytes is the length of the installation's pseudonym key.
const KeyBytes = 32

// Config is the "identity" section of the config file.
type Config struct {
	TrustedProxies []string `yaml:"trusted_proxies" default:"127.0.0.0/8,::1/128" doc:"Networks (CIDR) or addresses whose X-Forwarded-For is believed: your load balancers and the gateway itself. Default: this machine only."`
	KeyCache       int      `yaml:"key_cache" default:"16384" doc:"API keys whose pseudonym is remembered, per worker; about 150 bytes each."`

	// Key is the installation's secret of KeyBytes bytes. It comes from the key file,
	// never from the config. The zero value is refused.
	Key [KeyBytes]byte `yaml:"-"`
}

// Check reports networks that cannot be read.
func (c *Config) Check(report func(key, message string)) {
	for i, s := range c.TrustedProxies {
		if _, err := parseNetwork(s); err != nil {
			report(fmt.Sprintf("trusted_proxies[%d]", i), err.Error())
		}
	}
	if c.KeyCache < 0 {
		report("key_cache", "must not be negative")
	}
}

// Resolver sets the client and the key's pseudonym of events. Resolve is for one
// goroutine at a time, so make one per worker; Trusted may be called from any.
type Resolver struct {
	trusted  *bart.Lite
	lastPeer netip.Addr // most lines of a gateway have one of few peers
	lastOK   bool
	keys     *lru.Cache[string, string]
	mac      hash.Hash
	sum      [sha256.Size]byte
}

// New makes a resolver.
func New(cfg Config) (*Resolver, error) {
	r := &Resolver{trusted: new(bart.Lite)}
	for i, s := range cfg.TrustedProxies {
		p, err := parseNetwork(s)
		if err != nil {
			return nil, fmt.Errorf("identity: trusted_proxies[%d]: %w", i, err)
		}
		r.trusted.Insert(p)
	}
	if cfg.Key == ([KeyBytes]byte{}) {
		return nil, fmt.Errorf("identity: the pseudonym key is missing: it is %d random bytes, made once per installation", KeyBytes)
	}
	size := cfg.KeyCache
	if size <= 0 {
		size = 16384
	}
	var err error
	if r.keys, err = lru.New[string, string](size); err != nil {
		return nil, fmt.Errorf("identity: key_cache: %w", err)
	}
	r.mac = hmac.New(sha256.New, cfg.Key[:])
	return r, nil
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

// Resolve sets ev.Client from ev.Peer and ev.Chain, and replaces ev.Key by its
// pseudonym. Without a chain and a key it does not allocate.
func (r *Resolver) Resolve(ev *ingest.Event) {
	ev.Client = ev.Peer
	if ev.Chain != "" && ev.Peer.IsValid() {
		if ev.Peer != r.lastPeer {
			r.lastPeer, r.lastOK = ev.Peer, r.Trusted(ev.Peer)
		}
		if r.lastOK {
			ev.Client = r.walk(ev.Peer, ev.Chain)
		}
	}
	if ev.Key != "" {
		ev.Key = r.pseudonym(ev.Key)
	}
}

// walk goes through the chain from its right end and returns the first address
// that is not a trusted hop. Whatever is no address ends the walk: the last
// good address is the one that somebody trusted vouched for.
func (r *Resolver) walk(client netip.Addr, chain string) netip.Addr {
	for chain != "" {
		k := strings.LastIndexByte(chain, ',')
		a, ok := parseHop(chain[k+1:])
		if !ok {
			break
		}
		client = a
		if k < 0 || !r.trusted.Contains(a) {
			break
		}
		chain = chain[:k]
	}
	return client
}

// parseHop reads one element of a chain: an address, perhaps in brackets, perhaps
// with a port or a zone, both of which are dropped.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if len(s) > 80 {
		return netip.Addr{}, false
	}
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || !isPort(s[end+1:]) {
			return netip.Addr{}, false
		}
		s = s[1:end]
	} else if k := strings.IndexByte(s, ':'); k > 0 && strings.IndexByte(s[k+1:], ':') < 0 {
		if !isPort(s[k:]) {
			return netip.Addr{}, false
		}
		s = s[:k]
	}
	if !looksLikeAddr(s) {
		return netip.Addr{}, false // ParseAddr would answer with an allocated error
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.IsUnspecified() {
		return netip.Addr{}, false
	}
	return a.WithZone("").Unmap(), true
}

// isPort accepts nothing, or a colon and up to five digits.
func isPort(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) < 2 || len(s) > 6 {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// looksLikeAddr refuses what cannot be an address by its first byte.
func looksLikeAddr(s string) bool {
	if s == "" {
		return false
	}
	c := s[0] | 0x20
	return s[0]-'0' <= 9 || s[0] == ':' || c >= 'a' && c <= 'f'
}

// longestCached bounds what one key may take in the cache; longer ones are computed anew.
const longestCached = 512

// pseudonym returns "k_" and 16 hexadecimal digits of the key's HMAC-SHA-256.
func (r *Resolver) pseudonym(key string) string {
	if p, ok := r.keys.Get(key); ok {
		return p
	}
	r.mac.Reset()
	r.mac.Write([]byte(key))
	sum := r.mac.Sum(r.sum[:0])
	p := "k_" + hex.EncodeToString(sum[:8])
	if len(key) <= longestCached {
		r.keys.Add(strings.Clone(key), p)
	}
	return p
}
