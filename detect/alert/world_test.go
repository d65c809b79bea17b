package alert_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	_ "github.com/portcullis/portcullis/detect/alert/channel"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/internal/config"
)

// receiver is a service that webhooks and chats are sent to.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	header http.Header
	got    []alert.Notice   // of webhooks
	said   []map[string]any // of others
	ids    []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: http.StatusOK, header: http.Header{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for k, v := range r.header {
			w.Header()[k] = v
		}
		w.WriteHeader(r.status)
		if r.status != http.StatusOK {
			return
		}
		var n alert.Notice
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			t.Error(err)
		}
		if id := req.Header.Get("Webhook-Id"); id != "" {
			r.ids = append(r.ids, id)
			if err := json.Unmarshal(body, &n); err != nil {
				t.Error(err)
			}
			r.got = append(r.got, n)
			return
		}
		r.said = append(r.said, m)
	}))
	t.Cleanup(r.Close)
	return r
}

// answer sets what it answers from now on.
func (r *receiver) answer(status int, header ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status, r.header = status, http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		r.header.Set(header[i], header[i+1])
	}
}

// kinds are the notices that came, in a line, and forgets them.
func (r *receiver) kinds() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, n := range r.got {
		out = append(out, string(n.Kind))
	}
	r.got = nil
	return strings.Join(out, " ")
}

// world is an engine with its database and its clock.
type world struct {
	t     *testing.T
	dir   string
	yaml  string
	db    *store.DB
	table *alert.Table
	e     *alert.Engine
	now   time.Time
	found []detect.Finding // what the store has
}

var began = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) // a Monday

func newWorld(t *testing.T, yaml string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), yaml: yaml, now: began}
	w.open()
	t.Cleanup(func() { w.close() })
	return w
}

// settings reads the section as the service does.
func settings(t testing.TB, yaml string) alert.Config {
	t.Helper()
	var all struct {
		Alerts alert.Config `yaml:"alerts"`
	}
	text := "alerts:\n  " + strings.ReplaceAll(strings.TrimSpace(yaml), "\n", "\n  ")
	if err := config.Load(filepath.Join(t.TempDir(), "portcullis.yaml"), []byte(text), nil, &all); err != nil {
		t.Fatal(err)
	}
	return all.Alerts
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.db, err = store.Open(filepath.Join(w.dir, "portcullis.db")); err != nil {
		w.t.Fatal(err)
	}
	if w.table, err = alert.OpenTable(w.t.Context(), w.db.SQL(), w.db.Reader(), nil); err != nil {
		w.t.Fatal(err)
	}
	w.e, err = alert.New(alert.Options{Config: settings(w.t, w.yaml), Store: w.table, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler), Version: "1.2.3",
		Backlog: func(_ context.Context, since int64, each func(detect.Finding) error) error {
			for _, f := range w.found {
				if f.LastSeen >= since {
					if err := each(f); err != nil {
						return err
					}
				}
			}
			return nil
		}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.e.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close() {
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
}

// restart is a kill and a start.
func (w *world) restart() {
	w.t.Helper()
	w.close()
	w.open()
}

// find saves findings and tells them.
func (w *world) find(list ...detect.Finding) {
	w.found = append(w.found, list...)
	w.e.Note(list...)
}

// pass lets time go by, in steps.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	step := max(time.Second, d/40)
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(min(step, end.Sub(w.now)))
		if err := w.e.Step(w.t.Context(), w.now); err != nil {
			w.t.Fatal(err)
		}
	}
}

// alerts are those that are there.
func (w *world) alerts(open bool) []alert.View {
	w.t.Helper()
	list, err := w.table.Alerts(context.Background(), alert.Query{Open: open})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// who is somebody on call.
func (w *world) who() alert.Who { return alert.Who{Name: "cli:ann", Why: "a pentest", At: w.now} }

// finding is one of a rule, seen now.
func (w *world) finding(rule, client, route string, s detect.Severity) detect.Finding {
	f := detect.Finding{Rule: rule, Family: detect.Credential, Severity: s, Confidence: 0.9, Subject: detect.Subject{Kind: "ip", Value: client}, Route: route,
		Window: w.now.Truncate(time.Hour).UnixNano(), FirstSeen: w.now.Add(-time.Minute).UnixNano(), LastSeen: w.now.UnixNano(), FiredAt: w.now.UnixNano(), Count: 12,
		Why: fmt.Sprintf("12 refused logins by %s on %q", client, route)}
	f.Evidence[0] = detect.Evidence{Source: "edge", Time: f.LastSeen, Line: client + " tried", Agent: "Mozilla/5.0"}
	f.ID = detect.FindingID(f.Rule+route, f.Subject, f.Window)
	return f
}

// hook is a webhook to a receiver.
func hook(t *testing.T, r *receiver, more string) string {
	path := filepath.Join(t.TempDir(), "secret")
	writeFile(t, path, "a secret")
	return fmt.Sprintf("{type: webhook, webhook: {url: %q, secret_file: %q}%s}", r.URL, path, more)
}

// slack is a Slack channel at a receiver.
func slack(t *testing.T, r *receiver, more string) string {
	path := filepath.Join(t.TempDir(), "url")
	writeFile(t, path, r.URL+"/services/T0/B0/secret")
	return fmt.Sprintf("{type: slack, slack: {url_file: %q}%s}", path, more)
}
