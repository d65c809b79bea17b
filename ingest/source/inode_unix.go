//go:build unix

package source

import (
	"io/fs"
	"syscall"
)

// inode returns the numbers by which the kernel knows a file.
func inode(fi fs.FileInfo) (device, number uint64) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return uint64(st.Dev), st.Ino //nolint:unconvert // Dev is not 64 bits wide everywhere
}
