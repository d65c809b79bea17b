package identity

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
)

func resolver(t testing.TB, cfg Config) *Resolver {
	t.Helper()
	if cfg.Key == ([KeyBytes]byte{}) {
		cfg.Key = testKey()
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestForwarded: RFC 7239, with the examples of its sections 4 and 6.
func TestForwarded(t *testing.T) {
	r := newResolver(t, "127.0.0.0/8", "10.0.0.0/8")
	for header, want := range map[string]string{
		`for=192.0.2.60;proto=http;by=203.0.113.43`:             "192.0.2.60",
		`For="[2001:db8:cafe::17]:4711"`:                        "2001:db8:cafe::17",
		`for=192.0.2.43, for=198.51.100.17`:                     "198.51.100.17",
		`for=192.0.2.43,for="[2001:db8:cafe::17]",for=10.0.0.9`: "2001:db8:cafe::17",
		`for=192.0.2.43, for=unknown, for=10.0.0.9`:             "10.0.0.9",
		`for=192.0.2.43, for=_hidden, for=10.0.0.9`:             "10.0.0.9",
		`for="_gazonk"`:          "127.0.0.1",
		`for=unknown`:            "127.0.0.1",
		`for="192.0.2.43:_port"`: "192.0.2.43",
		`proto=https;by=10.0.0.1 ; FOR = "192.0.2.43:47011"`:         "192.0.2.43",
		`for=192.0.2.1;for=192.0.2.2`:                                "127.0.0.1",
		`by=10.0.0.1`:                                                "127.0.0.1",
		`for="192.0.2.43`:                                            "127.0.0.1",
		`for="\192.0.2.43"`:                                          "192.0.2.43",
		`for="evil, for=192.0.2.43`:                                  "192.0.2.43",
		`for="evil\", for=192.0.2.43;host="a,b;for=\"6.6.6.6"`:       "192.0.2.43",
		`for=6.6.6.6;host="x", for=192.0.2.43;host="a\\"`:            "192.0.2.43",
		`for="::ffff:192.0.2.43"`:                                    "192.0.2.43",
		`for="[64:ff9b::192.0.2.43]"`:                                "64:ff9b::c000:22b",
		`for=192.0.2.43, for=10.0.0.9;secret=s;proto=http`:           "192.0.2.43",
		strings.Repeat("for=10.0.0.1,", 63) + "for=10.0.0.2":         "10.0.0.1",
		"for=192.0.2.43" + strings.Repeat(", for=10.0.0.7", maxHops): "10.0.0.7",
		"for=6.6.6.6;x=" + strings.Repeat("y", maxHeaderBytes):       "127.0.0.1",
	} {
		ev := ingest.Event{Peer: netip.MustParseAddr("127.0.0.1"), Forwarded: header}
		if r.Resolve(&ev); ev.Client.String() != want {
			t.Errorf("%.120s: client %s, want %s", header, ev.Client, want)
		}
	}
}

// TestHeaderOrder: the first header that is there decides, and only a trusted peer's.
func TestHeaderOrder(t *testing.T) {
	for _, c := range []struct {
		order                          []string
		peer, chain, forwarded, realIP string
		want                           string
	}{
		{nil, "127.0.0.1", "192.0.2.1", "for=192.0.2.2", "192.0.2.3", "192.0.2.1"},
		{nil, "127.0.0.1", "", "for=192.0.2.2", "192.0.2.3", "192.0.2.2"},
		{nil, "127.0.0.1", "", "", "[2001:db8::3]:1", "2001:db8::3"},
		{nil, "192.0.2.9", "192.0.2.1", "for=192.0.2.2", "192.0.2.3", "192.0.2.9"},
		{nil, "127.0.0.1", "unknown", "for=192.0.2.2", "192.0.2.3", "127.0.0.1"},
		{nil, "127.0.0.1", "", "", "192.0.2.3, 192.0.2.4", "127.0.0.1"},
		{[]string{"forwarded", "x-forwarded-for"}, "127.0.0.1", "192.0.2.1", "for=192.0.2.2", "192.0.2.3", "192.0.2.2"},
		{[]string{"x-real-ip"}, "127.0.0.1", "192.0.2.1", "for=192.0.2.2", "192.0.2.3", "192.0.2.3"},
		{[]string{"x-real-ip"}, "127.0.0.1", "192.0.2.1", "for=192.0.2.2", "", "127.0.0.1"},
	} {
		r := resolver(t, Config{TrustedProxies: []string{"127.0.0.0/8"}, ClientHeaders: c.order})
		ev := ingest.Event{Peer: netip.MustParseAddr(c.peer), Chain: c.chain, Forwarded: c.forwarded, RealIP: c.realIP}
		if r.Resolve(&ev); ev.Client.String() != c.want {
			t.Errorf("%+v: client %s", c, ev.Client)
		}
	}
}

// TestNoHeaderForges: whatever a client writes into all of the headers, a trusted hop that
// appends to the preferred one decides who the client is.
func TestNoHeaderForges(t *testing.T) {
	hops := []string{"10.0.0.1", "10.0.0.2", "127.0.0.1"}
	texts := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{`for=6.6.6.6`, `"`, `for="`, `\`, `for="\`, `6.6.6.6`, `6.6.6.6, `, `;for=6.6.6.6`, strings.Repeat("10.0.0.1,", 2000), `for="a\"`}))
	for header, resolve := range map[string]*Resolver{
		headerXFF:       resolver(t, Config{TrustedProxies: []string{"10.0.0.0/8", "127.0.0.0/8"}}),
		headerForwarded: resolver(t, Config{TrustedProxies: []string{"10.0.0.0/8", "127.0.0.0/8"}, ClientHeaders: []string{headerForwarded, headerXFF, headerRealIP}}),
		headerRealIP:    resolver(t, Config{TrustedProxies: []string{"10.0.0.0/8", "127.0.0.0/8"}, ClientHeaders: []string{headerRealIP, headerXFF, headerForwarded}}),
	} {
		t.Run(header, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				client := rapid.SampledFrom([]string{"203.0.113.5", "2001:db8::5", "198.51.100.77"}).Draw(t, "client")
				path := rapid.SliceOfN(rapid.SampledFrom(hops), 1, 4).Draw(t, "hops")
				ev := ingest.Event{
					Peer:  netip.MustParseAddr(path[len(path)-1]),
					Chain: texts.Draw(t, "chain"), Forwarded: texts.Draw(t, "forwarded"), RealIP: texts.Draw(t, "real"),
					User: texts.Draw(t, "user"), Key: texts.Draw(t, "key"), Token: texts.Draw(t, "token"), Session: texts.Draw(t, "session"),
				}
				seen := append([]string{client}, path[:len(path)-1]...)
				switch header {
				case headerXFF:
					ev.Chain = appended(ev.Chain, seen, func(a string) string { return a })
				case headerForwarded:
					ev.Forwarded = appended(ev.Forwarded, seen, func(a string) string { return fmt.Sprintf(`for="%s"`, a) })
				default:
					ev.RealIP = client
				}
				resolve.Resolve(&ev)
				if ev.Client.String() != client {
					t.Fatalf("%q %q %q from %s: client %s, want %s", ev.Chain, ev.Forwarded, ev.RealIP, ev.Peer, ev.Client, client)
				}
			})
		})
	}
}

