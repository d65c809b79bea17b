package alert

import (
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/internal/cliout"
)

// Kind is why a notice is sent.
type Kind string

// The kinds of notices.
const (
	Firing     Kind = "firing"     // the alert is new to the channel
	Update     Kind = "update"     // it grew, or is graver
	Reminder   Kind = "reminder"   // it is still open
	Escalation Kind = "escalation" // nobody acknowledged it in time
	Again      Kind = "again"      // the same, for a channel that forgets
	Resolved   Kind = "resolved"   // nothing new was found for a while
	Digest     Kind = "digest"     // several that were held back
	Test       Kind = "test"       // somebody tries the channel
)

// urgency orders what may be due for one alert and channel: the higher replaces the lower.
var urgency = map[Kind]int{"": 0, Again: 1, Reminder: 2, Update: 3, Escalation: 4, Firing: 5, Resolved: 6}

// Notice is what a channel is told: the fields that templates may use, and the body that
// the webhook posts. Texts that an attacker may have written are escaped, capped and
// hold no address that a program would make a link of.
type Notice struct {
	ID         string    `json:"id"`         // the same each time that it is tried
	Kind       Kind      `json:"kind"`       // firing, update, reminder, escalation, again, resolved, digest, test
	At         time.Time `json:"at"`         // when it was made
	Channel    string    `json:"channel"`    // name of the channel
	Version    string    `json:"version"`    // of Portcullis
	Alert      string    `json:"alert"`      // id of the alert; of a digest, that of the digest
	Title      string    `json:"title"`      // one line
	Text       string    `json:"text"`       // a few lines
	Severity   string    `json:"severity"`   // info, low, medium, high, critical
	Confidence float64   `json:"confidence"` // 0 to 1
	Family     string    `json:"family"`     // credential, rate, injection, recon, api
	Rule       string    `json:"rule"`       // name of the detector
	Campaign   string    `json:"campaign"`   // name of the campaign, empty where it is none
	Route      string    `json:"route"`      // the route most concerned
	Subjects   []string  `json:"subjects"`   // the ten busiest, as kind:value
	Clients    int64     `json:"clients"`    // how many subjects there are
	Findings   int64     `json:"findings"`   // how many findings
	AtLeast    bool      `json:"at_least"`   // there are more findings than are counted
	Requests   int64     `json:"requests"`   // how many requests they are made of
	Why        string    `json:"why"`        // in a sentence
	Tags       []string  `json:"tags"`       // OWASP, ATT&CK
	First      time.Time `json:"first"`      // first request, by the log
	Last       time.Time `json:"last"`       // latest request, by the log
	Opened     time.Time `json:"opened"`     // when the alert began
	Closed     time.Time `json:"closed"`     // when it was resolved; zero while it is open
	Into       string    `json:"into"`       // the campaign's alert in which it goes on; empty where it does not
	Link       string    `json:"link"`       // to the console, empty without alerts.console_url
	Redacted   bool      `json:"redacted"`   // addresses, names and paths are left out
	Lines      []Line    `json:"lines"`      // of a digest
	More       int       `json:"more"`       // alerts of a digest that have no line
}

// Line is one alert of a digest.
type Line struct {
	Alert    string `json:"alert"`
	Kind     Kind   `json:"kind"`
	Severity string `json:"severity"`
	Title    string `json:"title"`
}

// Over reports whether the notice ends what an earlier one began.
func (n *Notice) Over() bool { return n.Kind == Resolved }

// Bounds of texts.
const (
	titleMost = 200
	textMost  = 2000
	whyMost   = 600
	valueMost = 120
	linesMost = 20 // of a digest
)

// NoticeOf makes what a channel is told of an alert; redact leaves out whom and what it
// is about.
func NoticeOf(a *Alert, kind Kind, redact bool) *Notice {
	n := &Notice{
		Kind: kind, Alert: a.ID, Severity: a.Severity.String(), Confidence: a.Confidence, Family: string(a.Family), Rule: clean(a.Rule, valueMost),
		Clients: a.Clients, Findings: a.Findings, AtLeast: a.AtLeast, Requests: a.Requests, Tags: a.Tags,
		First: at(a.First), Last: at(a.Last), Opened: at(a.Opened), Closed: at(a.Closed), Into: a.Into, Redacted: redact,
	}
	show := func(s string) string { return clean(s, valueMost) }
	if redact {
		show = func(s string) string { return clean(redacted(s), valueMost) }
	}
	n.Campaign, n.Route = show(a.Campaign), show(a.Route)
	for _, s := range a.Subjects {
		if redact {
			n.Subjects = append(n.Subjects, hiddenSubject(s))
			continue
		}
		n.Subjects = append(n.Subjects, show(s.Kind+":"+s.Value))
	}
	n.Why = a.Why
	if redact {
		n.Why = redacted(n.Why)
	}
	n.Why = clean(n.Why, whyMost)
	n.Title, n.Text = n.title(), n.text()
	return n
}

// hiddenSubject keeps of a subject what tells nobody who it is.
func hiddenSubject(s detect.Subject) string {
	switch s.Kind {
	case "asn", "country", "global":
		return clean(s.Kind+":"+s.Value, valueMost)
	}
	return s.Kind + ":[hidden]"
}

