package console

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	oidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/portcullis/portcullis/internal/telemetry"
)

// OIDC is the "console.oidc" section: the login by an identity provider.
type OIDC struct {
	Issuer      string   `yaml:"issuer" doc:"URL of the identity provider as its tokens name it, such as https://login.example/realms/ops; empty means no login by OIDC."`
	ClientID    string   `yaml:"client_id" doc:"Name under which the console is registered there."`
	SecretFile  string   `yaml:"secret_file" doc:"File holding the client secret; empty for a public client, which PKCE alone protects."`
	RedirectURL string   `yaml:"redirect_url" doc:"Where the provider sends people back to: the console's address with the path /login/oidc/callback."`
	Scopes      []string `yaml:"scopes" default:"openid,profile,email" doc:"What is asked for; some providers want one more for groups."`
	NameClaim   string   `yaml:"name_claim" default:"preferred_username" doc:"Claim that names the person in the ledger; where it is missing, email and then sub do."`
	GroupsClaim string   `yaml:"groups_claim" default:"groups" doc:"Claim with the groups, a list of text or one text."`
	Viewers     []string `yaml:"viewers" doc:"Groups that may look."`
	Operators   []string `yaml:"operators" doc:"Groups that may also approve, release, extend and allow."`
	Admins      []string `yaml:"admins" doc:"Groups that may do everything."`
}

func (c OIDC) on() bool { return c.Issuer != "" }

func (c OIDC) check(report func(key, message string)) {
	if !c.on() {
		if c.ClientID != "" || c.RedirectURL != "" {
			report("oidc.issuer", "needed where other keys of oidc are set")
		}
		return
	}
	for _, x := range []struct{ key, value string }{{"oidc.issuer", c.Issuer}, {"oidc.redirect_url", c.RedirectURL}} {
		u, err := url.Parse(x.value)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
			report(x.key, fmt.Sprintf("%q: must be a URL such as https://login.example/realms/ops", x.value))
		case u.Scheme == "http" && !loopback(u.Hostname()):
			report(x.key, fmt.Sprintf("%q: must be https, since what passes there lets people in", x.value))
		}
	}
	if u, err := url.Parse(c.RedirectURL); err == nil && u.Path != callbackPath {
		report("oidc.redirect_url", "its path must be "+callbackPath)
	}
	if c.ClientID == "" {
		report("oidc.client_id", "needed where oidc.issuer is set")
	}
	if len(c.Viewers)+len(c.Operators)+len(c.Admins) == 0 {
		report("oidc.viewers", "name at least one group in viewers, operators or admins: nobody could log in")
	}
}

// secret reads the client secret.
func (c OIDC) secret() (string, error) {
	if c.SecretFile == "" {
		return "", nil
	}
	data, err := os.ReadFile(c.SecretFile)
	if err != nil {
		return "", fmt.Errorf("console: oidc.secret_file: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" || len(text) > maxToken {
		return "", fmt.Errorf("console: oidc.secret_file: %q holds %d bytes: is it the right file?", c.SecretFile, len(text))
	}
	return text, nil
}

const (
	callbackPath = "/login/oidc/callback"
	askedFor     = 10 * time.Minute // what a person has for the provider's login form
	providerTime = 10 * time.Second // what the provider has for each of its answers
	maxGroups    = 1000
)

// provider is the identity provider. It is asked for its addresses and keys at the first
// login, not at the start: the console must run while it is away.
type provider struct {
	cfg    OIDC
	secret string
	seal   cipher.AEAD // of what a browser keeps for us during a login
	client *http.Client

	mu    sync.Mutex
	found *oidc.Provider
}

func newProvider(cfg OIDC) (*provider, error) {
	secret, err := cfg.secret()
	if err != nil {
		return nil, err
	}
	var key [32]byte
	_, _ = rand.Read(key[:]) // it never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("console: oidc: %w", err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("console: oidc: %w", err)
	}
	if len(cfg.Scopes) == 0 {
		cfg.Scopes = []string{oidc.ScopeOpenID, "profile", "email"}
	}
	if cfg.GroupsClaim == "" {
		cfg.GroupsClaim = "groups"
	}
	if cfg.NameClaim == "" {
		cfg.NameClaim = "preferred_username"
	}
	return &provider{cfg: cfg, secret: secret, seal: seal, client: &http.Client{Timeout: providerTime}}, nil
}

// discover asks the provider for its addresses, once.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		// The provider keeps the context for its keys, longer than this request.
		found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.cfg.Issuer)
		if err != nil {
			return nil, nil, fmt.Errorf("console: oidc: %w (is console.oidc.issuer right, and reachable from here?)", err)
		}
		p.found = found
	}
	return p.found, &oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: p.secret, RedirectURL: p.cfg.RedirectURL,
		Scopes: p.cfg.Scopes, Endpoint: p.found.Endpoint(),
	}, nil
}

// errand is what a browser keeps, sealed, while its person is at the provider: so a flood
// of logins that nobody ends takes no memory here.
type errand struct {
	State, Nonce, Verifier, Next string
	Until                        time.Time
}

func (p *provider) sealed(e errand) (string, error) {
	plain, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("console: oidc: %w", err)
	}
	nonce := make([]byte, p.seal.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	return base64.RawURLEncoding.EncodeToString(p.seal.Seal(nonce, nonce, plain, nil)), nil
}

func (p *provider) opened(text string, now time.Time) (e errand, ok bool) {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(data) < p.seal.NonceSize() {
		return e, false
	}
	plain, err := p.seal.Open(nil, data[:p.seal.NonceSize()], data[p.seal.NonceSize():], nil)
	return e, err == nil && json.Unmarshal(plain, &e) == nil && now.Before(e.Until)
}

