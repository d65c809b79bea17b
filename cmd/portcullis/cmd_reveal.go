package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/internal/cliout"
)

// RevealCmd is "portcullis reveal".
type RevealCmd struct {
	Hidden string `arg:"" optional:"" help:"What stands for an address (ip_...) or a network (net_...)."`
	Reason string `placeholder:"TEXT" help:"Why it is needed, for the audit."`
}

// Help implements kong.HelpProvider.
func (*RevealCmd) Help() string {
	return `With identity.hide_addresses addresses are stored encrypted. This shows one, and writes down who asked, when and why; without an argument it lists what was asked for. The audit can be added to, not changed.

It needs the key file and the database of the installation.

Examples:

  portcullis reveal ip_k3v5... --reason "abuse report, ticket 4711"
  portcullis reveal`
}

// revealSchema is the audit of what was revealed.
const revealSchema = `
CREATE TABLE IF NOT EXISTS reveals (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, hidden TEXT NOT NULL, why TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS reveals_stay BEFORE UPDATE ON reveals BEGIN SELECT RAISE(ABORT, 'reveals are only ever added'); END;
CREATE TRIGGER IF NOT EXISTS reveals_remain BEFORE DELETE ON reveals BEGIN SELECT RAISE(ABORT, 'reveals are only ever added'); END;
`

// longestReason bounds what is kept of a reason.
const longestReason = 1000

// Run implements the command.
func (c *RevealCmd) Run(ctx context.Context, app *App) error {
	if c.Hidden == "" {
		return app.withStore(store.OpenClient, func(db *store.DB) error { return app.listReveals(ctx, db) })
	}
	why := strings.TrimSpace(c.Reason)
	if why == "" {
		return usagef("--reason is missing: say why the address is needed, it is written down")
	}
	shown, err := c.show(app)
	if err != nil {
		return err
	}
	at := now().UnixNano()
	// Only what is written down is shown.
	err = app.withStore(store.OpenClient, func(db *store.DB) error {
		if app.hide {
			why = app.cloak.HideText(why)
		}
		return noteReveal(ctx, db.SQL(), at, whoAmI(app), c.Hidden, cliout.Safe(why, longestReason))
	})
	if err != nil {
		return err
	}
	if app.JSONL() {
		return app.object(revealObject{Hidden: c.Hidden, Value: shown, At: shortTime(at)})
	}
	_, err = fmt.Fprintln(app.Out, shown)
	return err
}

// revealObject is an answer, or an entry of the audit, for programs.
type revealObject struct {
	Hidden string `json:"hidden"`
	Value  string `json:"value,omitempty"`
	At     string `json:"at"`
	Who    string `json:"who,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// show decrypts with the installation's key.
func (c *RevealCmd) show(app *App) (string, error) {
	path, err := app.storePath()
	if err != nil {
		return "", err
	}
	ring, err := existingRing(&Settings{StateDir: filepath.Dir(path)})
	if err != nil {
		return "", err
	}
	cloak, err := identity.NewCloak(ring.Root)
	if err != nil {
		return "", err
	}
	if a, ok := cloak.Show(c.Hidden); ok {
		return a.String(), nil
	}
	if p, ok := cloak.ShowPrefix(c.Hidden); ok {
		return p.String(), nil
	}
	return "", usagef("%s is no hidden address: want ip_ or net_ and 26 letters and digits, as findings show them", cliout.Safe(fmt.Sprintf("%q", c.Hidden), 80))
}

func noteReveal(ctx context.Context, db *sql.DB, at int64, who, hidden, why string) error {
	_, err := db.ExecContext(ctx, revealSchema)
	if err == nil {
		_, err = db.ExecContext(ctx, `INSERT INTO reveals (at, who, hidden, why) VALUES (?,?,?,?)`, at, who, hidden, why)
	}
	if err != nil {
		return fmt.Errorf("write the audit, without which nothing is revealed: %w", err)
	}
	return nil
}

// listReveals shows the audit, oldest first.
func (a *App) listReveals(ctx context.Context, db *store.DB) error {
	var list []revealObject
	rows, err := db.Reader().QueryContext(ctx, `SELECT at, who, hidden, why FROM reveals ORDER BY seq`)
	if err != nil {
		if strings.Contains(err.Error(), "no such table") {
			return a.showReveals(nil)
		}
		return fmt.Errorf("read the audit: %w", err)
	}
	for rows.Next() {
		var at int64
		var o revealObject
		if err = rows.Scan(&at, &o.Who, &o.Hidden, &o.Reason); err != nil {
			break
		}
		o.At = shortTime(at)
		list = append(list, o)
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("read the audit: %w", err)
	}
	return a.showReveals(list)
}

func (a *App) showReveals(list []revealObject) error {
	if a.JSONL() {
		j := cliout.NewJSONL(a.Out)
		for _, o := range list {
			if err := j.Write(o); err != nil {
				return err
			}
		}
		return j.Flush()
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(a.Out, "nothing was revealed")
		return err
	}
	t := a.Table(cliout.Column{Title: "AT"}, cliout.Column{Title: "BY"}, cliout.Column{Title: "HIDDEN", Keep: true}, cliout.Column{Title: "REASON"})
	for _, o := range list {
		t.Row(o.At, o.Who, o.Hidden, o.Reason)
	}
	return t.Flush()
}
