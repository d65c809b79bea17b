package console_test

import (
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/fixtures/keycloak"
)

// organisation is a console that lets people of a Keycloak in.
func organisation(t *testing.T, change func(*console.OIDC)) *house {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Keycloak, 15 to 60 s; leave out -short")
	}
	kc, err := keycloak.Start(t.TempDir())
	if errors.Is(err, keycloak.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED: %v: apt-get install default-jre-headless maven && deploy/testbed/keycloak.sh fetch", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kc.Stop(); err != nil {
			t.Error(err)
		}
	})
	// Keycloak must know where it sends people, which is known once the console listens.
	var handler http.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	cfg := console.Config{OIDC: console.OIDC{
		Issuer: kc.Issuer(), ClientID: keycloak.Client, SecretFile: tokenFile(t, keycloak.Secret), RedirectURL: web.URL + "/login/oidc/callback",
		Viewers: []string{"watchers"}, Operators: []string{"oncall"}, Admins: []string{"leads"},
	}}
	if change != nil {
		change(&cfg.OIDC)
	}
	h := open(t, cfg)
	handler = h.server.Handler()
	h.http = web
	return h
}

// person is somebody's browser.
type person struct {
	t    *testing.T
	h    *house
	http *http.Client
}

func (h *house) person(t *testing.T) *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t, h, &http.Client{Jar: jar}}
}

// page opens an address and follows where it leads.
func (p *person) page(req *http.Request, err error) (status int, at *url.URL, body string) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Request.URL, string(text)
}

var action = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)

// logIn goes from a page of the console to Keycloak's form and fills it in.
func (p *person) logIn(path, name string) (status int, at *url.URL, body string) {
	p.t.Helper()
	_, _, body = p.page(http.NewRequest(http.MethodGet, p.h.http.URL+path, nil))
	link := regexp.MustCompile(`href="(/login/oidc[^"]*)"`).FindStringSubmatch(body)
	if link == nil {
		p.t.Fatalf("no way to the provider: %.500s", body)
	}
	_, _, body = p.page(http.NewRequest(http.MethodGet, p.h.http.URL+html.UnescapeString(link[1]), nil))
	form := action.FindStringSubmatch(body)
	if form == nil {
		p.t.Fatalf("no login form: %.500s", body)
	}
	req, err := http.NewRequest(http.MethodPost, html.UnescapeString(form[1]), strings.NewReader(url.Values{"username": {name}, "password": {name + "-secret"}}.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return p.page(req, err)
}

// TestOIDC logs people of several groups in at a real Keycloak.
func TestOIDC(t *testing.T) {
	t.Parallel()
	h := organisation(t, nil)
	for name, role := range map[string]string{"vera": "viewer", "otto": "operator", "ada": "admin"} {
		p := h.person(t)
		status, at, _ := p.logIn("/findings?family=recon", name)
		if status != http.StatusOK || at.Path != "/findings" || at.RawQuery != "family=recon" {
			t.Errorf("%s: %d at %s", name, status, at)
		}
		_, _, me := p.page(http.NewRequest(http.MethodGet, h.http.URL+"/api/v1/me", nil))
		if !strings.Contains(me, `"role":"`+role+`"`) || !strings.Contains(me, `"name":"`+name+` via OIDC"`) {
			t.Errorf("%s is %s", name, me)
		}
	}
	p := h.person(t)
	if status, at, body := p.logIn("/", "nora"); status != http.StatusForbidden || !strings.Contains(body, "none of your groups") {
		t.Errorf("in no group: %d at %s: %.200s", status, at, body)
	}
	if status, _, _ := p.page(http.NewRequest(http.MethodGet, h.http.URL+"/api/v1/status", nil)); status != http.StatusUnauthorized {
		t.Errorf("in no group, and in: %d", status)
	}
	t.Run("a login of somebody else", func(t *testing.T) { forged(t, h) })
}

// forged tries to come in with what belongs to another login.
func forged(t *testing.T, h *house) {
	begin := func(p *person) (state string) {
		p.t = t
		p.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := p.http.Get(h.http.URL + "/login/oidc?next=//evil.example")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		to, err := resp.Location()
		if err != nil {
			t.Fatal(err)
		}
		q := to.Query()
		if q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || len(q.Get("state")) < 20 || strings.Contains(to.String(), "evil") {
			t.Errorf("sent to %s", to)
		}
		return q.Get("state")
	}
	mine, theirs := h.person(t), h.person(t)
	state := begin(mine)
	begin(theirs)
	for name, c := range map[string]struct {
		p      *person
		query  string
		status int
	}{
		"the state of another browser":     {theirs, "?code=x&state=" + state, http.StatusBadRequest},
		"no cookie":                        {h.person(t), "?code=x&state=" + state, http.StatusBadRequest},
		"a code that the provider refuses": {mine, "?code=x&state=" + state, http.StatusForbidden},
	} {
		status, _, body := c.p.page(http.NewRequest(http.MethodGet, h.http.URL+"/login/oidc/callback"+c.query, nil))
		if status != c.status || strings.Contains(body, keycloak.Secret) {
			t.Errorf("%s: %d: %.200s", name, status, body)
		}
	}
	// The cookie serves once.
	if status, _, _ := mine.page(http.NewRequest(http.MethodGet, h.http.URL+"/login/oidc/callback?code=x&state="+state, nil)); status != http.StatusBadRequest {
		t.Errorf("the same login again: %d", status)
	}
}

// TestOIDCAway demands that the console runs, and says what is wrong, while the provider is
// away.
func TestOIDCAway(t *testing.T) {
	h := open(t, console.Config{OIDC: console.OIDC{Issuer: "http://127.0.0.1:1/realms/ops", ClientID: "console", RedirectURL: "http://127.0.0.1:8470/login/oidc/callback", Viewers: []string{"a"}}})
	if a := h.do("GET", "/login/oidc", ""); a.status != http.StatusBadGateway || !strings.Contains(a.body, "cannot be reached") {
		t.Errorf("%d %.200s", a.status, a.body)
	}
	if a := h.do("GET", "/api/v1/status", ""); a.status != http.StatusUnauthorized {
		t.Errorf("a stranger: %d", a.status)
	}
}

func TestOIDCSettings(t *testing.T) {
	good := console.OIDC{Issuer: "https://login.example/realms/ops", ClientID: "console", RedirectURL: "https://console.example/login/oidc/callback", Viewers: []string{"a"}}
	for word, change := range map[string]func(*console.OIDC){
		"":                  func(*console.OIDC) {},
		"oidc.client_id":    func(c *console.OIDC) { c.ClientID = "" },
		"must be https":     func(c *console.OIDC) { c.Issuer = "http://login.example/realms/ops" },
		"oidc.redirect_url": func(c *console.OIDC) { c.RedirectURL = "https://console.example/" },
		"at least one":      func(c *console.OIDC) { c.Viewers = nil },
		"oidc.issuer":       func(c *console.OIDC) { c.Issuer = "" },
		"oidc.secret_file":  func(c *console.OIDC) { c.SecretFile = "none" },
	} {
		cfg := console.Config{OIDC: good}
		change(&cfg.OIDC)
		err := cfg.Usable()
		if (word == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
}
