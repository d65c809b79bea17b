//go:build !linux

package demo

import "syscall"

// dieWithParent is only to be had on Linux.
func dieWithParent() *syscall.SysProcAttr { return nil }

// runNginx starts nginx and waits for its end.
func (s *Site) runNginx(started chan<- error) {
	defer close(s.exited)
	err := s.proc.Start()
	started <- err
	if err == nil {
		_ = s.proc.Wait() // how it ended does not matter, only that it did
	}
}
