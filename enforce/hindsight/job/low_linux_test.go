package job_test

import "golang.org/x/sys/unix"

// lowest is what a process of a job must have.
const lowest = 19

// priority is how much this thread stands back, from -20 to 19.
func priority() int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // the kernel tells 20 less that
	if err != nil {
		return -100
	}
	return 20 - n
}
