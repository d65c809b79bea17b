package console_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
	"github.com/portcullis/portcullis/enforce"
)

// keyed is a console with a token and a key of each role; the secrets are by name.
func keyed(t *testing.T, cfg console.Config) (*house, map[string]string) {
	t.Helper()
	var keys console.Keys
	secrets := map[string]string{"token": token}
	for _, role := range console.Roles() {
		secret, err := keys.Add(string(role), role, consoletest.Noon, consoletest.Noon.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		secrets[string(role)] = secret
	}
	cfg.KeysFile, cfg.TokenFile = filepath.Join(t.TempDir(), "console.keys"), "set"
	if err := console.UpdateKeys(cfg.KeysFile, func(k *console.Keys) error { *k = keys; return nil }); err != nil {
		t.Fatal(err)
	}
	h := open(t, cfg)
	h.keys = cfg.KeysFile
	return h, secrets
}

// TestRoles goes through every route there is with every role there is. It is made from the
// route table, so that a new route is in it.
func TestRoles(t *testing.T) {
	h, secrets := keyed(t, console.Config{})
	rank := map[console.Role]int{"": 0, console.Viewer: 1, console.Operator: 2, console.Admin: 3}
	holders := map[string]console.Role{"": "", "viewer": console.Viewer, "operator": console.Operator, "admin": console.Admin, "token": console.Admin}
	tried := 0
	for _, rt := range h.server.Routes() {
		path := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(strings.TrimSuffix(rt.Pattern, "{$}"), "x")
		if rt.Private && (rank[rt.Role] == 0 || rt.Method != "GET" && rank[rt.Role] < rank[console.Operator]) {
			t.Errorf("%s %s: role %q is too little", rt.Method, rt.Pattern, rt.Role)
		}
		if !rt.Private && !publicRoutes[rt.Method+" "+rt.Pattern] {
			t.Errorf("%s %s is open to everybody, and nobody said that it may be", rt.Method, rt.Pattern)
		}
		for who, role := range holders {
			if strings.HasSuffix(path, "/events") && role != "" {
				continue // streams without end; events_test goes through its doors
			}
			var opts []with
			if who != "" {
				opts = append(opts, bearer(secrets[who]))
			}
			body := ""
			if rt.Method != "GET" {
				body = `{"bad":1}` // let through, it is a mistake
			}
			a := h.do(rt.Method, path, body, opts...)
			want := "in"
			switch {
			case !rt.Private:
			case role == "" && rt.Page:
				want = "login"
			case role == "":
				want = "401"
			case rank[role] < rank[rt.Role]:
				want = "403"
			}
			got := "in"
			switch {
			case a.status == http.StatusUnauthorized && rt.Pattern != "/login":
				got = "401"
			case a.status == http.StatusForbidden:
				got = "403"
			case rt.Private && a.status == http.StatusSeeOther && strings.HasPrefix(a.header.Get("Location"), "/login"):
				got = "login"
			}
			if got != want {
				t.Errorf("%s %s as %q: %s (%d), want %s", rt.Method, rt.Pattern, who, got, a.status, want)
			}
			tried++
		}
		if rt.Pattern == "/login" {
			h.move(time.Minute) // those were wrong tokens
		}
	}
	t.Logf("%d routes and callers", tried)
}

// publicRoutes are those that a stranger may use, each on purpose.
var publicRoutes = map[string]bool{
	"GET /static/{file}": true, "GET /login": true, "POST /login": true, "GET /login/oidc": true, "GET /login/oidc/callback": true,
	"POST /logout": true, "GET /healthz": true, "GET /readyz": true,
}

func TestKeysEnd(t *testing.T) {
	h, secrets := keyed(t, console.Config{})
	if a := h.do("GET", "/api/v1/me", "", bearer(secrets["operator"])); !strings.Contains(a.body, `"key operator"`) || !strings.Contains(a.body, `"role":"operator"`) {
		t.Errorf("the key is %s", a.body)
	}
	a := h.form("/login", secrets["operator"])
	cookies := (&http.Response{Header: a.header}).Cookies()
	if a.status != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("login with a key: %d, %d cookies", a.status, len(cookies))
	}
	session := func(r *http.Request) { r.AddCookie(cookies[0]) }
	if got := h.do("POST", "/api/v1/panic", `{"why":"x"}`, session); got.status != http.StatusForbidden {
		t.Errorf("an operator's session at the panic switch: %d", got.status)
	}
	if got := h.do("GET", "/api/v1/me", "", session); !strings.Contains(got.body, `"role":"operator"`) {
		t.Errorf("the session is %s", got.body)
	}
	h.move(time.Hour) // the keys run out, and the sessions that they opened
	for name, opt := range map[string]with{"key": bearer(secrets["operator"]), "session": session} {
		if got := h.do("GET", "/api/v1/me", "", opt); got.status != http.StatusUnauthorized {
			t.Errorf("%s after its end: %d", name, got.status)
		}
	}
}

