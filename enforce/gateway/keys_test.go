package gateway

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest/identity"
)

// TestKeysReachNginx: a finding knows a key by its pseudonym, nginx by itself; a rotation of
// the installation's key changes nothing for findings made before.
func TestKeysReachNginx(t *testing.T) {
	older, newer := [identity.KeyBytes]byte{1}, [identity.KeyBytes]byte{2}
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte("# keys of the test\nalpha-key\n\n  beta-key \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := ReadKeys(path, func(secret string) []string {
		return []string{identity.Digits(newer, secret), identity.Digits(older, secret)}
	})
	if err != nil || len(keys) != 4 {
		t.Fatalf("%d pseudonyms, %v", len(keys), err)
	}
	s := newSite(t, "")
	s.start()
	g := WithKeys(s.gateway(), keys)
	apply(t, g, onSubject("key", "k_"+identity.Digits(newer, "alpha-key"), enforce.Block), onSubject("key", "t_"+identity.Digits(older, "beta-key"), enforce.Block), block("192.0.2.1/32"))
	s.wantAs(403, "192.0.2.9", "/", "X-Api-Key", "alpha-key")
	s.wantAs(403, "192.0.2.9", "/", "X-Api-Key", "beta-key")
	s.wantAs(200, "192.0.2.9", "/", "X-Api-Key", "gamma-key")
	s.wantAs(403, "192.0.2.1", "/", "", "")
	unknown := onSubject("key", "k_"+identity.Digits(newer, "gamma-key"), enforce.Block)
	if err := enforce.Holds(g, unknown.Target(), enforce.Block); err == nil || !strings.Contains(err.Error(), "not in its keys_file") {
		t.Errorf("an unknown key: %v", err)
	}
	_, err = g.Apply(t.Context(), []enforce.Entry{unknown})
	wantError(t, err, "not in its keys_file")
	s.wantAs(403, "192.0.2.9", "/", "X-Api-Key", "alpha-key") // the last good state
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = ReadKeys(path, nil)
	wantError(t, err, "read by everybody")
}

// TestOAuthRevokes as RFC 7009 has it: form, client authentication, 200 also for a token that
// is none; each token once, and again after a failure.
func TestOAuthRevokes(t *testing.T) {
	var asked []string
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		if r.Method != "POST" || user != "portcullis" || pass != "s3%26cret" || r.FormValue("token_type_hint") != "refresh_token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if status == http.StatusOK {
			asked = append(asked, r.FormValue("token"))
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(r.FormValue("token"))) // which must not reach an error
	}))
	defer server.Close()
	g, err := NewOAuth(OAuthConfig{Endpoint: server.URL, Client: "portcullis", Secret: "s3&cret", Hint: "refresh_token", Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	a, b := onSubject("key", "token-a&b", enforce.Revoke), onSubject("key", "token-c", enforce.Revoke)
	if done := apply(t, g, a); done.Changed != 1 || done.Entries != 1 {
		t.Errorf("%+v", done)
	}
	if done := apply(t, g, a); done.Changed != 0 {
		t.Errorf("again: %+v", done)
	}
	status = http.StatusServiceUnavailable
	_, err = g.Apply(t.Context(), []enforce.Entry{a, b})
	wantError(t, err, "gateway oauth-revoke", "status 503")
	if strings.Contains(err.Error(), "token-c") {
		t.Errorf("the error shows the token: %v", err)
	}
	status = http.StatusOK
	apply(t, g, a, b)
	apply(t, g) // nothing is undone
	if strings.Join(asked, " ") != "token-a&b token-c" {
		t.Errorf("revoked %q", asked)
	}
	if err := g.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for _, e := range []enforce.Entry{block("192.0.2.1/32"), onSubject("key", "x", enforce.Block), onSubject("consumer", "x", enforce.Revoke), onSubject("key", "k_0011223344556677", enforce.Revoke)} {
		if enforce.Holds(g, e.Target(), e.Action) == nil {
			t.Errorf("it says that it can hold %+v", e)
		}
	}
	_, err = NewOAuth(OAuthConfig{Endpoint: "http://auth.example.org/revoke", Client: "a", Secret: "b", Timeout: 1})
	wantError(t, err, "must be https")
}
