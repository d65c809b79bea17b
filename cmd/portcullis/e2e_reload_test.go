package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limit is the settings part that makes so many refused logins a finding.
func limit(n int) string {
	return fmt.Sprintf("detectors: {auth-burst: {limit: %d, span: 10m, per_person: 0}}\n", n)
}

// refusals are a few minutes old, so that a line of now closes their second.
func refusals(addr string, n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = line(addr, time.Now().Add(-5*time.Minute), "POST /login", 401, "x")
	}
	return lines
}

// reload sends SIGHUP and waits until it was heeded as often as said.
func (r *rig) reload(said string, times int) {
	r.t.Helper()
	r.signal(syscall.SIGHUP)
	await(r.t, fmt.Sprintf("it says %q %d times", said, times), r.words, func() bool { return strings.Count(r.words(), said) >= times })
}

// guessed waits for the finding on a guesser and returns how many refusals it has.
func (r *rig) guessed(addr string) int64 {
	r.t.Helper()
	var found []replayedFinding
	await(r.t, "a finding on "+addr, r.words, func() bool {
		found = objects[replayedFinding](r, "findings", "--subject", addr, "--rule", "auth-burst")
		return len(found) == 1
	})
	return found[0].Count
}

// TestE2EReload changes a limit while a guesser is half way: what was counted
// stays, and nothing is lost or repeated however often it happens.
func TestE2EReload(t *testing.T) {
	t.Parallel()
	r := newRig(t, limit(50))
	const first, second = "203.0.113.101", "203.0.113.102"
	write(t, r.log, refusals(first, 20)...)
	r.up()
	r.awaitRead("nginx", 20)
	r.settings(limit(25))
	r.reload("console: serving", 2)
	if list := objects[replayedFinding](r, "findings", "--subject", first); len(list) != 0 {
		t.Errorf("20 refusals are found with a limit of 50 and 25: %+v", list)
	}
	write(t, r.log, refusals(first, 6)...)
	if n := r.guessed(first); n < 25 || n > 26 {
		t.Errorf("the finding has %d refusals, want the 20 before the reload and those after it", n)
	}
	r.awaitRead("nginx", 26)

	// A bad file is refused, and the limit of before holds.
	r.settings(limit(1) + "foo: 1\nsnapshot: 5\n")
	pid, before := r.proc.Process.Pid, r.url()
	r.reload("settings refused, the old ones stay in force", 3)
	for _, part := range []string{"auth-burst.limit: must be at least 2", "foo: unknown key", "snapshot: want a duration", "portcullis.yaml:1:", "portcullis.yaml:2:1", "portcullis.yaml:3:11"} {
		if !strings.Contains(r.words(), part) {
			t.Errorf("the refusal lacks %q\n%s", part, r.said)
		}
	}
	if r.url() != before {
		t.Error("refused settings restarted the console")
	}
	write(t, r.log, refusals(second, 24)...)
	r.awaitRead("nginx", 50)
	if list := objects[replayedFinding](r, "findings", "--subject", second); len(list) != 0 {
		t.Errorf("24 refusals are found with a limit of 25: %+v", list)
	}
	write(t, r.log, refusals(second, 1)...)
	r.guessed(second)

	// Reloads in the middle of a stream.
	r.settings(limit(25))
	for i := range 3 {
		write(t, r.log, refusals("203.0.113.103", 300)...)
		r.reload("console: serving", 3+i)
		write(t, r.log, refusals("203.0.113.103", 300)...)
	}
	r.awaitRead("nginx", 51+1800)
	if st := r.status(); !st.Alive || st.Service.PID != pid {
		t.Errorf("another process serves: %+v", st.Service)
	}
	write(t, r.log, line("192.0.2.1", time.Now(), "GET /a", 200, "x"))
	await(t, "the finding has all 1800 refusals", r.words, func() bool { return r.guessed("203.0.113.103") == 1800 })
	r.down()
	if n := r.guessed("203.0.113.103"); n != 1800 {
		t.Errorf("after the end the finding has %d refusals of 1800", n)
	}
}

// TestE2EReloadUnworkable reads settings that are well-formed, but cannot work
// here. An operator's slip must not end the protection.
func TestE2EReloadUnworkable(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { busy.Close() })
	for _, c := range []struct{ name, more string }{
		{"no source", "sources: []\n"},
		{"busy port", "console: {listen: \"" + busy.Addr().String() + "\"}\n"},
		{"no token", "console: {listen: \"127.0.0.1:0\", token_file: /nonexistent/token}\n"},
		{"state below a file", "state_dir: /dev/null/state\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "")
			write(t, r.log, attackLine("203.0.113.111"))
			r.up().awaitRead("nginx", 1)
			r.settings(c.more)
			r.reload("settings re", 1) // refused, or read anew
			write(t, r.log, attackLine("203.0.113.112"))
			await(t, "the service goes on with the old settings", r.words, func() bool {
				select {
				case err := <-r.ended:
					t.Fatalf("SIGHUP ended the service: %v\n%s", err, r.said)
				default:
				}
				return r.source("nginx").Read == 2
			})
			if !strings.Contains(r.words(), "settings refused") {
				t.Errorf("the settings were not refused\n%s", r.said)
			}
			r.down()
		})
	}
}

