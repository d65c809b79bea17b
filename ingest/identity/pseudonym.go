package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
)

// A pseudonym is a letter for what it stands for, "_" and pseudonymDigits
// hexadecimal digits of the secret's HMAC-SHA-256. The digits do not depend on
// the letter: one secret in two places is seen to be one.
const (
	kindKey     = 'k' // API key
	kindToken   = 't' // credentials of an Authorization header
	kindSession = 's' // session cookie or session id
	kindPlain   = 'p' // any other secret
	kindBasic   = 'b' // Basic credentials: written as a token, but they tell a user
)

const (
	pseudonymDigits = 16
	pseudonymWidth  = 2 + pseudonymDigits
	longestName     = 128 // bytes of a consumer's or a user's name that a token may tell
)

// minted is what is known of one secret.
type minted struct {
	name     string   // pseudonym by the newest key
	older    []string // by the earlier ones, newest first
	consumer string   // what the token claims, if it is one
	user     string   // of Basic credentials
	seal     string   // what Batch writes for it
}

// digest stands for a secret in a cache, so that no secret is kept in memory and
// its length does not matter. The seeds are this process's own: nobody can make two
// secrets meet.
type digest struct {
	a, b uint64
	kind byte
}

// mint makes pseudonyms and seals. It is safe for concurrent use.
type mint struct {
	keys  [][KeyBytes]byte // newest first
	seal  [KeyBytes]byte
	seeds [2]maphash.Seed
	cache *lru.Cache[digest, *minted]
}

func newMint(c *Config) (*mint, error) {
	if c.Key == ([KeyBytes]byte{}) {
		return nil, fmt.Errorf("identity: the pseudonym key is missing: it is %d random bytes, made once per installation", KeyBytes)
	}
	if len(c.Older) >= maxGenerations {
		return nil, fmt.Errorf("identity: %d earlier pseudonym keys: want %d at most", len(c.Older), maxGenerations-1)
	}
	root := c.Root
	if root == ([KeyBytes]byte{}) {
		root = RingOf(c.Key).Root
	}
	m := &mint{keys: append([][KeyBytes]byte{c.Key}, c.Older...), seal: derive(root, "seal"), seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	size := c.KeyCache
	if size <= 0 {
		size = 16384
	}
	var err error
	if m.cache, err = lru.New[digest, *minted](size); err != nil {
		return nil, fmt.Errorf("identity: key_cache: %w", err)
	}
	return m, nil
}

func (m *mint) digest(kind byte, secret string) digest {
	return digest{maphash.String(m.seeds[0], secret), maphash.String(m.seeds[1], secret), kind}
}

// digits are the pseudonym's digits by one key.
func digits(key *[KeyBytes]byte, secret string) string {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(secret))
	var sum [sha256.Size]byte
	return hex.EncodeToString(mac.Sum(sum[:0])[:pseudonymDigits/2])
}

// Digits is what the pseudonyms of a secret by one key have behind their letter and
// underscore, for those who know secrets and look for the one that a pseudonym stands for.
func Digits(key [KeyBytes]byte, secret string) string { return digits(&key, secret) }

// make computes the pseudonyms of a secret.
func (m *mint) make(kind byte, secret string) *minted {
	letter := prefix(kind)
	p := &minted{name: letter + digits(&m.keys[0], secret)}
	for i := range m.keys[1:] {
		p.older = append(p.older, letter+digits(&m.keys[i+1], secret))
	}
	return p
}

func prefix(kind byte) string {
	if kind == kindBasic {
		kind = kindToken
	}
	return string(kind) + "_"
}

// A sealed pseudonym is what Batch writes in place of a secret, and what a Resolver
// of redacted lines takes for the pseudonym itself:
//
//	k_0123456789abcdef[.OLDER]...[~NAME].TAG
//
// OLDER are the digits by earlier keys, NAME is base64url of the consumer or the
// user that the token told, and TAG is pseudonymDigits digits of the HMAC-SHA-256 of all
// before it, with a key that only the installation has. All of its bytes are unreserved
// in URLs (RFC 3986, section 2.3) and need no escape in any log.
func (m *mint) sealed(p *minted, name string) string {
	var b strings.Builder
	b.WriteString(p.name)
	for _, old := range p.older {
		b.WriteByte('.')
		b.WriteString(old[2:])
	}
	if name != "" && len(name) <= longestName {
		b.WriteByte('~')
		b.WriteString(base64.RawURLEncoding.EncodeToString([]byte(name)))
	}
	return b.String() + "." + digits(&m.seal, b.String())
}

// longestSealed bounds what is looked at as a sealed pseudonym.
const longestSealed = 2 + (pseudonymDigits+1)*(maxGenerations+1) + 1 + (longestName*4+2)/3

// sealedShape tells whether s looks like a sealed pseudonym.
func sealedShape(s string) bool {
	const least = pseudonymWidth + 1 + pseudonymDigits
	if len(s) < least || len(s) > longestSealed || s[1] != '_' || strings.IndexByte("ktsp", s[0]) < 0 {
		return false
	}
	return isDigits(s[2:pseudonymWidth]) && s[len(s)-pseudonymDigits-1] == '.' && isDigits(s[len(s)-pseudonymDigits:])
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i]-'0' > 9 && s[i]-'a' > 5 {
			return false
		}
	}
	return true
}

// unseal opens a sealed pseudonym if the installation sealed it. The letter becomes
// that of kind. name is what came with it.
func (m *mint) unseal(kind byte, s string) (p *minted, name string, ok bool) {
	if !sealedShape(s) {
		return nil, "", false
	}
	body, tag := s[:len(s)-pseudonymDigits-1], s[len(s)-pseudonymDigits:]
	if subtle.ConstantTimeCompare([]byte(tag), []byte(digits(&m.seal, body))) != 1 {
		return nil, "", false
	}
	hexes, coded, _ := strings.Cut(body[2:], "~")
	if b, err := base64.RawURLEncoding.DecodeString(coded); err == nil {
		name = string(b)
	}
	first, rest, more := strings.Cut(hexes, ".")
	p = &minted{name: prefix(kind) + first}
	for more {
		var old string
		old, rest, more = strings.Cut(rest, ".")
		p.older = append(p.older, prefix(kind)+old)
	}
	return p, name, true
}

// Aliases remember which pseudonyms by earlier keys belong to those by the newest,
// so that an allow-list entry or a decision made before a rotation still matches. It
// forgets the least recently seen. It is safe for concurrent use, and shared by the
// resolvers of a process.
type Aliases struct{ older *lru.Cache[string, []string] }

// NewAliases makes a table for at most size secrets.
func NewAliases(size int) (*Aliases, error) {
	c, err := lru.New[string, []string](size)
	if err != nil {
		return nil, fmt.Errorf("identity: aliases: %w", err)
	}
	return &Aliases{c}, nil
}

// Older returns the pseudonyms by earlier keys of the secret that has this one by the
// newest, newest first; none if it was not seen, or if there was no rotation.
func (a *Aliases) Older(pseudonym string) []string {
	if a == nil {
		return nil
	}
	old, _ := a.older.Get(pseudonym)
	return old
}

func (a *Aliases) learn(p *minted) {
	if a != nil && len(p.older) > 0 {
		a.older.Add(p.name, p.older)
	}
}
