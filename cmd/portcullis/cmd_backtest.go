package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/hindsight"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/decode"
	"github.com/portcullis/portcullis/ingest/format"
)

// BacktestCmd is "portcullis backtest".
type BacktestCmd struct {
	Files      []string  `arg:"" optional:"" name:"file" help:"Logs, as of replay. They are read twice, so standard input cannot be one."`
	Format     string    `name:"format" default:"auto" help:"Format of the lines, as of replay."`
	Since      string    `name:"since" placeholder:"TIME" help:"Leave out what is older: a time (RFC 3339), a day, or how long ago (36h, 7d)."`
	Until      string    `name:"until" placeholder:"TIME" help:"Leave out what is younger, in the same way."`
	Thresholds []float64 `name:"threshold" placeholder:"SCORE" help:"Also try this score from which a subject is acted on, instead of policy.throttle; several with commas. policy.block stays as far above it as it is set."`
	Paid       []string  `name:"paid" placeholder:"PATH" help:"Count refused requests of paths that earn money: /checkout, /orders/*. May be given several times."`
	Sources    bool      `name:"sources" help:"Read the files of the sources in the settings, the rotated ones too, in their formats."`
	Kafka      bool      `name:"kafka" help:"Read the access topic of the settings instead of files, as far as Kafka still has it."`
	Elastic    bool      `name:"elasticsearch" help:"Read the requests in Elasticsearch instead of files: with index.access all these are all."`
	AsSet      bool      `name:"as-set" help:"Keep families that are only observed as they are: otherwise the question is what would happen if they were enforced."`
	Set        []string  `name:"set" sep:"none" placeholder:"RULE.KEY=VALUE" help:"Try this setting of a detector, such as auth-burst.limit=20, instead of the one that is set. May be given several times."`
	HTML       string    `name:"html" placeholder:"FILE" help:"Write a report with charts to this file."`
	JSON       string    `name:"json" placeholder:"FILE" help:"Write the sums by threshold and rule, and the worst decisions, to this file."`
	Attended   bool      `name:"attended" hidden:"" help:"As a process of the console: what was read goes to standard output, and it ends when standard input does."`
}

// Help implements kong.HelpProvider.
func (*BacktestCmd) Help() string {
	return `Says who would have been blocked or throttled, and whom that would have hit: requests that would have been refused, those of them that had succeeded for an authenticated identity other than the one that was meant, and how many identities these are.

Policy and guard are those of the settings, and the clock is the log's. Nothing is enforced. The log is the one that was written without the decisions: what would have come after them is not known.

Decisions go to standard output, those with most collateral first; a summary by rule and threshold with them in a table, and to standard error otherwise.

Examples:
  portcullis backtest --since 7d /var/log/nginx
  portcullis backtest --threshold 1,5,7,10 --html report.html access.log
  portcullis backtest --sources --since 7d --set auth-burst.limit=20
  portcullis backtest --output jsonl --paid '/checkout/*' access.log | jq 'select(.hits.authenticated > 0)'`
}

// Run implements the command.
func (c *BacktestCmd) Run(ctx context.Context, app *App) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Attended {
		var stop context.CancelFunc
		ctx, stop = attend(ctx, app)
		defer stop()
		if c.Until == "" { // both readings are of the same lines, though they go on
			c.Until = now().UTC().Format(time.RFC3339Nano)
		}
	}
	b, err := c.begin(ctx, app)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.decide(ctx); err != nil {
		return err
	}
	if err := b.meet(ctx); err != nil {
		return err
	}
	if err := b.write(); err != nil || c.Attended {
		return err
	}
	return printBacktest(app, &b.report)
}

// write writes the report to the files that were asked for.
func (b *backtestRun) write() error {
	if err := b.conceal(); err != nil {
		return err
	}
	if name := b.cmd.HTML; name != "" {
		if err := writeReport(name, b.report.HTML); err != nil {
			return err
		}
	}
	if name := b.cmd.JSON; name != "" {
		return writeReport(name, func(w io.Writer) error { return json.NewEncoder(w).Encode(b.report.Result()) })
	}
	return nil
}

func (c *BacktestCmd) check() error {
	sources := 0
	for _, given := range []bool{len(c.Files) > 0 || c.Sources, c.Kafka, c.Elastic} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		return usageError{err: errors.New("name the logs to read, or give --sources, --kafka or --elasticsearch"), command: "portcullis backtest"}
	}
	if slices.Contains(c.Files, "-") {
		return usageError{err: errors.New("standard input cannot be read twice: write it to a file first"), command: "portcullis backtest"}
	}
	if _, err := format.Open(c.Format); err != nil {
		return usageError{err: err, command: "portcullis backtest"}
	}
	for _, t := range c.Thresholds {
		if t <= 0 {
			return usageError{err: fmt.Errorf("threshold %g: a score is more than 0", t), command: "portcullis backtest"}
		}
	}
	for _, p := range c.Paid {
		if _, err := filepath.Match(p, "/"); err != nil {
			return usageError{err: fmt.Errorf("paid path %q: %w", p, err), command: "portcullis backtest"}
		}
	}
	return nil
}

// backtestRun is one run of the command.
type backtestRun struct {
	cmd     *BacktestCmd
	app     *App
	s       *Settings
	engine  *detect.Engine
	plan    *decode.Plan
	formats map[string]string
	ahead   *timer
	files   func() ([]replayFile, error) // opens the logs for one reading
	dir     string
	dbs     []*store.DB
	trials  []*enforce.Trial
	told    []detect.Finding // found, and not judged yet
	report  hindsight.Report
	reading int // which of the two
	closers []func()
}

