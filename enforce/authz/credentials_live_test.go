package authz

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/fixtures/gateways"
)

// The snippets for APIs that need credentials are what docs/authentication.md shows: nothing
// passes while nobody answers, and the API hears who its client is.
const nginxClosed = `    add_header WWW-Authenticate $portcullis_challenge always;
    if ($portcullis_status = "") {
        return 503 '{"type":"about:blank","title":"Service Unavailable","status":503}';
    }`

const nginxIdentity = `auth_request_set $portcullis_consumer $upstream_http_x_portcullis_consumer;
auth_request_set $portcullis_key_id $upstream_http_x_portcullis_key_id;
auth_request_set $portcullis_scopes $upstream_http_x_portcullis_scopes;
auth_request_set $portcullis_signature $upstream_http_x_portcullis_signature;`

const nginxProxy = `proxy_set_header X-Portcullis-Consumer $portcullis_consumer;
proxy_set_header X-Portcullis-Key-Id $portcullis_key_id;
proxy_set_header X-Portcullis-Scopes $portcullis_scopes;
proxy_set_header X-Portcullis-Signature $portcullis_signature;`

const traefikClosed = `forwardAuth: {address: "http://127.0.0.1:8471/authz", trustForwardHeader: true, authResponseHeaders: [X-Portcullis-Consumer, X-Portcullis-Key-Id, X-Portcullis-Scopes, X-Portcullis-Signature]}`

const caddyClosed = `forward_auth 127.0.0.1:8471 {
	uri /authz
	copy_headers X-Portcullis-Consumer X-Portcullis-Key-Id X-Portcullis-Scopes X-Portcullis-Signature
	transport http {
		dial_timeout 100ms
		response_header_timeout 2s
	}
}`

const envoyClosed = `{
  "name": "envoy.filters.http.ext_authz",
  "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
    "transport_api_version": "V3",
    "failure_mode_allow": false,
    "status_on_error": {"code": "ServiceUnavailable"},
    "grpc_service": {"envoy_grpc": {"cluster_name": "portcullis"}, "timeout": "2s"}
  }
}`

// nginxStrict is the snippet of docs/authz.md as docs/authentication.md has it changed.
func nginxStrict() string {
	s := strings.Replace(nginxSnippet, "    proxy_intercept_errors on;\n    error_page 500 502 503 504 = @portcullis_open;\n", "", 1)
	s = strings.Replace(s, "location @portcullis_open {\n    internal;\n    return 204;\n}\n", "", 1)
	s = strings.Replace(s, "error_page 401 403 =", "error_page 401 403 500 =", 1)
	s = strings.Replace(s, "    proxy_read_timeout 200ms;\n", "    proxy_read_timeout 2s;\n", 1)
	return strings.Replace(s, "    add_header WWW-Authenticate $portcullis_challenge always;", nginxClosed, 1)
}

var closedFronts = []front{
	{"nginx", "nginx", false, func(_ testing.TB, http, _ string) gateways.Options {
		return gateways.Options{Extra: atPort(nginxStrict(), "127.0.0.1:8471", http) + "\n" + nginxIdentity, More: nginxProxy}
	}},
	{"traefik", "traefik", false, func(_ testing.TB, http, _ string) gateways.Options {
		return gateways.Options{Variant: "trust-xff", Extra: "{" + atPort(traefikClosed, "127.0.0.1:8471", http) + "}"}
	}},
	{"caddy", "caddy", false, func(_ testing.TB, http, _ string) gateways.Options {
		return gateways.Options{Variant: "trust-xff", Extra: atPort(caddyClosed, "127.0.0.1:8471", http)}
	}},
	{"envoy", "envoy", false, func(_ testing.TB, _, grpc string) gateways.Options {
		return envoyOptions(grpc, envoyClosed, "[]")
	}},
}

const identitySecret = "a secret of the API and its gateway"

// guarded is a service in front of an API, of which some needs credentials.
type guarded struct {
	t    *testing.T
	s    *Service
	keys string
	http string
	grpc string
	stop func()
	url  string
}

func newGuarded(t *testing.T, cfg authn.Config) *guarded {
	t.Helper()
	g := &guarded{t: t, keys: filepath.Join(t.TempDir(), "clients.keys")}
	cfg.Access = append(cfg.Access, authn.Rule{Route: gateways.Ready, Need: authn.NeedNone})
	cfg.Secret = identitySecret
	deps := testDeps()
	deps.Authn = authn.Deps{Secret: [32]byte{3}, Keys: g.keys}
	s, err := New(Config{Listen: "127.0.0.1:0", ListenGRPC: "127.0.0.1:0", Authn: cfg}, deps)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), blockOf("192.0.2.1/32")); err != nil {
		t.Fatal(err)
	}
	g.s = s
	g.http, g.grpc, g.stop = started(t, s)
	return g
}

