//go:build !linux

package job_test

// lowest is the usual priority: elsewhere it is not lowered.
const lowest = 0

func priority() int { return 0 }
