package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// run runs a command to its end or the timeout and returns what it said on
// stdout. Its error holds what it said on stderr, capped and quoted.
func (g *Nginx) run(ctx context.Context, command []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.WaitDelay = time.Second // a child that keeps the pipe open must not hold us
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return stdout.Bytes(), nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("gateway nginx: no program %q: install it (apt-get install nginx-light), or set binary to where it is: %w", command[0], err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("gateway nginx: %q took longer than %s: %w", strings.Join(command, " "), g.cfg.Timeout, ctx.Err())
	case ctx.Err() != nil:
		return nil, fmt.Errorf("gateway nginx: %q was cut off: %w", strings.Join(command, " "), ctx.Err())
	}
	return nil, fmt.Errorf("gateway nginx: %q failed: %w: %s", strings.Join(command, " "), err, complaint(stderr.Bytes()))
}

// processID is in every line and differs each time: without it the same trouble
// reads the same, and is said once.
var processID = regexp.MustCompile(`^(\[[a-z]+\]) [0-9]+#[0-9]+:`)

// complaint picks what nginx complains about out of its output: the worst
// lines, quoted and capped, since they repeat what is in files.
func complaint(out []byte) string {
	const most = 600
	var worst []string
	for line := range strings.Lines(string(out)) {
		for _, level := range []string{"[emerg]", "[alert]", "[crit]", "[error]"} {
			if i := strings.Index(line, level); i >= 0 {
				worst = append(worst, processID.ReplaceAllString(strings.TrimSpace(line[i:]), "$1"))
			}
		}
	}
	text := strings.Join(worst, "; ")
	if text == "" {
		text = strings.TrimSpace(string(out))
	}
	if len(text) > most {
		text = text[:most]
	}
	return strconv.Quote(text)
}

// test has nginx check the configuration with the files as they stand.
func (g *Nginx) test(ctx context.Context) error {
	command := g.cfg.TestCommand
	if len(command) == 0 {
		command = []string{g.cfg.Binary, "-t", "-q", "-c", g.cfg.Conf}
	}
	_, err := g.run(ctx, command)
	return err
}

// blame is called after a rollback. It says whether nginx would take its
// configuration without our change, and what is known to help.
func (g *Nginx) blame(ctx context.Context, refused error) error {
	text := refused.Error()
	hint := "the last good state stays in force"
	switch {
	case errors.Is(refused, exec.ErrNotFound), errors.Is(refused, os.ErrNotExist):
		return refused
	case strings.Contains(text, `limit_req_status`) && strings.Contains(text, "duplicate"):
		hint = "a limit_req_status stands in the same server: take it out, " + NginxServerFile + " sets 429"
	case strings.Contains(text, "map_hash_") && strings.Contains(text, "duplicate"):
		hint = "move the include of " + NginxHTTPFile + " behind the map_hash_ lines"
	case strings.Contains(text, "Permission denied") && os.Geteuid() != 0:
		hint = "nginx -t needs the rights of nginx: set test_command and reload_command to commands that have them, such as sudo nginx -t"
	case ctx.Err() == nil && g.test(ctx) != nil:
		hint = "nginx refuses its configuration without our change too, so nothing can be pushed or released until it is repaired; a running nginx keeps its last state"
	}
	return fmt.Errorf("%w (%s)", refused, hint)
}

// reload has nginx take the new files, and returns once only workers that
// serve them accept connections. Where the system does not show the workers
// (no procfs, another PID namespace) it returns after asking.
func (g *Nginx) reload(ctx context.Context) error {
	pid, err := g.masterPID(ctx)
	if err != nil && len(g.cfg.ReloadCommand) == 0 {
		return err
	}
	before, _ := childrenOf(pid) // nil where they are not shown
	if len(g.cfg.ReloadCommand) > 0 {
		if _, err := g.run(ctx, g.cfg.ReloadCommand); err != nil {
			return err
		}
	} else if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("gateway nginx: cannot signal process %d: %w: run Portcullis as the user of nginx's master, or set reload_command (such as sudo systemctl reload nginx)", pid, err)
	}
	if len(before) == 0 {
		return nil
	}
	return g.awaitWorkers(ctx, pid, before)
}

