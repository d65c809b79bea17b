package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
	_ "github.com/portcullis/portcullis/enforce/audit/read" // the gateways
	"github.com/portcullis/portcullis/enforce/audit/render"
	"github.com/portcullis/portcullis/enforce/audit/traffic"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/decode"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/internal/cliout"
)

// AuditCmd is "portcullis audit".
type AuditCmd struct {
	Files    []string `arg:"" optional:"" name:"file" help:"Configuration, as the gateway is started with it; several where the gateway takes several (Traefik: static and dynamic)."`
	Gateway  string   `name:"gateway" default:"auto" help:"What it is for: auto, or one of those that --checks lists."`
	Root     string   `name:"root" placeholder:"DIR" help:"Folder in which the absolute paths of the configuration are looked up: an unpacked image, another machine's /."`
	Logs     []string `name:"log" placeholder:"FILE" help:"A log as evidence: routes that answer without credentials, keys in URLs, plain HTTP, old TLS. May be given several times."`
	Format   string   `name:"format" default:"auto" help:"Format of the lines of --log."`
	Report   string   `name:"report" enum:"table,json,sarif,html" default:"table" help:"table, json, sarif (2.1.0) or html. With --output jsonl: one finding a line."`
	Fix      string   `name:"fix" placeholder:"FILE" help:"Write the patches into a file, as a unified diff for patch -p1; nothing else is changed."`
	FailOn   string   `name:"fail-on" enum:"info,low,medium,high,critical,never" default:"high" help:"End with status 3 where a finding is at least as severe: info, low, medium, high, critical, never."`
	Checks   bool     `name:"checks" help:"List the checks and the gateways instead."`
	Markdown bool     `name:"markdown" help:"With --checks: print docs/audit.md."`
}

// Help implements kong.HelpProvider.
func (*AuditCmd) Help() string {
	return `Authentication, limits, validation, encryption, logging, exposure: each is graded by its worst finding, A (none), B (low), C (medium), D (high), F (critical). Nothing is executed and nothing is fetched.

Examples:
  portcullis audit /etc/nginx/nginx.conf
  portcullis audit --fix gateway.patch /etc/haproxy/haproxy.cfg && patch -p1 -d / < gateway.patch
  portcullis audit --report sarif --fail-on medium deploy/envoy.yaml > audit.sarif
  portcullis audit --log /var/log/nginx/access.log /etc/nginx/nginx.conf`
}

// foundError says that there are findings of the severity asked for.
type foundError struct {
	n  int
	on string
}

func (e foundError) Error() string {
	return fmt.Sprintf("%s of severity %s or worse", plural(e.n, "finding"), e.on)
}

