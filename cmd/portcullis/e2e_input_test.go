package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce/gateway"
)

// TestE2ESourcesApart has one good source among a directory and a missing file.
func TestE2ESourcesApart(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	folder, later := filepath.Join(r.dir, "folder"), filepath.Join(r.dir, "later", "access.log")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	const source = "  - {name: %s, path: %s, format: nginx-combined, poll: 20ms, grace: 60ms}\n"
	r.settings("sources:\n" + fmt.Sprintf(source, "good", r.log) + fmt.Sprintf(source, "folder", folder) + fmt.Sprintf(source, "later", later))
	write(t, r.log, line("192.0.2.1", time.Now(), "GET /a", 200, "x"))
	r.up()
	r.awaitRead("good", 1)
	if code, text := r.get("/readyz"); code != 503 || !strings.Contains(text, "folder") && !strings.Contains(text, "later") {
		t.Errorf("/readyz with two unreadable sources: %d %s", code, text)
	}
	for _, part := range []string{"source folder: ", "not a regular file: name the log file itself", "source later: ", "no such file"} {
		await(t, "status has "+part, r.words, func() bool { return strings.Contains(r.cli(exitRan, "status"), part) })
	}
	if err := os.Mkdir(filepath.Dir(later), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, later, line("192.0.2.2", time.Now(), "GET /b", 200, "x"), line("192.0.2.2", time.Now(), "GET /c", 200, "x"))
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	write(t, folder, line("192.0.2.3", time.Now(), "GET /d", 200, "x"))
	write(t, r.log, line("192.0.2.1", time.Now(), "GET /e", 200, "x"))
	r.awaitRead("later", 2)
	r.awaitRead("folder", 1)
	r.awaitRead("good", 2)
	await(t, "ready", r.words, func() bool { code, _ := r.get("/readyz"); return code == 200 })
	// A reason is said once. Between the folder's removal and the file's birth
	// another one can be true for a moment, and is then said as well.
	for text, source := range map[string]string{
		"the log can be read again\" source=folder": "folder",
		"the log can be read again\" source=later":  "later",
		"not a regular file":                        "folder",
		"later/access.log: no such file":            "later",
	} {
		if n := strings.Count(r.words(), text); n != 1 {
			t.Errorf("%q is said %d times of %s, want once\n%s", text, n, source, r.said)
		}
	}
	r.down()
}

// TestE2EGatewayTrouble enables an nginx that cannot be reached: detection goes
// on, decisions and status say what is wrong and what to do, once.
func TestE2EGatewayTrouble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	write(t, plain, "x")
	ready := filepath.Join(dir, "include")
	conf := filepath.Join(dir, "nginx.conf")
	write(t, conf, "events {}\n")
	if err := gateway.PrepareNginx(gateway.NginxConfig{Conf: conf, Dir: ready}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, binary, dir, what, hint string }{
		{"no binary", filepath.Join(dir, "none"), ready, "no program", "install it"},
		{"below a file", "nginx", filepath.Join(plain, "include"), "not a directory", "set "},
		{"no folder", "nginx", filepath.Join(dir, "nowhere"), "no such file", "portcullis setup nginx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, fmt.Sprintf("gateways: [{type: nginx, nginx: {binary: %s, conf: %s, dir: %s}}]\n", c.binary, conf, c.dir))
			write(t, r.log, attackLine("203.0.113.81"))
			r.up()
			d := r.awaitDecision("203.0.113.81", "says why it is not pushed", func(d decisionObject) bool {
				return d.State == "approved" && strings.Contains(d.Reason, c.what)
			})
			if !strings.Contains(d.Reason, c.hint) || !strings.Contains(d.Reason, "not in force yet") {
				t.Errorf("the reason lacks a hint like %q: %s", c.hint, d.Reason)
			}
			if strings.Contains(d.Reason, "gateway nginx: gateway nginx:") {
				t.Errorf("the reason stammers: %s", d.Reason)
			}
			await(t, "status shows it", r.words, func() bool {
				st := r.status()
				return strings.Contains(strings.Join(st.Service.Trouble, "\n"), c.what) && len(st.Service.Gateways) == 1 && st.Service.Gateways[0].Fails > 1
			})
			if !strings.Contains(r.words(), "gateways=[nginx]") {
				t.Errorf("the start does not name the gateway\n%s", r.said)
			}
			write(t, r.log, attackLine("203.0.113.82"))
			r.awaitDecision("203.0.113.82", "is made too", func(d decisionObject) bool { return d.State == "approved" })
			if n := strings.Count(r.words(), "level=WARN"); n != 1 {
				t.Errorf("%d warnings, want one\n%s", n, r.said)
			}
			r.down()
		})
	}
}