// appended is a header after each hop wrote whom it saw.
func appended(forged string, seen []string, element func(string) string) string {
	for _, a := range seen {
		if forged != "" {
			forged += ", "
		}
		forged += element(a)
	}
	return forged
}

func FuzzResolve(f *testing.F) {
	f.Add("6.6.6.6, 10.0.0.1", `for="[::1]:1";by=x, for=_a`, "1.2.3.4:5", "CN=a\\,b,O=c", "sid=1; a=\"2\"", "Bearer eyJhIjoxfQ.e30.x")
	f.Add("", `for="\"`, "[", "/CN=a/CN=b", "a==", "Basic dXNlcjpwYXNz")
	f.Add(",,,", `for=""", ";for=`, "::", `CN="a,b"+OU=x`, "=;=", "AWS4-HMAC-SHA256 Credential=x")
	r := resolver(f, Config{TrustedProxies: []string{"10.0.0.0/8", "127.0.0.0/8"}, ClientHeaders: allHeaders, BasicUser: true, Sealed: true})
	f.Fuzz(func(t *testing.T, chain, forwarded, real, subject, session, token string) {
		for _, ev := range []ingest.Event{{Chain: chain + ", 203.0.113.5"}, {Forwarded: forwarded + ", for=203.0.113.5"}} {
			ev.Peer = netip.MustParseAddr("10.0.0.1")
			ev.RealIP, ev.Subject, ev.Session, ev.Token = real, subject, session, token
			r.Resolve(&ev)
			if ev.Client.String() != "203.0.113.5" {
				t.Errorf("%q %q: client %s", chain, forwarded, ev.Client)
			}
			if ev.Session != "" && (len(ev.Session) != pseudonymWidth || !isDigits(ev.Session[2:])) || ev.Token != "" && !isDigits(ev.Token[2:]) {
				t.Errorf("session %q, token %q", ev.Session, ev.Token)
			}
		}
	})
}

