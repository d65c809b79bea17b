package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
	"github.com/portcullis/portcullis/detect/alert"
)

// TestKeysAPI makes, rotates and removes a key beside a console that runs, which takes each
// change up by itself.
func TestKeysAPI(t *testing.T) {
	app, out := keyApp(t, t.TempDir())
	settings, err := app.Settings()
	if err != nil {
		t.Fatal(err)
	}
	ask := asked(t, settings.consoleKeys())
	run := func(cmd interface{ Run(*App) error }) string {
		t.Helper()
		out.Reset()
		if err := cmd.Run(app); err != nil {
			t.Fatal(err)
		}
		key, _, _ := strings.Cut(out.String(), "\n")
		return key
	}
	first := run(&KeysAPIAddCmd{Name: "grafana", Role: "viewer", Expires: Span(time.Hour)})
	if !strings.Contains(out.String(), "asks nobody for it yet") {
		t.Errorf("no hint that no login is set: %s", out)
	}
	if ask(first, "status") != http.StatusOK || ask(first, "keys") != http.StatusForbidden {
		t.Error("the key does not do what a viewer may, or more")
	}
	if err := (&KeysAPIAddCmd{Name: "grafana", Role: "admin"}).Run(app); err == nil {
		t.Error("a second key of that name was made")
	}
	second := run(&KeysAPIRotateCmd{Name: "grafana", Overlap: Span(time.Hour)})
	if ask(first, "status") != http.StatusOK || ask(second, "status") != http.StatusOK {
		t.Error("not both secrets are good during the overlap")
	}
	third := run(&KeysAPIRotateCmd{Name: "grafana"})
	if ask(second, "status") != http.StatusUnauthorized || ask(third, "status") != http.StatusOK {
		t.Error("a rotation without overlap leaves the earlier secret")
	}
	run(&KeysAPIListCmd{})
	if text := out.String(); !strings.Contains(text, "grafana") || strings.Contains(text, "pck_") {
		t.Errorf("the list: %s", text)
	}
	data, err := os.ReadFile(settings.consoleKeys())
	if err != nil || strings.Contains(string(data), "pck_") {
		t.Errorf("a key stands in the file (%v)", err)
	}
	if info, err := os.Stat(settings.consoleKeys()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	run(&KeysAPIRemoveCmd{Name: "grafana"})
	if ask(third, "status") != http.StatusUnauthorized {
		t.Error("a removed key still lets in")
	}
}

// asked starts a console with the keys of a file, and returns what it answers to a key.
func asked(t *testing.T, keys string) func(key, path string) int {
	t.Helper()
	db, ledger, err := consoletest.Open(t.Context(), t.TempDir()+"/store.db", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	alerts, err := alert.OpenTable(t.Context(), db.SQL(), db.Reader(), nil)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := console.New(console.Config{KeysFile: keys}, console.Deps{
		Findings: db, Decisions: ledger, Audit: ledger, Allowed: ledger, Poster: ledger, Alerts: alerts, Status: func() console.Status { return console.Status{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(key, path string) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/api/v1/"+path, nil)
		r.Header.Set("Authorization", "Bearer "+key)
		srv.Handler().ServeHTTP(w, r)
		return w.Code
	}
}