func (g *guarded) keyFile(change func(*authn.Keys) (string, error)) (shown string) {
	g.t.Helper()
	err := authn.UpdateKeys(g.keys, func(k *authn.Keys) (err error) {
		shown, err = change(k)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return shown
}

func (g *guarded) issue(k authn.Key) string {
	g.t.Helper()
	return g.keyFile(func(all *authn.Keys) (string, error) { return all.Issue([32]byte{3}, k, time.Now()) })
}

// ask sends a request through the gateway.
func (g *guarded) ask(method, path string, fields ...string) (*http.Response, map[string][]string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.9")
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] != "" {
			req.Header.Set(fields[i], fields[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	heard := map[string][]string{}
	if resp.StatusCode == http.StatusOK && strings.HasPrefix(path, gateways.Echo) {
		if err := json.NewDecoder(resp.Body).Decode(&heard); err != nil {
			g.t.Fatal(err)
		}
	} else if strings.Contains(resp.Header.Get("Content-Type"), "problem") {
		var p problem
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Status != resp.StatusCode {
			g.t.Errorf("%s: status %d, problem %+v, %v", path, resp.StatusCode, p, err)
		}
	}
	return resp, heard
}

func (g *guarded) await(what string, ok func() bool) {
	g.t.Helper()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); {
		if ok() {
			return
		}
	}
	g.t.Fatalf("never: %s", what)
}

// verified is what an API does with the fields, as docs/authentication.md shows it.
func verified(h http.Header, secret string, now time.Time) bool {
	at, sum, _ := strings.Cut(strings.TrimPrefix(h.Get("X-Portcullis-Signature"), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v1\n" + at + "\n" + h.Get("X-Portcullis-Consumer") + "\n" + h.Get("X-Portcullis-Key-Id") + "\n" + h.Get("X-Portcullis-Scopes")))
	seconds, err := strconv.ParseInt(at, 10, 64)
	return err == nil && now.Sub(time.Unix(seconds, 0)).Abs() < time.Minute &&
		hmac.Equal([]byte(sum), []byte(hex.EncodeToString(mac.Sum(nil))))
}

// TestLiveCredentials: through each gateway, what needs a key is refused without, by 401 or
// 403 with a challenge; the API hears who its client is, and not what the client says it is;
// and while nobody answers the gateway, nothing passes.
func TestLiveCredentials(t *testing.T) {
	for _, f := range closedFronts {
		t.Run(f.name, func(t *testing.T) {
			gateways.Need(t, f.kind)
			g := newGuarded(t, authn.Config{Default: authn.NeedAny, Access: []authn.Rule{
				{Route: gateways.Echo, Methods: []string{"GET"}, Need: authn.NeedNone},
				{Route: "/api/v1/admin/*", Need: authn.NeedKey, Scopes: []string{"admin"}},
			}})
			g.url = gateways.Start(t, f.kind, f.o(t, g.http, g.grpc)).URL
			key := g.issue(authn.Key{Name: "a", Consumer: "acme", Scopes: []string{"read", "write"}})
			g.await("the key is taken", func() bool {
				resp, _ := g.ask("GET", "/api/v1/orders/1", "X-Api-Key", key)
				return resp.StatusCode == 200
			})
			wrong := key[:len(key)-1] + "2"
			if wrong == key {
				wrong = key[:len(key)-1] + "3"
			}
			for _, c := range []struct {
				method, path, field, value string
				status                     int
				challenge                  string
			}{
				{"GET", "/api/v1/orders/1", "", "", 401, `ApiKey realm="api", Bearer realm="api"`},
				{"GET", "/api/v1/orders/1", "Authorization", "ApiKey " + key, 200, ""},
				{"GET", "/api/v1/orders/1", "Authorization", "Bearer " + key, 200, ""},
				{"GET", "/api/v1/orders/1", "X-Api-Key", wrong, 401, `ApiKey realm="api", error="invalid_token", Bearer realm="api", error="invalid_token"`},
				{"GET", "/api/v1/admin/x", "X-Api-Key", key, 403, `ApiKey realm="api", error="insufficient_scope", scope="admin"`},
				{"GET", "/api/v1/echo/%2e%2e/orders/1", "", "", 401, `ApiKey realm="api", Bearer realm="api"`},
				{"POST", gateways.Echo, "", "", 401, `ApiKey realm="api", Bearer realm="api"`},
				{"GET", gateways.Echo, "X-Original-URL", "/api/v1/orders/1", 401, `ApiKey realm="api", Bearer realm="api"`},
				{"GET", gateways.Echo, "X-HTTP-Method-Override", "DELETE", 401, `ApiKey realm="api", Bearer realm="api"`},
			} {
				resp, _ := g.ask(c.method, c.path, c.field, c.value)
				got := resp.Header.Values("WWW-Authenticate")
				if resp.StatusCode != c.status || c.challenge == "" && len(got) > 0 || c.challenge != "" && (len(got) != 1 || got[0] != c.challenge) {
					t.Errorf("%s %s with %.4q: %d %q, want %d %q", c.method, c.path, c.value, resp.StatusCode, got, c.status, c.challenge)
				}
			}
			g.identity(key)
			if resp, _ := g.ask("GET", "/api/v1/orders/1", "X-Forwarded-For", "192.0.2.1"); resp.StatusCode != 403 {
				t.Errorf("who is blocked got %d", resp.StatusCode)
			}
			g.keyFile(func(k *authn.Keys) (string, error) { _, err := k.Revoke("a", time.Now()); return "", err })
			at := time.Now()
			g.await("the key is refused", func() bool {
				resp, _ := g.ask("GET", "/api/v1/orders/1", "X-Api-Key", key)
				return resp.StatusCode == 401
			})
			t.Logf("a revoked key was refused after %s", time.Since(at).Round(time.Millisecond))
			g.stop()
			if resp, _ := g.ask("GET", "/api/v1/orders/1", "X-Api-Key", key); resp.StatusCode < 500 {
				t.Errorf("while nobody answers: %d", resp.StatusCode)
			}
		})
	}
}

// identity looks at what the API hears of its client.
func (g *guarded) identity(key string) {
	g.t.Helper()
	forged := []string{"X-Portcullis-Consumer", "root", "X-Portcullis-Key-Id", "x", "X-Portcullis-Scopes", "admin", "X-Portcullis-Signature", "t=1,v1=0"}
	_, heard := g.ask("GET", gateways.Echo, append(forged, "X-Api-Key", key)...)
	h := http.Header(heard)
	if h.Get("X-Portcullis-Consumer") != "acme" || h.Get("X-Portcullis-Key-Id") != key[4:16] || h.Get("X-Portcullis-Scopes") != "read write" || !verified(h, identitySecret, time.Now()) {
		g.t.Errorf("the API hears %q", heard)
	}
	if verified(h, identitySecret, time.Now().Add(time.Hour)) || verified(h, "another secret", time.Now()) {
		g.t.Error("a signature is good for ever, or for every secret")
	}
	_, heard = g.ask("GET", gateways.Echo, forged...)
	for _, name := range authn.IdentityHeaders {
		if v, ok := heard[name]; ok {
			g.t.Errorf("of a client that shows nothing the API hears %s: %q", name, v)
		}
	}
}

// TestCredentialSnippets: what docs/authentication.md shows is what the tests wrote.
func TestCredentialSnippets(t *testing.T) {
	text, err := os.ReadFile("../../docs/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, snippet := range map[string]string{"nginx": nginxStrict(), "nginx identity": nginxIdentity, "nginx proxy": nginxProxy,
		"traefik": traefikClosed, "caddy": caddyClosed, "envoy": envoyClosed} {
		if !strings.Contains(string(text), "\n"+snippet+"\n") {
			t.Errorf("docs/authentication.md does not show the %s snippet of this test", name)
		}
	}
}

// TestUndecidedCredentials: where the blocklist fails open, credentials do not.
func TestUndecidedCredentials(t *testing.T) {
	s, _ := asked(t, Config{Authn: authn.Config{Access: []authn.Rule{{Route: "/orders/*", Need: authn.NeedAny}}}})
	for _, c := range []struct {
		peer, chain, path string
		status            int
	}{
		{"127.0.0.1:9", "192.0.2.1", "/orders/1", 401}, {"127.0.0.1:9", "192.0.2.1", "/", 200},
		{"127.0.0.1:9", "", "/orders/1", 401}, {"203.0.113.1:9", "192.0.2.1", "/orders/1", 401}, {"203.0.113.1:9", "192.0.2.1", "/", 200},
		{"127.0.0.1:9", "127.0.0.1", "/x/..//orders;a/1", 401},
	} {
		if got := s.forwarded(c.peer, c.chain, c.path).Code; got != c.status {
			t.Errorf("%+v: %d before there is a list", c, got)
		}
	}
	if _, err := s.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := s.forwarded("127.0.0.1:9", "127.0.0.1", "/orders/1").Code; got != 401 {
		t.Errorf("a hop of our own: %d", got)
	}
}
