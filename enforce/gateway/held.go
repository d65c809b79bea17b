package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/portcullis/portcullis/enforce"
)

// held says what a gateway holds, without a word of anybody's: the prefix or the label of
// each target, and what happens to it. It is kept in a file beside those that the gateway reads, to tell
// what a push changed.
type held map[string]string

// heldOf renders a wanted state.
func heldOf(list []enforce.Entry) held {
	h := make(held, len(list))
	for i := range list {
		e := &list[i]
		what := string(e.Action)
		if e.Action == enforce.Throttle {
			what = fmt.Sprintf("%s %g %d", what, e.Rate, e.Burst)
		}
		h[heldKey(e.Target())] = what
	}
	return h
}

// heldKey names a target; most are prefixes, which are their own names.
func heldKey(t enforce.Target) string {
	if t.Prefix.IsValid() && t.Route == "" {
		return t.Prefix.String()
	}
	return targetLabel(t)
}

// changed counts the entries that were added, altered or removed since old.
func (h held) changed(old held) int {
	n := 0
	for k, v := range h {
		if old[k] != v {
			n++
		}
	}
	for k := range old {
		if _, stays := h[k]; !stays {
			n++
		}
	}
	return n
}

// readHeld reads what was held; what cannot be read was nothing.
func readHeld(path string) held {
	h := held{}
	text, err := os.ReadFile(path)
	if err != nil {
		return h
	}
	for line := range strings.Lines(string(text)) {
		if key, what, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok {
			h[key] = what
		}
	}
	return h
}

// write keeps it.
func (h held) write(path string) error {
	b := make([]byte, 0, 32*len(h))
	for key, what := range h {
		b = append(append(append(append(b, key...), ' '), what...), '\n')
	}
	return writeAtomic(path, b)
}

// explainDir adds what an operator can do when a folder cannot be written, and leaves the
// name of the temporary file out, which differs each time: the same trouble is said once.
func explainDir(name, dir string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		hint = ": let the user that Portcullis runs as write there (under systemd also ReadWritePaths=)"
	case errors.Is(err, os.ErrNotExist):
		hint = ": make it; portcullis setup " + name + " --install does"
	case errors.Is(err, syscall.ENOTDIR):
		hint = ": a part of this path is a file"
	case errors.Is(err, syscall.ENOSPC):
		hint = ": free some disk space"
	}
	var where *os.PathError
	if errors.As(err, &where) {
		err = where.Err
	}
	return fmt.Errorf("gateway %s: cannot write in %s%s: %w", name, dir, hint, err)
}

// probeDir tries what a push will do in a folder.
func probeDir(name, dir string) error {
	probe, err := os.CreateTemp(dir, ".portcullis-*.tmp")
	if err != nil {
		return explainDir(name, dir, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// same tells whether a file holds just this.
func same(path, text string) bool {
	old, err := os.ReadFile(path)
	return err == nil && string(old) == text
}

// prepareFile makes a file that is not there, with its folder.
func prepareFile(name, path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return explainDir(name, filepath.Dir(path), err)
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := writeAtomic(path, []byte(text)); err != nil {
		return explainDir(name, filepath.Dir(path), err)
	}
	return nil
}

// indented puts a tab before every line.
func indented(text string) string {
	return "\t" + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n\t") + "\n"
}
