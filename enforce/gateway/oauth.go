package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("oauth-revoke", Spec{
		Doc:     "an authorization server that revokes tokens (RFC 7009); what is revoked stays so",
		How:     "OAuth 2.0 token revocation (RFC 7009)",
		Tested:  "a contract server after the RFC",
		Holds:   "tokens that stand in keys_file",
		Actions: []enforce.Action{enforce.Revoke},
		Config:  func() any { return new(OAuthConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewOAuth(*config.(*OAuthConfig)) },
		Setup: func(_ context.Context, w io.Writer, _ any, _ bool) error {
			_, err := io.WriteString(w, `The authorization server has to let a client revoke tokens (RFC 7009, section 2.1). Portcullis
knows tokens by pseudonyms only: those that may be revoked, such as long-lived ones, are
listed in keys_file beside type, one a line. With enforce.policy.revoke set, a person
is asked before any is revoked: nothing brings it back.
`)
			return err
		},
	})
}

// OAuthConfig is the "oauth-revoke" section of a gateway.
type OAuthConfig struct {
	Endpoint string        `yaml:"endpoint" doc:"The revocation endpoint; https unless it is on this machine."`
	Client   string        `yaml:"client" doc:"Id of the client that may revoke."`
	Secret   string        `yaml:"secret" secret:"file" doc:"Secret of the client, sent by HTTP Basic authentication."`
	Hint     string        `yaml:"hint" default:"access_token" enum:"access_token,refresh_token" doc:"What the tokens are: access_token or refresh_token."`
	Timeout  time.Duration `yaml:"timeout" default:"10s" doc:"How long one answer may take."`
}

// Check reports settings that cannot work, by the rules of internal/config.
func (c OAuthConfig) Check(report func(key, message string)) {
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil:
		report("endpoint", fmt.Sprintf("%.100q is no address: want https://HOST/PATH", c.Endpoint))
	case u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1":
		report("endpoint", "must be https: it is sent tokens (RFC 7009, section 2)")
	}
	if c.Client == "" || c.Secret == "" {
		report("client", "client and secret_file are needed")
	}
	if c.Timeout <= 0 {
		report("timeout", "must be more than 0")
	}
}

// OAuth is an authorization server. A token that is revoked stays so: when the decision ends
// nothing is undone. After a restart of ours what is in force is revoked again, which the RFC
// lets succeed.
type OAuth struct {
	ability
	cfg    OAuthConfig
	client *http.Client

	mu   sync.Mutex // one Apply at a time
	done held       // what was revoked since the start, of what is in force
}

// NewOAuth makes the gateway; it asks nobody until Apply.
func NewOAuth(cfg OAuthConfig) (*OAuth, error) {
	if err := settled("oauth-revoke", cfg.Check); err != nil {
		return nil, err
	}
	return &OAuth{cfg: cfg, done: held{}, ability: ability{name: "oauth-revoke", actions: []enforce.Action{enforce.Revoke}, kinds: map[string]string{"key": "token"}},
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// Name implements enforce.Gateway.
func (g *OAuth) Name() string { return g.name }

// Holds implements enforce.Holder.
func (g *OAuth) Holds(t enforce.Target, a enforce.Action) error {
	switch {
	case t.Prefix.IsValid():
		return fmt.Errorf("gateway oauth-revoke: it revokes tokens, not addresses")
	case pseudonym.MatchString(t.Subject.Value):
		return fmt.Errorf("gateway oauth-revoke: it has to be told the tokens themselves: set keys_file")
	}
	return g.ability.Holds(t, a)
}

// Apply implements enforce.Gateway.
func (g *OAuth) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	if err := heldAll(g, want); err != nil {
		return enforce.Applied{}, err
	}
	list, err := g.normal(want)
	if err != nil {
		return enforce.Applied{}, err
	}
	now := heldOf(list)
	done := enforce.Applied{Entries: len(list), Changed: now.changed(g.done)}
	for i := range list {
		id := heldKey(list[i].Target())
		if g.done[id] != "" {
			continue
		}
		if err := g.revoke(ctx, list[i].Subject.Value); err != nil {
			return enforce.Applied{}, fmt.Errorf("gateway oauth-revoke: decision %.64q: %w", list[i].Decision, err)
		}
		g.done[id] = now[id]
	}
	g.done = now
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// revoke asks for one token. Its errors show neither the token nor what the server says,
// which may repeat it.
func (g *OAuth) revoke(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	form := url.Values{"token": {token}, "token_type_hint": {g.cfg.Hint}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.cfg.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(g.cfg.Client), url.QueryEscape(g.cfg.Secret)) // RFC 6749, section 2.3.1
	resp, err := g.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the authorization server answers with status %d", resp.StatusCode)
	}
	return nil
}

// Check implements enforce.Gateway: a token that is none is taken, as the RFC says.
func (g *OAuth) Check(ctx context.Context) error {
	if err := g.revoke(ctx, "portcullis-check"); err != nil {
		return fmt.Errorf("gateway oauth-revoke: %w", err)
	}
	return nil
}
