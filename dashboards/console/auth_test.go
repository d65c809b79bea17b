package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
)

// form posts the login form as a browser does.
func (h *house) form(path, token string, opts ...with) answer {
	return h.do("POST", path, url.Values{"token": {token}}.Encode(), append([]with{header("Content-Type", "application/x-www-form-urlencoded")}, opts...)...)
}

// cookie logs in and returns the session's cookie as an option.
func (h *house) cookie() (with, *http.Cookie) {
	h.t.Helper()
	a := h.form("/login", token)
	cookies := (&http.Response{Header: a.header}).Cookies()
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/" || len(cookies) != 1 {
		h.t.Fatalf("login: %d %v %s", a.status, a.header, a.body)
	}
	c := cookies[0]
	return header("Cookie", c.Name+"="+c.Value), c
}

// what each kind of route answers to each kind of caller.
func TestAccessMatrix(t *testing.T) {
	open1, closed := open(t, console.Config{}), open(t, console.Config{TokenFile: "set"})
	session, _ := closed.cookie()
	forged := header("Cookie", "portcullis=AAAAAAAAAAAAAAAAAAAAAAAAAA")
	callers := []struct {
		name string
		h    *house
		opts []with
		in   bool
	}{
		{"loopback without token", open1, nil, true},
		{"stranger", closed, nil, false},
		{"bearer", closed, []with{bearer(token)}, true},
		{"bearer in lower case", closed, []with{header("Authorization", "bearer "+token)}, true},
		{"wrong bearer", closed, []with{bearer("wrong-" + token)}, false},
		{"token's beginning", closed, []with{bearer(token[:len(token)-1])}, false},
		{"empty bearer", closed, []with{bearer("")}, false},
		{"basic", closed, []with{header("Authorization", "Basic "+token)}, false},
		{"cookie", closed, []with{session}, true},
		{"forged cookie", closed, []with{forged}, false},
		{"token as cookie", closed, []with{header("Cookie", "portcullis="+token)}, false},
	}
	private := []string{"/api/v1/status", "/api/v1/findings", "/api/v1/decisions", "/api/v1/allow", "/api/v1/traffic", "/api/v1/openapi.json", "/metrics"}
	for _, c := range callers {
		t.Run(c.name, func(t *testing.T) {
			for i, path := range private {
				if i > 0 && strings.Contains(c.name, "bearer") && !c.in || i > 0 && c.name == "token's beginning" {
					continue // each try counts against the address; one shows it
				}
				a := c.h.do("GET", path, "", c.opts...)
				if c.in && a.status != http.StatusOK {
					t.Errorf("%s: %d %s", path, a.status, a.body)
				}
				if !c.in {
					problem(t, a, http.StatusUnauthorized)
					if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
						t.Errorf("%s: no WWW-Authenticate", path)
					}
				}
			}
			for _, path := range []string{"/healthz", "/readyz", "/static/app.css"} {
				if a := c.h.do("GET", path, "", c.opts...); a.status != http.StatusOK {
					t.Errorf("%s: %d", path, a.status)
				}
			}
			if c.name == "wrong bearer" || c.name == "token's beginning" || c.name == "empty bearer" {
				return
			}
			a := c.h.do("GET", "/", "", c.opts...)
			if c.in && a.status != http.StatusOK || !c.in && (a.status != http.StatusSeeOther || a.header.Get("Location") != "/login") {
				t.Errorf("/: %d %s", a.status, a.header.Get("Location"))
			}
		})
	}
}

func TestWritesNeedTheTokenToo(t *testing.T) {
	h := open(t, console.Config{TokenFile: "set"})
	problem(t, h.do("POST", "/api/v1/allow", `{"value":"192.0.2.1","why":"x"}`), http.StatusUnauthorized)
	if _, found, err := h.ledger.Command(t.Context(), 1); found || err != nil {
		t.Errorf("a stranger's command was posted (%v)", err)
	}
}

func TestSessionCookie(t *testing.T) {
	h := open(t, console.Config{TokenFile: "set"})
	session, c := h.cookie()
	if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge <= 0 {
		t.Errorf("cookie: %+v", c)
	}
	if len(c.Value) < 20 || strings.Contains(c.Value, token) {
		t.Errorf("cookie value %q", c.Value)
	}
	if a := h.do("GET", "/login", "", session); a.status != http.StatusSeeOther {
		t.Errorf("the login form is shown to who is in: %d", a.status)
	}
	a := h.form("/logout", "", session)
	if a.status != http.StatusSeeOther || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logout: %d %s", a.status, a.header.Get("Set-Cookie"))
	}
	problem(t, h.do("GET", "/api/v1/status", "", session), http.StatusUnauthorized)

	session, _ = h.cookie()
	h.move(13 * time.Hour)
	problem(t, h.do("GET", "/api/v1/status", "", session), http.StatusUnauthorized)
}

func TestLoginIsRateLimited(t *testing.T) {
	h := open(t, console.Config{TokenFile: "set"})
	session, _ := h.cookie()
	for i := range console.MaxWrong {
		if a := h.form("/login", "guess"); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "not the token") {
			t.Fatalf("guess %d: %d %s", i, a.status, a.body)
		}
	}
	if a := h.form("/login", token); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("the right token after too many wrong ones: %d", a.status)
	}
	a := h.do("GET", "/api/v1/status", "", bearer(token))
	problem(t, a, http.StatusTooManyRequests)
	if a.header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	if a := h.do("GET", "/api/v1/status", "", session); a.status != http.StatusOK {
		t.Errorf("a session that stands suffers from guesses: %d", a.status)
	}
	h.move(61 * time.Second)
	if a := h.form("/login", token); a.status != http.StatusSeeOther {
		t.Errorf("after the wait: %d", a.status)
	}
}

func TestLoginRefusesOtherSites(t *testing.T) {
	h := open(t, console.Config{TokenFile: "set"})
	problem(t, h.form("/login", token, header("Sec-Fetch-Site", "cross-site")), http.StatusForbidden)
	problem(t, h.form("/login", token, header("Origin", "https://evil.example")), http.StatusForbidden)
}

func TestNoSecretInAnyAnswer(t *testing.T) {
	h := open(t, console.Config{TokenFile: "set"})
	session, c := h.cookie()
	for _, path := range []string{"/", "/login", "/api/v1/status", "/api/v1/findings", "/api/v1/decisions", "/api/v1/allow", "/api/v1/openapi.json", "/metrics", "/readyz"} {
		a := h.do("GET", path, "", session, bearer(token))
		if strings.Contains(a.body, token) || strings.Contains(a.body, c.Value) {
			t.Errorf("%s gives a secret away", path)
		}
	}
}

func TestReadyzHidesTheReasonFromStrangers(t *testing.T) {
	h := open(t, console.Config{TokenFile: "set"})
	session, _ := h.cookie()
	h.setReady(http.ErrNotSupported)
	if a := h.do("GET", "/readyz", ""); a.status != 503 || strings.Contains(a.body, "supported") {
		t.Errorf("stranger: %d %q", a.status, a.body)
	}
	if a := h.do("GET", "/readyz", "", session); a.status != 503 || !strings.Contains(a.body, "supported") {
		t.Errorf("session: %d %q", a.status, a.body)
	}
	if doc := parse(t, h.do("GET", "/api/v1/status", "", session)); doc["ready"] != false || doc["login"] != true {
		t.Errorf("status: ready %v, login %v", doc["ready"], doc["login"])
	}
}
