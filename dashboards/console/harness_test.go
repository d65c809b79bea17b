package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/hindsight/job"
)

const token = "correct-horse-battery-staple-0123"

// house is a console on a real store and a real ledger, both seeded.
type house struct {
	t      testing.TB
	db     *store.DB
	ledger *enforce.Ledger
	alerts *alert.Table
	desk   *job.Desk
	server *console.Server
	http   *httptest.Server
	keys   string // the keys file, where there is one
	kept   string // the file of the sessions, where there is one
	broken bool   // the test closed the store itself

	mu    sync.Mutex
	now   time.Time
	ready error
}

// move sets the console's clock forward.
func (h *house) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) setReady(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready = err
}

func (h *house) deps() console.Deps {
	return console.Deps{
		Findings: h.db, Decisions: h.ledger, Audit: h.ledger, Allowed: h.ledger, Poster: h.ledger, Alerts: h.alerts,
		Rules: consoletest.Rules, Costs: consoletest.Costs, Backtests: h.desk, BacktestOffer: consoletest.BacktestOffer,
		Status: func() console.Status { return consoletest.Status(h.clock()) },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "portcullis_up 1\n")
		}),
		Ready: func() error {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.ready
		},
		Tags: consoletest.Tags, SessionsFile: h.kept,
		Now: h.clock,
	}
}

// open starts a console with cfg. A token file is made when cfg.TokenFile is "set".
func open(t testing.TB, cfg console.Config) *house {
	t.Helper()
	h := &house{t: t, now: consoletest.Noon}
	var err error
	h.db, h.ledger, err = consoletest.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), h.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.db.Close(); err != nil && !h.broken {
			t.Errorf("close the store: %v", err)
		}
	})
	if h.alerts, err = alert.OpenTable(t.Context(), h.db.SQL(), h.db.Reader(), nil); err != nil {
		t.Fatal(err)
	}
	if h.desk, err = consoletest.Backtests(filepath.Join(t.TempDir(), "backtests"), h.clock); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.desk.Close)
	if cfg.TokenFile == "set" {
		cfg.TokenFile = tokenFile(t, token)
	}
	if h.server, err = console.New(cfg, h.deps()); err != nil {
		t.Fatal(err)
	}
	h.server.Hurry(20*time.Millisecond, 30*time.Millisecond)
	h.http = httptest.NewServer(h.server.Handler())
	t.Cleanup(h.http.Close)
	return h
}

// restart puts another console in the place of this one, with the same store and files.
func (h *house) restart(cfg console.Config) {
	h.t.Helper()
	h.http.Close()
	var err error
	if h.server, err = console.New(cfg, h.deps()); err != nil {
		h.t.Fatal(err)
	}
	h.server.Hurry(20*time.Millisecond, 30*time.Millisecond)
	h.http = httptest.NewServer(h.server.Handler())
	h.t.Cleanup(h.http.Close)
}

func tokenFile(t testing.TB, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte(content+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// answer is what came back, with the body read.
type answer struct {
	status int
	header http.Header
	body   string
}

// with changes a request before it is sent.
type with func(*http.Request)

func header(name, value string) with    { return func(r *http.Request) { r.Header.Set(name, value) } }
func host(name string) with             { return func(r *http.Request) { r.Host = name } }
func readCloser(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
func bearer(token string) with          { return header("Authorization", "Bearer "+token) }

// do sends a request, without following redirects. A body is sent as JSON.
func (h *house) do(method, path, body string, opts ...with) answer {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, h.http.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, o := range opts {
		o(req)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(got)}
}

// get reads a JSON document, which must be there.
func (h *house) get(path string) map[string]any {
	h.t.Helper()
	a := h.do("GET", path, "")
	if a.status != http.StatusOK {
		h.t.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	return parse(h.t, a)
}

func parse(t testing.TB, a answer) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatalf("no JSON object: %v: %.200s", err, a.body)
	}
	return doc
}

// problem checks that an answer is a problem document of a status, and returns
// its detail.
func problem(t testing.TB, a answer, status int) string {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %.300s", a.status, status, a.body)
	}
	if kind := a.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("content type %q, want a problem document", kind)
	}
	doc := parse(t, a)
	if doc["status"] != float64(status) || doc["title"] == "" || doc["type"] != "about:blank" {
		t.Errorf("problem: %v", doc)
	}
	detail, _ := doc["detail"].(string)
	return detail
}

// enforcer answers commands in the ledger's inbox until the test ends, as the
// enforcer does. answer gives the result.
func (h *house) enforcer(answer func(verb, arg string) string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	h.t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			var id int64
			var verb, arg string
			row := h.db.SQL().QueryRowContext(ctx, `SELECT id, verb, arg FROM commands WHERE done = 0 ORDER BY id LIMIT 1`)
			if row.Scan(&id, &verb, &arg) != nil {
				continue
			}
			_, err := h.db.SQL().ExecContext(ctx, `UPDATE commands SET done = 1, result = ? WHERE id = ?`, answer(verb, arg), id)
			if err != nil && !errors.Is(err, context.Canceled) {
				h.t.Errorf("answer a command: %v", err)
			}
		}
	}()
}
