package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what has to come. On a quiet machine it comes
// within a fraction of it. On a busy one a snapshot, and with it what the processes say
// of themselves, comes once a minute, and a server that refused is asked as rarely.
const patience = 2 * time.Minute

// await looks again and again until ok; else it fails and says what said tells.
func await(t *testing.T, what string, said func() string, ok func() bool) {
	t.Helper()
	awaitFor(t, patience, what, said, ok)
}

// awaitFor is await for what takes longer.
func awaitFor(t *testing.T, patience time.Duration, what string, said func() string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(until) {
			t.Fatalf("not within %s: %s\n%s", patience, what, said())
		}
	}
}

// throughout looks for a while and demands that ok holds at every look.
func throughout(t *testing.T, what string, d time.Duration, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(d); time.Now().Before(until); <-tick.C {
		if !ok() {
			t.Fatalf("did not stay so: %s", what)
		}
	}
}

// spoken is what a process wrote so far.
type spoken struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// rig is an installation of one test: a folder with settings, a log, a state
// folder, and the service as a process of its own.
type rig struct {
	t                  *testing.T
	dir, config, state string
	log                string
	proc               *exec.Cmd
	ended              chan error
	said               *spoken
}

// newRig makes the folder. The settings follow one log, save and look often, and
// enforce; more is YAML that is added to them.
func newRig(t *testing.T, more string) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, config: filepath.Join(dir, "portcullis.yaml"), state: filepath.Join(dir, "state"), log: filepath.Join(dir, "access.log")}
	r.settings(more)
	return r
}

const acting = `enforce:
  policy: {families: {credential: enforce, rate: enforce, injection: enforce, recon: enforce}}
  push: {retry_min: 100ms, retry_max: 300ms, debounce: 20ms, poll: 50ms}
`

// settings writes the settings; more replaces the top-level keys that it names.
func (r *rig) settings(more string) {
	r.t.Helper()
	text := more
	for _, part := range []struct{ key, yaml string }{
		{"state_dir", "state_dir: " + r.state + "\n"},
		{"snapshot", "snapshot: 100ms\n"},
		{"sources", "sources: [{name: nginx, path: " + r.log + ", format: nginx-combined, poll: 20ms, grace: 60ms}]\n"},
		{"console", "console: {listen: \"127.0.0.1:0\"}\n"},
		{"enforce", acting},
	} {
		if !strings.HasPrefix(more, part.key+":") && !strings.Contains(more, "\n"+part.key+":") {
			text += part.yaml
		}
	}
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// start runs the service until the test ends; it returns at once.
func (r *rig) start() {
	r.t.Helper()
	r.said = new(spoken)
	r.proc = exec.Command("portcullis", "run", "-c", r.config)
	r.proc.Stderr = r.said
	if err := r.proc.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended, proc := make(chan error, 1), r.proc
	go func() { ended <- proc.Wait(); close(ended) }()
	r.ended = ended
	r.t.Cleanup(func() {
		_ = proc.Process.Kill() // gone already where the test ended it
		<-ended
	})
}

// up starts it and waits for its console, the last to come.
func (r *rig) up() *rig {
	r.t.Helper()
	r.start()
	r.awaitSaid("console: serving")
	return r
}

// refused starts it and returns what it said when it ended by itself.
func (r *rig) refused() string {
	r.t.Helper()
	r.start()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case err := <-r.ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
			r.t.Errorf("ended with %v, want exit status 1", err)
		}
	case <-limit.C:
		r.t.Fatalf("goes on although it cannot work\n%s", r.said)
	}
	return r.said.String()
}

// down ends it as a service manager does.
func (r *rig) down() {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	if err := <-r.ended; err != nil {
		r.t.Fatalf("SIGTERM ended it with %v\n%s", err, r.said)
	}
}

func (r *rig) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.proc.Process.Signal(s); err != nil {
		r.t.Fatalf("%v\n%s", err, r.said)
	}
}

func (r *rig) words() string { return r.said.String() }

func (r *rig) awaitSaid(part string) {
	r.t.Helper()
	await(r.t, "it says "+part, r.words, func() bool { return strings.Contains(r.words(), part) })
}

// url is the console's address, as the log tells it last.
func (r *rig) url() string {
	all := regexp.MustCompile(`console: serving" address=(\S+)`).FindAllStringSubmatch(r.words(), -1)
	if len(all) == 0 {
		r.t.Fatalf("no console\n%s", r.said)
	}
	return "http://" + all[len(all)-1][1]
}

// cli runs a command on the state folder and returns its standard output; want
// is its exit status.
func (r *rig) cli(want int, args ...string) string {
	r.t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command("portcullis", append(args, "--state-dir", r.state)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		r.t.Fatalf("portcullis %s: %v, want exit status %d\n%s%s", strings.Join(args, " "), err, want, &out, &errs)
	}
	if want != exitRan {
		return errs.String()
	}
	return out.String()
}

// objects reads what a command writes for programs.
func objects[T any](r *rig, args ...string) []T {
	r.t.Helper()
	var list []T
	dec := json.NewDecoder(strings.NewReader(r.cli(exitRan, append(args, "--output", "jsonl")...)))
	for dec.More() {
		var v T
		if err := dec.Decode(&v); err != nil {
			r.t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

func (r *rig) status() statusObject {
	r.t.Helper()
	return objects[statusObject](r, "status")[0]
}

// decisions about one address, the newest first.
func (r *rig) decisions(addr string) []decisionObject {
	r.t.Helper()
	return objects[decisionObject](r, "decisions", "--subject", addr)
}

// awaitDecision waits for the one decision about an address to be as ok wants it.
func (r *rig) awaitDecision(addr, what string, ok func(decisionObject) bool) decisionObject {
	r.t.Helper()
	var list []decisionObject
	await(r.t, "one decision on "+addr+" "+what, func() string { return fmt.Sprintf("%+v\n%s", list, r.said) }, func() bool {
		list = r.decisions(addr)
		return len(list) == 1 && ok(list[0])
	})
	return list[0]
}

// source is the ledger's row of a source; zero if there is none yet.
func (r *rig) source(name string) sourceObject {
	r.t.Helper()
	for _, s := range r.status().Sources {
		if s.Source == name {
			return s
		}
	}
	return sourceObject{}
}

func (r *rig) awaitRead(name string, lines int64) sourceObject {
	r.t.Helper()
	var row sourceObject
	await(r.t, fmt.Sprintf("%d lines of %s in the ledger", lines, name), func() string { return fmt.Sprintf("%+v\n%s", row, r.said) }, func() bool {
		row = r.source(name)
		return row.Read >= lines
	})
	if row.Read != lines || row.Missing != 0 {
		r.t.Fatalf("want %d lines, each an event or a reject: %+v", lines, row)
	}
	return row
}

// write appends lines to a log.
func write(t *testing.T, path string, lines ...string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, strings.Join(lines, "")); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// line is one line of a combined log.
func line(addr string, at time.Time, request string, status int, agent string) string {
	return fmt.Sprintf("%s - - [%s] %q %d 512 \"-\" %q\n", addr, at.UTC().Format("02/Jan/2006:15:04:05 -0700"), request+" HTTP/1.1", status, agent)
}

// attackTarget is one that no honest client asks for.
const attackTarget = "/api/v1/search?q=1%27%20UNION%20SELECT%20password%20FROM%20users--"

func attackLine(addr string) string {
	return line(addr, time.Now(), "GET "+attackTarget, 200, "attacker/1")
}
