package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHealth asks a console over HTTP and over TLS, ready and not, and none at all.
func TestHealth(t *testing.T) {
	ready := true
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, "not ready")
			return
		}
		fmt.Fprintln(w, "ready")
	})
	plain := httptest.NewServer(mux)
	defer plain.Close()
	secure := httptest.NewTLSServer(mux)
	defer secure.Close()
	gone := httptest.NewServer(mux)
	gone.Close()
	for _, c := range []struct {
		server *httptest.Server
		tls    bool
		ready  bool
		flags  string
		status int
		said   string
	}{
		{plain, false, true, "", exitRan, "ready\n"},
		{plain, false, false, "", exitFailed, "503 Service Unavailable: not ready"},
		{plain, false, false, "--live", exitRan, "ok\n"},
		{secure, true, true, "", exitRan, "ready\n"},
		{secure, false, true, "", exitFailed, "400 Bad Request"},
		{gone, false, true, "", exitFailed, "does it run with these settings?"},
	} {
		ready = c.ready
		file := filepath.Join(t.TempDir(), "portcullis.yaml")
		text := fmt.Sprintf("console: {listen: %q}\n", c.server.Listener.Addr())
		if c.tls {
			text = fmt.Sprintf("console: {listen: %q, tls_cert: a, tls_key: b}\n", c.server.Listener.Addr())
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		status := run(context.Background(), append([]string{"health", "-c", file}, strings.Fields(c.flags)...), strings.NewReader(""), &said, &said)
		if status != c.status || !strings.Contains(said.String(), c.said) {
			t.Errorf("%+v: status %d, said %q", c, status, said.String())
		}
	}
}

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:8470": "127.0.0.1:8470", ":8470": "127.0.0.1:8470", "[::]:8470": "[::1]:8470",
		"10.1.2.3:80": "10.1.2.3:80", "console.example:80": "console.example:80",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("reachable(%q) = %q, want %q", listen, got, want)
		}
	}
}
