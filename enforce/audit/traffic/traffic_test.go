package traffic

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/ingest"
)

// redact stands for identity's: it replaces one key.
func redact(s string) string { return strings.ReplaceAll(s, "secret", "<k_1>") }

func found(l *Log) map[string]string {
	out := map[string]string{}
	for _, f := range audit.Audit(l.Config()).Findings {
		out[f.Check.ID] += f.Subject + ": " + f.Saw + "\n"
	}
	return out
}

// TestEvidence: each kind of evidence is found where it is, and only there.
func TestEvidence(t *testing.T) {
	l := New("access.log", redact)
	for range 3 {
		l.Observe(&ingest.Event{Route: "/v1/orders", Target: "/v1/orders", Method: "GET", Status: 200, Consumer: "shop", TLS: "TLSv1.3"})
	}
	l.Observe(&ingest.Event{Route: "/v1/orders", Target: "/v1/orders", Method: "PUT", Status: 200, TLS: "TLSv1.1"})
	l.Observe(&ingest.Event{Route: "/v1/orders", Target: "/v1/orders", Method: "GET", Status: 401, TLS: "TLSv1.3"})
	l.Observe(&ingest.Event{Route: "/v1/items", Target: "/v1/items?api_key=secret", Method: "GET", Status: 200, TLS: "TLSv1.2"})
	l.Observe(&ingest.Event{Route: "/about", Target: "/about", Method: "GET", Status: 200, TLS: "-"})
	l.Observe(&ingest.Event{Route: "/docs", Target: "/docs", Method: "GET", Status: 200, Kind: ingest.RouteDocs, TLS: "TLSv1.3"})
	l.Observe(&ingest.Event{Route: "/login", Target: "/login", Method: "POST", Status: 200, Kind: ingest.RouteLogin, TLS: "TLSv1.3"})
	have := found(l)
	for check, want := range map[string]string{
		"seen-unauthenticated": "\"/v1/orders\": 1 requests without credentials were answered with success, 3 with\n",
		"seen-key-in-url":      "\"/v1/items\": 1 requests carried a key or token in the URL\n",
		"seen-plain":           "\"/about\": 1 requests were answered with success over plain HTTP\n",
		"seen-old-tls":         "\"/v1/orders\": 1 requests came over \"TLSv1.1\"\n",
		"seen-docs":            "\"/docs\": 1 requests without credentials were answered with success\n",
		"seen-public":          "\"/about\": 1 requests without credentials were answered with success, and none with\n",
	} {
		if have[check] != want {
			t.Errorf("%s: %q, want %q", check, have[check], want)
		}
		delete(have, check)
	}
	if len(have) > 0 {
		t.Errorf("found besides %v", have)
	}
}

// TestBlind: a log that tells neither who calls nor TLS is no evidence against anybody.
func TestBlind(t *testing.T) {
	l := New("access.log", redact)
	l.Observe(&ingest.Event{Route: "/v1/orders", Target: "/v1/orders", Method: "GET", Status: 200})
	l.Observe(&ingest.Event{Route: "/x", Target: "\x16\x03", Flags: ingest.FlagMalformed})
	r := audit.Audit(l.Config())
	if len(r.Findings) != 0 || len(r.Blind) != 2 || l.Events() != 1 {
		t.Errorf("found %v, blind %q, %d events", r.Findings, r.Blind, l.Events())
	}
}

// TestBound: routes beyond the bound are not kept.
func TestBound(t *testing.T) {
	l := New("access.log", redact)
	for i := range maxRoutes + 10 {
		route := fmt.Sprintf("/%d", i)
		l.Observe(&ingest.Event{Route: route, Target: route, Method: "GET", Status: 200})
	}
	if len(l.routes) != maxRoutes {
		t.Errorf("%d routes are kept", len(l.routes))
	}
}
