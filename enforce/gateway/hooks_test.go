package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/internal/hook"
)

// reader is somebody's program that reads what Portcullis writes, and denies by it.
type reader struct {
	*enforcetest.Sim
	mu   sync.Mutex
	has  map[wireEntry]bool
	last string // text
}

var everyKind = OwnKinds{Kinds: []string{"ip", "cidr", "consumer", "key"}, Actions: []string{"block", "throttle", "challenge", "tarpit", "revoke"}, Routes: true}

func newReader() *reader {
	return &reader{Sim: enforcetest.NewSim("reader", time.Now).Able(true, "consumer", "key").Does(enforce.Block, enforce.Throttle, enforce.Challenge, enforce.Tarpit, enforce.Revoke), has: map[wireEntry]bool{}}
}

// take follows a change as setup describes it.
func (r *reader) take(t testing.TB, text []byte) {
	t.Helper()
	var c wireChange
	if err := json.Unmarshal(text, &c); err != nil || c.Version != 1 {
		t.Errorf("a change %.200q: %v", text, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = string(text)
	if c.Whole {
		clear(r.has)
	}
	for _, w := range c.Removed {
		if !r.has[w] {
			t.Errorf("removed what was not there: %+v", w)
		}
		delete(r.has, w)
	}
	for _, w := range append(c.Entries, c.Added...) {
		for old := range r.has { // one that changed
			if old.Kind == w.Kind && old.Value == w.Value && old.Route == w.Route {
				delete(r.has, old)
			}
		}
		r.has[w] = true
	}
	r.hold(t)
}

// hold makes the entries what is denied.
func (r *reader) hold(t testing.TB) {
	t.Helper()
	var list []enforce.Entry
	for w := range r.has {
		e := enforce.Entry{Subject: detect.Subject{Kind: w.Kind, Value: w.Value}, Route: w.Route, Action: enforce.Action(w.Action), Rate: w.Rate, Burst: w.Burst}
		if p, err := enforce.Prefix(e.Subject); err == nil {
			e.Subject, e.Prefix = detect.Subject{}, p
		}
		list = append(list, e)
	}
	if _, err := r.Apply(t.Context(), list); err != nil {
		t.Error(err)
	}
}

func (r *reader) ask(_ testing.TB, a enforcetest.Ask) int {
	path, _, _ := strings.Cut(a.Path, "?")
	if regexp.MustCompile(`^/orders/[^/]+/items$`).MatchString(path) {
		path = "/orders/{id}/items"
	}
	return r.StatusOf(a.Client, a.As, path)
}

func (r *reader) probe() enforcetest.Probe {
	return enforcetest.Probe{
		Status: func(_ testing.TB, c netip.Addr) int { return r.Status(c) },
		Ask:    r.ask, Kinds: []string{"consumer", "key"}, Revocable: []string{"consumer", "key"}, Patience: 5 * time.Second,
		Held: func(testing.TB) string {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.last
		},
	}
}

func TestFileContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		dir := t.TempDir()
		g, err := NewFile(FileConfig{Path: filepath.Join(dir, "list.jsonl"), Format: "jsonl", OwnKinds: everyKind})
		if err != nil {
			t.Fatal(err)
		}
		r := newReader()
		read := func() {
			clear(r.has)
			text, _ := os.ReadFile(filepath.Join(dir, "list.jsonl"))
			r.last = string(text)
			for line := range strings.Lines(string(text)) {
				var w wireEntry
				if err := json.Unmarshal([]byte(line), &w); err != nil {
					t.Errorf("%.100q: %v", line, err)
				}
				r.has[w] = true
			}
			r.hold(t)
		}
		p := r.probe()
		p.Status = func(_ testing.TB, c netip.Addr) int {
			if text, _ := os.ReadFile(g.cfg.Path); string(text) != r.last {
				read()
			}
			return r.Status(c)
		}
		p.Ask = func(t testing.TB, a enforcetest.Ask) int { p.Status(t, a.Client); return r.ask(t, a) }
		p.Break = func(t testing.TB) func() {
			path := g.cfg.Path
			g.cfg.Path = "/proc/nowhere/list"
			return func() { g.cfg.Path = path }
		}
		p.Restart = func(t testing.TB) {
			if err := os.Remove(filepath.Join(dir, "list.jsonl")); err != nil {
				t.Fatal(err)
			}
		}
		return g, p
	})
}

// TestFileOfAddresses: one a line, and nothing that cannot be said so.
func TestFileOfAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	g, err := NewFile(FileConfig{Path: path, Format: "addresses", OwnKinds: everyKind})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, g, block("2001:db8::/64"), block("192.0.2.1/32"))
	if got := readString(t, path); got != "192.0.2.1\n2001:db8::/64\n" {
		t.Errorf("the file is %q", got)
	}
	for _, e := range []enforce.Entry{throttle("192.0.2.1/32", 1, 1), onSubject("consumer", "x", enforce.Block)} {
		_, err := g.Apply(t.Context(), []enforce.Entry{e})
		wantError(t, err, "gateway file")
	}
}

func TestCommandContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		dir := t.TempDir()
		in, state := filepath.Join(dir, "in"), filepath.Join(dir, "state")
		g, err := NewCommand(CommandConfig{OwnKinds: everyKind, Timeout: 10 * time.Second,
			Command: []string{"/bin/sh", "-c", `cat > "$1" && touch "$2"`, "hook", in, state}, Verify: []string{"/usr/bin/test", "-e", state}})
		if err != nil {
			t.Fatal(err)
		}
		r := newReader()
		read := func() {
			text, err := os.ReadFile(in)
			if err == nil && string(text) != r.last {
				r.take(t, text)
			}
		}
		p := r.probe()
		status, ask := p.Status, p.Ask
		p.Status = func(t testing.TB, c netip.Addr) int { read(); return status(t, c) }
		p.Ask = func(t testing.TB, a enforcetest.Ask) int { read(); return ask(t, a) }
		p.Break = func(testing.TB) func() {
			command := g.cfg.Command
			g.cfg.Command = []string{"/bin/sh", "-c", "echo no room; exit 3"}
			return func() { g.cfg.Command = command }
		}
		p.Restart = func(t testing.TB) {
			if err := os.Remove(state); err != nil {
				t.Fatal(err)
			}
			clear(r.has)
			r.hold(t)
			r.last = ""
			if err := os.Remove(in); err != nil {
				t.Fatal(err)
			}
		}
		return &everyPush{g, read}, p
	})
}

// everyPush has the reader read each change: a second one would take its place.
type everyPush struct {
	enforce.Gateway
	read func()
}

// Holds implements enforce.Holder.
func (e *everyPush) Holds(t enforce.Target, a enforce.Action) error {
	return enforce.Holds(e.Gateway, t, a)
}

// Apply implements enforce.Gateway.
func (e *everyPush) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	done, err := e.Gateway.Apply(ctx, want)
	if err == nil {
		e.read()
	}
	return done, err
}

// TestCommandFails: what it says is told, all is told again, and it is killed in time.
func TestCommandFails(t *testing.T) {
	g, err := NewCommand(CommandConfig{OwnKinds: everyKind, Timeout: 200 * time.Millisecond, Command: []string{"/bin/sh", "-c", "echo 'no \x1b[2J room' >&2; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.Apply(t.Context(), []enforce.Entry{block("192.0.2.1/32")})
	wantError(t, err, "gateway command", "exit status 3", `no \x1b[2J room`)
	g.cfg.Command = []string{"/bin/sleep", "60"}
	_, err = g.Apply(t.Context(), nil)
	wantError(t, err, "deadline exceeded")
	out := filepath.Join(t.TempDir(), "out")
	g.cfg.Timeout, g.cfg.Command = 10*time.Second, []string{"/bin/sh", "-c", `cat > "$0"`, out}
	apply(t, g, block("192.0.2.1/32"))
	if got := readString(t, out); got != `{"version":1,"whole":true,"entries":[{"kind":"ip","value":"192.0.2.1","action":"block"}]}` {
		t.Errorf("after a failure it is told %s", got)
	}
	apply(t, g, throttle("198.51.100.0/24", 2, 3))
	if got := readString(t, out); got != `{"version":1,"whole":false,"added":[{"kind":"cidr","value":"198.51.100.0/24","action":"throttle","rate":2,"burst":3}],"removed":[{"kind":"ip","value":"192.0.2.1","action":"block"}]}` {
		t.Errorf("a difference is %s", got)
	}
	g.cfg.Command = []string{"/nowhere/program"}
	wantError(t, g.Check(t.Context()), "no program")
}

func newWebhook(t *testing.T, r *reader) (*Webhook, *httptest.Server) {
	t.Helper()
	key := []byte("a key of the test")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		want := "v1," + hook.Signature(key, req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp"), body)
		if err != nil || req.Header.Get("Webhook-Signature") != want || req.Header.Get("Webhook-Id") == "" {
			http.Error(w, "not signed", http.StatusUnauthorized)
			return
		}
		r.take(t, body)
	}))
	t.Cleanup(server.Close)
	g, err := NewWebhook(WebhookConfig{URL: server.URL, Secret: string(key), Repeat: time.Hour, Timeout: 10 * time.Second, OwnKinds: everyKind})
	if err != nil {
		t.Fatal(err)
	}
	return g, server
}

func TestWebhookContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		r := newReader()
		g, _ := newWebhook(t, r)
		p := r.probe()
		p.Break = func(testing.TB) func() {
			url := g.cfg.URL
			g.cfg.URL = "http://127.0.0.1:1"
			return func() { g.cfg.URL = url }
		}
		p.Restart = func(t testing.TB) {
			clear(r.has)
			r.hold(t)
			g.whole = time.Time{} // Repeat has passed
		}
		return g, p
	})
}

// TestWebhookSigns as the specification's own example demands: https://www.standardwebhooks.com.
func TestWebhookSigns(t *testing.T) {
	key, err := hook.Key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	if got := hook.Signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); got != "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("signed %s", got)
	}
	g, server := newWebhook(t, newReader())
	g.key = []byte("another")
	_, err = g.Apply(t.Context(), nil)
	wantError(t, err, "status 401", "not signed")
	server.Close()
	_, err = g.Apply(t.Context(), nil)
	wantError(t, err, "gateway webhook", "refused")
	if strings.Contains(err.Error(), "http://") {
		t.Errorf("the error tells the address, which may hold a token: %v", err)
	}
	for url, part := range map[string]string{"http://example.org/x": "must be https", "ftp://x": "no address", "https://u:p@x/": "no address"} {
		_, err := NewWebhook(WebhookConfig{URL: url, Secret: "x", Repeat: 1, Timeout: 1})
		wantError(t, err, part)
	}
	_, err = NewWebhook(WebhookConfig{URL: "https://x/", Repeat: 1, Timeout: 1})
	wantError(t, err, "secret: is missing")
}
