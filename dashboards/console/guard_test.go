package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
)

func TestHostCheck(t *testing.T) {
	h := open(t, console.Config{Hosts: []string{"Console.Example.org"}})
	for _, name := range []string{"localhost:8470", "LOCALHOST", "127.0.0.1:8470", "127.0.0.9", "[::1]:8470", "console.example.org", "CONSOLE.EXAMPLE.ORG:443", "console.example.org."} {
		if a := h.do("GET", "/api/v1/status", "", host(name)); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	for _, name := range []string{"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", "0.0.0.0", "2130706433", "evil.example:8470", "console.example.org.evil.example"} {
		for _, path := range []string{"/", "/api/v1/status", "/healthz", "/nothing", "/static/app.js"} {
			a := h.do("GET", path, "", host(name))
			if detail := problem(t, a, http.StatusMisdirectedRequest); !strings.Contains(detail, "console.hosts") {
				t.Errorf("%s: the hint is missing: %s", name, detail)
			}
		}
	}
}

func TestCrossSiteRequestsAreRefused(t *testing.T) {
	h := open(t, console.Config{})
	h.server.Hurry(20*time.Millisecond, 5*time.Second)
	h.enforcer(func(string, string) string { return "done" })
	const body = `{"value":"192.0.2.1","why":"test"}`
	for name, opts := range map[string][]with{
		"cross-site":              {header("Sec-Fetch-Site", "cross-site")},
		"same-site":               {header("Sec-Fetch-Site", "same-site")},
		"foreign origin":          {header("Origin", "https://evil.example")},
		"null origin":             {header("Origin", "null")},
		"our name, other port":    {header("Origin", "http://127.0.0.1:1")},
		"fetch metadata but lies": {header("Sec-Fetch-Site", "cross-site"), header("Origin", h.http.URL)},
	} {
		problem(t, h.do("POST", "/api/v1/allow", body, opts...), http.StatusForbidden)
		if _, found, _ := h.ledger.Command(t.Context(), 1); found {
			t.Fatalf("%s: the command was posted", name)
		}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain; application/json"} {
		problem(t, h.do("POST", "/api/v1/allow", body, header("Content-Type", kind)), http.StatusUnsupportedMediaType)
		problem(t, h.do("DELETE", "/api/v1/allow/192.0.2.1", body, header("Content-Type", kind)), http.StatusUnsupportedMediaType)
	}
	for _, path := range []string{"/api/v1/events", "/api/v1/findings", "/metrics", "/"} {
		problem(t, h.do("GET", path, "", header("Sec-Fetch-Site", "cross-site")), http.StatusForbidden)
	}
	for name, opts := range map[string][]with{
		"browser": {header("Sec-Fetch-Site", "same-origin"), header("Origin", h.http.URL)},
		"curl":    nil,
		"charset": {header("Content-Type", "application/json; charset=utf-8")},
	} {
		if a := h.do("POST", "/api/v1/allow", body, opts...); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := h.do("OPTIONS", "/api/v1/allow", "", header("Origin", "https://evil.example"), header("Access-Control-Request-Method", "POST")); a.header.Get("Access-Control-Allow-Origin") != "" || a.status < 400 {
		t.Errorf("a preflight is granted: %d %v", a.status, a.header)
	}
}

func TestSecurityHeadersEverywhere(t *testing.T) {
	h := open(t, console.Config{TokenFile: "set"})
	for _, path := range []string{"/", "/login", "/static/app.js", "/api/v1/status", "/healthz", "/metrics", "/nothing", "//evil.example/x"} {
		a := h.do("GET", path, "")
		csp := a.header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: the policy misses %s", path, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy %s", path, csp)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	if a := h.do("GET", "/api/v1/status", "", bearer(token)); a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("an API answer may be cached: %q", a.header.Get("Cache-Control"))
	}
}

func TestWhatIsNotThere(t *testing.T) {
	h := open(t, console.Config{})
	for _, path := range []string{"/nothing", "/api/v1/", "/api/v2/status", "/static/index.html", "/static/login.html", "/static/..%2fserver.go", "/static/nothing.js", "/.env"} {
		problem(t, h.do("GET", path, ""), http.StatusNotFound)
	}
	a := h.do("PUT", "/api/v1/allow", `{}`)
	problem(t, a, http.StatusMethodNotAllowed)
	if allow := a.header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "POST") || strings.Contains(allow, "DELETE") {
		t.Errorf("Allow: %q", allow)
	}
}
