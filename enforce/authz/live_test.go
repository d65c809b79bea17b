package authz

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/testbed"
	"github.com/portcullis/portcullis/ingest/identity"
)

// testDeps trusts this machine, where the gateways of the tests run.
func testDeps() Deps {
	return Deps{Identity: identity.Config{Key: [32]byte{1}, TrustedProxies: []string{"127.0.0.0/8", "::1/128"}}}
}

// running starts a service on free ports.
func running(t testing.TB, cfg Config) (s *Service, http, grpc string) {
	t.Helper()
	cfg.Listen, cfg.ListenGRPC = "127.0.0.1:0", "127.0.0.1:0"
	s, err := New(cfg, testDeps())
	if err != nil {
		t.Fatal(err)
	}
	http, grpc, _ = started(t, s)
	return s, http, grpc
}

// started runs a service until stop, or until the test ends.
func started(t testing.TB, s *Service) (http, grpc string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); runtime.Gosched() {
		if h, g := s.Addrs(); h != nil && g != nil {
			return h.String(), g.String(), stop
		}
	}
	t.Fatal("it does not listen")
	return "", "", nil
}

// The snippets are what docs/authz.md shows: TestSnippets holds both together.
const nginxSnippet = `auth_request /_portcullis;
auth_request_set $portcullis_status $upstream_http_x_portcullis_status;
auth_request_set $portcullis_problem $upstream_http_x_portcullis_problem;
auth_request_set $portcullis_allow $upstream_http_allow;
auth_request_set $portcullis_retry $upstream_http_retry_after;
auth_request_set $portcullis_limit $upstream_http_ratelimit;
auth_request_set $portcullis_policy $upstream_http_ratelimit_policy;
auth_request_set $portcullis_challenge $upstream_http_x_portcullis_authenticate;
error_page 401 403 = @portcullis_refused;

location = /_portcullis {
    internal;
    auth_request off;
    proxy_pass http://127.0.0.1:8471/authz/nginx;
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Uri $request_uri;
    proxy_set_header X-Forwarded-Method $request_method;
    proxy_set_header X-Forwarded-Host $host;
    proxy_connect_timeout 100ms;
    proxy_read_timeout 200ms;
    proxy_intercept_errors on;
    error_page 500 502 503 504 = @portcullis_open;
}
location @portcullis_open {
    internal;
    return 204;
}
location @portcullis_refused {
    internal;
    default_type application/problem+json;
    add_header Allow $portcullis_allow always;
    add_header Retry-After $portcullis_retry always;
    add_header RateLimit $portcullis_limit always;
    add_header RateLimit-Policy $portcullis_policy always;
    add_header WWW-Authenticate $portcullis_challenge always;
    if ($portcullis_status = 400) { return 400 $portcullis_problem; }
    if ($portcullis_status = 404) { return 404 $portcullis_problem; }
    if ($portcullis_status = 405) { return 405 $portcullis_problem; }
    if ($portcullis_status = 413) { return 413 $portcullis_problem; }
    if ($portcullis_status = 415) { return 415 $portcullis_problem; }
    if ($portcullis_status = 401) {
        return 401 '{"type":"about:blank","title":"Unauthorized","status":401}';
    }
    if ($portcullis_status = 429) {
        return 429 '{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Too Many Requests","status":429}';
    }
    if ($portcullis_status = 503) {
        return 503 '{"type":"about:blank","title":"Service Unavailable","status":503}';
    }
    return 403 '{"type":"about:blank","title":"Forbidden","status":403}';
}`

const traefikSnippet = `forwardAuth: {address: "http://127.0.0.1:8471/authz", trustForwardHeader: true}`

const caddySnippet = `forward_auth 127.0.0.1:8471 127.0.0.1:8479 {
	uri /authz
	lb_policy first
	lb_try_duration 250ms
	fail_duration 2s
	transport http {
		dial_timeout 100ms
		response_header_timeout 200ms
	}
}`

const caddyOpen = `http://127.0.0.1:8479 {
	respond 200
}`

const envoySnippet = `{
  "name": "envoy.filters.http.ext_authz",
  "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
    "transport_api_version": "V3",
    "failure_mode_allow": true,
    "grpc_service": {"envoy_grpc": {"cluster_name": "portcullis"}, "timeout": "0.2s"}
  }
}`

const envoyRateSnippet = `{
  "name": "envoy.filters.http.ratelimit",
  "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
    "domain": "portcullis",
    "failure_mode_deny": false,
    "timeout": "0.2s",
    "rate_limit_service": {"transport_api_version": "V3", "grpc_service": {"envoy_grpc": {"cluster_name": "portcullis"}}}
  }
}`

