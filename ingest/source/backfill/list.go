package backfill

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest/source"
)

// probeBytes and probeLines bound the look for the first event of a file, behind
// header lines and others without a time.
const (
	probeBytes = 64 << 10
	probeLines = 1000
)

// file is one log.
type file struct {
	path  string
	size  int64 // as stored
	mtime int64 // Unix nanoseconds
	first int64 // time of the first event; mtime where none was found
	last  int64 // time of the last event of a plain file; 0: not known
	head  []byte
	id    uint64

	outside bool // of the span: not read
}

// expand lists the regular files that the paths name, each once, and what is wrong
// with the others.
func expand(paths []string) (files []string, errs []error) {
	seen := map[string]bool{}
	add := func(path string) {
		if path = filepath.Clean(path); !seen[path] {
			seen[path] = true
			files = append(files, path)
		}
	}
	for _, p := range paths {
		names := []string{p}
		if _, err := os.Lstat(p); err != nil { // else a name, whatever characters it has
			var bad error
			if names, bad = filepath.Glob(p); bad != nil || len(names) == 0 {
				errs = append(errs, cmp.Or(bad, fmt.Errorf("%.200q: no such file", p)))
			}
		}
		for _, name := range names {
			errs = append(errs, walk(name, add)...)
		}
	}
	slices.Sort(files)
	return files, errs
}

// walk adds a file, or what is below a directory without what is hidden (such as
// the files of a copy in progress).
func walk(root string, add func(string)) (errs []error) {
	if real, err := filepath.EvalSymlinks(root); err == nil {
		if fi, err := os.Stat(real); err == nil && fi.IsDir() {
			root = real // a directory behind a symlink would not be entered
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			errs = append(errs, err)
			return nil
		case path != root && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		if fi, err := os.Stat(path); err != nil {
			errs = append(errs, err)
		} else if fi.Mode().IsRegular() {
			add(path)
		} else if path == root {
			errs = append(errs, fmt.Errorf("%s: not a regular file", path))
		}
		return nil
	})
	return append(errs, err)
}

// packedName is the ending that a packed copy adds to the name of a log.
var packedName = regexp.MustCompile(`\.(gz|zst|xz|bz2)$`)

// withoutCopies drops the packed copies of logs that are listed as well: the plain
// one is complete, the copy may still be written.
func withoutCopies(files []string) []string {
	plain := map[string]bool{}
	for _, f := range files {
		plain[f] = true
	}
	return slices.DeleteFunc(files, func(f string) bool {
		base := packedName.ReplaceAllString(f, "")
		return base != f && plain[base]
	})
}

// probe looks at the beginning of a file, and at the end of a plain one. Damage is
// no error here: reading the file tells.
func probe(path string, timeOf func([]byte) (int64, bool)) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	out := &file{path: path, size: fi.Size(), mtime: fi.ModTime().UnixNano()}
	out.first = out.mtime
	r, err := source.Unpack(f)
	if err != nil {
		return out, nil
	}
	head := make([]byte, probeBytes)
	n, err := io.ReadFull(r, head)
	head = head[:n]
	out.head, out.id = bytes.Clone(head[:min(n, 1<<10)]), source.Identify(head)
	whole := err != nil // all of it: its last line counts, ended or not
	if t, ok := firstTime(head, whole, timeOf); ok {
		out.first = t
	}
	if raw := make([]byte, min(n, 64)); !whole {
		if _, err := f.ReadAt(raw, 0); err == nil && bytes.Equal(raw, head[:len(raw)]) { // not packed
			out.last = lastTime(f, out.size, timeOf)
		}
	}
	return out, nil
}

func firstTime(head []byte, whole bool, timeOf func([]byte) (int64, bool)) (int64, bool) {
	lines := 0
	for line := range bytes.Lines(head) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		if lines++; lines > probeLines || !ended && !whole {
			return 0, false
		}
		if t, ok := timeOf(text); ok {
			return t, true
		}
	}
	return 0, false
}

// lastTime is the latest time among the lines at the end of a plain file.
func lastTime(f io.ReaderAt, size int64, timeOf func([]byte) (int64, bool)) (last int64) {
	from := max(size-probeBytes, 0)
	tail := make([]byte, size-from)
	n, err := f.ReadAt(tail, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	at := bytes.IndexByte(tail[:n], '\n') + 1 // the first may be half a line
	for line := range bytes.Lines(tail[at:n]) {
		if t, ok := timeOf(bytes.TrimSuffix(line, []byte("\n"))); ok {
			last = max(last, t)
		}
	}
	return last
}

// series is the name of the log that a rotated file was part of. What may be the
// number of a machine (web-1.log) is not taken for that of a rotation.
func series(path string) string {
	name := packedName.ReplaceAllString(path, "")
	if m := rotatedBehind.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	if m := rotatedWithin.FindStringSubmatch(name); m != nil {
		return m[1] + m[2]
	}
	return name
}

var (
	rotatedBehind = regexp.MustCompile(`^(.+\.[a-z]+)[-._][0-9][-._0-9T:Z+]*$`)            // access.log.2, access.log-20260102
	rotatedWithin = regexp.MustCompile(`^(.+)[-._][0-9]{4}-?[0-9]{2}[-_0-9T]*(\.[a-z]+)$`) // access-2026-01-02.log
)
