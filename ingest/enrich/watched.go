package enrich

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// watched is a file that is read again when it was written to or replaced. One goroutine
// uses it.
type watched[T any] struct {
	key   string // of the config, for messages
	path  string
	most  int64 // bytes; a larger file is refused
	parse func(data []byte) (T, error)

	value T
	good  bool        // value was read from the file at some time
	seen  os.FileInfo // the version that was last looked at, good or not
	said  string      // the last problem, said once
}

// poll reads the file if it changed. It returns whether value is new, and what to tell the
// operator, if anything: a problem is told once, and the last good value stays.
func (w *watched[T]) poll() (fresh bool, tell string) {
	info, err := os.Stat(w.path)
	if err == nil && w.seen != nil && os.SameFile(w.seen, info) && info.Size() == w.seen.Size() && info.ModTime().Equal(w.seen.ModTime()) {
		return false, ""
	}
	var value T
	if err == nil {
		w.seen = info
		var data []byte
		if data, err = readBounded(w.path, w.most); err == nil {
			value, err = w.parse(data)
		}
	} else {
		w.seen = nil
	}
	if err != nil {
		return false, w.problem(err)
	}
	w.value, w.good, w.said = value, true, ""
	return true, fmt.Sprintf("%s: %.200q is loaded", w.key, w.path)
}

// problem words an error, or returns "" if it was told already.
func (w *watched[T]) problem(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // the path is named anyway
	}
	stays := "nothing is known from it until it can be read"
	if w.good {
		stays = "the version read before stays in use"
	}
	text := fmt.Sprintf("%s: %.200q: %v; %s", w.key, w.path, err, stays)
	if text == w.said {
		return ""
	}
	w.said = text
	return text
}

// readBounded reads a whole file into memory. A memory map would be smaller, but a file
// that is written over in place would then end the process (SIGBUS).
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is no regular file")
	}
	if info.Size() > most {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", info.Size(), most)
	}
	data := make([]byte, 0, info.Size()+1)
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, err
		case int64(len(data)) > info.Size():
			return nil, fmt.Errorf("it grows while it is read; it is read again once it rests")
		}
	}
}
