package keptfile

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// TestUpdate: many at once count up in one file, and none of them loses the other's work.
func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "count")
	const writers, times = 8, 20
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range times {
				err := Update(path, func(old []byte) ([]byte, error) {
					n := 0
					if old != nil {
						var err error
						if n, err = strconv.Atoi(string(old)); err != nil {
							return nil, err
						}
					}
					return []byte(strconv.Itoa(n + 1)), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got, err := os.ReadFile(path); err != nil || string(got) != strconv.Itoa(writers*times) {
		t.Errorf("the count is %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new file is %v, %v", info.Mode(), err)
	}
}

// TestUpdateKeeps: a change that fails leaves the file, and one that does not leaves its mode.
func TestUpdateKeeps(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	if err := Update(path, func([]byte) ([]byte, error) { return []byte("half"), no }); !errors.Is(err, no) {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("after a failure it is %q, %v", got, err)
	}
	if err := Update(path, func([]byte) ([]byte, error) { return []byte("new"), nil }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	if err := Update(filepath.Join(dir, "none", "file"), func([]byte) ([]byte, error) { return nil, nil }); err == nil {
		t.Error("a folder that is not there is no error")
	}
}
