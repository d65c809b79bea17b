// Package keptfile changes small files that commands write while services read them, such
// as the files of keys. A reader sees the old file or the new one, never half of one; of
// two commands at once each builds on what the other wrote.
package keptfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Update replaces a file by what change makes of it; change gets nil where there is no file
// yet, and its error leaves the file as it is. A new file can be read by its owner only,
// one that is replaced keeps its mode, since the service may run as another user.
//
// Others who call Update for the same path wait, in other processes too: the kernel's lock
// on the file PATH.lock ends with the process however that dies.
func Update(path string, change func(old []byte) ([]byte, error)) error {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer lock.Close() // which unlocks it
	if err := flock(lock); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	data, err := change(old)
	if err != nil {
		return err
	}
	return replace(path, data)
}

// Form is a kind of file of JSON, with what its errors say of it.
type Form struct {
	Setting string // where its name is set, such as "console: keys_file"
	Command string // what writes it
	Most    int    // bytes
}

// Parse reads JSON strictly: a field that v does not have is an error. path is for errors.
func (f Form) Parse(data []byte, path string, v any) error {
	if len(data) > f.Most {
		return fmt.Errorf("%s: %q is larger than %d bytes: is it the right file?", f.Setting, path, f.Most)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%s: %q is not what \"%s\" writes: %w", f.Setting, path, f.Command, err)
	}
	return nil
}

// Read returns what stands in a file, nil where there is none.
func (f Form) Read(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", f.Setting, err)
	}
	return data, nil
}

// UpdateJSON is Update for a file of JSON that parse reads and checks. What parse would
// refuse is not written. An error of the file system gets the hint behind it.
func UpdateJSON[T any](path, hint string, parse func(data []byte) (T, error), change func(*T) error) error {
	err := Update(path, func(old []byte) ([]byte, error) {
		var v T
		if old != nil {
			var err error
			if v, err = parse(old); err != nil {
				return nil, err
			}
		}
		if err := change(&v); err != nil {
			return nil, err
		}
		data, err := json.MarshalIndent(v, "", " ")
		if err == nil {
			_, err = parse(data)
		}
		return append(data, '\n'), err
	})
	return Hinted(err, hint)
}

// Hinted puts a hint behind an error of the file system.
func Hinted(err error, hint string) error {
	var where *fs.PathError
	if !errors.As(err, &where) {
		return err
	}
	return fmt.Errorf("%w (%s)", err, hint)
}

// flock waits for the lock.
func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// replace writes the file as a whole or not at all.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	if info, statErr := os.Stat(path); statErr == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	_, writeErr := f.Write(data)
	if err = errors.Join(err, writeErr, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close()) // the new name outlives a power cut, too
}
