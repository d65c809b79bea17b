// Package render writes the report of an audit for programs and for people: JSON,
// SARIF 2.1.0 and a page of HTML without scripts. What stands in a configuration may
// hold anything: it is escaped by the encoders, and bounded by the report.
package render

import (
	"encoding/json"
	"io"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// Finding is a finding as programs get it.
type Finding struct {
	Check      string         `json:"check"`
	Practice   audit.Practice `json:"practice"`
	Severity   audit.Severity `json:"severity"`
	Title      string         `json:"title"`
	Subject    string         `json:"subject"`
	File       string         `json:"file"` // the log's name where the evidence is a log
	Line       int            `json:"line"` // 0 where it is no line of a file
	Text       string         `json:"text,omitempty"`
	Saw        string         `json:"saw"`
	Fix        string         `json:"fix"`
	Patch      string         `json:"patch,omitempty"` // a unified diff
	References []audit.Ref    `json:"references"`
}

// Of turns a finding into that.
func Of(f audit.Finding) Finding {
	return Finding{Check: f.Check.ID, Practice: f.Check.Practice, Severity: f.Severity, Title: f.Check.Title, Subject: f.Subject,
		File: f.At.Name(), Line: f.At.Line(), Text: f.At.Text(), Saw: f.Saw, Fix: f.Check.Fix, Patch: doc.Patch(f.Mend), References: f.Check.Refs}
}

// pass is a check that held.
type pass struct {
	Check    string         `json:"check"`
	Practice audit.Practice `json:"practice"`
	Subject  string         `json:"subject"`
	File     string         `json:"file"`
	Line     int            `json:"line"`
	Saw      string         `json:"saw"`
}

// report is the object that JSON writes.
type report struct {
	Gateway  string                         `json:"gateway"`
	Doors    int                            `json:"doors"`
	Routes   int                            `json:"routes"`
	Grades   map[audit.Practice]audit.Grade `json:"grades"`
	Findings []Finding                      `json:"findings"`
	Passes   []pass                         `json:"passes"`
	Blind    []string                       `json:"blind"`
}

func of(r *audit.Report) report {
	out := report{Gateway: r.Gateway, Doors: r.Doors, Routes: r.Routes, Grades: r.Grades, Findings: []Finding{}, Passes: []pass{}, Blind: []string{}}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, Of(f))
	}
	for _, p := range r.Passes {
		out.Passes = append(out.Passes, pass{p.Check.ID, p.Check.Practice, p.Subject, p.At.Name(), p.At.Line(), p.Saw})
	}
	out.Blind = append(out.Blind, r.Blind...)
	return out
}

// JSON writes a report as one object.
func JSON(w io.Writer, r *audit.Report) error { return write(w, of(r)) }

func write(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
