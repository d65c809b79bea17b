package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/internal/cliout"
)

// ReplayCmd is "portcullis replay".
type ReplayCmd struct {
	Files   []string `arg:"" name:"file" help:"Logs, plain or compressed (gzip, zstd, xz, bzip2); - is standard input; folders and globs of rotated logs are read in the order of their times. Several are merged by time."`
	Format  string   `name:"format" default:"auto" help:"Format of the lines: auto, a name, or nginx:LOG_FORMAT with the string of nginx.conf."`
	Since   string   `name:"since" placeholder:"TIME" help:"Leave out what is older: a time (RFC 3339), a day, or how long ago (36h, 7d)."`
	Until   string   `name:"until" placeholder:"TIME" help:"Leave out what is younger, in the same way."`
	Workers int      `name:"workers" help:"Goroutines that detect; 0 means as the settings say. The findings are the same."`
}

// Help implements kong.HelpProvider.
func (*ReplayCmd) Help() string {
	return `Findings go to standard output in event-time order, a summary to standard error.

Examples:
  portcullis replay /var/log/nginx/access.log
  portcullis replay --since 7d /var/log/nginx
  portcullis replay --output jsonl access.log.2.gz access.log.1 access.log | jq .why
  zcat old.gz | portcullis replay --format nginx-combined -`
}

// Run implements the command.
func (c *ReplayCmd) Run(ctx context.Context, app *App) error {
	if _, err := format.Open(c.Format); err != nil {
		return usageError{err: err, command: "portcullis replay"}
	}
	s, err := app.Settings()
	if err != nil {
		return err
	}
	log, err := app.Logger("warn", s.Log.Format)
	if err != nil {
		return err
	}
	files, err := c.open(log)
	if err != nil {
		return err
	}
	defer closeAll(files)
	formats := map[string]string{}
	for _, f := range files {
		formats[f.Name()] = c.Format
	}
	start := now()
	more, err := newEnricher(s, false, log)
	if err != nil {
		return err
	}
	defer more.Close()
	e, err := newEngine(s, engineOptions{formats: formats, workers: c.Workers, log: log, enrich: more,
		noTime: func() int64 { return start.UnixNano() }})
	if err != nil {
		return err
	}
	defer e.Close()
	found := map[string]detect.Finding{}
	progress := cliout.NewProgress(app.Err, total(files))
	ahead, err := newEngineTimer(s, formats)
	if err != nil {
		return err
	}
	batches := 0
	readErr := readAll(ctx, files, ahead, progress, func(b *ingest.Batch) {
		e.Feed(b)
		if batches++; batches%4096 == 0 {
			merge(found, e.Findings())
		}
	})
	progress.Stop()
	last := e.Finish() // what could be read counts, also where the end is missing
	merge(found, last.Findings)
	addCampaigns(s, found)
	return errors.Join(c.print(app, found, last.Ledger, now().Sub(start)), readErr)
}

// readAll hands all batches of the files to use, merged by time where there are several.
func readAll(ctx context.Context, files []replayFile, t *timer, progress progress, use func(*ingest.Batch)) error {
	var lines, batches int64
	took := func(b *ingest.Batch) {
		lines += countLines(b)
		use(b)
		if batches++; batches%64 == 0 {
			progress.Set(done(files), lines)
		}
	}
	if len(files) > 1 {
		return mergeByTime(ctx, files, t, took)
	}
	return files[0].Run(ctx, nil, func(_ context.Context, b *ingest.Batch) error {
		took(b)
		return ctx.Err()
	})
}

// progress hears how far a reading is; *cliout.Progress is one.
type progress interface{ Set(done, lines int64) }

func merge(found map[string]detect.Finding, list []detect.Finding) map[string]detect.Finding {
	for _, f := range list {
		found[f.ID] = f
	}
	return found
}

func (c *ReplayCmd) print(app *App, found map[string]detect.Finding, ledger []ingest.LedgerRow, took time.Duration) error {
	list := make([]detect.Finding, 0, len(found))
	for _, f := range found {
		list = append(list, f)
	}
	detect.SortFindings(list)
	if err := printFindings(app, list); err != nil {
		return err
	}
	var processed, rejected, bytes int64
	reasons := map[string]int64{}
	for _, row := range ledger {
		processed += row.Processed
		rejected += row.Rejected
		bytes += row.Bytes
		for r, n := range row.Reasons {
			reasons[r] += n
		}
	}
	fmt.Fprintf(app.Err, "%s lines in %s (%s lines/s, %s/s): %s events, %s rejected%s; %s\n",
		cliout.Count(processed+rejected), took.Round(time.Millisecond), cliout.Count(int64(float64(processed+rejected)/took.Seconds())),
		cliout.Bytes(int64(float64(bytes)/took.Seconds())), cliout.Count(processed), cliout.Count(rejected), inWords(reasons), plural(len(list), "finding"))
	if processed == 0 && reasons[ingest.NoClient.String()]*2 > rejected {
		return errors.New("no line holds an address that the gateway itself saw, so nobody could be told from anybody: see docs/gateways.md for what to add to the gateway's format")
	}
	if processed == 0 && rejected > 0 {
		return errors.New("no line could be read: name the format with --format")
	}
	return nil
}

// printFindings writes findings in the output that was asked for.
func printFindings(app *App, list []detect.Finding) error {
	if app.JSONL() {
		out := cliout.NewJSONL(app.Out)
		for i := range list {
			if err := out.Write(&list[i]); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	return findingsTable(app, list)
}
