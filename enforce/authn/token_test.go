package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// presented is a token with what comes of it.
type presented struct {
	what, token, cert string
	status            int
}

func (p *provider) present(g *Guard, now time.Time, list []presented) {
	p.t.Helper()
	for _, c := range list {
		if got := shown(g, c.token, c.cert, now); got.Status != c.status {
			p.t.Errorf("%s: %d, want %d", c.what, got.Status, c.status)
		}
	}
}

// TestTokens: each thing that can be wrong with a token has it refused.
func TestTokens(t *testing.T) {
	p := newProvider(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.set(func() { p.keys["ec"], p.keys["ed"] = ec, ed })
	g := p.guard(nil)
	public, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	now := time.Now()
	plain := func(c object) string {
		body, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(body) + "."
	}
	good := p.token(now, nil)
	head, rest, _ := strings.Cut(good, ".")
	body, sig, _ := strings.Cut(rest, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(must(base64.RawURLEncoding.DecodeString(body))), "acme", "root", 1)))
	p.present(g, now, []presented{
		{"good", good, "", 0}, {"good again", good, "", 0},
		{"at+jwt", sign(t, jose.RS256, rsaKey(), "rsa", "at+jwt", p.claims(now, nil)), "", 0},
		{"no type, no key id", sign(t, jose.PS256, rsaKey(), "", "", p.claims(now, nil)), "", 0},
		{"ES256", sign(t, jose.ES256, ec, "ec", "JWT", p.claims(now, nil)), "", 0},
		{"EdDSA", sign(t, jose.EdDSA, ed, "ed", "JWT", p.claims(now, nil)), "", 0},
		{"an audience that is text", p.token(now, object{"aud": "orders"}), "", 0},
		{"for another API", p.token(now, object{"aud": "other"}), "", 401},
		{"for none", p.token(now, object{"aud": nil}), "", 401},
		{"of another issuer", p.token(now, object{"iss": "https://login.example"}), "", 401},
		{"an ID token", p.token(now, object{"typ": "ID"}), "", 401},
		{"a logout token", sign(t, jose.RS256, rsaKey(), "rsa", "logout+jwt", p.claims(now, nil)), "", 401},
		{"alg none", plain(p.claims(now, nil)), "", 401},
		{"HMAC with the public key", sign(t, jose.HS256, publicPEM, "rsa", "JWT", p.claims(now, nil)), "", 401},
		{"an algorithm that is not on the list", sign(t, jose.RS512, rsaKey(), "rsa", "JWT", p.claims(now, nil)), "", 401},
		{"ES256 under the RSA key's name", sign(t, jose.ES256, ec, "rsa", "JWT", p.claims(now, nil)), "", 401},
		{"tampered claims", head + "." + forged + "." + sig, "", 401},
		{"tampered signature", good[:len(good)-8] + "AAAAAAAA", "", 401},
		{"no token", "a.b.c", "", 401}, {"opaque", "abc", "", 401}, {"endless", strings.Repeat("a", maxToken+1), "", 401},
	})
	who := shown(g, good, "", now).Who
	if who.Consumer != "acme" || who.KeyID != "j1" || strings.Join(who.Scopes, " ") != "read write" || who.Kind != NeedToken {
		t.Errorf("it is %+v", who)
	}
	if got := shown(g, good, "", now.Add(time.Hour+30*time.Second)); got.Status != 401 {
		t.Errorf("a remembered token after its end: %d", got.Status)
	}
	if who := shown(g, p.token(now, object{"azp": "a b\n", "scope": nil, "scp": []string{"x"}}), "", now).Who; who.Consumer != "a%20b%0A" || len(who.Scopes) != 1 {
		t.Errorf("a name that cannot stand in a header: %+v", who)
	}
}

