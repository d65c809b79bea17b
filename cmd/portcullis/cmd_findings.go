package main

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/internal/cliout"
	"github.com/portcullis/portcullis/internal/config"
)

// FindingsCmd is "portcullis findings".
type FindingsCmd struct {
	ID          string `arg:"" optional:"" help:"Show all of this finding: why it fired and on which lines."`
	Since       Span   `placeholder:"SPAN" help:"Only those that fired within this span until now, such as 30m, 24h, 7d."`
	Family      string `enum:",credential,rate,injection,recon,api" default:"" placeholder:"FAMILY" help:"Only one family: credential, rate, injection, recon or api."`
	Rule        string `placeholder:"RULE" help:"Only one rule, such as auth-burst."`
	Subject     string `placeholder:"SUBJECT" help:"Only one subject: an address, or kind:value such as consumer:alice."`
	MinSeverity string `enum:"info,low,medium,high,critical" default:"info" placeholder:"SEVERITY" help:"Only this severity and above: info, low, medium, high, critical."`
	Limit       int    `default:"50" placeholder:"N" help:"At most this many, the newest first; 0 = all. (${default})"`
}

// Help implements kong.HelpProvider.
func (*FindingsCmd) Help() string {
	return `The newest are listed first. Times are those of the log, in UTC.

Examples:

  portcullis findings --since 24h --min-severity high
  portcullis findings --subject 203.0.113.7
  portcullis findings 1f0c9d2e4b5a69788796a5b4
  portcullis findings --limit 0 --output jsonl > findings.jsonl`
}

// Run implements the command.
func (c *FindingsCmd) Run(ctx context.Context, app *App) error {
	if c.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	return app.withFindings(func(db console.Findings) error {
		if err := app.named(c.Subject); err != nil {
			return err
		}
		if c.ID != "" {
			return c.one(ctx, app, db)
		}
		return c.list(ctx, app, db)
	})
}

// query is what the flags ask for.
func (c *FindingsCmd) query() store.FindingQuery {
	q := store.FindingQuery{Rule: c.Rule, Family: c.Family, Subject: subjectOf(c.Subject)}
	q.MinSeverity, _ = detect.ParseSeverity(c.MinSeverity) // one of the enum
	if c.Since > 0 {
		q.Since = now().Add(-time.Duration(c.Since)).UnixNano()
	}
	return q
}

// list writes the findings that match.
func (c *FindingsCmd) list(ctx context.Context, app *App, db console.Findings) error {
	if app.JSONL() {
		j := cliout.NewJSONL(app.Out)
		if err := eachFinding(ctx, db, c.query(), c.Limit, func(f detect.Finding) error { return j.Write(f) }); err != nil {
			return err
		}
		return j.Flush()
	}
	var list []detect.Finding
	err := eachFinding(ctx, db, c.query(), c.Limit, func(f detect.Finding) error {
		list = append(list, f)
		return nil
	})
	if err != nil {
		return err
	}
	return findingsTable(app, list)
}

// findingsTable writes findings for a person.
func findingsTable(app *App, list []detect.Finding) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(app.Out, "no findings")
		return err
	}
	t := app.Table(
		cliout.Column{Title: "FIRED", Keep: true},
		cliout.Column{Title: "SEVERITY", Keep: true, Paint: cliout.SeverityColor},
		cliout.Column{Title: "RULE"},
		cliout.Column{Title: "SUBJECT"},
		cliout.Column{Title: "COUNT", Right: true, Keep: true},
		cliout.Column{Title: "WHY"},
		cliout.Column{Title: "ID", Keep: true},
	)
	for _, f := range list {
		t.Row(shortTime(f.FiredAt), f.Severity.String(), f.Rule, subjectText(f.Subject), cliout.Count(f.Count), f.Why, f.ID)
	}
	return t.Flush()
}

// eachFinding pages through the findings; limit 0 = all.
func eachFinding(ctx context.Context, db console.Findings, q store.FindingQuery, limit int, do func(detect.Finding) error) error {
	return eachPage(limit, do, func(n int, after *detect.Finding) ([]detect.Finding, error) {
		if q.Limit = n; after != nil {
			q.After = after.ID
		}
		return db.Findings(ctx, q)
	})
}