// errandCookie belongs to one login, and is sent back only when the provider is done.
func (s *Server) errandCookie(value string, age int) *http.Cookie {
	name := "portcullis-login"
	if s.tls != nil {
		name = "__Host-" + name
	}
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.tls != nil, SameSite: http.SameSiteLaxMode}
}

// toProvider sends a person to the identity provider.
func (s *Server) toProvider(w http.ResponseWriter, r *http.Request) error {
	if s.provider == nil {
		return notFound("console.oidc is not set")
	}
	next := safeNext(r.URL.Query().Get("next"))
	_, conf, err := s.provider.discover(r.Context())
	if err != nil {
		s.log.Error("console: the identity provider cannot be reached", "error", err)
		return s.loginPage(w, http.StatusBadGateway, loginForm{Next: next, Message: "The identity provider cannot be reached. The log of portcullis says why."})
	}
	e := errand{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next, Until: s.now().Add(askedFor)}
	kept, err := s.provider.sealed(e)
	if err != nil {
		return err
	}
	http.SetCookie(w, s.errandCookie(kept, int(askedFor/time.Second)))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, conf.AuthCodeURL(e.State, oidc.Nonce(e.Nonce), oauth2.S256ChallengeOption(e.Verifier)), http.StatusSeeOther)
	return nil
}

// fromProvider takes a person back, and lets those of the right groups in.
func (s *Server) fromProvider(w http.ResponseWriter, r *http.Request) error {
	if s.provider == nil {
		return notFound("console.oidc is not set")
	}
	http.SetCookie(w, s.errandCookie("", -1)) // it serves once
	kept, err := r.Cookie(s.errandCookie("", 0).Name)
	var e errand
	ok := err == nil
	if ok {
		e, ok = s.provider.opened(kept.Value, s.now())
	}
	given := r.URL.Query()
	if !ok || subtle.ConstantTimeCompare([]byte(e.State), []byte(given.Get("state"))) != 1 {
		return s.loginPage(w, http.StatusBadRequest, loginForm{Message: "That login was not begun here, or took too long. Try again."})
	}
	who, err := s.provider.person(r.Context(), given, e)
	if err != nil {
		s.log.Warn("console: login by OIDC refused", "remote", r.RemoteAddr, "error", err)
		said := "The identity provider did not let you in."
		if errors.Is(err, errNoRole) {
			said = "You are known, but none of your groups may use the console."
		}
		return s.loginPage(w, http.StatusForbidden, loginForm{Next: e.Next, Message: said})
	}
	s.enter(w, r, who)
	http.Redirect(w, r, e.Next, http.StatusSeeOther)
	return nil
}

var errNoRole = errors.New("none of the person's groups is in console.oidc.viewers, operators or admins")

// person exchanges the code and verifies the token: its signature, issuer, audience, end
// and nonce.
func (p *provider) person(ctx context.Context, given url.Values, e errand) (principal, error) {
	if said := given.Get("error"); said != "" {
		return principal{}, fmt.Errorf("the provider said %s", telemetry.Quote(said))
	}
	found, conf, err := p.discover(ctx)
	if err != nil {
		return principal{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := conf.Exchange(ctx, given.Get("code"), oauth2.VerifierOption(e.Verifier))
	if err != nil {
		return principal{}, fmt.Errorf("exchange the code: %w", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return principal{}, errors.New("the answer has no id_token: is openid among the scopes?")
	}
	id, err := found.Verifier(&oidc.Config{ClientID: p.cfg.ClientID}).Verify(ctx, raw)
	if err != nil {
		return principal{}, fmt.Errorf("verify the token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(e.Nonce)) != 1 {
		return principal{}, errors.New("the token was not made for this login")
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return principal{}, fmt.Errorf("read the claims: %w", err)
	}
	groups := p.groupsOf(claims)
	who := principal{name: p.nameOf(claims, id.Subject) + " via OIDC", role: p.roleIn(groups), via: &via{issuer: p.name(), groups: groups}}
	if who.role == "" {
		return principal{}, fmt.Errorf("%s: %w", telemetry.Quote(who.name), errNoRole)
	}
	return who, nil
}

// nameOf is how the ledger calls a person. The provider may let people choose it.
func (p *provider) nameOf(claims map[string]any, subject string) string {
	for _, claim := range []string{p.cfg.NameClaim, "email"} {
		if name, _ := claims[claim].(string); name != "" && len(name) <= maxID && utf8.ValidString(name) && printable(name) {
			return name
		}
	}
	return subject
}

// name tells the provider from others, and from itself with another client.
func (p *provider) name() string { return p.cfg.Issuer + " " + p.cfg.ClientID }

// groupsOf are a person's groups.
func (p *provider) groupsOf(claims map[string]any) (groups []string) {
	switch v := claims[p.cfg.GroupsClaim].(type) {
	case string:
		groups = []string{v}
	case []any:
		for _, g := range v[:min(len(v), maxGroups)] {
			if name, ok := g.(string); ok {
				groups = append(groups, name)
			}
		}
	}
	// Those that count come first: of many, the file of the sessions keeps some.
	slices.SortStableFunc(groups, func(a, b string) int {
		return cmp.Compare(slices.Index(Roles(), p.roleIn([]string{b})), slices.Index(Roles(), p.roleIn([]string{a})))
	})
	return groups
}

// roleIn is the highest role of groups; "" = none.
func (p *provider) roleIn(groups []string) Role {
	in := func(list []string) bool {
		return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(list, g) })
	}
	switch {
	case in(p.cfg.Admins):
		return Admin
	case in(p.cfg.Operators):
		return Operator
	case in(p.cfg.Viewers):
		return Viewer
	}
	return ""
}
