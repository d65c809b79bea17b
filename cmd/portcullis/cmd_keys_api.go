package main

import (
	"fmt"
	"os"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/internal/cliout"
)

// KeysAPICmd is "portcullis keys api".
type KeysAPICmd struct {
	List   KeysAPIListCmd   `cmd:"" default:"withargs" group:"sub" help:"List names, roles and ends; what \"keys api\" alone does. No key is shown."`
	Add    KeysAPIAddCmd    `cmd:"" group:"sub" help:"Make a key and show it, this one time."`
	Rotate KeysAPIRotateCmd `cmd:"" group:"sub" help:"Give a key a new secret; the earlier one is good for a while."`
	Remove KeysAPIRemoveCmd `cmd:"" group:"sub" help:"Take a key away; who shows it is refused at once."`
}

// Help implements kong.HelpProvider.
func (*KeysAPICmd) Help() string {
	return `Keys for the API of the console and for its page, sent as Authorization: Bearer. A viewer may look; an operator may also approve, release, extend and allow; an admin may do everything. Only the SHA-256 of a key is stored, in console.keys_file, by default console.keys in the state folder. A running service takes changes up by itself. What a key does stands in the audit under its name.

Examples:
  portcullis keys api add grafana --role viewer --expires 365d
  portcullis keys api rotate grafana --overlap 7d`
}

// KeysAPIListCmd is "portcullis keys api list".
type KeysAPIListCmd struct{}

// KeysAPIAddCmd is "portcullis keys api add".
type KeysAPIAddCmd struct {
	Name    string `arg:"" help:"What it is called in the list and in the audit."`
	Role    string `enum:"viewer,operator,admin" default:"viewer" help:"What it may do: viewer, operator or admin."`
	Expires Span   `placeholder:"SPAN" default:"365d" help:"When it ends, such as 30d; 0s means never."`
}

// KeysAPIRotateCmd is "portcullis keys api rotate".
type KeysAPIRotateCmd struct {
	Name    string `arg:"" help:"The name that it was made with."`
	Overlap Span   `placeholder:"SPAN" default:"24h" help:"For how long the earlier secret is still good; 0s ends it at once."`
}

// KeysAPIRemoveCmd is "portcullis keys api remove".
type KeysAPIRemoveCmd struct {
	Name string `arg:"" help:"The name that it was made with."`
}

// apiKey is a key as programs see it.
type apiKey struct {
	Name    string `json:"name"`
	Role    string `json:"role,omitempty"`
	Created string `json:"created,omitempty"`
	Expires string `json:"expires,omitempty"`
	State   string `json:"state,omitempty"`
	Key     string `json:"key,omitempty"`
}

// changeKeys changes the keys file.
func (a *App) changeKeys(change func(*console.Keys) error) (*Settings, error) {
	s, err := a.Settings()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.StateDir, 0o750); err != nil {
		return nil, fmt.Errorf("state folder: %w (set state_dir, or --state-dir)", err)
	}
	return s, console.UpdateKeys(s.consoleKeys(), change)
}

// keyState is how it stands with a key, whose earlier secret is good until a time.
func keyState(live bool, earlier time.Time) string {
	switch {
	case !live:
		return "run out"
	case now().Before(earlier):
		return "earlier secret good for another " + about2(earlier.Sub(now()))
	}
	return "in force"
}

// earlierOne says what becomes of the secret before a rotation.
func earlierOne(overlap Span) string {
	if overlap <= 0 {
		return " The earlier one is refused from now on."
	}
	return " The earlier one is good for another " + about2(time.Duration(overlap)) + "."
}

// showKey shows a secret, this one time.
func (a *App) showKey(s *Settings, name, secret, more string) error {
	if a.JSONL() {
		return a.object(apiKey{Name: name, Key: secret})
	}
	if !s.Console.Login() {
		more += " The console asks nobody for it yet: set console.token_file, oidc or keys_file."
	}
	_, err := fmt.Fprintf(a.Out, "%s\nThis is the key of %s (Authorization: Bearer). It is shown this one time.%s\n", secret, name, more)
	return err
}

// Run implements the command.
func (*KeysAPIListCmd) Run(app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	keys, err := console.ReadKeys(s.consoleKeys())
	if err != nil {
		return err
	}
	t := app.Table(cliout.Column{Title: "NAME", Keep: true}, cliout.Column{Title: "ROLE", Keep: true}, cliout.Column{Title: "CREATED"}, cliout.Column{Title: "ENDS"}, cliout.Column{Title: "STATE"})
	j := cliout.NewJSONL(app.Out)
	for _, k := range keys.Keys {
		x := apiKey{Name: k.Name, Role: string(k.Role), Created: k.Created.Format(time.RFC3339)}
		if !k.Expires.IsZero() {
			x.Expires = k.Expires.Format(time.RFC3339)
		}
		var earlier time.Time
		if len(k.Secrets) > 1 {
			earlier = k.Secrets[1].Until
		}
		x.State = keyState(k.Live(now()), earlier)
		if app.JSONL() {
			if err := j.Write(x); err != nil {
				return err
			}
			continue
		}
		ends := x.Expires
		if ends == "" {
			ends = "never"
		}
		t.Row(x.Name, x.Role, x.Created, ends, x.State)
	}
	if app.JSONL() {
		return j.Flush()
	}
	return t.Flush()
}

// Run implements the command.
func (c *KeysAPIAddCmd) Run(app *App) error {
	role, err := console.ParseRole(c.Role)
	if err != nil {
		return usageError{err: err}
	}
	var expires time.Time
	if c.Expires > 0 {
		expires = now().Add(time.Duration(c.Expires))
	}
	var secret string
	s, err := app.changeKeys(func(k *console.Keys) error {
		var err error
		secret, err = k.Add(c.Name, role, now(), expires)
		return err
	})
	if err != nil {
		return err
	}
	return app.showKey(s, c.Name, secret, "")
}

// Run implements the command.
func (c *KeysAPIRotateCmd) Run(app *App) error {
	var secret string
	s, err := app.changeKeys(func(k *console.Keys) error {
		var err error
		secret, err = k.Rotate(c.Name, now(), time.Duration(c.Overlap))
		return err
	})
	if err != nil {
		return err
	}
	return app.showKey(s, c.Name, secret, earlierOne(c.Overlap))
}

// Run implements the command.
func (c *KeysAPIRemoveCmd) Run(app *App) error {
	if _, err := app.changeKeys(func(k *console.Keys) error { return k.Remove(c.Name) }); err != nil {
		return err
	}
	if app.JSONL() {
		return app.object(apiKey{Name: c.Name})
	}
	_, err := fmt.Fprintf(app.Out, "The key of %s is gone.\n", c.Name)
	return err
}
