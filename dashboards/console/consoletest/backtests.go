package consoletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/hindsight"
	"github.com/portcullis/portcullis/enforce/hindsight/job"
)

// BacktestID is the id of the backtest that is done.
const BacktestID = "k3v5qm7zt2ab"

// Report is what a backtest of the week came to: three scores, three rules, and a
// subject that is itself an attack.
func Report(now time.Time) *hindsight.Report {
	at := func(d time.Duration) int64 { return now.Add(-d).UnixNano() }
	out := func(kind, value, rule string, from, to time.Duration, refused, good int64, most ...hindsight.Hit) hindsight.Outcome {
		var o hindsight.Outcome
		o.ID, o.Subject, o.Action, o.Rule = rule+value, detect.Subject{Kind: kind, Value: value}, enforce.Block, rule
		o.Why, o.Score, o.From, o.To = "312 refused logins for 288 accounts in 60 s", 11.4, at(from), at(to)
		o.Refused, o.Succeeded, o.Authenticated, o.Identities, o.Most = refused, good, good, len(most), most
		return o
	}
	hit := func(name string, n int64) hindsight.Hit {
		return hindsight.Hit{Subject: detect.Subject{Kind: "consumer", Value: name}, Count: n}
	}
	nat := out("cidr", "192.0.2.0/24", "auth-burst", 90*time.Hour, 89*time.Hour, 2914, 61, hit("alice", 40), hit("bob", 21))
	nat.Action, nat.Code = enforce.Throttle, enforce.CodePeople
	set := []hindsight.Outcome{
		nat, out("ip", "203.0.113.66", "auth-burst", 30*time.Hour, 29*time.Hour, 8120, 0), out("ip", "198.51.100.23", "injection", 29*time.Hour, 5*time.Hour, 412, 0),
		out("account", Hostile, "injection", 20*time.Hour, 19*time.Hour, 9, 1, hit(Hostile, 1)),
	}
	low := append([]hindsight.Outcome{out("ip", "198.51.100.99", "scanner", 50*time.Hour, 48*time.Hour, 731, 188, hit("carol", 188))}, set...)
	return &hindsight.Report{
		Total:  hindsight.Total{Requests: 18_204_711, Succeeded: 17_911_204, Authenticated: 12_004_118, First: at(168 * time.Hour), Last: at(0)},
		Trials: []hindsight.Trial{{Threshold: 1, Outcomes: low}, {Threshold: 3, Set: true, Outcomes: set}, {Threshold: 10, Outcomes: set[1:3]}},
	}
}

// Backtests makes a desk in dir with one that is done and one that failed. What is started
// there says that it has read a quarter, and waits to be cancelled; "nowhere" cannot be
// read.
func Backtests(dir string, now func() time.Time) (*job.Desk, error) {
	ended := job.Job{ID: BacktestID, State: job.Done, Who: "kim (192.0.2.4)", Why: "before we enforce recon", Started: now().Add(-3 * time.Hour), Ended: now().Add(-172 * time.Minute),
		Order: job.Order{From: "files", Since: "7d", Thresholds: []float64{1, 10}, Change: []job.Setting{{Rule: "auth-burst", Key: "limit", Value: "20"}}}, Reading: 2, Read: 4 << 30, Total: 4 << 30}
	failed := job.Job{ID: "aaaabbbbcccc", State: job.Failed, Who: "key ci (192.0.2.5)", Why: "nightly", Started: now().Add(-20 * time.Hour), Ended: now().Add(-20 * time.Hour),
		Order: job.Order{From: "kafka", Since: "24h"}, Error: "the process ended with exit status 1: kafka: no broker answers"}
	for _, j := range []job.Job{ended, failed} {
		if err := writeJSON(filepath.Join(dir, j.ID, "job.json"), j); err != nil {
			return nil, err
		}
	}
	if err := writeJSON(filepath.Join(dir, ended.ID, "result.json"), Report(now()).Result()); err != nil {
		return nil, err
	}
	page, err := os.Create(filepath.Join(dir, ended.ID, "report.html"))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(Report(now()).HTML(page), page.Close()); err != nil {
		return nil, err
	}
	return job.Open(dir, func(ctx context.Context, o job.Order, _, _ string) (*exec.Cmd, error) {
		if o.From == "nowhere" {
			return nil, fmt.Errorf("from: there is no log %q", o.From)
		}
		return exec.CommandContext(ctx, "sh", "-c", `echo '{"reading":1,"read":25,"total":100}'; cat`), nil
	}, slog.New(slog.DiscardHandler), now)
}

// BacktestOffer is what can be read and tried.
func BacktestOffer() console.BacktestOffer {
	return console.BacktestOffer{
		From:     []console.BacktestFrom{{Name: "files", About: "the files of edge, rotated ones too"}, {Name: "kafka", About: "the access topic, as far as Kafka still has it"}},
		Settings: []console.BacktestSetting{{Rule: "auth-burst", Key: "limit", Value: "10", Wants: "a whole number", Doc: "refusals by one client within span that make a finding"}, {Rule: "auth-burst", Key: "span", Value: "1m", Wants: "a duration like 30s", Doc: "sliding span, in event time"}},
		Throttle: 3, Block: 3,
	}
}

func writeJSON(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o600)
}