func at(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// title says the most in one line.
func (n *Notice) title() string {
	var b strings.Builder
	switch n.Kind {
	case Resolved:
		b.WriteString("resolved: ")
	case Reminder:
		b.WriteString("still open: ")
	case Escalation:
		b.WriteString("nobody acknowledged: ")
	case Test:
		b.WriteString("test: ")
	}
	fmt.Fprintf(&b, "[%s] ", strings.ToUpper(n.Severity))
	switch {
	case n.Campaign != "":
		fmt.Fprintf(&b, "campaign: %s", n.Campaign)
	case n.Route != "":
		fmt.Fprintf(&b, "%s on %s", n.Rule, n.Route)
	case len(n.Subjects) > 0:
		fmt.Fprintf(&b, "%s by %s", n.Rule, n.Subjects[0])
	default:
		b.WriteString(n.Rule)
	}
	fmt.Fprintf(&b, ", %s", n.amount())
	return clean(b.String(), titleMost)
}

// amount is how much there is of it.
func (n *Notice) amount() string {
	least := ""
	if n.AtLeast {
		least = "at least "
	}
	return fmt.Sprintf("%s%s of %s", least, number(n.Findings, "finding"), number(n.Clients, "client"))
}

func number(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// text says the rest in a few lines.
func (n *Notice) text() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	if n.Why != "" {
		b.WriteString(n.Why + "\n")
	}
	line("requests", fmt.Sprint(n.Requests))
	line("subjects", strings.Join(n.Subjects[:min(len(n.Subjects), 5)], ", "))
	line("first", stamp(n.First))
	line("last", stamp(n.Last))
	line("resolved", stamp(n.Closed))
	line("goes on as alert", n.Into)
	line("tags", strings.Join(n.Tags, " "))
	line("alert", n.Alert)
	return strings.TrimSuffix(b.String(), "\n")
}

// stamp is a time as notices show it, "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// digestOf makes one notice of several.
func digestOf(list []*Notice) *Notice {
	d := &Notice{Kind: Digest, Severity: detect.Info.String(), Redacted: list[0].Redacted}
	worst := detect.Info
	for i, n := range list {
		s, _ := detect.ParseSeverity(n.Severity)
		worst = max(worst, s)
		d.Findings, d.Requests, d.Clients = d.Findings+n.Findings, d.Requests+n.Requests, d.Clients+n.Clients
		if d.First.IsZero() || n.First.Before(d.First) {
			d.First = n.First
		}
		if n.Last.After(d.Last) {
			d.Last = n.Last
		}
		if i < linesMost {
			d.Lines = append(d.Lines, Line{Alert: n.Alert, Kind: n.Kind, Severity: n.Severity, Title: n.Title})
		}
	}
	d.More = len(list) - len(d.Lines)
	d.Severity = worst.String()
	d.Title = fmt.Sprintf("[%s] %d alerts that were held back", strings.ToUpper(d.Severity), len(list))
	var b strings.Builder
	for _, l := range d.Lines {
		fmt.Fprintf(&b, "%s (%s)\n", l.Title, l.Alert)
	}
	if d.More > 0 {
		fmt.Fprintf(&b, "and %d more: portcullis alert list\n", d.More)
	}
	d.Text = strings.TrimSuffix(b.String(), "\n")
	return d
}

// templateFuncs are what templates may call beside the built-in ones.
var templateFuncs = template.FuncMap{
	"upper": strings.ToUpper,
	"lower": strings.ToLower,
	"join":  func(sep string, list []string) string { return strings.Join(list, sep) },
	"stamp": stamp,
}

// capped keeps what a template writes up to a bound.
type capped struct {
	strings.Builder
	full bool
}

// Write implements io.Writer; when it is full the template is told to stop.
func (c *capped) Write(p []byte) (int, error) {
	if c.Len()+len(p) > 4*textMost {
		c.full = true
		return 0, fmt.Errorf("longer than %d bytes", 4*textMost)
	}
	return c.Builder.Write(p)
}

// render lets a channel's own templates replace the title and the text. What a template
// cannot make of a notice stays as it was.
func (n *Notice) render(title, text *template.Template) error {
	made := *n
	for _, x := range []struct {
		t    *template.Template
		into *string
		most int
	}{{title, &made.Title, titleMost}, {text, &made.Text, textMost}} {
		if x.t == nil {
			continue
		}
		var b capped
		if err := x.t.Execute(&b, n); err != nil && !b.full {
			return err
		}
		*x.into = cleanLines(b.String(), x.most)
	}
	made.Title = strings.ReplaceAll(made.Title, "\n", " ")
	*n = made
	return nil
}

// exampleNotice is one that templates are tried with, and channels.
func exampleNotice(kind Kind, redact bool) *Notice {
	return NoticeOf(&Alert{ID: "0123456789abcdef", Campaign: "credential on /login", Rule: "campaign", Family: detect.Credential, Severity: detect.High,
		Confidence: 0.95, Route: "/login", Subjects: []detect.Subject{{Kind: "ip", Value: "192.0.2.7"}}, Clients: 57, Findings: 112, Requests: 5043,
		Why: "57 clients in 3 networks, mostly on \"/login\"", Tags: []string{"owasp:api2:2023", "attack:T1110"},
		First: 1_700_000_000e9, Last: 1_700_000_600e9, Opened: 1_700_000_605e9}, kind, redact)
}

// clean makes text one harmless line.
func clean(s string, most int) string { return defang(cliout.Safe(s, most)) }

// cleanLines is clean for several lines.
func cleanLines(s string, most int) string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		out = append(out, cliout.Safe(strings.TrimSuffix(line, "\r"), most))
	}
	return cut(strings.Join(out, "\n"), most)
}

// cut shortens text at a rune.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && s[most]&0xc0 == 0x80 {
		most--
	}
	return s[:most] + "…"
}

// defang keeps programs from making a link of what an attacker wrote.
func defang(s string) string {
	s = strings.ReplaceAll(s, "://", "[:]//")
	return strings.ReplaceAll(s, "www.", "www[.]")
}
