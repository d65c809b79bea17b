package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portcullis/portcullis/ingest/identity"
)

// TestKeyMountedReadOnly: a container gets the key as a file whose bits it cannot
// change.
func TestKeyMountedReadOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("run as root: a tmpfs is mounted")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("run as root with CAP_SYS_ADMIN: a tmpfs is mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte(strings.Repeat("0a", identity.KeyBytes)), 0o440); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := ringOf(dir, true); err != nil {
		t.Error(err)
	}
}