// TestTokenTimes: begin and end, within the skew.
func TestTokenTimes(t *testing.T) {
	p := newProvider(t)
	g, now := p.guard(nil), time.Now()
	p.present(g, now, []presented{
		{"run out within the skew", p.token(now, object{"exp": now.Add(-20 * time.Second).Unix()}), "", 0},
		{"run out", p.token(now, object{"exp": now.Add(-31 * time.Second).Unix()}), "", 401},
		{"without an end", p.token(now, object{"exp": nil}), "", 401},
		{"not yet good", p.token(now, object{"nbf": now.Add(time.Minute).Unix()}), "", 401},
		{"from the future", p.token(now, object{"iat": now.Add(time.Minute).Unix()}), "", 401},
	})
}

// TestBoundTokens: a token that is bound to a certificate is good with that one only.
func TestBoundTokens(t *testing.T) {
	p := newProvider(t)
	g, now := p.guard(nil), time.Now()
	der, escaped, xfcc := certificate(t)
	sum := sha256.Sum256(der)
	bound := p.token(now, object{"cnf": object{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}})
	p.present(g, now, []presented{
		{"with PEM", bound, escaped, 0}, {"with XFCC", bound, xfcc, 0}, {"without", bound, "", 401},
		{"with another's", bound, strings.Replace(xfcc, "Hash=", "Hash=00", 1), 401},
		{"behind another hop", bound, xfcc + ",By=b;Hash=" + strings.Repeat("00", 32), 401},
		{"bound to a key", p.token(now, object{"cnf": object{"jkt": "x"}}), xfcc, 401},
	})
}

// TestSecretIssuer: an issuer with a secret takes HMAC and nothing else.
func TestSecretIssuer(t *testing.T) {
	secret := strings.Repeat("s", 32)
	g, err := New(Config{Default: NeedToken, Tokens: []Issuer{{Issuer: "ours", Secret: secret, Audience: []string{"orders"}}}}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c := object{"iss": "ours", "aud": "orders", "exp": now.Add(time.Hour).Unix(), "sub": "u1"}
	for what, x := range map[string]struct {
		token  string
		status int
	}{
		"good":           {sign(t, jose.HS256, []byte(secret), "", "JWT", c), 0},
		"another secret": {sign(t, jose.HS256, []byte(strings.Repeat("t", 32)), "", "JWT", c), 401},
		"RSA":            {sign(t, jose.RS256, rsaKey(), "", "JWT", c), 401},
	} {
		if got := shown(g, x.token, "", now); got.Status != x.status {
			t.Errorf("%s: %d, want %d", what, got.Status, x.status)
		}
	}
}

// TestRotation: a new key of the issuer is known to the first token that has it, made-up
// keys cost the issuer next to nothing, a withdrawn one is refused, and while the issuer is
// away the last keys stay.
func TestRotation(t *testing.T) {
	p := newProvider(t)
	g := p.guard(nil)
	now := time.Now()
	old := p.token(now, nil)
	if got := shown(g, old, "", now); got.Status != 0 {
		t.Fatalf("before: %d", got.Status)
	}
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p.set(func() { p.keys["new"] = ec })
	asks := p.asks.Load()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			token, want := sign(t, jose.ES256, ec, "new", "", p.claims(now, object{"jti": fmt.Sprint(i)})), 0
			if i%2 == 1 {
				token, want = sign(t, jose.ES256, ec, fmt.Sprint("made up ", i), "", p.claims(now, nil)), 401
			}
			if got := shown(g, token, "", now); got.Status != want {
				t.Errorf("token %d: %d, want %d", i, got.Status, want)
			}
		})
	}
	wg.Wait()
	if n := p.asks.Load() - asks; n > 4 {
		t.Errorf("the issuer was asked %d times", n)
	}
	p.set(func() { delete(p.keys, "rsa") })
	shown(g, sign(t, jose.ES256, ec, "another", "", p.claims(now, nil)), "", now) // has the keys read
	if got := shown(g, old, "", now); got.Status != 401 {
		t.Errorf("a token of a withdrawn key: %d", got.Status)
	}
	p.set(func() { p.away = true })
	if got := shown(g, sign(t, jose.ES256, ec, "unknown", "", p.claims(now, nil)), "", now); got.Status != 503 {
		t.Errorf("an unknown key while the issuer is away: %d", got.Status)
	}
	if got := shown(g, sign(t, jose.ES256, ec, "new", "", p.claims(now, object{"jti": "later"})), "", now); got.Status != 0 || g.Health() != nil {
		t.Errorf("a known key while the issuer is away: %d, %v", got.Status, g.Health())
	}
}

