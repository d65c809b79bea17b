package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// suite ends the Kafka that tests share when all have run.
type suite struct{ *testing.M }

// Run implements testscript.TestingM.
func (s suite) Run() int { return kafkatest.Run(s.M) }

func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"portcullis": main})
}

// TestScripts runs the commands as a person types them.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("one command after the other: leave out -short")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for _, kv := range env.Vars {
				if strings.HasPrefix(kv, "PORTCULLIS_") {
					return fmt.Errorf("unset %s: it changes what is tested", kv)
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mkstore":  mkstore,
			"seed":     seed,
			"service":  service,
			"complete": complete,
			"exitcode": exitcode,
			"readid":   readid,
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

// withTestStore opens the store in a folder of the script as the service would.
func withTestStore(ts *testscript.TestScript, dir string, do func(*store.DB, *enforce.Ledger)) {
	path := ts.MkAbs(dir)
	ts.Check(os.MkdirAll(path, 0o700))
	db, err := store.Open(filepath.Join(path, storeFile))
	ts.Check(err)
	l, err := enforce.OpenLedger(context.Background(), db.SQL())
	ts.Check(err)
	do(db, l)
	ts.Check(db.Close())
}

// mkstore makes an empty store: "mkstore dir".
func mkstore(ts *testscript.TestScript, _ bool, args []string) {
	withTestStore(ts, args[0], func(*store.DB, *enforce.Ledger) {})
}

// seed makes a store with findings and a completeness ledger: "seed dir".
func seed(ts *testscript.TestScript, _ bool, args []string) {
	withTestStore(ts, args[0], func(db *store.DB, _ *enforce.Ledger) {
		at := time.Now().Add(-time.Minute).UnixNano()
		state := store.State{
			Findings: testFindings(at),
			Ledger: []ingest.LedgerRow{
				{Source: "edge", Read: 1_000_000, Processed: 999_990, Rejected: 10, Reasons: map[string]int64{"bad_time": 7, "nul_byte": 3}, LastTime: at,
					Format: "nginx-combined", Carried: ingest.Carried{Week: 2950, Now: seenFields}},
				{Source: "old\x1b[2J", Read: 10, Processed: 8, Rejected: 1, LagBytes: 3 << 20},
			},
		}
		ts.Check(db.Save(context.Background(), state))
	})
}

// seenFields are those of a combined log of people whom nobody asks who they are.
const seenFields = ingest.FieldMethod | ingest.FieldTarget | ingest.FieldProtocol | ingest.FieldReferer | ingest.FieldAgent | ingest.FieldStatus | ingest.FieldBytesOut

// testFindings are one guesser, one injector whose bytes are hostile, and one
// old finding.
func testFindings(at int64) []detect.Finding {
	guesser := detect.Finding{
		Rule: "auth-burst", Version: 1, Family: detect.Credential, Severity: detect.High, Confidence: 0.9,
		Subject: detect.Subject{Kind: "ip", Value: "203.0.113.7"}, Window: at, FirstSeen: at, LastSeen: at + 1e9, FiredAt: at,
		Count: 1234, Why: "1,234 refused logins for 31 accounts within a minute", Route: "/login",
		Standing: detect.Standing{Successes: 12, People: 1, Since: at - 3600e9},
	}
	guesser.Evidence[0] = detect.Evidence{Source: "edge", Offset: 4711, Time: at, Line: `203.0.113.7 - - "POST /login HTTP/1.1" 401`, Note: "refused"}
	injector := detect.Finding{
		Rule: "injection", Version: 1, Family: detect.Injection, Severity: detect.Critical, Confidence: 1,
		Subject: detect.Subject{Kind: "consumer", Value: "mallory\x1b]0;x\x07"}, Window: at, FirstSeen: at, LastSeen: at, FiredAt: at + 1e9,
		Count: 1, Why: "SQL in the query: ' or \u202e1=1",
	}
	injector.Evidence[0] = detect.Evidence{Source: "edge", Offset: 1, Time: at, Line: "GET /?q=\x1b[31m' or 1=1"}
	old := guesser
	old.Window, old.FiredAt, old.Severity = at-int64(72*time.Hour), at-int64(72*time.Hour), detect.Low
	old.Evidence = [detect.MaxEvidence]detect.Evidence{}
	out := []detect.Finding{guesser, injector, old}
	for i := range out {
		out[i].ID = detect.FindingID(out[i].Rule, out[i].Subject, out[i].Window)
	}
	return out
}

// complete asks the completion of a shell what may follow:
// "complete bash portcullis fin". An argument ” at the end stands for the cursor
// after a blank. Bash and zsh call the function with the variables they would set;
// of zsh, the builtins that need a line editor print instead.
func complete(ts *testscript.TestScript, neg bool, args []string) {
	shell, args := args[0], args[1:]
	script := quoteSh(ts.MkAbs("completion." + shell))
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = quoteSh(a)
	}
	line := strings.Join(words, " ")
	programs := map[string]string{
		"bash": fmt.Sprintf("source %s; COMP_WORDS=(%s); COMP_CWORD=%d; _portcullis; printf '%%s\\n' \"${COMPREPLY[@]}\"", script, line, len(args)-1),
		"zsh": fmt.Sprintf("compdef() { :; }; compset() { :; }; _files() { print files; }\n"+
			"compadd() { shift; for w in $@; do [[ $w == ${words[CURRENT]##*=}* ]] && print -r -- $w; done; :; }\n"+
			"source %s; words=(%s); CURRENT=%d; _portcullis", script, line, len(args)),
		"fish": fmt.Sprintf("source %s; complete -C %s", script, quoteSh(strings.Join(args, " "))),
	}
	flags := map[string][]string{"bash": {"--norc", "--noprofile"}, "zsh": {"-f"}, "fish": {"--no-config"}}
	cmd := exec.Command(shell, append(flags[shell], "-c", programs[shell])...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("WORK"))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		ts.Fatalf("%s: %v %s", shell, err, errs.String())
	}
	if _, err := ts.Stdout().Write(out); err != nil {
		ts.Fatalf("%v", err)
	}
	if neg != (strings.TrimSpace(string(out)) == "") {
		ts.Fatalf("completes to %q", out)
	}
}

// exitcode runs a program and demands its exit status: "exitcode 2 portcullis".
func exitcode(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// readid sets ID to the id of the object in a file.
func readid(ts *testscript.TestScript, _ bool, args []string) {
	var v struct {
		ID string `json:"id"`
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &v))
	ts.Setenv("ID", v.ID)
}