// Run implements the command.
func (c *AuditCmd) Run(ctx context.Context, app *App) error {
	if c.Checks {
		return c.list(app)
	}
	if len(c.Files) == 0 && len(c.Logs) == 0 {
		return usageError{err: errors.New("name the gateway's configuration, or a log with --log"), command: "portcullis audit"}
	}
	var reports []*audit.Report
	if len(c.Files) > 0 {
		conf, err := audit.Read(c.Gateway, c.Files, audit.Options{Now: now(), Root: c.Root, Collected: app.collected(), Inline: app.inlineFacts()})
		if err != nil {
			return err
		}
		reports = append(reports, audit.Audit(conf))
	}
	for _, path := range c.Logs {
		r, err := c.log(ctx, app, path)
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	r := audit.Join(reports)
	if c.Fix != "" {
		if err := os.WriteFile(c.Fix, []byte(doc.Patch(r.Edits())), 0o644); err != nil {
			return fmt.Errorf("write the patches: %w", err)
		}
	}
	if err := c.print(app, r); err != nil {
		return err
	}
	return c.verdict(r)
}

// verdict is the error that a report deserves.
func (c *AuditCmd) verdict(r *audit.Report) error {
	if c.FailOn == "never" {
		return nil
	}
	on, err := audit.ParseSeverity(c.FailOn)
	if err != nil {
		return err
	}
	n := 0
	for _, f := range r.Findings {
		if f.Severity >= on {
			n++
		}
	}
	if n > 0 {
		return foundError{n, c.FailOn}
	}
	return nil
}

// collected are the log files that the settings name as sources. Settings that
// cannot be read are for other commands to complain about.
func (a *App) collected() []string {
	s, err := a.Settings()
	if err != nil {
		return nil
	}
	var out []string
	for _, src := range s.Sources {
		if src.Path != "" {
			out = append(out, src.Path)
		}
	}
	return out
}

// log reads a log as evidence.
func (c *AuditCmd) log(ctx context.Context, app *App, path string) (*audit.Report, error) {
	f, err := format.Open(c.Format)
	if err != nil {
		return nil, usageError{err: err, command: "portcullis audit"}
	}
	s, err := app.Settings()
	if err != nil {
		return nil, err
	}
	say, err := app.Logger("warn", s.Log.Format)
	if err != nil {
		return nil, err
	}
	_, ident, err := identityOf(s, false)
	if err != nil {
		return nil, err
	}
	secrets := ident
	secrets.Redact.Classes = []string{"keys", "tokens", "passwords"}
	redactor, err := secrets.Redactor()
	if err != nil {
		return nil, err
	}
	files, err := openAll([]string{path})
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	start := now().UnixNano()
	d, err := decode.NewPlan(map[string]format.Format{path: f}, ident, decode.Options{Routes: s.Routes, Say: sayFormat(say), NoTime: func() int64 { return start }}).New()
	if err != nil {
		return nil, err
	}
	l := traffic.New(path, redactor.Line)
	rejected := 0
	err = files[0].Run(ctx, nil, func(_ context.Context, b *ingest.Batch) error {
		rejected += len(b.Rejects)
		d.Decode(b, l.Observe, func(ingest.Reject) { rejected++ })
		b.Release()
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	if l.Events() == 0 {
		return nil, fmt.Errorf("audit: no request could be read from %s (%s refused): name the format with --format", path, plural(rejected, "line"))
	}
	return audit.Audit(l.Config()), nil
}

// print writes a report as asked for.
func (c *AuditCmd) print(app *App, r *audit.Report) error {
	switch {
	case app.JSONL():
		out := cliout.NewJSONL(app.Out)
		for _, f := range r.Findings {
			if err := out.Write(render.Of(f)); err != nil {
				return err
			}
		}
		return out.Flush()
	case c.Report == "json":
		return render.JSON(app.Out, r)
	case c.Report == "sarif":
		return render.SARIF(app.Out, r, "")
	case c.Report == "html":
		return render.HTML(app.Out, r)
	}
	return c.table(app, r)
}

// table writes a report for a person.
func (c *AuditCmd) table(app *App, r *audit.Report) error {
	grades := app.Table(cliout.Column{Title: "PRACTICE", Keep: true}, cliout.Column{Title: "GRADE", Keep: true})
	for _, p := range audit.Practices() {
		grades.Row(string(p), string(r.Grades[p]))
	}
	if err := grades.Flush(); err != nil {
		return err
	}
	if len(r.Findings) > 0 {
		fmt.Fprintln(app.Out)
		t := app.Table(cliout.Column{Title: "SEVERITY", Keep: true, Paint: cliout.SeverityColor}, cliout.Column{Title: "CHECK", Keep: true},
			cliout.Column{Title: "WHERE", Keep: true}, cliout.Column{Title: "WHAT"}, cliout.Column{Title: "PATCH"})
		for _, f := range r.Findings {
			patch := ""
			if len(f.Mend) > 0 {
				patch = "yes"
			}
			where := f.At.Name()
			if f.At.File != nil && len(f.At.File.Text) > 0 {
				where = fmt.Sprintf("%s:%d", where, f.At.Line())
			}
			t.Row(f.Severity.String(), f.Check.ID, where, strings.TrimSpace(f.Subject+": "+f.Saw), patch)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	for _, b := range r.Blind {
		fmt.Fprintf(app.Err, "not judged: %s\n", cliout.Safe(b, 300))
	}
	fmt.Fprintf(app.Err, "%s: %s, %s, %s\n", r.Gateway, plural(r.Routes, "route"), plural(len(r.Findings), "finding"), plural(len(r.Passes), "proof")+" of what holds")
	return nil
}

// list prints the checks.
func (c *AuditCmd) list(app *App) error {
	if c.Markdown {
		return app.print(auditPage())
	}
	t := app.Table(cliout.Column{Title: "CHECK", Keep: true}, cliout.Column{Title: "PRACTICE", Keep: true},
		cliout.Column{Title: "SEVERITY", Keep: true, Paint: cliout.SeverityColor}, cliout.Column{Title: "WRONG WHEN"})
	for _, k := range audit.Checks() {
		t.Row(k.ID, string(k.Practice), k.Severity.String(), k.Title)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(app.Out)
	g := app.Table(cliout.Column{Title: "GATEWAY", Keep: true}, cliout.Column{Title: "READS"})
	for _, r := range audit.Readers() {
		g.Row(r.Name, r.Doc)
	}
	return g.Flush()
}
