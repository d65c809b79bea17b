package authn

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// provider is an issuer on loopback, with keys of its own making.
type provider struct {
	t    testing.TB
	web  *httptest.Server
	asks atomic.Int64 // for keys

	mu     sync.Mutex
	away   bool
	keys   map[string]crypto.Signer
	active map[string]any // what is said of opaque tokens
}

var rsaKey = sync.OnceValue(func() crypto.Signer {
	return must(rsa.GenerateKey(rand.Reader, 2048))
})

func newProvider(t testing.TB) *provider {
	p := &provider{t: t, keys: map[string]crypto.Signer{"rsa": rsaKey()}, active: map[string]any{}}
	p.web = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.web.Close)
	return p
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	var out any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		out = map[string]any{"issuer": p.web.URL, "jwks_uri": p.web.URL + "/keys", "introspection_endpoint": p.web.URL + "/introspect"}
	case "/keys":
		p.asks.Add(1)
		set := jose.JSONWebKeySet{}
		for kid, k := range p.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: kid, Use: "sig"})
		}
		out = set
	case "/introspect":
		p.asks.Add(1)
		if name, secret, _ := r.BasicAuth(); name != "gateway" || secret != "its-secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if out = p.active[r.PostFormValue("token")]; out == nil {
			out = map[string]any{"active": false}
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

type object = map[string]any

// claims are those of a good token, with changes.
func (p *provider) claims(now time.Time, more object) object {
	c := object{"iss": p.web.URL, "aud": []string{"other", "orders"}, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "jti": "j1",
		"azp": "acme", "sub": "u1", "scope": "read write"}
	for k, v := range more {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// sign makes a token.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid, typ string, c object) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithHeader("kid", kid)
	if typ != "" {
		opts = opts.WithType(jose.ContentType(typ))
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jwt.Signed(s).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (p *provider) token(now time.Time, more object) string {
	return sign(p.t, jose.RS256, p.keys["rsa"], "rsa", "JWT", p.claims(now, more))
}

// guard is one that takes the provider's tokens, and has its keys.
func (p *provider) guard(change func(*Issuer)) *Guard {
	p.t.Helper()
	i := Issuer{Issuer: p.web.URL, Audience: []string{"orders"}, Skew: 30 * time.Second, Keep: 10 * time.Second}
	if change != nil {
		change(&i)
	}
	g, err := New(Config{Default: NeedToken, Tokens: []Issuer{i}}, Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { g.Run(ctx) })
	p.t.Cleanup(func() { cancel(); wg.Wait() })
	for limit := time.Now().Add(10 * time.Second); g.Health() != nil; {
		if time.Now().After(limit) {
			p.t.Fatal(g.Health())
		}
	}
	return g
}

func shown(g *Guard, token, cert string, now time.Time) Result {
	return g.Check(context.Background(), &Request{Path: "/x", Method: "GET", Authorization: "Bearer " + token, Cert: cert}, now)
}

func certificate(t testing.TB) (der []byte, escaped, xfcc string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = x509.CreateCertificate(rand.Reader, new(x509.Certificate), new(x509.Certificate), key.Public(), key); err != nil {
		t.Fatal(err)
	}
	escaped = url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return der, escaped, fmt.Sprintf(`By=spiffe://a;Hash=%x;Subject="CN=a,O=\"b;c\""`, sha256.Sum256(der))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
