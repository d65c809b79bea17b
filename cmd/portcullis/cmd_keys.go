package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/internal/cliout"
)

// KeysCmd is "portcullis keys".
type KeysCmd struct {
	List    KeysListCmd    `cmd:"" default:"withargs" group:"sub" help:"List the generations of pseudonym keys; what \"keys\" alone does. No key is shown."`
	Rotate  KeysRotateCmd  `cmd:"" group:"sub" help:"Make a new pseudonym key; the earlier one is kept for a while."`
	Bouncer KeysBouncerCmd `cmd:"" group:"sub" help:"Make, list and remove the keys of bouncers and of others who read the list."`
	API     KeysAPICmd     `cmd:"" name:"api" group:"sub" help:"Make, list, rotate and remove the keys of the console's API."`
	Client  KeysClientCmd  `cmd:"" group:"sub" help:"Issue, list, rotate and revoke the keys of the API's own clients, which authz checks."`
}

// Help implements kong.HelpProvider.
func (*KeysCmd) Help() string {
	return `API keys, tokens and sessions are stored as pseudonyms, made with a key of this installation. After a rotation new events have new pseudonyms. The earlier key is kept until identity.key_overlap has passed, for what names an old pseudonym; nothing does so far: decisions and the allow-list name addresses.

A running service takes the new key at its next reload (SIGHUP). Collectors and detectors of one installation need the same key file.`
}

// KeysListCmd is "portcullis keys list".
type KeysListCmd struct{}

// Run implements the command.
func (*KeysListCmd) Run(app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	ring, err := existingRing(s)
	if err != nil {
		return err
	}
	return app.showRing(s, ring)
}

// KeysRotateCmd is "portcullis keys rotate".
type KeysRotateCmd struct{}

// Run implements the command.
func (*KeysRotateCmd) Run(app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	ring, err := existingRing(s)
	if err != nil {
		return err
	}
	if ring, err = ring.Rotate(rand.Reader, now(), s.Identity.KeyOverlap); err != nil {
		return err
	}
	if err := saveRing(filepath.Join(s.StateDir, keyFile), ring); err != nil {
		return err
	}
	return app.showRing(s, ring)
}

// existingRing reads the keys of an installation that must be there.
func existingRing(s *Settings) (identity.Ring, error) {
	path := filepath.Join(s.StateDir, keyFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return identity.Ring{}, fmt.Errorf("no installation key at %s: start \"portcullis run\" once, or name the right folder with --state-dir", path)
	}
	return ringOf(s.StateDir, false)
}

// generation is a pseudonym key as programs see it.
type generation struct {
	ID      int    `json:"id"`
	Created string `json:"created,omitempty"`
	State   string `json:"state"`
}

// showRing lists the generations, newest first, without the keys.
func (a *App) showRing(s *Settings, ring identity.Ring) error {
	var list []generation
	var replaced time.Time // when the next younger one was made
	for i := len(ring.Keys) - 1; i >= 0; i-- {
		g, state := ring.Keys[i], "in use"
		if i < len(ring.Keys)-1 {
			state = "run out"
			if left := s.Identity.KeyOverlap - now().Sub(replaced); left > 0 {
				state = "matched for another " + about2(left)
			}
		}
		created := ""
		if !g.Created.IsZero() {
			created = g.Created.Format(time.RFC3339)
		}
		list, replaced = append(list, generation{g.ID, created, state}), g.Created
	}
	if a.JSONL() {
		j := cliout.NewJSONL(a.Out)
		for _, g := range list {
			if err := j.Write(g); err != nil {
				return err
			}
		}
		return j.Flush()
	}
	t := a.Table(cliout.Column{Title: "GENERATION", Right: true}, cliout.Column{Title: "CREATED"}, cliout.Column{Title: "STATE"})
	for _, g := range list {
		t.Row(fmt.Sprint(g.ID), g.Created, g.State)
	}
	return t.Flush()
}
