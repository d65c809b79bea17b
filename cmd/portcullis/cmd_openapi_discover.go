package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/openapi/discover"
	"github.com/portcullis/portcullis/internal/cliout"
)

// OpenAPIDiscoverCmd is "portcullis openapi discover".
type OpenAPIDiscoverCmd struct {
	Files    []string `arg:"" name:"file" help:"Logs, as replay reads them."`
	Format   string   `name:"format" default:"auto" help:"Format of the lines, as in replay."`
	Clients  int      `name:"clients" default:"5" help:"Clients that used a route, or a parameter, with success before it is in the document: neither one visitor's data nor a scanner's guesses are."`
	Requests int      `name:"requests" default:"10" help:"Requests of which the same is demanded."`
}

// Help implements kong.HelpProvider.
func (*OpenAPIDiscoverCmd) Help() string {
	return `Writes an OpenAPI 3.1 document in JSON: routes, methods, query parameters with their types, statuses, and how callers showed who they are. It holds no value of the traffic. Requests that carry attacks, and those of security tools, are left out. What was left out is counted on standard error.

Examples:

  portcullis openapi discover /var/log/nginx/access.log > draft.json
  portcullis openapi drift --document draft.json /var/log/nginx/access.log`
}

// Run implements the command.
func (c *OpenAPIDiscoverCmd) Run(ctx context.Context, app *App) error {
	if c.Clients < 1 || c.Requests < 1 {
		return usageError{err: errors.New("--clients and --requests are at least 1"), command: "portcullis openapi discover"}
	}
	s, err := app.Settings()
	if err != nil {
		return err
	}
	s.OpenAPI = nil // what others wrote of the API is not what was observed
	d, looks, attacks := discover.New(discover.Options{Clients: c.Clients, Requests: c.Requests}), inspect.New(s.Inspect), int64(0)
	err = app.readLogs(ctx, s, c.Files, c.Format, func(ev *ingest.Event) {
		if v := looks.Inspect(ev); v.Score >= looks.Threshold() || v.NearCertain || ev.Class == ingest.AgentScanner {
			attacks++
			return
		}
		d.Observe(ev)
	})
	if err != nil {
		return err
	}
	text, left, err := d.Document()
	if err != nil {
		return err
	}
	if _, err := app.Out.Write(text); err != nil {
		return err
	}
	for _, x := range []struct {
		n    int64
		what string
	}{
		{attacks, "requests that carry attacks, or come from security tools"}, {left.Requests, "requests of routes that never answered with success"}, {left.Odd, "requests without a plain route and a method of an API"},
		{int64(left.Few), "routes and methods that too few used"}, {int64(left.Names), "parameters that too few used"}, {int64(left.Collapsed), "words in paths that became parameters"},
		{left.Overflow, "requests of more routes than there is room for"},
	} {
		if x.n > 0 {
			fmt.Fprintf(app.Err, "left out: %s %s\n", cliout.Count(x.n), x.what)
		}
	}
	return nil
}

// readLogs reads logs as replay does, and hands on each request with its client and route.
func (app *App) readLogs(ctx context.Context, s *Settings, names []string, form string, each func(*ingest.Event)) error {
	log, err := app.Logger("warn", s.Log.Format)
	if err != nil {
		return err
	}
	_, ident, err := identityOf(s, false)
	if err != nil {
		return err
	}
	files, err := (&ReplayCmd{Files: names, Format: form}).open(log)
	if err != nil {
		return err
	}
	defer closeAll(files)
	formats := map[string]string{}
	for _, f := range files {
		formats[f.Name()] = form
	}
	more, err := newEnricher(s, false, log)
	if err != nil {
		return err
	}
	defer more.Close()
	start := now().UnixNano()
	plan, err := newPlan(s, engineOptions{formats: formats, log: log, enrich: more, noTime: func() int64 { return start }}, ident)
	if err != nil {
		return err
	}
	d, err := plan.New()
	if err != nil {
		return err
	}
	events, rejected := 0, 0
	for _, f := range files {
		err := f.Run(ctx, nil, func(_ context.Context, b *ingest.Batch) error {
			rejected += len(b.Rejects)
			d.Decode(b, func(ev *ingest.Event) { events++; each(ev) }, func(ingest.Reject) { rejected++ })
			b.Release()
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	if events == 0 && rejected > 0 {
		return errors.New("no line could be read: name the format with --format")
	}
	return nil
}
