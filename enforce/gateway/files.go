package gateway

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// writeAtomic replaces a file so that a reader, or a machine that loses power,
// sees either the old or the new content. Mode and owner of a file that is
// there are kept; the new one is later, since a server may tell changes by that.
func writeAtomic(path string, body []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".portcullis-*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	if _, err := tmp.Write(body); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := likeBefore(tmp, path); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Sync(); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := later(tmp.Name(), path); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// likeBefore gives a new file the mode and owner of the one it replaces; a
// first one is readable for all, since nginx may test it as another user.
func likeBefore(f *os.File, path string) error {
	old, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.Chmod(0o644)
	}
	if err != nil {
		return err
	}
	if uid, gid, ok := owner(old); ok {
		// Only root may give files away; for anyone else the owner is right already.
		if err := f.Chown(uid, gid); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return f.Chmod(old.Mode().Perm())
}

// later makes a new file a millisecond later at least than the one it replaces: the kernel's
// clock for that stands still for some, and Apache goes on to answer from what it knows of a
// map whose time is the same.
func later(fresh, path string) error {
	old, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := os.Stat(fresh)
	if least := old.ModTime().Add(time.Millisecond); err == nil && now.ModTime().Before(least) {
		err = os.Chtimes(fresh, time.Time{}, least)
	}
	return err
}

// syncDir makes a rename in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// fileChange is a set of replaced files that can be undone. The old content is
// kept as a hard link beside it, so that going back works on a full disk too;
// its name begins with a dot, which no include pattern matches.
type fileChange struct {
	done []replacement
}

type replacement struct {
	path, kept string // kept is "" where there was no file before
}

// replace writes one file and remembers how to undo it.
func (c *fileChange) replace(path string, body []byte) error {
	kept := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".last")
	if err := os.Remove(kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch err := os.Link(path, kept); {
	case errors.Is(err, fs.ErrNotExist):
		kept = ""
	case err != nil:
		// Some systems let only the owner link (fs.protected_hardlinks); setup may have
		// run as another user.
		if err := copyFile(path, kept); err != nil {
			return err
		}
	}
	if err := writeAtomic(path, body); err != nil {
		if kept != "" {
			return errors.Join(err, os.Remove(kept))
		}
		return err
	}
	c.done = append(c.done, replacement{path, kept})
	return nil
}

// copyFile copies a small file.
func copyFile(from, to string) error {
	body, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return writeAtomic(to, body)
}

// rollback puts the old files back, the last one first.
func (c *fileChange) rollback() {
	for i := len(c.done) - 1; i >= 0; i-- {
		r := c.done[i]
		// An error here leaves a file that nginx refused; the next Apply sees that it
		// differs and tries again, and a running nginx keeps its state meanwhile.
		if r.kept == "" {
			_ = os.Remove(r.path)
		} else {
			_ = os.Rename(r.kept, r.path)
		}
	}
	c.done = nil
}

// keep forgets the old files.
func (c *fileChange) keep() {
	for _, r := range c.done {
		if r.kept != "" {
			_ = os.Remove(r.kept)
		}
	}
	c.done = nil
}

// plainPath tells whether a path can stand in a gateway's configuration as it
// is: absolute, and without anything that the include line's glob, quotes,
// variables or separators could read differently.
func plainPath(path string) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	for _, c := range path {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.ContainsRune("/._@%+=:,~-", c):
		default:
			return false
		}
	}
	return true
}

// owner reads who owns a file.
func owner(info fs.FileInfo) (uid, gid int, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}
