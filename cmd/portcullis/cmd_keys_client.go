package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/internal/cliout"
)

// clientKeysFile is the file of the clients' keys in the state folder.
const clientKeysFile = "clients.keys"

// clientKeys is where the clients' keys are.
func (s *Settings) clientKeys() string {
	if s.Authz.Authn.Keys != "" {
		return s.Authz.Authn.Keys
	}
	return filepath.Join(s.StateDir, clientKeysFile)
}

// clientSecret is what the clients' keys are stored under.
func clientSecret(ring identity.Ring) [authn.SecretBytes]byte { return ring.Secret("client keys") }

// KeysClientCmd is "portcullis keys client".
type KeysClientCmd struct {
	List   KeysClientListCmd   `cmd:"" default:"withargs" group:"sub" help:"List names, consumers, scopes and ends; what \"keys client\" alone does. No key is shown."`
	Issue  KeysClientIssueCmd  `cmd:"" aliases:"add" group:"sub" help:"Make a key and show it, this one time."`
	Rotate KeysClientRotateCmd `cmd:"" group:"sub" help:"Give a key a new secret; the earlier one is good for a while."`
	Revoke KeysClientRevokeCmd `cmd:"" aliases:"remove" group:"sub" help:"End a key at once."`
}

// Help implements kong.HelpProvider.
func (*KeysClientCmd) Help() string {
	return `Keys for clients of the API behind the gateway, sent as x-api-key or Authorization: ApiKey. authz checks them where authz.access says that a route needs them. A key is stored as HMAC-SHA-256 under the installation's key, beside an id that may be shown, in authz.client_keys_file, by default clients.keys in the state folder. A running service takes changes up within a second. Enforcers on several machines need the same file and the same installation key.

Examples:
  portcullis keys client issue acme-batch --consumer acme --route "GET /orders/*" --expires 365d
  portcullis keys client rotate acme-batch --overlap 7d
  portcullis keys client revoke acme-batch`
}

// KeysClientListCmd is "portcullis keys client list".
type KeysClientListCmd struct{}

// KeysClientIssueCmd is "portcullis keys client issue".
type KeysClientIssueCmd struct {
	Name     string   `arg:"" help:"What the key is called in the list."`
	Consumer string   `placeholder:"NAME" help:"Whose it is: what the API, the log and findings see. The key's name where it is not given."`
	Scope    []string `placeholder:"SCOPE" help:"A scope that it has; may be repeated."`
	Route    []string `sep:"none" placeholder:"ROUTE" help:"A route that it opens, such as \"/orders/*\" or \"GET,POST /orders/{id}\"; may be repeated. Without any it opens all."`
	Plan     string   `placeholder:"PLAN" help:"A plan, which authz.quotas gives a quota."`
	Expires  Span     `placeholder:"SPAN" default:"365d" help:"When it ends, such as 30d; 0s means never."`
}

// KeysClientRotateCmd is "portcullis keys client rotate".
type KeysClientRotateCmd struct {
	Name    string `arg:"" help:"The name that it was issued with."`
	Overlap Span   `placeholder:"SPAN" default:"24h" help:"For how long the earlier secret is still good; 0s ends it at once."`
}

// KeysClientRevokeCmd is "portcullis keys client revoke".
type KeysClientRevokeCmd struct {
	Name string `arg:"" help:"The name that it was issued with, or the id that stands in the log."`
}

