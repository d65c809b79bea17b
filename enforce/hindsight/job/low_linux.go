package job

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// lowest is the priority of whoever waits for all others.
const lowest = 19

// startLow starts a process at the lowest priority. It inherits that of the thread which
// starts it, and no thread may raise its own again: so one is made for this, and ends with
// its goroutine. Where the priority may not be set, the process runs at the usual one.
func startLow(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for good
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowest)
		started <- cmd.Start()
	}()
	return <-started
}