// TestKeysFileBreaks: while the file is broken, the keys known last are good; a file that is
// gone has no keys.
func TestKeysFileBreaks(t *testing.T) {
	h, secrets := keyed(t, console.Config{})
	ask := func() int { return h.do("GET", "/api/v1/me", "", bearer(secrets["viewer"])).status }
	if got := ask(); got != http.StatusOK {
		t.Fatalf("before: %d", got)
	}
	if err := os.WriteFile(h.keys, []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != http.StatusOK {
		t.Errorf("while the file is broken: %d", got)
	}
	if err := os.Remove(h.keys); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != http.StatusUnauthorized {
		t.Errorf("without a file: %d", got)
	}
}

// TestSessionIsNewAtLogin: a cookie that a browser was given before the login, perhaps by
// somebody else, never becomes a session, and a login ends the session before.
func TestSessionIsNewAtLogin(t *testing.T) {
	h, secrets := keyed(t, console.Config{})
	planted := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "portcullis", Value: "PLANTED"}) }
	first := h.form("/login", token, planted)
	cookie := (&http.Response{Header: first.header}).Cookies()[0]
	if cookie.Value == "PLANTED" {
		t.Fatal("the login took over the cookie that was there")
	}
	if a := h.do("GET", "/api/v1/me", "", planted); a.status != http.StatusUnauthorized {
		t.Errorf("the planted cookie: %d", a.status)
	}
	mine := func(r *http.Request) { r.AddCookie(cookie) }
	h.form("/login", secrets["viewer"], mine)
	if a := h.do("GET", "/api/v1/me", "", mine); a.status != http.StatusUnauthorized {
		t.Errorf("the session before the second login: %d", a.status)
	}
}