// clientKey is a key as programs see it.
type clientKey struct {
	Name     string   `json:"name"`
	Consumer string   `json:"consumer,omitempty"`
	Plan     string   `json:"plan,omitempty"`
	IDs      []string `json:"ids,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	Routes   []string `json:"routes,omitempty"`
	Created  string   `json:"created,omitempty"`
	Expires  string   `json:"expires,omitempty"`
	State    string   `json:"state,omitempty"`
	Key      string   `json:"key,omitempty"`
}

func clientKeyOf(k *authn.Key) clientKey {
	x := clientKey{Name: k.Name, Consumer: k.Consumer, Plan: k.Plan, Scopes: k.Scopes, Created: k.Created.Format(time.RFC3339)}
	for _, r := range k.Routes {
		x.Routes = append(x.Routes, r.String())
	}
	for _, s := range k.Secrets {
		x.IDs = append(x.IDs, s.ID)
	}
	if !k.Expires.IsZero() {
		x.Expires = k.Expires.Format(time.RFC3339)
	}
	var earlier time.Time
	if len(k.Secrets) > 1 {
		earlier = k.Secrets[1].Until
	}
	if x.State = keyState(k.Live(now()), earlier); !k.Revoked.IsZero() {
		x.State = "revoked " + k.Revoked.Format(time.RFC3339)
	}
	return x
}

// Run implements the command.
func (*KeysClientListCmd) Run(app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	keys, err := authn.ReadKeys(s.clientKeys())
	if err != nil {
		return err
	}
	t := app.Table(cliout.Column{Title: "NAME", Keep: true}, cliout.Column{Title: "CONSUMER", Keep: true}, cliout.Column{Title: "ID"}, cliout.Column{Title: "OPENS"}, cliout.Column{Title: "ENDS"}, cliout.Column{Title: "STATE"})
	j := cliout.NewJSONL(app.Out)
	for i := range keys.Keys {
		x := clientKeyOf(&keys.Keys[i])
		if app.JSONL() {
			if err := j.Write(x); err != nil {
				return err
			}
			continue
		}
		opens, ends := strings.Join(append(x.Routes, x.Scopes...), "; "), x.Expires
		if ends == "" {
			ends = "never"
		}
		if len(x.Routes) == 0 {
			opens = strings.Join(append([]string{"every route"}, x.Scopes...), "; ")
		}
		t.Row(x.Name, x.Consumer, strings.Join(x.IDs, " "), opens, ends, x.State)
	}
	if app.JSONL() {
		return j.Flush()
	}
	return t.Flush()
}

// changeClients changes the file of the clients' keys.
func (a *App) changeClients(change func(k *authn.Keys, secret [authn.SecretBytes]byte) error) error {
	s, err := a.Settings()
	if err != nil {
		return err
	}
	ring, err := ringOf(s.StateDir, true)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.clientKeys()), 0o750); err != nil {
		return fmt.Errorf("keys of clients: %w (set authz.client_keys_file, or --state-dir)", err)
	}
	return authn.UpdateKeys(s.clientKeys(), func(k *authn.Keys) error { return change(k, clientSecret(ring)) })
}

// showClientKey shows a key, this one time.
func (a *App) showClientKey(name, shown, more string) error {
	if a.JSONL() {
		return a.object(clientKey{Name: name, Key: shown})
	}
	_, err := fmt.Fprintf(a.Out, "%s\nThis is the key of %s (x-api-key, or Authorization: ApiKey). It is shown this one time.%s\n", shown, name, more)
	return err
}

// Run implements the command.
func (c *KeysClientIssueCmd) Run(app *App) error {
	key := authn.Key{Name: c.Name, Consumer: c.Consumer, Plan: c.Plan, Scopes: c.Scope}
	if key.Consumer == "" {
		key.Consumer = c.Name
	}
	for _, text := range c.Route {
		r, err := authn.ParseRoute(text)
		if err != nil {
			return usageError{err: err}
		}
		key.Routes = append(key.Routes, r)
	}
	if c.Expires > 0 {
		key.Expires = now().Add(time.Duration(c.Expires))
	}
	var shown string
	err := app.changeClients(func(k *authn.Keys, secret [authn.SecretBytes]byte) error {
		var err error
		shown, err = k.Issue(secret, key, now())
		return err
	})
	if err != nil {
		return err
	}
	return app.showClientKey(c.Name, shown, "")
}

// Run implements the command.
func (c *KeysClientRotateCmd) Run(app *App) error {
	var shown string
	err := app.changeClients(func(k *authn.Keys, secret [authn.SecretBytes]byte) error {
		var err error
		shown, err = k.Rotate(secret, c.Name, now(), time.Duration(c.Overlap))
		return err
	})
	if err != nil {
		return err
	}
	return app.showClientKey(c.Name, shown, earlierOne(c.Overlap))
}

// Run implements the command.
func (c *KeysClientRevokeCmd) Run(app *App) error {
	var key authn.Key
	err := app.changeClients(func(k *authn.Keys, _ [authn.SecretBytes]byte) error {
		var err error
		key, err = k.Revoke(c.Name, now())
		return err
	})
	if err != nil {
		return err
	}
	if app.JSONL() {
		return app.object(clientKeyOf(&key))
	}
	_, err = fmt.Fprintf(app.Out, "The key of %s is revoked.\n", key.Name)
	return err
}