// jwt makes a token that nobody signed.
func jwt(head, claims string) string {
	b := base64.RawURLEncoding.EncodeToString
	return b([]byte(head)) + "." + b([]byte(claims)) + ".c2lnbmF0dXJl"
}

func TestConsumer(t *testing.T) {
	token := "Bearer " + jwt(`{"alg":"RS256"}`, `{"iss":"https://id.example","sub":"alice","azp":7}`)
	for _, c := range []struct {
		name    string
		cfg     Config
		ev      ingest.Event
		want    string
		claimed bool
	}{
		{"nothing", Config{}, ingest.Event{}, "", false},
		{"gateway first", Config{}, ingest.Event{Consumer: "app", User: "bob", Subject: "CN=c", Token: token}, "app", false},
		{"then the user", Config{}, ingest.Event{User: "bob", Subject: "CN=c", Token: token}, "bob", false},
		{"then the certificate", Config{}, ingest.Event{Subject: "OU=x,CN=c", Token: token}, "c", false},
		{"then the token", Config{}, ingest.Event{Token: token}, "alice", true},
		{"not a refused one", Config{}, ingest.Event{Token: token, Status: 401}, "", false},
		{"another order", Config{Consumer: []string{"jwt", "gateway"}}, ingest.Event{Consumer: "app", User: "bob", Token: token}, "alice", true},
		{"only these", Config{Consumer: []string{"subject"}}, ingest.Event{Consumer: "app", User: "bob", Token: token}, "", false},
		{"as the format claimed", Config{}, ingest.Event{Consumer: "app", Flags: ingest.FlagClaimed}, "app", true},
		{"better than claimed", Config{Consumer: []string{"user", "gateway"}}, ingest.Event{Consumer: "app", User: "bob", Flags: ingest.FlagClaimed}, "bob", false},
		{"with its issuer", Config{JWTIssuer: true}, ingest.Event{Token: token}, "https://id.example|alice", true},
		{"another claim", Config{JWTClaims: []string{"iss"}}, ingest.Event{Token: token}, "https://id.example", true},
		{"alg none", Config{}, ingest.Event{Token: jwt(`{"alg":"None"}`, `{"sub":"alice"}`)}, "", false},
		{"no alg", Config{}, ingest.Event{Token: jwt(`{}`, `{"sub":"alice"}`)}, "", false},
		{"control bytes", Config{}, ingest.Event{Token: jwt(`{"alg":"x"}`, `{"sub":"a\u001bb"}`)}, "", false},
		{"too long", Config{}, ingest.Event{Token: jwt(`{"alg":"x"}`, `{"sub":"`+strings.Repeat("a", 200)+`"}`)}, "", false},
		{"no JSON", Config{}, ingest.Event{Token: jwt(`{"alg":"x"}`, `{"sub":`)}, "", false},
		{"basic", Config{BasicUser: true}, ingest.Event{Token: "basic dXNlcjpwYXNz"}, "user", false},
		{"basic, unless the config says so", Config{}, ingest.Event{Token: "Basic dXNlcjpwYXNz"}, "", false},
	} {
		r := resolver(t, c.cfg)
		for range 2 {
			ev := c.ev
			r.Resolve(&ev)
			if ev.Consumer != c.want || ev.Flags&ingest.FlagClaimed != 0 != c.claimed {
				t.Errorf("%s: consumer %q, flags %b", c.name, ev.Consumer, ev.Flags)
			}
			if c.ev.Token != "" && !strings.HasPrefix(ev.Token, "t_") {
				t.Errorf("%s: token %q", c.name, ev.Token)
			}
		}
	}
}