// tried runs a command that needs no installation.
func tried(t *testing.T, want int, args ...string) (out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	cmd := exec.Command("portcullis", append(args, "--state-dir", filepath.Join(t.TempDir(), "none"))...)
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		t.Errorf("portcullis %s: %v, want exit status %d\n%s%s", strings.Join(args, " "), err, want, &o, &e)
	}
	return o.String(), e.String()
}

// TestE2EReplay replays finished logs in any order and packing.
func TestE2EReplay(t *testing.T) {
	if testing.Short() {
		t.Skip("one command after the other: leave out -short")
	}
	t.Parallel()
	dir := t.TempDir()
	lines := generated(t, 20_000)
	third := len(lines) / 3
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	whole := bytes.Join(lines, nil)
	a, b, c := file("a.log", bytes.Join(lines[:third], nil)), file("b.log", bytes.Join(lines[third:2*third], nil)), file("c.log", bytes.Join(lines[2*third:], nil))
	packed := packedLog(t, whole)
	all, z, cut := file("all.log", whole), file("all.log.gz", packed), file("cut.log.gz", packed[:len(packed)*3/4])
	replay := func(files ...string) string {
		out, _ := tried(t, exitRan, append([]string{"replay", "--output", "jsonl"}, files...)...)
		return strings.NewReplacer(a, "LOG", b, "LOG", c, "LOG", z, "LOG", all, "LOG").Replace(out)
	}
	right := replay(a, b, c)
	if n := strings.Count(right, "\n"); n < 4 {
		t.Fatalf("%d findings only", n)
	}
	if wrong := replay(c, a, b); wrong != right {
		t.Errorf("another order of the files gives other findings:\n%s\nand\n%s", right, wrong)
	}
	ids := func(out string) string {
		var list strings.Builder
		for l := range strings.Lines(out) {
			list.WriteString(l[:strings.Index(l, `"evidence"`)] + "\n") // offsets are those of the file
		}
		return list.String()
	}
	if one := replay(all); ids(one) != ids(right) {
		t.Errorf("one file gives other findings than its parts:\n%s\nand\n%s", one, right)
	}
	if plain, gz := replay(all), replay(z); gz != plain {
		t.Errorf("packed it gives other findings:\n%s\nand\n%s", plain, gz)
	}
	// A file that is cut off: what it still had is found, and the error is said once.
	out, errs := tried(t, exitFailed, "replay", cut)
	if strings.Count(errs, "compressed file is cut off") != 1 {
		t.Errorf("a file that is cut off: %s", errs)
	}
	if !strings.Contains(out, "injection") {
		t.Errorf("what was found up to where the file is cut off is not printed: %q", out)
	}
	if _, errs := tried(t, exitFailed, "replay", a, cut); strings.Count(errs, "compressed file is cut off") != 1 {
		t.Errorf("the error is not said once: %s", errs)
	}
	if _, errs := tried(t, exitFailed, "replay", file("head.gz", packed[:6])); !strings.Contains(errs, "cut off") {
		t.Errorf("a file cut off in its header: %s", errs)
	}
}

func packedLog(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.Copy(z, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestE2EReloadDocument changes the API's document while a deprecated operation is half way to
// a finding: a broken one is refused, and what was counted stays.
func TestE2EReloadDocument(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	doc := filepath.Join(t.TempDir(), "api.yaml")
	describe := func(more string) {
		t.Helper()
		const head = "openapi: 3.0.3\ninfo: {title: a, version: '1'}\npaths:\n  /api/old: {get: {deprecated: true, responses: {default: {description: x}}}}\n"
		if err := os.WriteFile(doc, []byte(head+more), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Now().Add(-5 * time.Minute)
	if at.Truncate(time.Hour) != at.Add(time.Minute).Truncate(time.Hour) {
		at = at.Add(-2 * time.Minute) // all of them are in one clock hour
	}
	asked := func(n int, at time.Time) (lines []string) {
		for range n {
			lines = append(lines, line("203.0.113.121", at, "GET /api/old", 200, "x"))
		}
		return lines
	}
	settings := fmt.Sprintf("openapi: [{file: %q}]\ndetectors: {deprecated-route: {requests: 6}}\n", doc)
	describe("")
	r.settings(settings)
	write(t, r.log, asked(4, at)...)
	r.up().awaitRead("nginx", 4)

	describe("  broken: {}\n")
	r.reload("settings refused, the old ones stay in force", 1)
	if !strings.Contains(r.words(), `the path \"broken\" does not begin with a /`) {
		t.Errorf("the refusal does not say what is wrong\n%s", r.words())
	}
	describe("  /api/new: {get: {responses: {default: {description: x}}}}\n")
	r.reload("console: serving", 2)
	write(t, r.log, asked(2, at.Add(time.Minute))...)
	write(t, r.log, line("192.0.2.1", time.Now(), "GET /a", 200, "x"))
	await(t, "the finding has the four requests before the reload and the two after it", r.words, func() bool {
		found := objects[replayedFinding](r, "findings", "--rule", "deprecated-route")
		return len(found) == 1 && found[0].Count == 6
	})
	r.down()
}
