package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// backtested is the output of the command, a line a decision.
func (m *member) backtested(args ...string) []byte { return backtested(m.t, m.victim, args...) }

func backtested(t *testing.T, v *victim, args ...string) []byte {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.Command("portcullis", append([]string{"backtest", "-c", v.config, "--output", "jsonl"}, args...)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("backtest %q: %v\n%s", args, err, &errs)
	}
	t.Logf("backtest %q: %d decisions\n%s", args, bytes.Count(out, []byte("\n")), &errs)
	return out
}

// TestE2EBacktestKafka: the access topic, spread over partitions, gives what the log gives.
func TestE2EBacktestKafka(t *testing.T) {
	t.Parallel()
	f := newFleet(t, kafkatest.Full(t).Plain(), 3, "")
	collect := f.add("collect", "collect")
	collect.start()
	log, _ := attackLog(t, 20_000)
	if err := os.WriteFile(f.log, log, 0o600); err != nil {
		t.Fatal(err)
	}
	lines := int64(bytes.Count(log, []byte("\n")))
	await(t, "all is read", func() string { return collect.said.String() }, func() bool { return collect.ledger().Read >= lines })
	collect.stop() // all is acknowledged then
	want := collect.backtested("--format", "nginx-combined", f.log)
	if got := collect.backtested("--kafka"); !bytes.Equal(got, want) {
		t.Errorf("from Kafka:\n%s\nfrom the file:\n%s", got, want)
	}
	n := bytes.Count(want, []byte("\n"))
	if n < 4 {
		t.Errorf("%d decisions, want one for each of the four attackers", n)
	}
	page := f.add("console", "console")
	page.start()
	r := &rig{t: t, said: page.said}
	r.awaitSaid("console: serving")
	b := r.askBacktest(`{"why":"our own test","from":"kafka"}`)
	if b.State != "done" || b.Result.Trials[0].Sums.Decisions != n || b.Result.Total.Requests < lines-10 {
		t.Errorf("in the console: %+v", b)
	}
	page.stop()
}

// sameBacktest compares the decisions about the requests in Elasticsearch with those about
// the log, in what both know.
func sameBacktest(t *testing.T, v *victim, log string) {
	t.Helper()
	type row struct {
		Subject     map[string]string
		Action, Why string
		From, To    string
		Hits        struct{ Requests, Refused, Succeeded int }
	}
	rows := func(out []byte) (list []row) {
		for line := range bytes.Lines(out) {
			var r row
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			list = append(list, r)
		}
		return list
	}
	want, got := rows(backtested(t, v, "--format", "nginx-combined", log)), rows(backtested(t, v, "--elasticsearch"))
	a, _ := json.MarshalIndent(want, "", " ")
	b, _ := json.MarshalIndent(got, "", " ")
	if !bytes.Equal(a, b) || len(want) < 3 {
		t.Errorf("from Elasticsearch:\n%s\nfrom the log:\n%s", b, a)
	}
}
