package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/enforce/hindsight/job"
	"github.com/portcullis/portcullis/internal/config"
)

// The folders of the console's backtests in the state folder; one holds those that were
// made while addresses were hidden.
const (
	backtestsDir       = "backtests"
	hiddenBacktestsDir = "backtests-hidden"
)

// The places that a backtest of the console can read.
const (
	fromFiles   = "files"
	fromKafka   = "kafka"
	fromElastic = "elasticsearch"
)

// startedBy is where settings came from, for a process that is to work with the same.
type startedBy struct {
	read    bool // from file, environment and flags, not made by a program
	globals Globals
	environ []string
	files   []string // logs that the command line added to the sources
}

// openBacktests makes the desk of the console's backtests; nil where the settings were
// made by a program, as those of the demo are. Where addresses are hidden, what was kept
// before they were is removed.
func (b *base) openBacktests() (*backtests, error) {
	if !b.settings.started.read {
		return nil, nil
	}
	dir := filepath.Join(b.settings.StateDir, backtestsDir)
	if b.hide {
		if err := os.RemoveAll(dir); err != nil {
			return nil, fmt.Errorf("backtests: %w", err)
		}
		dir = filepath.Join(b.settings.StateDir, hiddenBacktestsDir)
	}
	desk, err := job.Open(dir, b.settings.backtestCommand, b.quiet, now)
	return &backtests{desk, b.hideText}, err
}

// backtests hides addresses in what people write.
type backtests struct {
	*job.Desk
	hide func(string) string
}

// Start implements console.Backtests.
func (b *backtests) Start(ctx context.Context, o job.Order, who, why string) (job.Job, error) {
	return b.Desk.Start(ctx, o, who, b.hide(why))
}

// backtestOffer is what a backtest of the console can read, and what it can try.
func (s *Settings) backtestOffer() console.BacktestOffer {
	var out console.BacktestOffer
	var files, left []string
	for i := range s.Sources {
		if src := &s.Sources[i]; src.kind() == kindFile {
			files = append(files, src.name())
		} else {
			left = append(left, src.name())
		}
	}
	if len(files) > 0 {
		about := "the files of " + strings.Join(files, ", ") + ", rotated ones too"
		if len(left) > 0 {
			about += "; not what " + strings.Join(left, ", ") + " read, which no file keeps"
		}
		out.From = append(out.From, console.BacktestFrom{Name: fromFiles, About: about})
	}
	if s.Kafka.Enabled {
		out.From = append(out.From, console.BacktestFrom{Name: fromKafka, About: "the access topic, as far as Kafka still has it"})
	}
	if access := s.Elasticsearch.Index.Access; s.Elasticsearch.Enabled && access != "none" {
		out.From = append(out.From, console.BacktestFrom{Name: fromElastic, About: "the requests in Elasticsearch: " + access + " (elasticsearch.index.access)"})
	}
	p := s.Enforce.Policy
	out.Throttle, out.Block = p.Throttle, p.Block
	for _, r := range s.rules() {
		keys, err := config.Keys(r.Config)
		if err != nil || r.Spec.Advice {
			continue // advice leads to no decision
		}
		for _, k := range keys {
			out.Settings = append(out.Settings, console.BacktestSetting{Rule: r.Name, Key: k.Name, Value: k.Value, Wants: k.Want, Doc: k.Doc})
		}
	}
	return out
}

// backtestCommand makes the process of a backtest: this program, with the settings that
// it was started with as they are now, on one core.
func (s *Settings) backtestCommand(ctx context.Context, o job.Order, result, page string) (*exec.Cmd, error) {
	c, err := s.backtestOf(o)
	if err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	app := &App{Globals: s.started.globals, Environ: s.started.environ}
	next, err := app.Settings()
	if err != nil {
		return nil, fmt.Errorf("the settings as they are now cannot be read: %w", err)
	}
	if err := next.try(c.Set); err != nil {
		return nil, err
	}
	if _, _, err := (&backtestRun{cmd: c}).span(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("backtest: %w", err)
	}
	if runtime.GOOS == "linux" {
		self = "/proc/self/exe" // also when an update has replaced the file
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = append([]string{os.Args[0]}, c.args(s.started, result, page)...)
	cmd.Env = append(s.started.environ[:len(s.started.environ):len(s.started.environ)], "GOMAXPROCS=1")
	return cmd, nil
}

// backtestOf is the command that an order stands for.
func (s *Settings) backtestOf(o job.Order) (*BacktestCmd, error) {
	c := &BacktestCmd{Format: "auto", Since: o.Since, Until: o.Until, Thresholds: o.Thresholds, Paid: o.Paid, AsSet: o.AsSet, Attended: true}
	switch {
	case o.From == fromFiles:
		c.Sources, c.Files = true, s.started.files
	case o.From == fromKafka && s.Kafka.Enabled:
		c.Kafka = true
	case o.From == fromElastic && s.Elasticsearch.Enabled:
		c.Elastic = true
	default:
		return nil, errors.New("from: nothing can be read there; see what the list of backtests offers")
	}
	for _, x := range o.Change {
		c.Set = append(c.Set, x.Rule+"."+x.Key+"="+x.Value)
	}
	return c, nil
}

// args is the command as it is written.
func (c *BacktestCmd) args(from startedBy, result, page string) []string {
	list := []string{"backtest", "--attended", "--json=" + result, "--html=" + page}
	add := func(flag, value string) {
		if value != "" {
			list = append(list, flag+"="+value)
		}
	}
	add("--config", from.globals.ConfigFile)
	add("--state-dir", from.globals.StateDir)
	add("--since", c.Since)
	add("--until", c.Until)
	for _, t := range c.Thresholds {
		add("--threshold", strconv.FormatFloat(t, 'g', -1, 64))
	}
	for _, x := range c.Set {
		add("--set", x)
	}
	for _, p := range c.Paid {
		add("--paid", p)
	}
	for flag, on := range map[string]bool{"--sources": c.Sources, "--kafka": c.Kafka, "--elasticsearch": c.Elastic, "--as-set": c.AsSet} {
		if on {
			list = append(list, flag)
		}
	}
	return append(append(list, "--"), c.Files...)
}
