package gateway

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestEachWriteIsLater: a server that looks at the time of a file alone sees every change,
// also of files that were written within one tick of the kernel's clock.
func TestEachWriteIsLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map.txt")
	var last time.Time
	for i := range 20 {
		if err := writeAtomic(path, []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if now := info.ModTime(); now.Sub(last) < time.Millisecond {
			t.Fatalf("write %d is of %s, the one before of %s", i, now, last)
		} else {
			last = now
		}
	}
}