// TestIntrospection: opaque tokens, and JWTs that the issuer has revoked.
func TestIntrospection(t *testing.T) {
	p := newProvider(t)
	g := p.guard(func(i *Issuer) {
		i.Introspect, i.ClientID, i.ClientSecret = introspectAlways, "gateway", "its-secret"
	})
	now := time.Now()
	jwt := p.token(now, nil)
	p.set(func() {
		p.active["opaque"] = object{"active": true, "client_id": "acme", "scope": "read", "exp": now.Add(time.Minute).Unix()}
		p.active["short"] = object{"active": true, "client_id": "acme", "exp": now.Add(2 * time.Second).Unix()}
		p.active["other"] = object{"active": true, "client_id": "acme", "aud": "other"}
		p.active[jwt] = object{"active": true}
	})
	if got := shown(g, "opaque", "", now); got.Status != 0 || got.Who.Consumer != "acme" || !strings.HasPrefix(got.Who.KeyID, "sha256:") {
		t.Errorf("an opaque token: %+v", got)
	}
	for what, want := range map[string]int{"short": 0, "other": 401, "unknown": 401, jwt: 0} {
		if got := shown(g, what, "", now); got.Status != want {
			t.Errorf("%.8s: %d, want %d", what, got.Status, want)
		}
	}
	asks := p.asks.Load()
	for _, again := range []string{"opaque", "unknown", jwt} {
		shown(g, again, "", now.Add(time.Second))
	}
	if n := p.asks.Load() - asks; n != 0 {
		t.Errorf("the issuer was asked %d times for what is known", n)
	}
	p.set(func() { p.active = map[string]any{} })
	for _, c := range []struct {
		token  string
		after  time.Duration
		status int
	}{{"opaque", 9 * time.Second, 0}, {jwt, 9 * time.Second, 0}, {"short", 3 * time.Second, 401}, {"opaque", 11 * time.Second, 401}, {jwt, 11 * time.Second, 401}} {
		if got := shown(g, c.token, "", now.Add(c.after)); got.Status != c.status {
			t.Errorf("%.8s revoked, after %s: %d, want %d", c.token, c.after, got.Status, c.status)
		}
	}
	p.set(func() { p.away = true })
	if got := shown(g, "never-seen", "", now); got.Status != 503 {
		t.Errorf("while the issuer is away: %d", got.Status)
	}
}

// TestOneQuestion: of those who show the same token at once one asks.
func TestOneQuestion(t *testing.T) {
	p := newProvider(t)
	g := p.guard(func(i *Issuer) {
		i.Introspect, i.ClientID, i.ClientSecret = introspectOpaque, "gateway", "its-secret"
	})
	now := time.Now()
	p.set(func() { p.active["opaque"] = object{"active": true, "client_id": "acme"} })
	asks := p.asks.Load()
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if got := shown(g, "opaque", "", now); got.Status != 0 {
				t.Errorf("status %d", got.Status)
			}
		})
	}
	wg.Wait()
	if n := p.asks.Load() - asks; n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}

// FuzzToken: nothing that is not signed passes, and nothing panics.
func FuzzToken(f *testing.F) {
	p := newProvider(f)
	good := p.token(time.Now(), nil)
	g := p.guard(nil)
	_, escaped, xfcc := certificate(f)
	f.Add(good[:len(good)-2], escaped)
	f.Add("e30.e30.", xfcc)
	f.Add(strings.Replace(good, ".", "..", 1), `Hash="x,Hash=\`)
	f.Fuzz(func(t *testing.T, token, cert string) {
		certSum(cert)
		if strings.HasPrefix(token, good) {
			return
		}
		if _, f := g.tokens.find(context.Background(), token, cert, time.Now(), false); f == faultNone {
			t.Errorf("%q passes", token)
		}
	})
}
