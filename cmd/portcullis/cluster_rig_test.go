package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/identity"
)

// fleet is an installation of several processes.
type fleet struct {
	t       *testing.T
	dir     string
	kafka   string // address
	prefix  string
	more    string // YAML of all
	log     string
	ring    identity.Ring
	members map[string]*member
}

// member is one process of it.
type member struct {
	*victim
	name, role string
	running    bool
}

// newFleet makes an installation on a Kafka: the addresses of its brokers, with commas
// between them, and other settings of kafka may follow behind a semicolon, each begun
// with a comma.
func newFleet(t *testing.T, kafka string, partitions int, more string) *fleet {
	t.Helper()
	dir := t.TempDir()
	ring, err := identity.NewRing(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	prefix := fmt.Sprintf("t%d", time.Now().UnixNano())
	f := &fleet{t: t, dir: dir, kafka: kafka, prefix: prefix, log: filepath.Join(dir, "access.log"), ring: ring, members: map[string]*member{}}
	addresses, settings, _ := strings.Cut(kafka, ";")
	f.more = fmt.Sprintf("kafka: {enabled: true, brokers: ['%s'], prefix: %s, partitions: %d, wait: 60s%s}\n%s",
		strings.ReplaceAll(addresses, ",", "', '"), prefix, partitions, settings, more)
	return f
}

// add makes a member; it is not started.
func (f *fleet) add(role, name string) *member {
	f.t.Helper()
	dir := filepath.Join(f.dir, name)
	state := filepath.Join(dir, "state")
	if err := os.MkdirAll(state, 0o750); err != nil {
		f.t.Fatal(err)
	}
	if err := saveRing(filepath.Join(state, keyFile), f.ring); err != nil {
		f.t.Fatal(err)
	}
	v := &victim{t: f.t, config: filepath.Join(dir, "portcullis.yaml"), state: state, said: new(spoken)}
	text := fmt.Sprintf(`state_dir: %s
snapshot: 200ms
sources: [{name: %q, path: %s, format: nginx-combined, poll: 20ms, grace: 60ms}]
enforce:
  policy: {families: {credential: enforce, rate: enforce, injection: enforce, recon: enforce}, expiry: {first: 24h, second: 48h}}
  guard: {max_lag: 24h}
console: {listen: "127.0.0.1:0"}
%s`, state, f.log, f.log, f.more)
	if err := os.WriteFile(v.config, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	m := &member{victim: v, name: name, role: role}
	f.members[name] = m
	f.t.Cleanup(func() {
		m.kill()
		if f.t.Failed() {
			f.t.Logf("%s said:\n%s", name, tail(m.said.String(), 4000))
		}
	})
	return m
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func (m *member) start() {
	m.t.Helper()
	if m.running {
		return
	}
	m.launch(m.t, m.role)
	m.running = true
}

// kill ends it with SIGKILL.
func (m *member) kill() {
	if m.running {
		_ = m.cmd.Process.Kill() // gone already where it ended by itself
		_ = m.cmd.Wait()
		m.running = false
	}
}

// stop ends it in good order.
func (m *member) stop() {
	m.t.Helper()
	if m.running {
		m.victim.stop()
		m.running = false
	}
}

// leave ends it as a service manager does; one that has just been started may not have
// come to hear the signal yet, and simply ends by it.
func (m *member) leave() {
	m.t.Helper()
	if err := m.cmd.Process.Signal(os.Interrupt); err != nil {
		m.t.Fatal(err)
	}
	err := m.cmd.Wait()
	m.running = false
	if err != nil && err.Error() != "signal: interrupt" {
		m.t.Fatalf("%s ended with %v\n%s", m.name, err, tail(m.said.String(), 2000))
	}
}

// cli runs a command on the member's state folder.
func (m *member) cli(args ...string) []byte {
	m.t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command("portcullis", append(args, "--state-dir", m.state)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, &errs)
	}
	return out
}

// status is what "portcullis status" says there; nil before there is a database.
func (m *member) status() *statusObject {
	cmd := exec.Command("portcullis", "status", "--output", "jsonl", "-c", m.config)
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	var st statusObject
	if err := json.Unmarshal(out, &st); err != nil {
		m.t.Fatal(err)
	}
	return &st
}

// findings are those of the member's database, each as its JSON, by id.
func (m *member) findings() map[string]string {
	return byID(m.t, m.cli("findings", "--limit", "0", "--output", "jsonl"))
}

// byID maps findings as JSON lines by their id; none may stand twice.
func byID(t *testing.T, lines []byte) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range bytes.Lines(lines) {
		var f struct{ ID string }
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatal(err)
		}
		if _, twice := found[f.ID]; twice {
			t.Errorf("finding %s stands twice", f.ID)
		}
		found[f.ID] = string(bytes.TrimSpace(line))
	}
	return found
}

// replayed is what "portcullis replay" finds in the log, with the same key.
func (f *fleet) replayed() map[string]string {
	f.t.Helper()
	var errs strings.Builder
	cmd := exec.Command("portcullis", "replay", "--state-dir", f.members["enforce"].state, "--format", "nginx-combined", "--output", "jsonl", f.log)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		f.t.Fatalf("replay: %v\n%s", err, &errs)
	}
	return byID(f.t, out)
}

// awaitWhole waits until the member knows that all lines were taken in, and that
// everything up to the second is closed at both levels.
func (f *fleet) awaitWhole(m *member, lines, closed int64) *statusObject {
	f.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var last *statusObject
	for until := time.Now().Add(patience); time.Now().Before(until); <-tick.C {
		if last = m.status(); last != nil && last.taken(lines) && last.closedTo(closed) {
			return last
		}
	}
	text, _ := json.MarshalIndent(last, "", " ")
	f.t.Fatalf("not all of %d lines were taken in and closed to %d within %s: %s", lines, closed, patience, tail(string(text), 6000))
	return nil
}

// taken reports whether so many lines were read, and each is an event or a reject.
func (st *statusObject) taken(lines int64) bool {
	return len(st.Sources) == 1 && st.Sources[0].Read == lines && st.Sources[0].Processed+st.Sources[0].Rejected == lines
}

// closedTo reports whether every task of the layout has closed that second.
func (st *statusObject) closedTo(sec int64) bool {
	if st.Cluster == nil || len(st.Cluster.Tasks) != st.Cluster.Layout[0]+st.Cluster.Layout[1] || st.Cluster.Waiting > 0 {
		return false
	}
	for _, b := range st.Cluster.Tasks {
		if b.Closed < sec {
			return false
		}
	}
	return true
}