func (c *BacktestCmd) begin(ctx context.Context, app *App) (*backtestRun, error) {
	s, err := app.Settings()
	if err != nil {
		return nil, err
	}
	if err := s.try(c.Set); err != nil {
		return nil, usageError{err: err, command: "portcullis backtest"}
	}
	b := &backtestRun{cmd: c, app: app, s: s}
	if err := b.open(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// open makes the engine, the decoders of the second reading, and a trial for each
// threshold.
func (b *backtestRun) open(ctx context.Context) error {
	log, err := b.app.Logger("warn", b.s.Log.Format)
	if err != nil {
		return err
	}
	sealed, err := b.openSource(ctx, log)
	if err != nil {
		return err
	}
	more, err := newEnricher(b.s, false, log)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, func() { more.Close() })
	start := now()
	// One worker: what is found comes in one order then, and at once, as of a service.
	o := engineOptions{formats: b.formats, workers: 1, live: true, emit: b.found, log: log, enrich: more, sealed: sealed, noTime: func() int64 { return start.UnixNano() }}
	if b.engine, err = newEngine(b.s, o); err != nil {
		return err
	}
	b.closers = append(b.closers, b.engine.Close)
	if b.ahead, err = newEngineTimer(b.s, b.formats); err != nil {
		return err
	}
	if b.plan, err = planOf(b.s, o); err != nil {
		return err
	}
	return b.openTrials(ctx)
}

func (b *backtestRun) openTrials(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "portcullis-backtest-"); err != nil {
		return err
	}
	allows, err := b.allows(ctx)
	if err != nil {
		return err
	}
	set := b.s.Enforce.Policy.Throttle
	list := append(slices.Clone(b.cmd.Thresholds), set)
	slices.Sort(list)
	for _, at := range slices.Compact(list) {
		if err := b.openTrial(ctx, at, allows); err != nil {
			return err
		}
		b.report.Trials = append(b.report.Trials, hindsight.Trial{Threshold: at, Set: at == set})
	}
	return nil
}

func (b *backtestRun) openTrial(ctx context.Context, threshold float64, allows []enforce.Allow) error {
	cfg := b.s.enforcement()
	cfg.Policy.Block += threshold - cfg.Policy.Throttle
	cfg.Policy.Throttle = threshold
	if !b.cmd.AsSet {
		cfg.Policy.Families = enforced(cfg.Policy.Families)
	}
	db, err := store.Open(filepath.Join(b.dir, fmt.Sprintf("trial-%d.db", len(b.dbs))))
	if err != nil {
		return err
	}
	b.dbs = append(b.dbs, db)
	ledger, err := enforce.OpenLedger(ctx, db.SQL())
	if err != nil {
		return err
	}
	t, err := enforce.NewTrial(ctx, cfg, ledger)
	if err != nil {
		return err
	}
	t.Allow(allows)
	b.trials = append(b.trials, t)
	return nil
}

// enforced are the modes with everything enforced that is not off.
func enforced(m enforce.FamilyModes) enforce.FamilyModes {
	for _, p := range []*string{&m.Credential, &m.Rate, &m.Injection, &m.Recon, &m.API} {
		if *p == "observe" {
			*p = "enforce"
		}
	}
	return m
}

// allows is the allow-list of the installation, where there is one.
func (b *backtestRun) allows(ctx context.Context) (list []enforce.Allow, err error) {
	path, err := b.app.storePath()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	err = b.app.withLedger(ctx, func(_ *store.DB, l *enforce.Ledger) error {
		list, err = l.Allowing(ctx, now())
		return err
	})
	return list, err
}

func (b *backtestRun) close() {
	for _, f := range slices.Backward(b.closers) {
		f()
	}
	for _, db := range b.dbs {
		_ = db.Close() // of a trial: it goes with its folder
	}
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// decide reads the logs for the first time: findings, and what they lead to.
func (b *backtestRun) decide(ctx context.Context) error {
	var judgeErr error
	err := b.read(ctx, func(batch *ingest.Batch) {
		b.engine.Feed(batch)
		b.told = append(b.told, b.engine.Findings()...) // who is in fleets, which is not told at once
		if judgeErr == nil {
			judgeErr = b.judge(ctx)
		}
	})
	b.told = append(b.told, b.engine.Finish().Findings...)
	if err = errors.Join(judgeErr, err, b.judge(ctx)); err != nil {
		return err
	}
	b.engine.Publish()
	for i, t := range b.trials {
		if err := t.Pass(ctx, b.engine.Stats().Newest*1e9); err != nil {
			return err
		}
		terms, err := t.Terms(ctx)
		if err != nil {
			return err
		}
		for _, term := range terms {
			b.report.Trials[i].Outcomes = append(b.report.Trials[i].Outcomes, hindsight.Outcome{Term: term})
		}
	}
	return nil
}

// found notes a finding as an enforcer would be told of it.
func (b *backtestRun) found(f detect.Finding) { b.told = append(b.told, f) }

// judge gives the trials what was found since, each as of its own time.
func (b *backtestRun) judge(ctx context.Context) error {
	for i := range b.told {
		f := &b.told[i]
		for _, t := range b.trials {
			if err := t.Judge(ctx, max(f.FiredAt, f.LastSeen), b.told[i:i+1]); err != nil {
				return err
			}
		}
	}
	b.told = b.told[:0]
	return nil
}

// meet reads the logs once more: whom the decisions would have met.
func (b *backtestRun) meet(ctx context.Context) error {
	decoder, err := b.plan.New()
	if err != nil {
		return err
	}
	meter := hindsight.NewMeter(b.report.Terms(), b.cmd.Paid)
	err = b.read(ctx, func(batch *ingest.Batch) {
		decoder.Decode(batch, meter.See, func(ingest.Reject) {})
		batch.Release()
	})
	b.report.Put(meter.Hits())
	b.report.Total = meter.Total
	return err
}
