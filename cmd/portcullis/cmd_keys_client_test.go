package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/internal/config"
)

// guardedService runs authz by settings until the test ends, and returns what asks it.
func guardedService(t *testing.T, text string) (*Settings, http.Handler) {
	t.Helper()
	s := (&App{Environ: []string{"HOME=" + t.TempDir()}}).newSettings()
	if err := config.Load("test", []byte(text), nil, s); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b, err := openBase(ctx, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.openInline(func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.inline.authz.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		b.close()
	})
	return s, b.inline.authz.Handler()
}

// TestKeysClient issues, rotates and revokes a key beside a service that runs, which takes
// each change up by itself.
func TestKeysClient(t *testing.T) {
	app, out := keyApp(t, t.TempDir())
	s, service := guardedService(t, "state_dir: "+app.StateDir+"\nauthz: {listen: \"127.0.0.1:0\", access: [{route: /orders/*, need: key, scopes: [read]}]}\n")
	run := func(cmd interface{ Run(*App) error }) string {
		t.Helper()
		out.Reset()
		if err := cmd.Run(app); err != nil {
			t.Fatal(err)
		}
		key, _, _ := strings.Cut(out.String(), "\n")
		return key
	}
	answered := func(what, path, key string, want int) {
		t.Helper()
		await(t, what, func() string { return out.String() }, func() bool {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/authz", nil)
			r.RemoteAddr = "127.0.0.1:9"
			r.Header.Set("X-Forwarded-Method", http.MethodGet)
			r.Header.Set("X-Forwarded-Uri", path)
			r.Header.Set("X-Api-Key", key)
			service.ServeHTTP(w, r)
			return w.Code == want
		})
	}
	first := run(&KeysClientIssueCmd{Name: "batch", Consumer: "acme", Scope: []string{"read"}, Route: []string{"GET /orders/*"}, Expires: Span(time.Hour)})
	answered("a new key", "/orders/1", first, 200)
	second := run(&KeysClientRotateCmd{Name: "batch", Overlap: Span(time.Hour)})
	answered("its new secret", "/orders/1", second, 200)
	answered("the earlier one", "/orders/1", first, 200)
	third := run(&KeysClientRotateCmd{Name: "batch"})
	answered("a rotation without overlap", "/orders/1", second, 401)
	run(&KeysClientListCmd{})
	if text := out.String(); !strings.Contains(text, "acme") || !strings.Contains(text, third[4:16]) || !strings.Contains(text, "GET /orders/*; read") || strings.Contains(text, "pcc_") {
		t.Errorf("the list: %s", text)
	}
	run(&KeysClientIssueCmd{Name: "other"})
	run(&KeysClientRevokeCmd{Name: third[4:16]})
	answered("a revoked key", "/orders/1", third, 401)
	data, err := os.ReadFile(s.clientKeys())
	if err != nil || strings.Contains(string(data), third[17:]) {
		t.Errorf("a secret stands in the file (%v)", err)
	}
	if err := (&KeysClientIssueCmd{Name: "x", Route: []string{"orders"}}).Run(app); err == nil {
		t.Error("a route that is none was taken")
	}
	if err := (&KeysClientIssueCmd{Name: "x", Consumer: "a\nb"}).Run(app); err == nil {
		t.Error("a consumer that cannot stand in a header was taken")
	}
}
