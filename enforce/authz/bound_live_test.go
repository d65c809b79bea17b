package authz

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/keycloak"
	"github.com/portcullis/portcullis/fixtures/testbed"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

// The snippets for bound tokens are what docs/authentication.md shows.
const nginxBound = `ssl_client_certificate /etc/nginx/clients.pem;
ssl_verify_client optional;`

const nginxBoundAsk = `    proxy_set_header X-Client-Cert $ssl_client_escaped_cert;`

const envoyBound = `"forward_client_cert_details": "SANITIZE_SET"`

// boundFront is a gateway that asks clients for certificates.
type boundFront struct {
	name, header string
	o            func(a *servetest.Authority, tls, http, grpc string) gateways.Options
}

var boundFronts = []boundFront{
	{"nginx", "X-Client-Cert", func(a *servetest.Authority, tls, http, _ string) gateways.Options {
		cert, key := a.Issue("gateway")
		ask := strings.Replace(nginxStrict(), "\n    proxy_connect_timeout", "\n"+nginxBoundAsk+"\n    proxy_connect_timeout", 1)
		return gateways.Options{Extra: strings.Join([]string{"listen " + tls + " ssl;", "ssl_certificate " + cert + ";", "ssl_certificate_key " + key + ";",
			atPort(nginxBound, "/etc/nginx/clients.pem", a.CA), atPort(ask, "127.0.0.1:8471", http), nginxIdentity}, "\n"),
			More: nginxProxy + "\n" + strings.TrimSpace(nginxBoundAsk)}
	}},
	{"envoy", "X-Forwarded-Client-Cert", func(a *servetest.Authority, tls, _, grpc string) gateways.Options {
		cert, key := a.Issue("gateway")
		host, port, _ := strings.Cut(tls, ":")
		o := envoyOptions(grpc, envoyClosed, "[]")
		o.Extra = strings.TrimSuffix(o.Extra, "}") + fmt.Sprintf(`, "tls": {"address": "%s:%s", "connection_manager": {%s},
			"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
				"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
				"common_tls_context": {"tls_certificates": [{"certificate_chain": {"filename": %q}, "private_key": {"filename": %q}}],
					"validation_context": {"trusted_ca": {"filename": %q}}}}}}}`, host, port, envoyBound, cert, key, a.CA)
		return o
	}},
}

// TestLiveBoundTokens: a token that is bound to a certificate is good with that certificate,
// as a real gateway verifies it, and with no other, whatever the client writes into the field
// in which the gateway tells it; and the API is not lied to in that field either.
func TestLiveBoundTokens(t *testing.T) {
	for _, f := range boundFronts {
		t.Run(f.name, func(t *testing.T) {
			a := servetest.NewAuthority(t)
			g := boundTo(t, f, a, authn.Issuer{Issuer: "ours", Audience: []string{"orders"}, Secret: benchSecret})
			mine := a.Client("client")
			g.bound(f, a, mine, signBound(t, mine))
		})
	}
}

// boundTo is a service behind a gateway that asks for certificates by an authority.
func boundTo(t *testing.T, f boundFront, a *servetest.Authority, issuer authn.Issuer) *guarded {
	t.Helper()
	gateways.Need(t, f.name)
	g := newGuarded(t, authn.Config{Default: authn.NeedToken, ClientCert: f.header, Tokens: []authn.Issuer{issuer}})
	at := testbed.FreeAddr(t)
	gateways.Start(t, f.name, f.o(a, at, g.http, g.grpc))
	g.url = "https://" + at
	g.await("the issuer's keys are read", func() bool { return g.s.Health() == nil })
	return g
}