// TestCommonName: RFC 4514's examples, RFC 2253's quotes, OpenSSL's old form.
func TestCommonName(t *testing.T) {
	r := resolver(t, Config{})
	for dn, want := range map[string]string{
		"UID=jsmith,DC=example,DC=net":            "UID=jsmith,DC=example,DC=net",
		"OU=Sales+CN=J.  Smith,DC=example,DC=net": "J.  Smith",
		`CN=James \"Jim\" Smith\, III,DC=example`: `James "Jim" Smith, III`,
		`CN=Before\0dAfter,DC=example,DC=net`:     "Before\rAfter",
		`CN=Lu\C4\8Di\C4\87`:                      "Lučić",
		`O=x, cn = "Smith, John" , C=US`:          "Smith, John",
		"/C=US/O=x/CN=client.example":             "client.example",
		"/CN=ca/CN=client/emailAddress=a@example": "client",
		"C = US, O = x, CN = client.example":      "client.example",
		"O=CN=x,CN=y":                             "y",
		`O=a\,CN=x,CN=y`:                          "y",
		"2.5.4.3=z":                               "z",
		`CN=a\`:                                   `a\`,
	} {
		for range 2 {
			if got := r.commonName(dn); got != want {
				t.Errorf("%s: %q, want %q", dn, got, want)
			}
		}
	}
}

func TestTokensAndSessions(t *testing.T) {
	r := resolver(t, Config{})
	token := func(s string) string { ev := ingest.Event{Token: s}; r.Resolve(&ev); return ev.Token }
	session := func(s string) string { ev := ingest.Event{Session: s}; r.Resolve(&ev); return ev.Session }
	if a := token("Bearer abc"); len(a) != 18 || a != token("bearer  abc") || a != token("abc") || a != token("DPoP abc") || a == token("Bearer abd") {
		t.Errorf("tokens: %s", a)
	}
	for _, s := range []string{"Digest username=\"a\", nonce=\"b\"", "AWS4-HMAC-SHA256 Credential=A/x", "Negotiate abc", "REDACTED", "Bearer REDACTED", "-", "****", " "} {
		if got := token(s); got != "" {
			t.Errorf("%q became %s", s, got)
		}
	}
	a := session("abc")
	for _, s := range []string{"sid=abc", "x=1; sid=abc; y=2", `theme="a b"; PHPSESSID="abc"`, "sid=other; session=abc", `"abc"`} {
		if got := session(s); got != a {
			t.Errorf("%q became %s, want %s", s, got, a)
		}
	}
	for _, s := range []string{"theme=dark", "xsid=abc", "REDACTED", "sid="} {
		if got := session(s); got != "" {
			t.Errorf("%q became %s", s, got)
		}
	}
	if session("YWJj==") == "" || session("YWJj==") == a {
		t.Error("an id with padding is no session")
	}
	if a[:2] != "s_" || a[2:] != token("abc")[2:] {
		t.Errorf("one secret in two places: %s and %s", a, token("abc"))
	}
}

// TestSteadyState: what was seen before costs no memory, however long it is.
func TestSteadyState(t *testing.T) {
	r := resolver(t, Config{TrustedProxies: []string{"127.0.0.0/8"}, BasicUser: true})
	peer := netip.MustParseAddr("127.0.0.1")
	for name, ev := range map[string]ingest.Event{
		"forwarded": {Forwarded: `for="[2001:db8::1]:443";proto=https, for=127.0.0.1`},
		"real ip":   {RealIP: "203.0.113.7"},
		"jwt":       {Token: "Bearer " + jwt(`{"alg":"RS256"}`, `{"sub":"alice","x":"`+strings.Repeat("y", 900)+`"}`)},
		"basic":     {Token: "Basic dXNlcjpwYXNz"},
		"cookies":   {Session: "a=b; c=d; sid=" + strings.Repeat("z", 600)},
		"dn":        {Subject: `O=x,CN=a\,b`},
	} {
		ev.Peer = peer
		if n := testing.AllocsPerRun(50, func() { e := ev; r.Resolve(&e) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkResolveMore(b *testing.B) {
	r := resolver(b, Config{TrustedProxies: []string{"127.0.0.0/8"}})
	peer := netip.MustParseAddr("127.0.0.1")
	for name, ev := range map[string]ingest.Event{
		"plain":     {},
		"forwarded": {Forwarded: `for="203.0.113.7:443";proto=https`},
		"token":     {Token: "Bearer " + jwt(`{"alg":"RS256"}`, `{"sub":"alice"}`)},
		"session":   {Session: "a=b; sid=0123456789abcdef"},
	} {
		ev.Peer = peer
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e := ev
				r.Resolve(&e)
			}
		})
	}
}