// TestLinksFromElsewhere: a link in an alert opens a page, logged in or not; anything else
// of another site is refused, and a login never leads away from the console.
func TestLinksFromElsewhere(t *testing.T) {
	h, secrets := keyed(t, console.Config{})
	from := func(mode, dest string) with {
		return func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", mode)
			r.Header.Set("Sec-Fetch-Dest", dest)
		}
	}
	me := bearer(secrets["viewer"])
	if a := h.do("GET", "/subject?subject=ip:192.0.2.7", "", from("navigate", "document"), me); a.status != http.StatusOK {
		t.Errorf("a link: %d", a.status)
	}
	a := h.do("GET", "/subject?subject=ip:192.0.2.7", "", from("navigate", "document"))
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/login?next=%2Fsubject%3Fsubject%3Dip%3A192.0.2.7" {
		t.Errorf("a link for a stranger: %d %s", a.status, a.header.Get("Location"))
	}
	for name, opts := range map[string][]with{
		"a frame": {from("navigate", "iframe"), me}, "a script": {from("no-cors", "script"), me}, "a fetch": {from("cors", "empty"), me},
	} {
		if a := h.do("GET", "/", "", opts...); a.status != http.StatusForbidden {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if a := h.do("GET", "/api/v1/findings", "", from("navigate", "document"), me); a.status != http.StatusForbidden {
		t.Errorf("the API by a link: %d", a.status)
	}
	for _, next := range []string{"//evil.example", "https://evil.example/", `/\evil.example`, "javascript:alert(1)", "/%0d%0aX:y", strings.Repeat("/x", 2000)} {
		a := h.form("/login", token, func(r *http.Request) {
			body := "token=" + token + "&next=" + strings.ReplaceAll(strings.ReplaceAll(next, "%", "%25"), "&", "%26")
			r.Body, r.ContentLength = readCloser(body), int64(len(body))
		})
		if to := a.header.Get("Location"); a.status != http.StatusSeeOther || to != "/" && !strings.HasPrefix(to, "/%0d%0a") {
			t.Errorf("next=%.40s leads to %d %q", next, a.status, to)
		}
	}
}

func TestWriteOnce(t *testing.T) {
	h, secrets := keyed(t, console.Config{})
	h.server.Hurry(20*time.Millisecond, 5*time.Second)
	h.enforcer(func(verb, arg string) string { return verb + " " + arg })
	name := header("Idempotency-Key", "runbook 7, step 3")
	post := func(body, who string) answer { return h.do("POST", "/api/v1/allow", body, name, bearer(secrets[who])) }
	const body = `{"value":"192.0.2.1","why":"test"}`
	first, again := post(body, "operator"), post(body, "operator")
	if first.status != http.StatusOK || again.status != http.StatusOK || parse(t, first)["id"] != parse(t, again)["id"] || again.header.Get("Idempotent-Replayed") == "" {
		t.Errorf("first %d %s, again %d %s", first.status, first.body, again.status, again.body)
	}
	problem(t, post(`{"value":"192.0.2.2","why":"test"}`, "operator"), http.StatusUnprocessableEntity)
	if other := post(`{"value":"192.0.2.2","why":"test"}`, "admin"); other.status != http.StatusOK || parse(t, other)["id"] == parse(t, first)["id"] {
		t.Errorf("another caller of the same name: %d %s", other.status, other.body)
	}
	if id := parse(t, h.do("POST", "/api/v1/allow", body, bearer(secrets["operator"])))["id"]; id == parse(t, first)["id"] {
		t.Error("a write without a key was taken for the first")
	}
	problem(t, h.do("POST", "/api/v1/allow", body, header("Idempotency-Key", strings.Repeat("x", 129)), bearer(secrets["operator"])), http.StatusBadRequest)
	// What was done already is answered as it was, though it could not be done now.
	verified, err := h.ledger.Decisions(t.Context(), enforce.DecisionQuery{State: enforce.Verified, Limit: 1})
	if err != nil || len(verified) == 0 {
		t.Fatal(verified, err)
	}
	id := verified[0].ID
	release := func() answer {
		return h.do("POST", "/api/v1/decisions/"+id+"/release", `{"why":"test"}`, header("Idempotency-Key", "r"), bearer(secrets["operator"]))
	}
	done := release()
	if _, err := h.db.SQL().ExecContext(t.Context(), `UPDATE decisions SET state = 'released' WHERE id = ?`, id); err != nil {
		t.Fatal(err)
	}
	if late := release(); done.status != http.StatusOK || late.status != http.StatusOK || late.body != done.body {
		t.Errorf("done %d %s, later %d %s", done.status, done.body, late.status, late.body)
	}
}

// TestHead: a HEAD is a read, and carries no body.
func TestHead(t *testing.T) {
	h, secrets := keyed(t, console.Config{})
	if a := h.do("HEAD", "/api/v1/status", "", bearer(secrets["viewer"])); a.status != http.StatusOK || a.body != "" {
		t.Errorf("%d %q", a.status, a.body)
	}
}

// FuzzKeys reads files that are none: no panic, and what is accepted can be written and
// read again.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"name":"a","role":"viewer","created":"2026-03-04T12:00:00Z","secrets":[{"sha256":"` + strings.Repeat("0f", 32) + `"}]}]}`))
	f.Add([]byte(`{"keys":[{"role":"root"}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := console.ParseKeys(data, "keys")
		if err != nil {
			return
		}
		text, err := json.Marshal(keys)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := console.ParseKeys(text, "keys"); err != nil || len(again.Keys) != len(keys.Keys) {
			t.Errorf("%d keys, read again %d (%v)", len(keys.Keys), len(again.Keys), err)
		}
	})
}

func TestTooMuch(t *testing.T) {
	h, secrets := keyed(t, console.Config{})
	read := func(who string) answer { return h.do("GET", "/api/v1/me", "", bearer(secrets[who])) }
	for range console.ReadBurst {
		if a := read("viewer"); a.status != http.StatusOK {
			t.Fatalf("within the burst: %d", a.status)
		}
	}
	a := read("viewer")
	problem(t, a, http.StatusTooManyRequests)
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	if a := read("operator"); a.status != http.StatusOK {
		t.Errorf("another caller: %d", a.status)
	}
	h.move(time.Second)
	if a := read("viewer"); a.status != http.StatusOK {
		t.Errorf("a second later: %d", a.status)
	}
}

// TestNoLogin: where anybody may look, they may do no more, and who has a key may.
func TestNoLogin(t *testing.T) {
	h, secrets := keyed(t, console.Config{NoLogin: true})
	if a := h.do("GET", "/api/v1/me", ""); !strings.Contains(a.body, `"role":"viewer"`) {
		t.Errorf("anybody is %s", a.body)
	}
	if a := h.do("POST", "/api/v1/allow", `{"value":"192.0.2.1","why":"x"}`); a.status != http.StatusForbidden {
		t.Errorf("anybody allows: %d", a.status)
	}
	if a := h.do("POST", "/api/v1/allow", `{"value":"192.0.2.1","why":"x"}`, bearer(secrets["operator"])); a.status != http.StatusAccepted {
		t.Errorf("an operator allows: %d", a.status)
	}
	if a := h.do("GET", "/api/v1/me", "", bearer("pck_wrong")); a.status != http.StatusUnauthorized {
		t.Errorf("a wrong key: %d", a.status)
	}
	if a := h.do("GET", "/login", ""); a.status != http.StatusOK || !strings.Contains(a.body, `name="token"`) {
		t.Errorf("the login form: %d", a.status)
	}
}
