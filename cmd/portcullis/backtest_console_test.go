package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/enforce/hindsight"
)

type backtestObject struct {
	ID, State, Error, Asked string
	Result                  *hindsight.Result
}

// askBacktest starts a backtest by the console's API and waits for its end.
func (r *rig) askBacktest(body string) backtestObject {
	r.t.Helper()
	code, text := r.call(http.MethodPost, "/api/v1/backtests", body)
	var b backtestObject
	if err := json.Unmarshal([]byte(text), &b); code != http.StatusOK || err != nil {
		r.t.Fatalf("%d %s\n%s", code, text, r.said)
	}
	await(r.t, "the backtest ends", r.words, func() bool {
		b = getJSON[backtestObject](r, "/api/v1/backtests/"+b.ID)
		return b.State != "running"
	})
	return b
}

// TestE2EBacktestConsole starts backtests in the console of a running pipeline, over its log
// and the rotated one, and gets what the command says; what is hidden stays hidden.
func TestE2EBacktestConsole(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	log, _ := attackLog(t, 4000)
	half := bytes.IndexByte(log[len(log)/2:], '\n') + len(log)/2 + 1
	for name, part := range map[string][]byte{r.log + ".1": log[:half], r.log: log[half:]} {
		if err := os.WriteFile(name, part, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.up()
	code, text := r.call(http.MethodPost, "/api/v1/backtests", `{"why":"x","from":"files","change":[{"rule":"auth-burst","key":"limits","value":"5"}]}`)
	if code != http.StatusBadRequest || !strings.Contains(text, "did you mean limit?") {
		t.Errorf("a setting that is none: %d %s", code, text)
	}
	got := r.askBacktest(`{"why":"our own test","from":"files","thresholds":[1]}`)
	sums := filepath.Join(r.dir, "sums.json")
	if out, err := exec.Command("portcullis", "backtest", "-c", r.config, "--sources", "--threshold", "1", "--json", sums).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(sums)
	if err != nil {
		t.Fatal(err)
	}
	var want hindsight.Result
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(got.Result)
	b, _ := json.Marshal(want)
	if got.State != "done" || !bytes.Equal(a, b) || want.Total.Requests < 4000 || len(want.Worst) < 4 || len(want.Trials) != 2 {
		t.Errorf("the console %s %s: %s\nthe command: %s", got.State, got.Error, a, b)
	}
	if code, page := r.get("/api/v1/backtests/" + got.ID + "/report"); code != http.StatusOK || !strings.Contains(page, want.Worst[0].Value) {
		t.Errorf("the report: %d %.300s", code, page)
	}
	type command struct{ Verb, Result string }
	noted := getJSON[struct{ Commands []command }](r, "/api/v1/commands").Commands
	if !slices.Contains(noted, command{"backtest", got.ID}) {
		t.Errorf("audit: %+v", noted)
	}
	r.down()
	r.keptAndHidden(got.ID, &want)
}

// keptAndHidden starts anew: what was found is still there; but once addresses are hidden it
// is not, and what is found then holds none.
func (r *rig) keptAndHidden(id string, want *hindsight.Result) {
	t := r.t
	r.up()
	if again := getJSON[backtestObject](r, "/api/v1/backtests/"+id); again.Result == nil {
		t.Errorf("after a restart: %+v", again)
	}
	r.down()
	r.settings("identity: {hide_addresses: true}\n")
	r.up()
	if code, text := r.get("/api/v1/backtests/" + id); code != http.StatusNotFound {
		t.Errorf("what holds addresses is shown though they are hidden: %d %.300s", code, text)
	}
	hidden := r.askBacktest(`{"why":"our own test","from":"files"}`)
	if hidden.State != "done" || len(hidden.Result.Worst) < 3 {
		t.Fatalf("%+v", hidden)
	}
	_, page := r.get("/api/v1/backtests/" + hidden.ID + "/report")
	for _, d := range want.Worst {
		if text, _ := json.Marshal(hidden.Result); d.Kind == "ip" && (bytes.Contains(text, []byte(d.Value)) || strings.Contains(page, d.Value)) {
			t.Errorf("%s is shown though addresses are hidden", d.Value)
		}
	}
	r.down()
}
