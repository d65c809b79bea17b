package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestSiblingsWhileRenamed lists rotated files while several rotations rename
// them: none may be missing from a list and none be there twice, since what one
// list misses is taken for unread later.
func TestSiblingsWhileRenamed(t *testing.T) {
	const files, rounds = 3, 2000
	path := filepath.Join(t.TempDir(), "access.log")
	name := func(n int) string { return fmt.Sprintf("%s.%d", path, n) }
	for n := 1; n <= files; n++ {
		if err := os.WriteFile(name(n), fmt.Appendf(nil, "file %d\n", n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", path+".old"); err != nil { // stays, and is no rotation
		t.Fatal(err)
	}
	tail := &tail{cfg: FileConfig{Path: path}, health: &health{}, warned: map[string]bool{}}
	first, good := 1, 0
	for range rounds {
		shifted := make(chan error, 1)
		go func(first int) { shifted <- shift(name, first, files) }(first)
		list, err := tail.siblings(nil)
		if e := <-shifted; e != nil {
			t.Fatal(e)
		}
		first += shifts
		if errors.Is(err, errMoved) {
			continue // said, and looked at again later
		}
		if err != nil {
			t.Fatal(err)
		}
		good++
		seen := map[uint64]bool{}
		for _, s := range list {
			seen[s.ino] = true
		}
		if len(list) != files || len(seen) != files {
			t.Fatalf("%d entries of %d files; want %d", len(list), len(seen), files)
		}
	}
	if good < rounds/2 {
		t.Errorf("only %d of %d listings came to an end", good, rounds)
	}
}

// shifts is how many rotations go on during one listing.
const shifts = 4

// shift renames the files, oldest first, as logrotate does.
func shift(name func(int) string, first, files int) error {
	for range shifts {
		for n := first + files - 1; n >= first; n-- {
			if err := os.Rename(name(n), name(n+1)); err != nil {
				return err
			}
		}
		first++
	}
	return nil
}