// signBound makes a token that is bound to the certificate that a client shows (RFC 8705).
func signBound(t *testing.T, shows *tls.Config) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(benchSecret)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(shows.Certificates[0].Certificate[0])
	out, err := jwt.Signed(s).Claims(map[string]any{"iss": "ours", "aud": "orders", "exp": time.Now().Add(time.Hour).Unix(), "client_id": keycloak.Bound,
		"cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// bound uses a token that is bound to mine.
func (g *guarded) bound(f boundFront, a *servetest.Authority, mine *tls.Config, token string) {
	g.t.Helper()
	none, other := a.Client(""), a.Client("other")
	told := toldAs(f, mine.Certificates[0].Certificate[0])
	for what, c := range map[string]struct {
		shows  *tls.Config
		told   string // what the client writes into the field
		status int
	}{
		"with its certificate":                              {mine, "", 200},
		"with another":                                      {other, "", 401},
		"with none":                                         {none, "", 401},
		"with none, told by the client":                     {none, told, 401},
		"with another, told by the client":                  {other, told, 401},
		"with its own, another told by the client":          {mine, toldAs(f, other.Certificates[0].Certificate[0]), 200},
		"with its own, nonsense of the client in the field": {mine, "Hash=00", 200},
	} {
		status, heard := g.askTLS(c.shows, token, f.header, c.told)
		if status != c.status || status == 200 && heard.Get("X-Portcullis-Consumer") != keycloak.Bound {
			g.t.Errorf("%s: %d, and the API hears of %q; want %d", what, status, heard.Get("X-Portcullis-Consumer"), c.status)
		}
		if got := heard.Get(f.header); status == 200 && !sameTold(got, told) {
			g.t.Errorf("%s: the API hears the certificate %.200q", what, got)
		}
	}
	if status, _ := g.askTLS(mine, "", f.header, told); status != 401 {
		g.t.Errorf("a certificate without a token: %d", status)
	}
}

// toldAs is what a client writes who pretends to be the gateway.
func toldAs(f boundFront, der []byte) string {
	if f.name == "envoy" {
		return fmt.Sprintf("Hash=%x", sha256.Sum256(der))
	}
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// sameTold tells whether the field that the API hears is about the certificate of told.
func sameTold(got, told string) bool {
	if strings.HasPrefix(told, "Hash=") {
		return strings.Contains(got, told) && strings.Count(got, "Hash=") == 1
	}
	a, errA := url.PathUnescape(got)
	b, errB := url.PathUnescape(told)
	return errA == nil && errB == nil && a == b
}

// askTLS sends a request through the gateway, over a connection of its own.
func (g *guarded) askTLS(shows *tls.Config, token, field, value string) (int, http.Header) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.url+gateways.Echo, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.9")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if value != "" {
		req.Header.Set(field, value)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: shows, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	heard := http.Header{}
	if resp.StatusCode == http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(&heard); err != nil {
			g.t.Fatal(err)
		}
	}
	return resp.StatusCode, heard
}

// keycloakBound: a token that a real Keycloak binds to the certificate by which its client
// shows who it is.
func keycloakBound(t *testing.T, kc *keycloak.Server, a *servetest.Authority) {
	gateways.Need(t, "nginx")
	mine := a.Client(keycloak.Bound)
	token, err := kc.BoundToken(t.Context(), mine)
	if err != nil {
		t.Fatal(err)
	}
	_, payload, _ := strings.Cut(token, ".")
	payload, _, _ = strings.Cut(payload, ".")
	if claims, err := base64.RawURLEncoding.DecodeString(payload); err != nil || !bytes.Contains(claims, []byte(`"x5t#S256"`)) {
		t.Fatalf("Keycloak binds nothing: %s, %v", claims, err)
	}
	g := boundTo(t, boundFronts[0], a, authn.Issuer{Issuer: kc.Issuer(), Audience: []string{keycloak.API}})
	g.bound(boundFronts[0], a, mine, token)
}

// TestBoundSnippets: what docs/authentication.md shows is what the tests wrote.
func TestBoundSnippets(t *testing.T) {
	text, err := os.ReadFile("../../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, snippet := range []string{nginxBound, strings.TrimSpace(nginxBoundAsk), envoyBound} {
		if !strings.Contains(string(text), "\n"+snippet+"\n") {
			t.Errorf("docs/authentication.md does not show %s", snippet)
		}
	}
}
