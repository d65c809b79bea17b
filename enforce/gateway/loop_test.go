package gateway

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// TestClosedLoop goes from a finding to its end on every real gateway: decided, pushed, the
// next request refused, verified by that, over, and let through again. Requests are reported as
// the log would show them.
func TestClosedLoop(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (*rig, enforce.Gateway){
		"haproxy": func(t *testing.T) (*rig, enforce.Gateway) { r, g := newHAProxyRig(t); return r, g },
		"envoy":   func(t *testing.T) (*rig, enforce.Gateway) { r, g := newEnvoyRig(t); return r, g },
		"caddy":   func(t *testing.T) (*rig, enforce.Gateway) { r, g := newCaddyRig(t); return r, g },
		"apache":  func(t *testing.T) (*rig, enforce.Gateway) { r, g := newApacheRig(t); return r, g },
		"traefik": func(t *testing.T) (*rig, enforce.Gateway) { r, g := newTraefikRig(t); return r, g },
	} {
		t.Run(name, func(t *testing.T) {
			r, gw := open(t)
			r.start()
			l := newLoop(t, gw)
			stop := r.honest()
			client := netip.MustParseAddr("203.0.113.200")
			l.see(client, r.ask(enforcetest.Ask{Client: client, Path: "/login"}))
			start := time.Now()
			l.e.Offer(detect.Finding{ID: "f1", Rule: "auth-burst", Family: detect.Credential, Severity: detect.High, Confidence: 0.9,
				Subject: detect.Subject{Kind: "ip", Value: client.String()}, FiredAt: start.UnixNano(), LastSeen: start.UnixNano(), Why: "12 refused logins"})
			ask := func() int { return r.ask(enforcetest.Ask{Client: client, Path: "/login"}) }
			l.until("the request is refused", func() bool { return ask() == 403 })
			t.Logf("MEASURED %s: finding to refusal %s", name, time.Since(start).Round(time.Millisecond))
			l.until("it is pushed", func() bool { return l.state() == enforce.Pushed })
			l.until("it is verified", func() bool { l.see(client, ask()); return l.state() == enforce.Verified })
			l.until("it is over", func() bool { return l.state() == enforce.Expired })
			l.until("the request passes", func() bool { return ask() == 200 })
			if bad, dropped, all := stop(); bad > 0 || dropped > 0 && name != "caddy" {
				t.Errorf("of %d honest requests %d got a wrong answer and %d none", all, bad, dropped)
			}
		})
	}
}

// loop is an enforcer with one gateway, whose decisions last three seconds.
type loop struct {
	t      *testing.T
	e      *enforce.Enforcer
	ledger *enforce.Ledger
}

func newLoop(t *testing.T, gw enforce.Gateway, change ...func(c *enforce.Config)) *loop {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "portcullis.db"))
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := enforce.OpenLedger(t.Context(), db.SQL())
	if err != nil {
		t.Fatal(err)
	}
	cfg := enforce.DefaultConfig()
	cfg.Policy.Families.Credential = "enforce"
	cfg.Policy.Expiry = enforce.ExpiryConfig{First: 3 * time.Second, Second: time.Hour, Third: time.Hour, Later: time.Hour}
	cfg.Push.Debounce, cfg.Push.Poll = 20*time.Millisecond, 50*time.Millisecond
	for _, do := range change {
		do(&cfg)
	}
	e, err := enforce.New(cfg, ledger.ReadFrom(db.Reader()), []enforce.Gateway{gw}, nil, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &loop{t, e, ledger}
}

// see reports a request as the log would show it.
func (l *loop) see(client netip.Addr, status int) {
	l.e.Saw(detect.Sighting{Client: client, Time: time.Now().UnixNano(), Status: uint16(status), Route: "/login", Source: "log"})
}

// state is that of the one decision; "" before there is one.
func (l *loop) state() enforce.State {
	l.t.Helper()
	ds, err := l.ledger.Decisions(l.t.Context(), enforce.DecisionQuery{})
	if err != nil || len(ds) > 1 {
		l.t.Fatalf("decisions %+v, %v", ds, err)
	}
	if len(ds) == 0 {
		return ""
	}
	return ds[0].State
}

func (l *loop) until(what string, ok func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); waitBriefly() {
		if time.Now().After(deadline) {
			l.t.Fatalf("not within 20 s: %s; the decision is %q", what, l.state())
		}
	}
}
