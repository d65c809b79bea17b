package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/decode"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/internal/cliout"
)

// ExplainCmd is "portcullis explain".
type ExplainCmd struct {
	Line   []string `arg:"" optional:"" name:"line" help:"A line of the log, in quotes; without one, or with -, lines are read from standard input."`
	Format string   `name:"format" default:"auto" help:"Format of the line, as in the settings."`
}

// Help implements kong.HelpProvider.
func (*ExplainCmd) Help() string {
	return `Says field by field what was understood of a line and where it stands, what is kept of it once its secrets are replaced, and what each detector makes of it by itself. Nothing is stored.

Examples:
  portcullis explain '203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /?id=1%27 HTTP/1.1" 200 5 "-" "curl"'
  tail -1 /var/log/haproxy.log | portcullis explain --format syslog:haproxy-http`
}

// explained is what is said of one line.
type explained struct {
	Format    string           `json:"format"`
	Why       string           `json:"why_format,omitempty"`
	Rejected  string           `json:"rejected,omitempty"`
	Fields    []understood     `json:"fields"`
	Kept      string           `json:"kept"`
	Detectors []detect.Thought `json:"detectors"`
}

// Run implements the command.
func (c *ExplainCmd) Run(_ context.Context, app *App) error {
	s, err := app.Settings()
	if err != nil {
		return err
	}
	if len(c.Line) > 0 && (len(c.Line) > 1 || c.Line[0] != "-") {
		return c.explain(app, s, strings.Join(c.Line, " "))
	}
	in := bufio.NewScanner(app.In)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		if err := c.explain(app, s, in.Text()); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	return nil
}

func (c *ExplainCmd) explain(app *App, s *Settings, line string) error {
	f, err := format.Open(c.Format)
	if err != nil {
		return usageError{err: err, command: "portcullis explain"}
	}
	x := explained{Fields: []understood{}, Detectors: []detect.Thought{}}
	if f.Auto {
		if f, x.Why, err = f.Find([]byte(line)); err != nil {
			return err
		}
	}
	x.Format = f.Name
	if err := x.look(s, f, line); err != nil {
		return err
	}
	if app.JSONL() {
		out := cliout.NewJSONL(app.Out)
		return errors.Join(out.Write(&x), out.Flush())
	}
	return x.print(app)
}

// look decodes the line and asks the detectors.
func (x *explained) look(s *Settings, f format.Format, line string) error {
	_, ident, err := identityOf(s, false)
	if err != nil {
		return err
	}
	more, err := newEnricher(s, false, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer more.Close()
	redact, err := ident.Redactor()
	if err != nil {
		return err
	}
	api, err := s.described()
	if err != nil {
		return err
	}
	const source = "explain"
	d, err := decode.NewPlan(map[string]format.Format{source: f}, ident, decode.Options{Routes: s.Routes, API: api, Enrich: more, NoTime: func() int64 { return now().UnixNano() }}).New()
	if err != nil {
		return err
	}
	e, err := newEngine(s, engineOptions{workers: 1, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer e.Close()
	x.Kept = redact.Line(line)
	data := append(bytes.ReplaceAll([]byte(line), []byte("\n"), []byte(" ")), '\n')
	d.Decode(&ingest.Batch{Source: source, File: 1, Data: data},
		func(ev *ingest.Event) {
			x.Fields = append(x.Fields, explainFields(ev, f.Origins)...)
			x.Detectors = append(x.Detectors, e.Explain(ev)...)
		},
		func(r ingest.Reject) { x.Rejected = r.Reason.String() })
	for i := range x.Fields {
		x.Fields[i].Value = redact.Line(x.Fields[i].Value)
	}
	return nil
}

// print writes it for people.
func (x *explained) print(app *App) error {
	style := app.Style()
	head := x.Format
	if x.Why != "" {
		head += " (" + x.Why + ")"
	}
	fmt.Fprintf(app.Out, "%s %s\n", style.Paint(cliout.Bold, "format"), cliout.Safe(head, 300))
	if x.Rejected != "" {
		_, err := fmt.Fprintf(app.Out, "%s as %s: %s\n", style.Paint(cliout.Red, "rejected"), x.Rejected, reasonHelp(x.Rejected))
		return err
	}
	fmt.Fprintln(app.Out)
	fields := app.Table(cliout.Column{Title: "FIELD", Keep: true}, cliout.Column{Title: "VALUE"}, cliout.Column{Title: "FROM"})
	for _, u := range x.Fields {
		fields.Row(u.Field, u.Value, u.From)
	}
	if err := fields.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(app.Out, "\n%s\n%s\n\n", style.Paint(cliout.Bold, "what is kept of the line"), cliout.Safe(x.Kept, 4096))
	thoughts := app.Table(cliout.Column{Title: "DETECTOR", Keep: true}, cliout.Column{Title: "COUNTS"}, cliout.Column{Title: "BECAUSE"})
	for _, t := range x.Detectors {
		thoughts.Row(t.Rule, map[bool]string{true: "yes", false: "no"}[t.Counts], t.Because)
	}
	return thoughts.Flush()
}

// reasonHelp says what a person can do about a line that is rejected.
func reasonHelp(reason string) string {
	switch reason {
	case ingest.NoClient.String():
		return "the format holds no address that the gateway itself saw; see docs/gateways.md for what to add to it"
	case ingest.NotARequest.String():
		return "the gateway wrote it, but it is no access-log entry"
	case ingest.BadShape.String(), ingest.BadJSON.String():
		return "another format; try --format auto, or give the gateway's own format string"
	}
	return "see docs/gateways.md for what each reason means"
}
