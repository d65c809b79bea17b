package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/internal/cliout"
	"github.com/portcullis/portcullis/internal/keptfile"
)

// KeysBouncerCmd is "portcullis keys bouncer".
type KeysBouncerCmd struct {
	List   KeysBouncerListCmd   `cmd:"" default:"withargs" group:"sub" help:"List the names; what \"keys bouncer\" alone does."`
	Add    KeysBouncerAddCmd    `cmd:"" group:"sub" help:"Make a key and show it, this one time."`
	Remove KeysBouncerRemoveCmd `cmd:"" group:"sub" help:"Take a key away; who shows it is refused at once."`
}

// Help implements kong.HelpProvider.
func (*KeysBouncerCmd) Help() string {
	return `A bouncer shows its key as X-Api-Key. Only the SHA-256 of it is stored, in lapi.keys_file, by default bouncers.keys in the state folder. A running service takes changes up by itself.

Examples:
  portcullis keys bouncer add edge-firewall
  portcullis keys bouncer remove edge-firewall`
}

// KeysBouncerListCmd is "portcullis keys bouncer list".
type KeysBouncerListCmd struct{}

// KeysBouncerAddCmd is "portcullis keys bouncer add".
type KeysBouncerAddCmd struct {
	Name string `arg:"" help:"What it is called in the log and in the list."`
}

// KeysBouncerRemoveCmd is "portcullis keys bouncer remove".
type KeysBouncerRemoveCmd struct {
	Name string `arg:"" help:"The name that it was made with."`
}

// bouncerName is how a key may be called: it stands in a file of lines, before a colon.
var bouncerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// noBouncer names the line that stands where no key is left: its digest has no key, and a file
// without any line would leave the last keys in force in a running service.
const noBouncer = "nobody"

// keyLine is a line of the keys file with a digest; others, such as comments, are kept as
// they are.
type keyLine struct{ name, text string }

func (s *Settings) readBouncers() ([]keyLine, error) {
	data, err := os.ReadFile(s.bouncerKeys())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return keyLines(data), err
}

func keyLines(data []byte) (list []keyLine) {
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		name, digest, ok := strings.Cut(line, ":")
		if !ok || len(digest) != 2*sha256.Size || strings.HasPrefix(line, "#") {
			name = ""
		}
		list = append(list, keyLine{name, line})
	}
	return list
}

// changeBouncers changes the file, which no other command changes meanwhile.
func (s *Settings) changeBouncers(change func([]keyLine) ([]keyLine, error)) error {
	if err := os.MkdirAll(s.StateDir, 0o750); err != nil {
		return fmt.Errorf("state folder: %w (set state_dir, or --state-dir)", err)
	}
	err := keptfile.Update(s.bouncerKeys(), func(old []byte) ([]byte, error) {
		list, err := change(keyLines(old))
		var b bytes.Buffer
		for _, l := range list {
			b.WriteString(l.text + "\n")
		}
		return b.Bytes(), err
	})
	return keptfile.Hinted(err, "set lapi.keys_file, or --state-dir")
}

// digestLine makes a key and the line that stands for it.
func digestLine(name string) (key string, line keyLine) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // it never fails
	key = hex.EncodeToString(raw[:])
	sum := sha256.Sum256([]byte(key))
	return key, keyLine{name, name + ":" + hex.EncodeToString(sum[:])}
}

func named(list []keyLine, name string) int {
	return slices.IndexFunc(list, func(l keyLine) bool { return l.name == name })
}

// bouncerKey is a key as programs see it.
type bouncerKey struct {
	Name string `json:"name"`
	Key  string `json:"key,omitempty"`
}

// Run implements the command.
func (*KeysBouncerListCmd) Run(app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	list, err := s.readBouncers()
	if err != nil {
		return err
	}
	t, j := app.Table(cliout.Column{Title: "NAME", Keep: true}), cliout.NewJSONL(app.Out)
	for _, l := range list {
		switch {
		case l.name == "" || l.name == noBouncer:
		case app.JSONL():
			if err := j.Write(bouncerKey{Name: l.name}); err != nil {
				return err
			}
		default:
			t.Row(l.name)
		}
	}
	if app.JSONL() {
		return j.Flush()
	}
	return t.Flush()
}

// Run implements the command.
func (c *KeysBouncerAddCmd) Run(app *App) error {
	if !bouncerName.MatchString(c.Name) || c.Name == noBouncer {
		return usageError{err: fmt.Errorf("%q: a name has letters, digits and ._- only, 64 at most", cliout.Safe(c.Name, 80))}
	}
	s, err := app.Settings()
	if err != nil {
		return err
	}
	key, line := digestLine(c.Name)
	err = s.changeBouncers(func(list []keyLine) ([]keyLine, error) {
		if named(list, c.Name) >= 0 {
			return nil, fmt.Errorf("there is a key named %s already: remove it first, or take another name", c.Name)
		}
		return append(slices.DeleteFunc(list, func(l keyLine) bool { return l.name == noBouncer }), line), nil
	})
	if err != nil {
		return err
	}
	if app.JSONL() {
		return app.object(bouncerKey{c.Name, key})
	}
	_, err = fmt.Fprintf(app.Out, "%s\nThis is the key of %s (X-Api-Key). It is shown this one time.\n", key, c.Name)
	return err
}

// Run implements the command.
func (c *KeysBouncerRemoveCmd) Run(app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	err = s.changeBouncers(func(list []keyLine) ([]keyLine, error) {
		at := named(list, c.Name)
		if at < 0 || c.Name == noBouncer {
			return nil, fmt.Errorf("there is no key named %q: see portcullis keys bouncer list", cliout.Safe(c.Name, 80))
		}
		list = slices.Delete(list, at, at+1)
		if !slices.ContainsFunc(list, func(l keyLine) bool { return l.text != "" && !strings.HasPrefix(l.text, "#") }) {
			_, line := digestLine(noBouncer)
			list = append(list, line)
		}
		return list, nil
	})
	if err != nil {
		return err
	}
	if app.JSONL() {
		return app.object(bouncerKey{Name: c.Name})
	}
	_, err = fmt.Fprintf(app.Out, "The key of %s is gone.\n", c.Name)
	return err
}
