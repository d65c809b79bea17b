package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce/hindsight"
	"github.com/portcullis/portcullis/internal/cliout"
)

// outcomeObject is one line of the command's output for programs.
type outcomeObject struct {
	Threshold float64 `json:"threshold"`
	decisionObject
	From string     `json:"from"` // "" = it was only proposed
	To   string     `json:"to"`
	Hits hitsObject `json:"hits"`
}

type hitsObject struct {
	Requests      int64       `json:"requests"`
	Refused       int64       `json:"refused"`
	Succeeded     int64       `json:"succeeded"`
	Authenticated int64       `json:"authenticated"`
	Identities    int         `json:"identities"`
	Paid          int64       `json:"paid"`
	Most          []hitObject `json:"most"`
}

type hitObject struct {
	Subject subjectObject `json:"subject"`
	Count   int64         `json:"count"`
}

func outcomeView(threshold float64, o *hindsight.Outcome) outcomeObject {
	h := hitsObject{o.Requests, o.Refused, o.Succeeded, o.Authenticated, o.Identities, o.Paid, []hitObject{}}
	for _, m := range o.Most {
		h.Most = append(h.Most, hitObject{subjectObject(m.Subject), m.Count})
	}
	v := outcomeObject{Threshold: threshold, decisionObject: decisionView(o.Decision), Hits: h}
	if o.Term.From != 0 {
		v.From, v.To = detect.FormatTime(o.Term.From), detect.FormatTime(o.Term.To)
	}
	return v
}

func printBacktest(app *App, r *hindsight.Report) error {
	if !app.JSONL() {
		return backtestTable(app, app.Out, r)
	}
	j := cliout.NewJSONL(app.Out)
	for i := range r.Trials {
		t := &r.Trials[i]
		for _, o := range t.Worst() {
			if err := j.Write(outcomeView(t.Threshold, &o)); err != nil {
				return err
			}
		}
	}
	if err := j.Flush(); err != nil {
		return err
	}
	return backtestSums(app, app.Err, r)
}

// worstShown bounds the decisions in the table; --output jsonl has them all.
const worstShown = 20

func backtestTable(app *App, w io.Writer, r *hindsight.Report) error {
	if err := backtestSums(app, w, r); err != nil {
		return err
	}
	set := r.AsSet()
	worst := set.Worst()
	if len(worst) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nDecisions at threshold %g, those with most collateral first:\n\n", set.Threshold)
	t := cliout.NewTable(w, cliout.StyleOf(w, app.NoColor),
		cliout.Column{Title: "FROM", Keep: true}, cliout.Column{Title: "FOR", Right: true}, cliout.Column{Title: "ACTION"},
		cliout.Column{Title: "SUBJECT"}, cliout.Column{Title: "RULE"},
		cliout.Column{Title: "REFUSED", Right: true, Keep: true}, cliout.Column{Title: "GOOD", Right: true, Keep: true},
		cliout.Column{Title: "OF", Right: true, Keep: true}, cliout.Column{Title: "WHY"})
	for i := range worst[:min(len(worst), worstShown)] {
		o := &worst[i]
		from, why := shortTime(o.Term.From), o.Why
		if o.Term.From == 0 {
			from = "proposed"
		}
		if o.Code != "" && o.Reason != "" && o.Term.From == 0 {
			why = o.Reason + "; " + why
		}
		t.Row(from, lasted(o), actionText(o.Decision), subjectText(o.Subject), o.Rule,
			cliout.Count(o.Refused), cliout.Count(o.Authenticated), cliout.Count(int64(o.Identities)), why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if n := len(worst) - worstShown; n > 0 {
		fmt.Fprintf(w, "and %s more: --output jsonl lists all\n", plural(n, "decision"))
	}
	return nil
}

func lasted(o *hindsight.Outcome) string {
	if o.Term.From == 0 {
		return ""
	}
	return time.Duration(o.To - o.Term.From).Round(time.Second).String()
}

// backtestSums prints what the decisions come to, by threshold and by rule.
func backtestSums(app *App, w io.Writer, r *hindsight.Report) error {
	t := &r.Total
	fmt.Fprintf(w, "%s requests from %s to %s: %s succeeded, %s of them authenticated\n\n",
		cliout.Count(t.Requests), shortTime(t.First), shortTime(t.Last), cliout.Count(t.Succeeded), cliout.Count(t.Authenticated))
	if err := sumTable(app, w, "THRESHOLD", r.Trials, func(t *hindsight.Trial) (string, hindsight.Sum) {
		name := fmt.Sprintf("%g", t.Threshold)
		if t.Set {
			name += " (as set)"
		}
		return name, t.Sum("")
	}); err != nil {
		return err
	}
	rules := r.AsSet().Rules()
	if len(rules) == 0 {
		_, err := fmt.Fprintf(w, "\nno decision at threshold %g\n", r.AsSet().Threshold)
		return err
	}
	fmt.Fprintf(w, "\nBy rule, at threshold %g:\n\n", r.AsSet().Threshold)
	return sumTable(app, w, "RULE", rules, func(s *hindsight.Sum) (string, hindsight.Sum) { return s.Rule, *s })
}

func sumTable[T any](app *App, w io.Writer, title string, list []T, of func(*T) (string, hindsight.Sum)) error {
	t := cliout.NewTable(w, cliout.StyleOf(w, app.NoColor),
		cliout.Column{Title: title, Keep: true}, cliout.Column{Title: "DECISIONS", Right: true}, cliout.Column{Title: "IN FORCE", Right: true},
		cliout.Column{Title: "NARROWED", Right: true}, cliout.Column{Title: "CLEAN", Right: true}, cliout.Column{Title: "REFUSED", Right: true},
		cliout.Column{Title: "SUCCEEDED", Right: true}, cliout.Column{Title: "GOOD", Right: true}, cliout.Column{Title: "IDENTITIES", Right: true}, cliout.Column{Title: "PAID", Right: true})
	for i := range list {
		name, s := of(&list[i])
		n := func(v int) string { return cliout.Count(int64(v)) }
		t.Row(name, n(s.Decisions), n(s.InForce), n(s.Narrowed), n(s.Clean), cliout.Count(s.Hits.Refused),
			cliout.Count(s.Hits.Succeeded), cliout.Count(s.Hits.Authenticated), n(s.Hits.Identities), cliout.Count(s.Hits.Paid))
	}
	return t.Flush()
}

// writeReport writes a report to a file.
func writeReport(path string, text func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := text(f); err != nil {
		f.Close() // the first error is the one that matters
		return fmt.Errorf("report %s: %w", path, err)
	}
	return f.Close()
}