const envoyCluster = `{
  "name": "portcullis",
  "type": "STATIC",
  "connect_timeout": "0.2s",
  "typed_extension_protocol_options": {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      "explicit_http_config": {"http2_protocol_options": {}}
    }
  },
  "load_assignment": {"cluster_name": "portcullis", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 8472}}}}]}]}
}`

// front is how a gateway of the tests is told to ask.
type front struct {
	name  string
	kind  string
	opens bool // it lets requests pass while nobody answers it
	o     func(t testing.TB, http, grpc string) gateways.Options
}

func atPort(text, from, to string) string { return strings.ReplaceAll(text, from, to) }

func envoyOptions(grpc, filter, limits string) gateways.Options {
	_, port, _ := net.SplitHostPort(grpc)
	// With use_remote_address Envoy would put this machine's own address into the chain, in
	// the place of loopback, and that may be any.
	return gateways.Options{Variant: "trust-xff", Extra: `{"http_filters": [` + filter + `], "clusters": [` + atPort(envoyCluster, "8472", port) + `], "rate_limits": ` + limits + `}`}
}

var fronts = []front{
	{"nginx", "nginx", true, func(_ testing.TB, http, _ string) gateways.Options {
		return gateways.Options{Extra: atPort(nginxSnippet, "127.0.0.1:8471", http)}
	}},
	{"traefik", "traefik", false, func(_ testing.TB, http, _ string) gateways.Options {
		return gateways.Options{Variant: "trust-xff", Extra: "{" + atPort(traefikSnippet, "127.0.0.1:8471", http) + "}"}
	}},
	{"caddy", "caddy", true, func(t testing.TB, http, _ string) gateways.Options {
		free := testbed.FreeAddr(t)
		return gateways.Options{Variant: "trust-xff", Extra: atPort(atPort(caddySnippet, "127.0.0.1:8471", http), "127.0.0.1:8479", free),
			More: atPort(caddyOpen, "127.0.0.1:8479", free)}
	}},
	{"envoy ext_authz", "envoy", true, func(_ testing.TB, _, grpc string) gateways.Options { return envoyOptions(grpc, envoySnippet, "[]") }},
}

