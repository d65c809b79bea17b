package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestE2EValidate: a running service refuses, through a real Caddy, what its document does
// not have and what attacks; a document that changed is taken up by SIGHUP, and a broken one
// changes nothing.
func TestE2EValidate(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "api.yaml")
	describe := func(most int) {
		t.Helper()
		doc := fmt.Sprintf("openapi: 3.0.3\ninfo: {title: a, version: '1'}\npaths:\n  /api/v1/orders/{id}:\n    parameters: [{name: id, in: path, required: true, schema: {type: integer, maximum: %d}}]\n    get: {responses: {default: {description: x}}}\n", most)
		if err := os.WriteFile(name, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	describe(10)
	more := fmt.Sprintf("openapi: [{file: %s, covers: [/api]}]\n", name)
	s := newInlineSite(t, more)
	s.awaitStatus("203.0.113.81", http.StatusOK)
	text, err := os.ReadFile(s.r.config)
	if err != nil {
		t.Fatal(err)
	}
	want := func(target string, status int) {
		t.Helper()
		await(t, fmt.Sprintf("%s is answered %d", target, status), s.r.words, func() bool { return s.ask("203.0.113.81", target) == status })
	}
	if got := s.ask("203.0.113.81", "/api/v1/orders/11"); got != http.StatusOK {
		t.Errorf("while it is off: %d", got)
	}
	on := strings.Replace(string(text), "authz: {", "authz: {validate: {mode: enforce}, inspect: {mode: enforce}, ", 1)
	if err := os.WriteFile(s.r.config, []byte(on), 0o600); err != nil {
		t.Fatal(err)
	}
	s.r.reload("console: serving", 2)
	want("/api/v1/orders/11", http.StatusBadRequest)
	want("/api/v1/orders/10", http.StatusOK)
	want("/api/v1/none", http.StatusNotFound)
	want("/img/logo.png", http.StatusNotFound) // of the API itself: the document does not speak for it
	if got := s.ask("203.0.113.82", "/img/x?q=1%27%20UNION%20SELECT%20user,password%20FROM%20users--"); got != http.StatusForbidden {
		t.Errorf("the first attack of a client was answered %d", got)
	}
	if m := s.r.metrics(); !strings.Contains(m, `portcullis_authz_faulty_total{done="refused",kind="parameter"}`) {
		t.Errorf("the metrics lack what was refused")
	}
	describe(20)
	s.r.reload("console: serving", 3)
	want("/api/v1/orders/11", http.StatusOK)
	if err := os.WriteFile(name, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.r.reload("settings refused, the old ones stay in force", 1)
	want("/api/v1/orders/11", http.StatusOK)
	want("/api/v1/orders/21", http.StatusBadRequest)
	s.r.down()
}
