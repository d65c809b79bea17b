package console_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
)

// lasting is a console with a token and a key of each role whose sessions are kept.
func lasting(t *testing.T) (*house, console.Config, map[string]string) {
	t.Helper()
	h, secrets := keyed(t, console.Config{})
	h.kept = filepath.Join(t.TempDir(), "console.sessions")
	cfg := console.Config{TokenFile: tokenFile(t, token), KeysFile: h.keys}
	h.restart(cfg)
	return h, cfg, secrets
}

// enter logs in by the form and returns the cookie.
func (h *house) enter(secret string, opts ...with) with {
	h.t.Helper()
	a := h.form("/login", secret, opts...)
	cookies := (&http.Response{Header: a.header}).Cookies()
	if a.status != http.StatusSeeOther || len(cookies) != 1 {
		h.t.Fatalf("login: %d %s", a.status, a.body)
	}
	return func(r *http.Request) { r.AddCookie(cookies[0]) }
}

// is demands the role of a session, "" = it has ended.
func (h *house) is(what string, session with, role string) {
	h.t.Helper()
	a := h.do("GET", "/api/v1/me", "", session)
	if role == "" && a.status == http.StatusUnauthorized {
		return
	}
	if want := fmt.Sprintf(`"role":%q`, role); role == "" || !strings.Contains(a.body, want) {
		h.t.Errorf("%s: %d %s, want the role %q", what, a.status, a.body, role)
	}
}

func TestSessionsOutliveARestart(t *testing.T) {
	t.Parallel()
	h, cfg, secrets := lasting(t)
	admin, viewer, gone := h.enter(token), h.enter(secrets["viewer"]), h.enter(secrets["operator"])
	if a := h.do("POST", "/logout", "", gone); a.status != http.StatusSeeOther {
		t.Fatalf("logout: %d", a.status)
	}
	h.restart(cfg)
	h.is("the token's", admin, "admin")
	h.is("a key's", viewer, "viewer")
	h.is("one that was logged out", gone, "")
	text, err := os.ReadFile(h.kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, session := range []with{admin, viewer} {
		r, _ := http.NewRequest("GET", "/", nil)
		session(r)
		if c := r.Cookies()[0]; strings.Contains(string(text), c.Value) {
			t.Error("the file holds a cookie")
		}
	}
	if strings.Contains(string(text), token) || strings.Contains(string(text), secrets["viewer"]) {
		t.Error("the file holds the token or a key")
	}
	if info, err := os.Stat(h.kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the file: %v %v", info.Mode(), err)
	}
	h.do("POST", "/logout", "", admin)
	h.restart(cfg)
	h.is("logged out after the restart", admin, "")
	h.is("a key's, twice restarted", viewer, "viewer")
	h.move(12 * time.Hour)
	h.restart(cfg)
	h.is("after its time", viewer, "")
}

// TestSessionsFollowWhatOpenedThem: what was taken away meanwhile opens nothing.
func TestSessionsFollowWhatOpenedThem(t *testing.T) {
	t.Parallel()
	h, cfg, secrets := lasting(t)
	admin, viewer, operator, boss := h.enter(token), h.enter(secrets["viewer"]), h.enter(secrets["operator"]), h.enter(secrets["admin"])
	change := func(do func(*console.Keys)) {
		t.Helper()
		if err := console.UpdateKeys(h.keys, func(k *console.Keys) error { do(k); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	change(func(k *console.Keys) {
		if err := k.Remove("operator"); err != nil {
			t.Error(err)
		}
		if _, err := k.Add("operator", console.Operator, consoletest.Noon, time.Time{}); err != nil { // another one of its name
			t.Error(err)
		}
		if _, err := k.Rotate("admin", consoletest.Noon, time.Minute); err != nil {
			t.Error(err)
		}
		k.Keys[0].Role = console.Operator // the viewer's
	})
	for range 2 {
		h.is("of a key that was removed", operator, "")
		h.is("of one that got another role", viewer, "operator")
		h.is("of one that is being rotated", boss, "admin")
		h.restart(cfg)
	}
	h.move(time.Minute)
	h.is("of one that was rotated", boss, "")
	cfg.TokenFile = tokenFile(t, "another-"+token)
	h.restart(cfg)
	h.is("of the token before", admin, "")
	h.is("of a key, with another token", viewer, "operator")
	cfg.TokenFile = tokenFile(t, token)
	h.restart(cfg)
	h.is("of the token that is back", admin, "admin")
	cfg.TokenFile = ""
	h.restart(cfg)
	h.is("of no token", admin, "")
}

// TestSessionsOfPeople: what a provider said of a person counts by the settings of today.
func TestSessionsOfPeople(t *testing.T) {
	t.Parallel()
	h, cfg, _ := lasting(t)
	const cookie = "A-COOKIE-OF-A-PERSON"
	session := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "portcullis", Value: cookie}) }
	sum := sha256.Sum256([]byte(cookie))
	end := consoletest.Noon.Add(time.Hour).Format(time.RFC3339)
	text := fmt.Sprintf(`{"salt":"00","sessions":[{"cookie":%q,"name":"kim via OIDC","end":%q,"issuer":"https://login.example/realms/ops portcullis","groups":["oncall","all"]}]}`, hex.EncodeToString(sum[:]), end)
	if err := os.WriteFile(h.kept, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		oidc console.OIDC
		role string
	}{
		{console.OIDC{Operators: []string{"oncall"}}, "operator"},
		{console.OIDC{Viewers: []string{"all"}, Admins: []string{"oncall"}}, "admin"},
		{console.OIDC{Viewers: []string{"others"}}, ""},
		{console.OIDC{Viewers: []string{"all"}, Issuer: "https://login.example/realms/other"}, ""},
		{console.OIDC{Viewers: []string{"all"}, ClientID: "other"}, ""},
		{console.OIDC{Viewers: []string{"all"}}, "viewer"},
	} {
		c.oidc.RedirectURL = "https://portcullis.example/login/oidc/callback"
		if c.oidc.Issuer == "" {
			c.oidc.Issuer = "https://login.example/realms/ops"
		}
		if c.oidc.ClientID == "" {
			c.oidc.ClientID = "portcullis"
		}
		cfg.OIDC = c.oidc
		h.restart(cfg)
		h.is(fmt.Sprintf("with %+v", c.oidc), session, c.role)
	}
	cfg.OIDC = console.OIDC{}
	h.restart(cfg)
	h.is("without a provider", session, "")
	// A later end than a session may have was not written by the console.
	if err := os.WriteFile(h.kept, []byte(strings.Replace(text, end, "2036-01-01T00:00:00Z", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.OIDC = console.OIDC{Issuer: "https://login.example/realms/ops", ClientID: "portcullis", RedirectURL: "https://portcullis.example/login/oidc/callback", Viewers: []string{"all"}}
	h.restart(cfg)
	h.is("of ten years", session, "")
}

// TestPlantedCookieStaysOut: neither a restart nor what stands in the file makes a session of
// a cookie that somebody else chose.
func TestPlantedCookieStaysOut(t *testing.T) {
	t.Parallel()
	h, cfg, secrets := lasting(t)
	planted := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "portcullis", Value: "PLANTED"}) }
	first := h.enter(token, planted)
	second := h.enter(secrets["viewer"], first)
	text, err := os.ReadFile(h.kept)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.is("the planted cookie", planted, "")
		h.is("the session before the second login", first, "")
		h.is("the session", second, "viewer")
		h.restart(cfg)
	}
	digest := firstDigest(string(text))
	h.is("a digest of the file as the cookie", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "portcullis", Value: digest}) }, "")
}