// awaitWorkers polls procfs until new workers are there and the old ones are
// gone or shutting down, which is when they stop accepting. nginx starts the
// new ones 100 ms before it stops the old ones; polling costs some 0.1 ms.
func (g *Nginx) awaitWorkers(ctx context.Context, master int, before map[int]bool) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for {
		now, err := workersOf(master)
		if err != nil {
			return fmt.Errorf("gateway nginx: process %d ended during the reload: %w", master, ErrNotRunning)
		}
		fresh, old := 0, 0
		for pid := range now {
			if before[pid] {
				old++
			} else {
				fresh++
			}
		}
		if fresh > 0 && old == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gateway nginx: asked to reload, but %d old workers still accept and %d new ones started: see nginx's error log: %w", old, fresh, ctx.Err())
		case <-tick.C:
		}
	}
}

// workersOf lists the workers of a master that accept connections. It fails
// where procfs does not tell.
func workersOf(master int) (map[int]bool, error) {
	workers, err := childrenOf(master)
	for pid := range workers {
		title, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		// One that has ended meanwhile cannot be read.
		if err != nil || !bytes.HasPrefix(title, []byte("nginx: worker process")) || bytes.Contains(title, []byte("shutting down")) {
			delete(workers, pid)
		}
	}
	return workers, err
}

// childrenOf lists all processes of a master: also workers that have started
// just now, and are not called so yet.
func childrenOf(master int) (map[int]bool, error) {
	id := strconv.Itoa(master)
	text, err := os.ReadFile("/proc/" + id + "/task/" + id + "/children")
	if err != nil {
		return nil, err
	}
	children := map[int]bool{}
	for _, f := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(f); err == nil {
			children[pid] = true
		}
	}
	return children, nil
}

// masterPID finds the running nginx by its pid file. A file that names a dead
// process, or one that is no nginx, counts as not running: nothing else is
// ever signalled. (nginx -t itself leaves an empty pid file behind.)
func (g *Nginx) masterPID(ctx context.Context) (int, error) {
	path, err := g.pidFile(ctx)
	if err != nil {
		return 0, err
	}
	notRunning := func(why string) error {
		return fmt.Errorf("gateway nginx: %w: %s; the files are in place for its next start (if it runs, set pid_file)", ErrNotRunning, why)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, notRunning("no pid file " + path)
	}
	if err != nil {
		return 0, fmt.Errorf("gateway nginx: pid file: %w", err)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || pid <= 1 {
		return 0, notRunning(path + " holds no process id")
	}
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return 0, notRunning(fmt.Sprintf("process %d of %s is gone", pid, path))
	}
	if title, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); err == nil && !bytes.Contains(title, []byte("nginx")) {
		return 0, notRunning(fmt.Sprintf("process %d of %s is not nginx", pid, path))
	}
	return pid, nil
}

// pidFile says where nginx keeps its process id.
func (g *Nginx) pidFile(ctx context.Context) (string, error) {
	if g.cfg.PIDFile != "" {
		return g.cfg.PIDFile, nil
	}
	site, err := readNginxSite(g.cfg.Conf)
	if err != nil {
		return "", err
	}
	if site.pid != "" {
		return site.pid, nil
	}
	return g.builtPath(ctx, "--pid-path=")
}

// builtPath reads a path that nginx was built with; nginx -V prints it on stderr.
func (g *Nginx) builtPath(ctx context.Context, option string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, g.cfg.Binary, "-V").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("gateway nginx: %q -V failed: %w", g.cfg.Binary, err)
	}
	for _, f := range strings.Fields(string(out)) {
		if path, ok := strings.CutPrefix(f, option); ok {
			return path, nil
		}
	}
	return "", fmt.Errorf("gateway nginx: cannot find out where nginx keeps its process id: set pid_file")
}