// TestE2ERefuses starts where it cannot work: it says why and what helps.
func TestE2ERefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		prepare func(*rig)
		parts   []string
	}{
		{"damaged key", func(r *rig) { write(t, filepath.Join(r.mkState(), keyFile), "zz\n") }, []string{keyFile, "64 hexadecimal digits", "restore it from a backup"}},
		{"empty key", func(r *rig) { write(t, filepath.Join(r.mkState(), keyFile), "") }, []string{keyFile, "64 hexadecimal digits"}},
		{"not a database", func(r *rig) { write(t, filepath.Join(r.mkState(), storeFile), strings.Repeat("not a database\n", 600)) }, []string{storeFile, "damaged", "move it away"}},
		{"database cut off", func(r *rig) { r.damage(func(size int64) (int64, int64) { return 5000, size }) }, []string{storeFile, "damaged", "move it away"}},
		{"database overwritten", func(r *rig) { r.damage(func(size int64) (int64, int64) { return 100, 20_000 }) }, []string{storeFile, "damaged", "move it away"}},
		{"state folder is a file", func(r *rig) { write(t, r.state, "x") }, []string{"/state", "not a directory", "state_dir"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "")
			write(t, r.log, line("192.0.2.1", time.Now(), "GET /a", 200, "x"))
			c.prepare(r)
			said := r.refused()
			for _, part := range c.parts {
				if !strings.Contains(said, part) {
					t.Errorf("lacks %q:\n%s", part, said)
				}
			}
			if strings.Contains(said, "goroutine") {
				t.Errorf("a stack:\n%s", said)
			}
		})
	}
}

func (r *rig) mkState() string {
	if err := os.MkdirAll(r.state, 0o700); err != nil {
		r.t.Fatal(err)
	}
	return r.state
}

// damage lets the service make its database and fills a part of it with noise;
// a part up to its end is cut off.
func (r *rig) damage(part func(size int64) (from, to int64)) {
	r.up().awaitRead("nginx", 1)
	r.down()
	path := filepath.Join(r.state, storeFile)
	data, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	from, to := part(int64(len(data)))
	if to == int64(len(data)) {
		data = data[:from]
	} else {
		for i := from; i < to; i++ {
			data[i] = byte(rand.Uint32())
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func TestE2EBusyPortAndLock(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newRig(t, "console: {listen: \""+l.Addr().String()+"\"}\n")
	write(t, r.log, line("192.0.2.1", time.Now(), "GET /a", 200, "x"))
	said := r.refused()
	if !strings.Contains(said, l.Addr().String()) || !strings.Contains(said, "console.listen") {
		t.Errorf("a busy port:\n%s", said)
	}
	if strings.Contains(said, "console: console:") {
		t.Errorf("it stammers:\n%s", said)
	}
	r.settings("")
	r.up()
	second := &rig{t: t, dir: r.dir, config: r.config, state: r.state, log: r.log}
	if said := second.refused(); !strings.Contains(said, "held by process "+strconv.Itoa(r.proc.Process.Pid)) || !strings.Contains(said, "stop it") {
		t.Errorf("a second run:\n%s", said)
	}
	r.awaitRead("nginx", 1)
	r.down()
}

// TestE2EGarbage feeds what no gateway writes. Every line is counted once, as an
// event or with the reason for which it is none.
func TestE2EGarbage(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	at := time.Now()
	good := line("192.0.2.1", at, "GET /a", 200, "x")
	noise := make([]byte, 64<<10)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	noise[len(noise)-1] = '\n'
	noise[0] = 0 // at least one line with a NUL byte
	half := line("192.0.2.9", at, "GET /half", 200, "x")
	write(t, r.log, good, string(noise), good,
		strings.Repeat("A", 1<<20)+"\n", // just as long as a line may be
		strings.Repeat("B", 1<<20+1)+"\n", good, "\n", "\r\n",
		strings.Replace(good, "GET", "G\x00T", 1),
		strings.Replace(good, "192.0.2.1", "999.0.2.1", 1),
		strings.Replace(good, at.UTC().Format("/2006:"), "/9999:", 1),
		strings.Replace(good, " 200 ", " 2000000 ", 1),
		good, half[:30])
	text, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	lines := int64(strings.Count(string(text), "\n"))
	r.up()
	row := r.awaitRead("nginx", lines)
	sum := int64(0)
	for _, n := range row.Reasons {
		sum += n
	}
	if sum != row.Rejected || row.Processed < 4 {
		t.Errorf("the reasons do not add up: %+v", row)
	}
	for _, reason := range []string{"too_long", "empty", "nul_byte", "bad_address", "bad_shape", "bad_time"} {
		if row.Reasons[reason] == 0 {
			t.Errorf("no line was rejected as %s: %v", reason, row.Reasons)
		}
	}
	if row.Reasons["too_long"] != 1 {
		t.Errorf("too_long %d, want the one line over 1 MiB", row.Reasons["too_long"])
	}
	write(t, r.log, half[30:])
	if again := r.awaitRead("nginx", lines+1); again.Processed != row.Processed+1 {
		t.Errorf("the half line was not read once it was whole: %+v, was %+v", again, row)
	}
	shown := r.cli(exitRan, "status")
	if !strings.Contains(shown, "yes (rejected: ") {
		t.Errorf("status:\n%s", shown)
	}
	if n := strings.Count(r.words(), "\n"); n > 10 {
		t.Errorf("%d lines of log for a few bad lines\n%s", n, r.said)
	}
	r.down()
}
