package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/fixtures/traffic"
	"github.com/portcullis/portcullis/ingest"
)

// soak reports whether the long versions are wanted: make soak.
func soak() bool { return os.Getenv("PORTCULLIS_SOAK") != "" }

// gatewayLog plays a gateway whose log is rotated by somebody else.
type gatewayLog struct {
	t       *testing.T
	path    string
	copying bool // copytruncate instead of rename
	f       *os.File
	written int64
}

func newGatewayLog(t *testing.T, dir string, copying bool) *gatewayLog {
	g := &gatewayLog{t: t, path: filepath.Join(dir, "access.log"), copying: copying}
	g.open()
	return g
}

func (g *gatewayLog) open() {
	f, err := os.OpenFile(g.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		g.t.Fatal(err)
	}
	g.f = f
}

func (g *gatewayLog) write(lines [][]byte) {
	for _, l := range lines {
		if _, err := g.f.Write(l); err != nil {
			g.t.Fatal(err)
		}
		g.written++
	}
}

// rotate does what logrotate does, keeping everything.
func (g *gatewayLog) rotate() {
	check := func(err error) {
		if err != nil {
			g.t.Fatal(err)
		}
	}
	old, err := filepath.Glob(g.path + ".*")
	check(err)
	for n := len(old); n >= 1; n-- {
		check(os.Rename(fmt.Sprintf("%s.%d", g.path, n), fmt.Sprintf("%s.%d", g.path, n+1)))
	}
	if !g.copying {
		check(os.Rename(g.path, g.path+".1"))
		check(g.f.Close())
		g.open()
		return
	}
	from, err := os.Open(g.path)
	check(err)
	to, err := os.Create(g.path + ".1")
	check(err)
	_, err = io.Copy(to, from)
	check(err)
	check(from.Close())
	check(to.Close())
	check(g.f.Truncate(0))
}

// victim is "portcullis run" in a process of its own.
type victim struct {
	t      *testing.T
	config string
	state  string
	cmd    *exec.Cmd
	said   *spoken
}

