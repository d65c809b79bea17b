package demo

import (
	"runtime"
	"syscall"
)

// dieWithParent has the kernel end nginx when this process is killed. The
// kernel means the thread that started it, so runNginx holds on to that.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

// runNginx starts nginx and waits for its end, on one thread.
func (s *Site) runNginx(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.exited)
	err := s.proc.Start()
	started <- err
	if err == nil {
		_ = s.proc.Wait() // how it ended does not matter, only that it did
	}
}