// one writes all of one finding.
func (c *FindingsCmd) one(ctx context.Context, app *App, db console.Findings) error {
	f, ok, err := db.Finding(ctx, c.ID)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("no finding %s: \"portcullis findings\" lists them", cliout.Safe(strconv.Quote(c.ID), 80))
	}
	if app.JSONL() {
		return app.object(f)
	}
	style := app.Style()
	facts := [][2]string{
		{"finding", f.ID},
		{"rule", fmt.Sprintf("%s (version %d, %s)", f.Rule, f.Version, f.Family)},
		{"severity", style.Paint(cliout.SeverityColor(f.Severity.String()), f.Severity.String())},
		{"confidence", strconv.FormatFloat(f.Confidence, 'f', 2, 64)},
		{"subject", subjectText(f.Subject)},
		{"why", cliout.Safe(f.Why, 0)},
		{"route", cliout.Safe(f.Route, 0)},
		{"count", cliout.Count(f.Count)},
		{"first seen", detect.FormatTime(f.FirstSeen)},
		{"last seen", detect.FormatTime(f.LastSeen)},
		{"fired", detect.FormatTime(f.FiredAt)},
		{"known for good", standingText(f.Standing)},
	}
	if spec, ok := detect.SpecOf(f.Rule); ok {
		facts = append(facts, [2]string{"flags", spec.Doc}, [2]string{"tags", strings.Join(spec.Tags, " ")})
	}
	if err := writeFacts(app.Out, facts); err != nil {
		return err
	}
	return writeEvidence(app.Out, f)
}

// standingText says who else stands behind a subject.
func standingText(s detect.Standing) string {
	if s.Successes == 0 && s.People == 0 {
		return "nothing"
	}
	text := cliout.Count(s.Successes) + " requests answered well in the 24 hours before, by about " + plural(int(s.People), "user")
	if s.Since != 0 {
		text += ", seen since " + detect.FormatTime(s.Since)
	}
	return text
}

// writeFacts writes names and values that are already safe; empty ones are left out.
func writeFacts(w io.Writer, facts [][2]string) error {
	widest := 0
	for _, f := range facts {
		widest = max(widest, len(f[0]))
	}
	for _, f := range facts {
		if f[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", widest, f[0], f[1]); err != nil {
			return err
		}
	}
	return nil
}

// writeEvidence writes the lines that contributed.
func writeEvidence(w io.Writer, f detect.Finding) error {
	for i, e := range f.EvidenceLines() {
		head := ""
		if i == 0 {
			head = "\nevidence\n"
		}
		_, err := fmt.Fprintf(w, "%s  %s  %s at byte %d\n    %s\n", head, detect.FormatTime(e.Time), cliout.Safe(e.Source, 80), e.Offset, cliout.Safe(e.Line, 0))
		if err == nil && e.Note != "" {
			_, err = fmt.Fprintf(w, "    ^ %s\n", cliout.Safe(e.Note, 200))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// subjectText is a subject for a person: an address alone, else kind:value.
func subjectText(s detect.Subject) string {
	if s.Kind == "ip" || s.Kind == "cidr" {
		return cliout.Safe(s.Value, 100)
	}
	if s.Value == "" {
		return cliout.Safe(s.Kind, 40)
	}
	return cliout.Safe(s.Kind, 40) + ":" + cliout.Safe(s.Value, 100)
}

// kinds are the subjects that may be written as kind:value.
var kinds = [...]string{"ip", "cidr", "consumer", "account", "key", "session", "fingerprint", "asn", "country", "route", "class", "campaign", "global"}

// subjectOf reads kind:value, or a value of whatever kind. An IPv6 address holds
// colons too, hence the list.
func subjectOf(s string) detect.Subject {
	kind, value, ok := strings.Cut(s, ":")
	for _, k := range kinds {
		if ok && kind == k {
			return detect.Subject{Kind: kind, Value: value}
		}
	}
	return detect.Subject{Value: s}
}

// shortTime is a time for a table, in UTC.
func shortTime(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05Z")
}

// Span is a duration on the command line; it also knows days and weeks.
type Span time.Duration

var spanType = reflect.TypeFor[Span]()

// decodeSpan reads a Span; it must not be negative.
func decodeSpan(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := config.ParseDuration(text)
	if err != nil {
		return err
	}
	if d < 0 {
		return fmt.Errorf("want a positive duration, got %s", text)
	}
	target.SetInt(int64(d))
	return nil
}
