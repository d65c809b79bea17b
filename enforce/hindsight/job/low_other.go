//go:build !linux

package job

import "os/exec"

// startLow starts a process; only on Linux has it a lower priority than this one.
func startLow(cmd *exec.Cmd) error { return cmd.Start() }
