package kibana

import (
	"strings"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

const investigation = prefix + "investigation"

// boards name the dashboards, in the order of their links.
func boards() []Board {
	return []Board{
		{ID: prefix + "overview", Title: "[Portcullis] Overview", About: "What is happening: traffic, attacks, and what is done about them."},
		{ID: prefix + "credential-abuse", Title: "[Portcullis] Credential abuse", About: "Guessed, stuffed, sprayed and shared credentials."},
		{ID: prefix + "injection", Title: "[Portcullis] Injection", About: "Payloads in requests, and what became of them."},
		{ID: prefix + "rate", Title: "[Portcullis] Rate and availability", About: "Floods and spikes, errors and load by route."},
		{ID: prefix + "consumers", Title: "[Portcullis] Consumers and API keys", About: "Findings about accounts, consumers, keys and sessions."},
		{ID: prefix + "campaigns", Title: "[Portcullis] Campaigns", About: "Many clients that act as one."},
		{ID: prefix + "decisions", Title: "[Portcullis] Decisions and enforcement", About: "What is decided, whether gateways took it and whether it holds, who else is hit, and what people took back."},
		{ID: prefix + "completeness", Title: "[Portcullis] Completeness and lag", About: "Whether documents arrive, from which sources, and how late. Lag, rejected lines and queues by the second are metrics of Prometheus."},
		{ID: investigation, Title: "[Portcullis] Investigation", About: "All about one subject. Choose it above, or click on one in another dashboard."},
	}
}

func (b Board) short() string { return strings.TrimPrefix(b.Title, "[Portcullis] ") }

// Boards are all dashboards with their panels.
func Boards() []Board {
	parts := map[string]func(*Board){
		prefix + "overview": overview, prefix + "credential-abuse": credentialAbuse, prefix + "injection": injection,
		prefix + "rate": rate, prefix + "consumers": consumers, prefix + "campaigns": campaigns,
		prefix + "decisions": decisions, prefix + "completeness": completeness, investigation: investigate,
	}
	out := boards()
	for i := range out {
		out[i].Panels = []Panel{{ID: "links", Shape: Links, Wide: columnsOfGrid, High: 3}}
		parts[out[i].ID](&out[i])
	}
	return out
}

// add adds panels over documents of one kind, all with the same filter before their
// own.
func (b *Board) add(over elastic.Kind, where []Term, panels ...Panel) {
	for _, p := range panels {
		p.Over, p.Where = over, append(where[:len(where):len(where)], p.Where...)
		b.Panels = append(b.Panels, p)
	}
}

// is wants a field to have one of some values; not, none of them.
func is(field string, values ...string) Term { return Term{Field: field, Values: values} }

func not(field string, values ...string) Term { return Term{Field: field, Values: values, Not: true} }

// figure is a panel of one number.
func figure(id, title string, m Measure, where ...Term) Panel {
	return Panel{ID: id, Title: title, Shape: Number, Measures: []Measure{m}, Where: where, Wide: 12, High: 6}
}

// overTime is a chart by time and, unless it is empty, by the values of a field.
func overTime(id, title string, shape Shape, field, label string, m ...Measure) Panel {
	p := Panel{ID: id, Title: title, Shape: shape, Measures: m, By: []Split{{Field: timeField, Label: "Time"}}, Wide: 24, High: 12}
	if field != "" {
		p.By = append(p.By, Split{field, label, 10})
	}
	return p
}

// top is a panel of the values of a field with the highest figures.
func top(id, title string, shape Shape, field, label string, size int, m ...Measure) Panel {
	return Panel{ID: id, Title: title, Shape: shape, Measures: m, By: []Split{{field, label, size}}, Wide: 24, High: 12}
}

func (p Panel) wide(columns int) Panel { p.Wide = columns; return p }

func (p Panel) only(where ...Term) Panel { p.Where = append(p.Where, where...); return p }

func (p Panel) drills() Panel { p.Drill = true; return p }

// documents lists documents, the newest first.
func documents(id, title string, columns ...string) Panel {
	return Panel{ID: id, Title: title, Shape: List, Columns: columns, Wide: columnsOfGrid, High: 14}
}

func count(label string, where ...Term) Measure { return Measure{Count, "", label, where} }

func sum(field, label string) Measure { return Measure{Sum, field, label, nil} }

func highest(field, label string) Measure { return Measure{Max, field, label, nil} }

func unique(field, label string) Measure { return Measure{Unique, field, label, nil} }

// The fields that many panels use.
const (
	subject     = "portcullis.subject.value"
	subjectKind = "portcullis.subject.kind"
	rule        = "rule.id"
	family      = "rule.category"
	severity    = "event.severity"
	route       = "portcullis.route"
	state       = "portcullis.state"
)

// live are the states of decisions that belong on the gateway.
func live() Term { return is(state, "approved", "pushed", "verified", "not_enforced") }

// whole selects the minutes of all traffic, byRoute those of single routes.
func whole() Term { return is(route, "") }

func byRoute() Term { return not(route, "") }

// controls lets people choose values of fields of findings.
func (b *Board) choose(over elastic.Kind, fields ...string) {
	titles := map[string]string{subject: "Subject", subjectKind: "Kind of subject", rule: "Rule", family: "Family", severity: "Severity",
		route: "Route", state: "State", "event.action": "Action", "portcullis.source": "Source"}
	for _, f := range fields {
		b.Controls = append(b.Controls, Control{Over: over, Field: f, Title: titles[f]})
	}
}

// subjects is the table of who is behind findings, with a way to all about one.
func subjects(id, title string) Panel {
	p := top(id, title, Table, subject, "Subject", 20, count("Findings"), sum("portcullis.count", "Requests"), highest(severity, "Severity"))
	return p.drills()
}