func newVictim(t *testing.T, dir, log string) *victim {
	v := &victim{t: t, config: filepath.Join(dir, "portcullis.yaml"), state: filepath.Join(dir, "state"), said: new(spoken)}
	text := fmt.Sprintf(`state_dir: %s
snapshot: 100ms
sources: [{name: nginx, path: %s, format: nginx-combined, poll: 20ms, grace: 60ms}]
enforce:
  policy: {families: {credential: enforce, rate: enforce, injection: enforce, recon: enforce}, expiry: {first: 24h, second: 48h}}
  guard: {max_lag: 24h}
console: {listen: "127.0.0.1:0"}
`, v.state, log)
	if err := os.WriteFile(v.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *victim) start() { v.launch(v.t, "run") }

func (v *victim) launch(t testing.TB, command string) {
	v.cmd = exec.Command("portcullis", command, "-c", v.config)
	v.cmd.Stderr = v.said
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (v *victim) kill() {
	if err := v.cmd.Process.Kill(); err != nil {
		v.t.Fatal(err)
	}
	_ = v.cmd.Wait() // killed: its error says so
}

// stop ends it as a service manager does; it has to save and exit with 0.
func (v *victim) stop() {
	if err := v.cmd.Process.Signal(os.Interrupt); err != nil {
		v.t.Fatal(err)
	}
	if err := v.cmd.Wait(); err != nil {
		v.t.Fatalf("run ended with %v\n%s", err, v.said)
	}
}

// read is the number of lines that the saved ledger has; -1 before the first save.
func (v *victim) ledger() ingest.LedgerRow {
	db, err := store.OpenReadOnly(filepath.Join(v.state, storeFile))
	if err != nil {
		return ingest.LedgerRow{Read: -1}
	}
	defer db.Close()
	rows, err := db.Ledger(context.Background())
	if err != nil || len(rows) == 0 {
		return ingest.LedgerRow{Read: -1}
	}
	return rows[0]
}

// awaitLines waits until this very process has said that it lives, and so many
// lines are saved.
func (v *victim) awaitLines(n int64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(patience); v.ledger().Read < n || !v.alive(); <-tick.C {
		if time.Now().After(until) {
			v.t.Fatalf("%+v of %d lines are in the ledger after %s\n%s", v.ledger(), n, patience, v.said)
		}
	}
}

func (v *victim) alive() bool {
	db, err := store.OpenReadOnly(filepath.Join(v.state, storeFile))
	if err != nil {
		return false
	}
	defer db.Close()
	h, err := lastHeartbeat(context.Background(), db)
	return err == nil && h != nil && h.PID == v.cmd.Process.Pid
}

// generated is traffic with attackers whose log time ends shortly before now,
// and a last line that closes every second before it.
func generated(t *testing.T, lines int) [][]byte {
	var log bytes.Buffer
	const rate = 20
	start := time.Now().Add(-time.Duration(lines/rate)*time.Second - 10*time.Minute).Truncate(time.Second)
	if _, err := traffic.Write(&log, traffic.Options{Lines: lines - 1, Rate: rate, Start: start, Attackers: true, Clients: 200}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&log, "203.0.113.250 - - [%s] \"GET /last HTTP/1.1\" 200 1 \"-\" \"-\"\n", time.Now().UTC().Format("02/Jan/2006:15:04:05 -0700"))
	return bytes.SplitAfter(bytes.TrimSuffix(log.Bytes(), []byte("\n")), []byte("\n"))
}

func TestKilledAtRandomInstants(t *testing.T) {
	t.Parallel()
	rounds := 20
	switch {
	case soak():
		rounds = 200
	case testing.Short():
		rounds = 5
	}
	for _, copying := range []bool{false, true} {
		t.Run(map[bool]string{false: "rename", true: "copytruncate"}[copying], func(t *testing.T) {
			dir := t.TempDir()
			lines := generated(t, rounds*400)
			lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
			g := newGatewayLog(t, dir, copying)
			v := newVictim(t, dir, g.path)
			v.start()
			g.write(lines[:1])
			v.awaitLines(1) // what was rotated away before the first start is not read
			v.kill()
			for round := range rounds {
				v.start()
				g.writeFor(lines[max(1, round*400):(round+1)*400], time.Duration(rand.IntN(300))*time.Millisecond, round%3 == 2)
				v.kill()
			}
			v.start()
			v.awaitLines(g.written)
			v.stop()
			whole(t, v, lines)
		})
	}
}

// writeFor writes the lines spread over a time, with a rotation in the middle.
func (g *gatewayLog) writeFor(lines [][]byte, d time.Duration, rotate bool) {
	const steps = 8
	tick := time.NewTicker(max(time.Millisecond, d/steps))
	defer tick.Stop()
	for i := range steps {
		g.write(lines[i*len(lines)/steps : (i+1)*len(lines)/steps])
		if rotate && i == steps/2 {
			g.rotate()
		}
		<-tick.C
	}
}

// whole checks that nothing was lost and nothing repeated: the ledger has every
// line once, and findings and decisions are those of an undisturbed replay.
func whole(t *testing.T, v *victim, lines [][]byte) {
	row := v.ledger()
	if row.Read != int64(len(lines)) || row.Processed != row.Read || row.Rejected != 0 {
		t.Errorf("%d lines were written, the ledger says %+v", len(lines), row)
	}
	db, err := store.OpenReadOnly(filepath.Join(v.state, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	live := map[string]detect.Finding{}
	err = eachFinding(ctx, db, store.FindingQuery{}, 0, func(f detect.Finding) error {
		if _, twice := live[f.ID]; twice {
			t.Errorf("finding %s stands twice", f.ID)
		}
		live[f.ID] = f
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	replayed := replay(t, v.state, bytes.Join(lines, nil))
	for id, want := range replayed {
		got, ok := live[id]
		if !ok || got.Count != want.Count || got.Severity.String() != want.Severity || got.Rule != want.Rule {
			t.Errorf("finding %s %s %s count %d: live has %+v", id, want.Rule, want.Severity, want.Count, got)
		}
	}
	if len(live) != len(replayed) || len(live) < 4 {
		t.Errorf("%d findings live, %d in a replay; want as many, and at least one for each of the four attackers", len(live), len(replayed))
	}
	l, err := enforce.OpenLedger(ctx, db.SQL())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err = eachDecision(ctx, l.ReadFrom(db.Reader()), enforce.DecisionQuery{}, 0, func(d enforce.Decision) error {
		k := fmt.Sprint(d.Subject, d.Action, d.Route, d.Offence)
		if seen[k] {
			t.Errorf("decision %s stands twice: %+v", k, d)
		}
		seen[k] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d lines, 0 lost, 0 repeated; %d findings, %d decisions", row.Read, len(live), len(seen))
}

type replayedFinding struct {
	ID, Rule, Severity string
	Count              int64
}

// replay is what "portcullis replay" finds in the log, with the keys of an installation.
func replay(t *testing.T, state string, log []byte) map[string]replayedFinding {
	cmd := exec.Command("portcullis", "replay", "--state-dir", state, "--format", "nginx-combined", "--output", "jsonl", "-")
	cmd.Stdin = bytes.NewReader(log)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("replay: %v\n%s", err, &errs)
	}
	found := map[string]replayedFinding{}
	for line := range bytes.Lines(out) {
		var f replayedFinding
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatal(err)
		}
		found[f.ID] = f
	}
	return found
}

// TestRotatedEverySecond is the test that syslog-ng 3.38 fails: a steady writer,
// a rotation every second, and three kills.
func TestRotatedEverySecond(t *testing.T) {
	t.Parallel()
	seconds, rate := 3, 2000
	switch {
	case soak():
		seconds, rate = 12, 10_000
	case testing.Short():
		rate = 500
	}
	for _, copying := range []bool{false, true} {
		t.Run(map[bool]string{false: "rename", true: "copytruncate"}[copying], func(t *testing.T) {
			dir := t.TempDir()
			lines := generated(t, seconds*rate)
			lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
			g := newGatewayLog(t, dir, copying)
			v := newVictim(t, dir, g.path)
			v.start()
			g.write(lines[:1])
			v.awaitLines(1)
			for s := range seconds {
				g.writeFor(lines[max(1, s*rate):(s+1)*rate], 900*time.Millisecond, false)
				g.rotate()
				if s%(max(1, seconds/3)) == 0 {
					v.kill()
					v.start()
				}
			}
			v.awaitLines(g.written)
			v.stop()
			whole(t, v, lines)
		})
	}
}