// firstDigest is the first cookie of a file of sessions, as it stands there.
func firstDigest(text string) string {
	_, text, _ = strings.Cut(text, `"cookie":"`)
	digest, _, _ := strings.Cut(text, `"`)
	return digest
}

// TestSessionsFileBreaks: whatever is wrong with the file, the console starts, and people log
// in anew.
func TestSessionsFileBreaks(t *testing.T) {
	t.Parallel()
	h, cfg, _ := lasting(t)
	session := h.enter(token)
	for _, bad := range []string{"", "{", `{"salt":"zz","sessions":[]}`, `{"salt":"00","sessions":[{"cookie":"00"}]}`, `{"salt":"00","sessions":[],"more":1}`, strings.Repeat(" ", 2<<20)} {
		if err := os.WriteFile(h.kept, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		h.restart(cfg)
		h.is(fmt.Sprintf("with %.40q", bad), session, "")
		h.is("a new one", h.enter(token), "admin")
	}
	// Where it cannot be written, sessions are as they were before there was a file.
	h.kept = filepath.Join(t.TempDir(), "gone", "console.sessions")
	h.restart(cfg)
	session = h.enter(token)
	h.is("that cannot be saved", session, "admin")
	h.do("POST", "/logout", "", session)
	h.is("that ended, and that cannot be saved", session, "")
}

// FuzzSessions reads files that are none: no panic, and what is accepted is within bounds.
func FuzzSessions(f *testing.F) {
	f.Add([]byte(`{"salt":"00","token":"","sessions":[{"cookie":"` + strings.Repeat("0f", 32) + `","name":"kim","end":"2026-03-04T12:00:00Z","groups":["a"]}]}`))
	f.Add([]byte(`{"salt":"00","sessions":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := console.ParseSessions(data); err == nil && n > 256 {
			t.Errorf("%d sessions", n)
		}
	})
}
