package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/ingest/openapi"
	"github.com/portcullis/portcullis/ingest/openapi/drift"
	"github.com/portcullis/portcullis/internal/cliout"
)

// OpenAPICmd is "portcullis openapi".
type OpenAPICmd struct {
	Drift    OpenAPIDriftCmd    `cmd:"" group:"sub" help:"Compare what is asked of the API with what its documents say."`
	Discover OpenAPIDiscoverCmd `cmd:"" group:"sub" help:"Draft a document from what is asked of the API."`
}

// Help implements kong.HelpProvider.
func (*OpenAPICmd) Help() string {
	return `The documents are those of the settings (openapi), or given with --document.

Examples:

  portcullis openapi drift
  portcullis openapi drift --document openapi.yaml /var/log/nginx/access.log
  portcullis openapi discover /var/log/nginx/access.log > draft.json`
}

// OpenAPIDriftCmd is "portcullis openapi drift".
type OpenAPIDriftCmd struct {
	Files    []string      `arg:"" optional:"" name:"file" help:"Logs, as replay reads them. Without any, the traffic in the database: it tells routes, not methods and parameters."`
	Document []string      `name:"document" placeholder:"FILE" help:"OpenAPI documents, instead of those of the settings."`
	Format   string        `name:"format" default:"auto" help:"Format of the lines, as in replay."`
	Since    time.Duration `name:"since" default:"168h" help:"How far back the traffic in the database is looked at."`
}

// Help implements kong.HelpProvider.
func (*OpenAPIDriftCmd) Help() string {
	return `Lists what was answered with success and is in no document (undocumented, method, parameter), what is deprecated and used, values that are not as described, and operations that nobody asked for (unused). Values are not shown.

Examples:

  portcullis openapi drift --since 720h
  portcullis openapi drift --output jsonl access.log | jq 'select(.kind == "unused")'`
}

// driftObject is a row in --output jsonl.
type driftObject struct {
	Kind     string `json:"kind"`
	Method   string `json:"method,omitempty"`
	Route    string `json:"route"`
	Name     string `json:"name,omitempty"`
	Requests int64  `json:"requests"`
	Clients  int    `json:"clients,omitempty"`
	First    string `json:"first_seen,omitempty"`
	Last     string `json:"last_seen,omitempty"`
	Document string `json:"document,omitempty"`
	Line     int    `json:"line,omitempty"`
}

// Run implements the command.
func (c *OpenAPIDriftCmd) Run(ctx context.Context, app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	if len(c.Document) > 0 {
		s.OpenAPI = nil
		for _, name := range c.Document {
			s.OpenAPI = append(s.OpenAPI, openapi.Document{File: name})
		}
	}
	api, err := s.described()
	if err != nil {
		return err
	}
	if api == nil {
		return usageError{err: errors.New("no OpenAPI document: name one under openapi in the settings, or with --document"), command: "portcullis openapi drift"}
	}
	r := drift.New(api)
	if len(c.Files) == 0 {
		err = c.stored(ctx, app, r)
	} else {
		err = app.readLogs(ctx, s, c.Files, c.Format, r.Observe)
	}
	if err != nil {
		return err
	}
	if r.Left > 0 {
		fmt.Fprintf(app.Err, "%s requests more depart in ways that are not listed: %d are the most\n", cliout.Count(r.Left), drift.MaxRows)
	}
	return printDrift(app, r.Rows())
}

// stored reads the traffic by route in the database.
func (c *OpenAPIDriftCmd) stored(ctx context.Context, app *App, r *drift.Report) error {
	return app.withStore(store.OpenReadOnly, func(db *store.DB) error {
		const step = 6 * 3600 // seconds read at once: a week of many routes is large
		until := now().Unix()
		for at := until - int64(c.Since.Seconds()); at < until; at += step {
			rows, err := db.Rollups(ctx, at, min(at+step, until), store.AnyRoute)
			if err != nil {
				return err
			}
			for i := range rows {
				if x := &rows[i]; x.Route != "" {
					r.Stored(x.Route, x.Requests, x.S2xx+x.S3xx, x.Minute*1e9, (x.Minute+60)*1e9)
				}
			}
		}
		return nil
	})
}

// printDrift writes rows in the output that was asked for. Names may be a client's.
func printDrift(app *App, rows []drift.Row) error {
	seen := func(at int64) string {
		if at == 0 {
			return ""
		}
		return detect.FormatTime(at)
	}
	if app.JSONL() {
		out := cliout.NewJSONL(app.Out)
		for _, x := range rows {
			o := driftObject{x.Kind, x.Method, x.Route, x.Name, x.Requests, x.Clients, seen(x.First), seen(x.Last), x.Document, x.Line}
			if err := out.Write(o); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(app.Out, "all that was asked for is as described, and all that is described was asked for")
		return err
	}
	t := app.Table(cliout.Column{Title: "KIND", Keep: true}, cliout.Column{Title: "METHOD", Keep: true}, cliout.Column{Title: "ROUTE"}, cliout.Column{Title: "NAME"},
		cliout.Column{Title: "REQUESTS", Keep: true}, cliout.Column{Title: "CLIENTS", Keep: true}, cliout.Column{Title: "LAST SEEN"}, cliout.Column{Title: "DESCRIBED AT"})
	for _, x := range rows {
		clients, at := "", ""
		if x.Clients > 0 {
			clients = strconv.Itoa(x.Clients)
		}
		if x.Document != "" {
			at = fmt.Sprintf("%s:%d", x.Document, x.Line)
		}
		t.Row(x.Kind, x.Method, x.Route, cliout.Safe(x.Name, 40), cliout.Count(x.Requests), clients, seen(x.Last), at)
	}
	return t.Flush()
}
