// Package audit says how far a gateway's configuration is from good practice. A
// Reader, one per gateway, turns what the gateway is told into a Config: doors on
// which it listens, routes that it forwards, and facts with the place where they
// stand. Checks, one file per practice, judge the Config and know no gateway.
//
// What cannot be told from the configuration is no finding: a fact that nobody
// states is neither good nor bad, and what could not be read is listed in Blind.
// Nothing is executed, and nothing is fetched.
package audit

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/portcullis/portcullis/enforce/audit/doc"
)

// Practice is one of the six that are graded.
type Practice string

// The practices, in the order of a report.
const (
	Authentication Practice = "authentication"
	Limits         Practice = "limits"
	Validation     Practice = "validation"
	Encryption     Practice = "encryption"
	Logging        Practice = "logging"
	Exposure       Practice = "exposure"
)

// Practices lists them.
func Practices() []Practice {
	return []Practice{Authentication, Limits, Validation, Encryption, Logging, Exposure}
}

// Severity says how much a finding matters.
type Severity uint8

// The severities. Info does not lower a grade.
const (
	Info Severity = iota
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"info", "low", "medium", "high", "critical"}

// String returns the severity's name, as findings of the detectors have it.
func (s Severity) String() string { return severityNames[min(int(s), len(severityNames)-1)] }

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// ParseSeverity reads a severity's name.
func ParseSeverity(name string) (Severity, error) {
	i := slices.Index(severityNames[:], name)
	if i < 0 {
		return 0, fmt.Errorf("audit: %.20q is no severity: want one of %s", name, strings.Join(severityNames[:], ", "))
	}
	return Severity(i), nil
}

// Ref is what a check rests on.
type Ref struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Check is one thing that is judged.
type Check struct {
	ID       string
	Practice Practice
	Severity Severity // unless a verdict says otherwise
	Title    string   // what is wrong when it fails
	Fix      string   // what to do, for any gateway
	Refs     []Ref
	// Judge looks at the whole Config; nil where readers say it themselves.
	Judge func(c *Config)
}

// Finding is a check that failed at a place.
type Finding struct {
	Check    *Check
	Severity Severity
	Subject  string // the route, door or directive concerned
	At       doc.Place
	Saw      string // what stands there, in words
	Mend     []doc.Edit
}

// Pass is a check that held at a place: evidence too.
type Pass struct {
	Check   *Check
	Subject string
	At      doc.Place
	Saw     string
}

// Grade is a letter for one practice: the worst finding decides. A none above
// info, B low, C medium, D high, F critical; "-" when nothing could be judged.
type Grade string

// Report is the answer.
type Report struct {
	Gateway  string
	Grades   map[Practice]Grade
	Findings []Finding // the worst first, then by place
	Passes   []Pass    // one per check and place
	Blind    []string  // what could not be read or understood
	Doors    int
	Routes   int
}

// Options are what an audit is told besides the files.
type Options struct {
	Now       time.Time // for certificates; the zero Time looks at no dates
	Root      string    // folder in which absolute paths are looked up, "" = /
	Collected []string  // glob patterns of log files that something collects
	Inline    *Inline   // what the settings of Portcullis say of its decision service; nil: they are not known
}

// Audit judges a configuration that a Reader has read.
func Audit(c *Config) *Report {
	c.inline()
	c.findings, c.passes = slices.Clone(c.said), slices.Clone(c.kept)
	for _, check := range Checks() {
		if check.Judge != nil {
			c.judging = check
			check.Judge(c)
		}
	}
	c.judging = nil
	r := &Report{Gateway: c.Gateway, Grades: map[Practice]Grade{}, Doors: len(c.Doors), Routes: len(c.Routes)}
	r.Findings, r.Passes = dedupe(c.findings), c.passes
	sort.SliceStable(r.Passes, func(i, j int) bool {
		a, b := &r.Passes[i], &r.Passes[j]
		return cmp.Or(strings.Compare(a.Check.ID, b.Check.ID), strings.Compare(a.At.Name(), b.At.Name()),
			a.At.Start-b.At.Start, strings.Compare(a.Saw, b.Saw)) < 0
	})
	r.Passes = slices.CompactFunc(r.Passes, func(a, b Pass) bool { return a.Check == b.Check && a.At == b.At && a.Saw == b.Saw })
	r.Blind = slices.Compact(slices.Sorted(slices.Values(c.Blind)))
	r.grade()
	return r
}

// dedupe sorts findings and keeps one per check, subject and place: what is
// inherited or included several times is wrong once.
func dedupe(list []Finding) []Finding {
	sort.SliceStable(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		switch {
		case a.Severity != b.Severity:
			return a.Severity > b.Severity
		case a.Check.ID != b.Check.ID:
			return a.Check.ID < b.Check.ID
		case a.At != b.At && (a.At.Less(b.At) || b.At.Less(a.At)):
			return a.At.Less(b.At)
		case a.Subject != b.Subject:
			return a.Subject < b.Subject
		}
		return a.Saw < b.Saw
	})
	var out []Finding
	for _, f := range list {
		same := func(o Finding) bool { return o.Check == f.Check && o.At == f.At && o.Saw == f.Saw }
		if i := slices.IndexFunc(out, same); i >= 0 {
			out[i].Mend = append(slices.Clone(out[i].Mend), f.Mend...)
			continue
		}
		out = append(out, f)
	}
	return out
}

func (r *Report) grade() {
	for _, p := range Practices() {
		r.Grades[p] = "-"
	}
	for _, pass := range r.Passes {
		r.Grades[pass.Check.Practice] = "A"
	}
	letters := [...]Grade{"A", "B", "C", "D", "F"}
	for _, f := range r.Findings { // the worst first
		if g := &r.Grades; (*g)[f.Check.Practice] < letters[f.Severity] {
			(*g)[f.Check.Practice] = letters[f.Severity]
		}
	}
}

// Worst is the highest severity found; ok is false without findings.
func (r *Report) Worst() (s Severity, ok bool) {
	if len(r.Findings) == 0 {
		return 0, false
	}
	return r.Findings[0].Severity, true
}

// Edits are all changes that the findings propose.
func (r *Report) Edits() []doc.Edit {
	var out []doc.Edit
	for _, f := range r.Findings {
		out = append(out, f.Mend...)
	}
	return out
}

// Join makes one report of several, such as of a configuration and of its log.
func Join(reports []*Report) *Report {
	out := &Report{Grades: map[Practice]Grade{}}
	var names []string
	for _, r := range reports {
		names = append(names, r.Gateway)
		out.Findings = append(out.Findings, r.Findings...)
		out.Passes = append(out.Passes, r.Passes...)
		out.Blind = append(out.Blind, r.Blind...)
		out.Doors += r.Doors
		out.Routes += r.Routes
	}
	out.Gateway = strings.Join(names, ", ")
	out.Findings = dedupe(out.Findings)
	out.grade()
	return out
}