// ask sends one request through a gateway as a client behind a trusted hop.
func ask(t testing.TB, url string, client netip.Addr) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if client.IsValid() {
		req.Header.Set("X-Forwarded-For", "198.18.0.1, "+client.String()) // the client wrote the left one
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// TestLiveContract: the contract of every gateway, held through real ones that ask.
func TestLiveContract(t *testing.T) {
	for _, f := range fronts {
		t.Run(f.name, func(t *testing.T) {
			gateways.Need(t, f.kind)
			s, http, grpc := running(t, Config{Consumer: "X-Consumer"})
			if _, err := s.Apply(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			g := gateways.Start(t, f.kind, f.o(t, http, grpc))
			keys := pseudonyms(t, "key-0", "key-1")
			enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
				if _, err := s.Apply(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				return s, enforcetest.Probe{
					Ask:   func(t testing.TB, a enforcetest.Ask) int { return askAs(t, g.URL, a, keys) },
					Kinds: []string{"consumer", "key"},
					Values: func(kind string) (value, other string) {
						if kind == "key" {
							return keys[0].pseudonym, keys[1].pseudonym
						}
						return "alice", "bob"
					},
					Status: func(t testing.TB, c netip.Addr) int { return ask(t, g.URL+"/api/v1/orders/1", c).StatusCode },
					Held: func(t testing.TB) string {
						var b strings.Builder
						for i := 1; i <= 10; i++ {
							resp := ask(t, g.URL+"/api/v1/orders/1", netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
							body, _ := io.ReadAll(resp.Body)
							fmt.Fprintf(&b, "%v %s\n", resp.Header, body)
						}
						return b.String()
					},
				}
			})
		})
	}
}

// TestLiveFields: what a refused client is told, through each gateway.
func TestLiveFields(t *testing.T) {
	for _, f := range fronts {
		t.Run(f.name, func(t *testing.T) {
			gateways.Need(t, f.kind)
			s, http, grpc := running(t, Config{})
			want := []enforce.Entry{
				{Decision: "d1", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Action: enforce.Block},
				{Decision: "d2", Prefix: netip.MustParsePrefix("192.0.2.2/32"), Action: enforce.Throttle, Rate: 0.01, Burst: 1},
			}
			if _, err := s.Apply(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			g := gateways.Start(t, f.kind, f.o(t, http, grpc))
			check := func(client string, status int, fields map[string]string) {
				t.Helper()
				resp := ask(t, g.URL+"/api/v1/orders/1", netip.MustParseAddr(client))
				var p problem
				if err := json.NewDecoder(resp.Body).Decode(&p); resp.StatusCode != status || status >= 400 && (err != nil || p.Status != status) {
					t.Errorf("%s: status %d, problem %+v, %v; want %d", client, resp.StatusCode, p, err, status)
				}
				for name, value := range fields {
					if got := resp.Header.Get(name); got != value && (value != "?" || got == "") {
						t.Errorf("%s: %s is %q, want %q", client, name, got, value)
					}
				}
			}
			check("192.0.2.1", 403, map[string]string{"Content-Type": "application/problem+json", "Retry-After": ""})
			check("192.0.2.2", 200, nil)
			check("192.0.2.2", 200, nil)
			check("192.0.2.2", 429, map[string]string{"Content-Type": "application/problem+json", "Retry-After": "?",
				"RateLimit-Policy": `"throttle";q=2;w=200`, "RateLimit": `"throttle";r=0;t=100`})
		})
	}
}

// TestLiveGone: what a gateway does when the service dies under it. Most let requests
// pass; Traefik cannot, and docs/authz.md says so.
func TestLiveGone(t *testing.T) {
	for _, f := range fronts {
		t.Run(f.name, func(t *testing.T) {
			gateways.Need(t, f.kind)
			s, err := New(Config{Listen: "127.0.0.1:0", ListenGRPC: "127.0.0.1:0"}, testDeps())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Apply(t.Context(), blockOf("192.0.2.1/32")); err != nil {
				t.Fatal(err)
			}
			http, grpc, stop := started(t, s)
			g := gateways.Start(t, f.kind, f.o(t, http, grpc))
			status := func() int {
				return ask(t, g.URL+"/api/v1/orders/1", netip.MustParseAddr("192.0.2.1")).StatusCode
			}
			if got := status(); got != 403 {
				t.Errorf("status %d while the service lives, want 403", got)
			}
			stop()
			want := 200
			if !f.opens {
				want = 500
			}
			for range 5 {
				if got := status(); got != want {
					t.Errorf("status %d once the service is gone, want %d", got, want)
				}
			}
		})
	}
}

// TestLiveRateLimitService: Envoy's rate limit filter, which answers 429 to a block too.
func TestLiveRateLimitService(t *testing.T) {
	gateways.Need(t, "envoy")
	s, _, grpc := running(t, Config{Limits: []Limit{{Name: "all", Rate: 0.01, Burst: 2}}})
	want := []enforce.Entry{{Decision: "d1", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Action: enforce.Block}}
	if _, err := s.Apply(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	g := gateways.Start(t, "envoy", envoyOptions(grpc, envoyRateSnippet, `[{"actions": [{"remote_address": {}},
		{"request_headers": {"header_name": ":path", "descriptor_key": "path"}},
		{"request_headers": {"header_name": "x-forwarded-for", "descriptor_key": "x_forwarded_for", "skip_if_absent": true}}]}]`))
	for i, want := range []int{200, 200, 200, 429, 429} {
		resp := ask(t, g.URL+"/api/v1/orders/1", netip.MustParseAddr("192.0.2.7"))
		if resp.StatusCode != want {
			t.Errorf("request %d: status %d, want %d", i+1, resp.StatusCode, want)
		}
		if got := resp.Header.Get("RateLimit-Policy"); got != `"all";q=3;w=300` {
			t.Errorf("request %d: RateLimit-Policy %q", i+1, got)
		}
		if body, _ := io.ReadAll(resp.Body); want == 429 && !strings.Contains(string(body), typeQuota) {
			t.Errorf("request %d: body %q", i+1, body)
		}
	}
	if got := ask(t, g.URL+"/api/v1/orders/1", netip.MustParseAddr("192.0.2.1")).StatusCode; got != 429 {
		t.Errorf("a blocked client got %d", got)
	}
	if got := ask(t, g.URL+"/api/v1/orders/1", netip.MustParseAddr("2001:db8::9")).StatusCode; got != 200 {
		t.Errorf("another client got %d", got)
	}
}

// TestSnippets: what the documentation tells people to write is what the tests wrote.
func TestSnippets(t *testing.T) {
	text, err := os.ReadFile("../../docs/authz.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, snippet := range map[string]string{
		"nginx": nginxSnippet, "traefik": traefikSnippet, "caddy": caddySnippet, "caddy's open site": caddyOpen,
		"ext_authz": envoySnippet, "rate limit": envoyRateSnippet, "cluster": envoyCluster,
	} {
		if !strings.Contains(string(text), "\n"+snippet+"\n") {
			t.Errorf("docs/authz.md does not show the %s snippet of live_test.go", name)
		}
	}
}
