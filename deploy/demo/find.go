package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrNoNginx says that there is no nginx and none could be installed; the
// recorded log is left then.
var ErrNoNginx = errors.New("nginx is not installed")

// FindNginx finds nginx, also where ordinary users have no PATH to, or, if
// install, installs nginx-light by apt where it can (Debian and its kin, as
// root). It says on w what it does.
func FindNginx(ctx context.Context, w io.Writer, install bool) (string, error) {
	if path := lookNginx(); path != "" {
		return path, nil
	}
	const hint = "demo: %w: apt-get install -y nginx-light"
	apt, err := exec.LookPath("apt-get")
	switch {
	case err != nil:
		return "", fmt.Errorf("demo: %w, and there is no apt-get here: install nginx by hand", ErrNoNginx)
	case !install:
		return "", fmt.Errorf(hint, ErrNoNginx)
	case os.Geteuid() != 0:
		return "", fmt.Errorf(hint+" (needs root)", ErrNoNginx)
	}
	fmt.Fprintln(w, "nginx is not installed; installing nginx-light by apt-get (some seconds) …")
	nginxLight := func() (string, error) {
		return runApt(ctx, apt, "install", "-y", "--no-install-recommends", "nginx-light")
	}
	out, err := nginxLight()
	if err != nil {
		fmt.Fprintln(w, "that failed; the package lists may be old: apt-get update first …")
		if out, err = runApt(ctx, apt, "update"); err == nil {
			out, err = nginxLight()
		}
	}
	if err != nil {
		return "", fmt.Errorf("demo: %w, and apt-get failed: %w: %q", ErrNoNginx, err, out)
	}
	path := lookNginx()
	if path == "" {
		return "", fmt.Errorf(hint+" went through, but there is still no nginx", ErrNoNginx)
	}
	fmt.Fprintln(w, "installed", path+"; your system may have started it as a service too (systemctl disable --now nginx)")
	return path, nil
}

// lookNginx looks in PATH and where systems keep servers.
func lookNginx() string {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin", "/opt/homebrew/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, "nginx")); err == nil {
			return path
		}
	}
	return ""
}

// runApt runs apt-get without questions, for five minutes at most; it returns
// the last line that it said.
func runApt(ctx context.Context, apt string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, apt, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	return clip(text[strings.LastIndexByte(text, '\n')+1:], 300), err
}
