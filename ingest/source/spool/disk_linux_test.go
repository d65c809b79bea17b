package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFullDisk fills a real file system.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("run as root: a tmpfs is mounted")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("run as root with CAP_SYS_ADMIN: a tmpfs is mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := openIn(t, Config{Dir: filepath.Join(dir, "gw"), Segment: 64 << 10, Sync: time.Hour})
	line := strings.Repeat("d", 6999) + "\n"
	n := 0
	var err error
	for ; err == nil && n < 100; n++ {
		err = s.Append([]byte(line))
	}
	n--
	if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free space") {
		t.Fatalf("a full disk said %v", err)
	}
	lines, got := take(t, s.Run, n)
	if text(lines) != strings.Repeat(line, n) {
		t.Fatal("what was acknowledged before the disk was full is damaged")
	}
	s.Saved(last(got))
	mustAppend(t, s, "after\n")
	if lines, _ := take(t, s.Run, 1, last(got)); text(lines) != "after\n" {
		t.Fatalf("read %q", text(lines))
	}
}
