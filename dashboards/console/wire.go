package console

import (
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest"
)

// The JSON shapes of the API. Keys are those of the output contract wherever the
// command line writes the same thing; openapi.json describes them all.

type subjectJSON struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

type evidenceJSON struct {
	Source string `json:"source"`
	Offset int64  `json:"offset"`
	Time   string `json:"time,omitempty"`
	Line   string `json:"line"`
	Agent  string `json:"agent,omitempty"`
	Note   string `json:"note,omitempty"`
}

type standingJSON struct {
	Successes int64  `json:"successes"`
	People    int64  `json:"people"`
	Since     string `json:"since,omitempty"`
}

type findingJSON struct {
	ID         string              `json:"id"`
	Rule       string              `json:"rule"`
	Version    int                 `json:"version"`
	Family     string              `json:"family"`
	Severity   string              `json:"severity"`
	Confidence float64             `json:"confidence"`
	Subject    subjectJSON         `json:"subject"`
	FirstSeen  string              `json:"first_seen"`
	LastSeen   string              `json:"last_seen"`
	FiredAt    string              `json:"fired_at"`
	Window     string              `json:"window_start"`
	Count      int64               `json:"count"`
	Why        string              `json:"why"`
	Route      string              `json:"route,omitempty"`
	Tags       []string            `json:"tags"`
	Standing   standingJSON        `json:"standing"`
	Members    []detect.MemberJSON `json:"members,omitempty"`
	Evidence   []evidenceJSON      `json:"evidence"`
}

func (s *Server) findingJSON(f detect.Finding) findingJSON {
	out := findingJSON{
		ID: f.ID, Rule: f.Rule, Version: f.Version, Family: string(f.Family),
		Severity: f.Severity.String(), Confidence: f.Confidence,
		Subject:   subjectJSON(f.Subject),
		FirstSeen: detect.FormatTime(f.FirstSeen), LastSeen: detect.FormatTime(f.LastSeen),
		FiredAt: detect.FormatTime(f.FiredAt), Window: detect.FormatTime(f.Window),
		Count: f.Count, Why: f.Why, Route: f.Route, Tags: s.tags(f.Rule),
		Standing: standingJSON{f.Standing.Successes, f.Standing.People, detect.FormatTime(f.Standing.Since)},
		Members:  f.MembersJSON(),
		Evidence: []evidenceJSON{},
	}
	for _, e := range f.EvidenceLines() {
		out.Evidence = append(out.Evidence, evidenceJSON{e.Source, e.Offset, detect.FormatTime(e.Time), e.Line, e.Agent, e.Note})
	}
	return out
}

func (s *Server) tags(rule string) []string {
	if s.deps.Tags != nil {
		if tags := s.deps.Tags(rule); tags != nil {
			return tags
		}
	}
	return []string{}
}

type decisionJSON struct {
	ID         string      `json:"id"`
	Subject    subjectJSON `json:"subject"`
	Route      string      `json:"route,omitempty"`
	Action     string      `json:"action"`
	Rate       float64     `json:"rate,omitempty"`
	Burst      int         `json:"burst,omitempty"`
	State      string      `json:"state"`
	Live       bool        `json:"live"`
	Reason     string      `json:"reason,omitempty"`
	Code       string      `json:"code,omitempty"`
	Rule       string      `json:"rule,omitempty"`
	Findings   []string    `json:"findings"`
	Score      float64     `json:"score"`
	Why        string      `json:"why"`
	Collateral string      `json:"collateral,omitempty"`
	By         string      `json:"by"`
	Offence    int         `json:"offence"`
	People     int64       `json:"people"`
	Good       int64       `json:"good"`
	Created    string      `json:"created"`
	Expires    string      `json:"expires"`
	PushedAt   string      `json:"pushed_at,omitempty"`
	Checked    string      `json:"checked,omitempty"`
	Trigger    string      `json:"trigger,omitempty"`
}

func toDecisionJSON(d enforce.Decision) decisionJSON {
	findings := strings.Fields(d.Findings)
	if findings == nil {
		findings = []string{}
	}
	return decisionJSON{
		ID: d.ID, Subject: subjectJSON(d.Subject), Route: d.Route, Action: string(d.Action),
		Rate: d.Rate, Burst: d.Burst, State: string(d.State), Live: d.State.Live(), Reason: d.Reason, Code: d.Code,
		Rule: d.Rule, Findings: findings, Score: d.Score, Why: d.Why,
		Collateral: d.Collateral, By: d.By, Offence: d.Offence, People: d.People, Good: d.Good,
		Created: detect.FormatTime(d.Created), Expires: detect.FormatTime(d.Expires),
		PushedAt: detect.FormatTime(d.PushedAt), Checked: detect.FormatTime(d.Checked), Trigger: detect.FormatTime(d.Trigger),
	}
}

type changeJSON struct {
	At   string `json:"at"`
	Who  string `json:"who"`
	From string `json:"from,omitempty"`
	To   string `json:"to"`
	Why  string `json:"why,omitempty"`
}

func toChangesJSON(changes []enforce.Change) []changeJSON {
	out := make([]changeJSON, 0, len(changes))
	for _, c := range changes {
		out = append(out, changeJSON{detect.FormatTime(c.At), c.Who, string(c.From), string(c.To), c.Why})
	}
	return out
}

type allowJSON struct {
	Value   string `json:"value"`
	Why     string `json:"why"`
	By      string `json:"by"`
	Created string `json:"created"`
	Expires string `json:"expires,omitempty"`
}

type commandJSON struct {
	ID     int64  `json:"id"`
	Verb   string `json:"verb"`
	Arg    string `json:"arg"`
	Done   bool   `json:"done"`
	Failed bool   `json:"failed"`
	Result string `json:"result,omitempty"`
}

// refusal is how the result of a command begins that was not done.
const refusal = "error: "

func toCommandJSON(c enforce.Command) commandJSON {
	result, failed := strings.CutPrefix(c.Result, refusal)
	return commandJSON{c.ID, c.Verb, c.Arg, c.Done, failed, result}
}

type gatewayJSON struct {
	Name     string  `json:"name"`
	Entries  int     `json:"entries"`
	PushedAt string  `json:"pushed_at,omitempty"`
	TookMS   float64 `json:"took_ms"`
	Error    string  `json:"error,omitempty"`
}

type statusJSON struct {
	Time           string             `json:"time"`
	Version        string             `json:"version"`
	Roles          []string           `json:"roles"`
	Started        string             `json:"started,omitempty"`
	Simulation     bool               `json:"simulation"`
	Observing      []string           `json:"observing"`
	Enforcing      []string           `json:"enforcing"`
	Panic          bool               `json:"panic"`
	PanicWhy       string             `json:"panic_why,omitempty"`
	Trouble        []string           `json:"trouble"`
	Ready          bool               `json:"ready"`
	Login          bool               `json:"login"`
	LinesPerSecond float64            `json:"lines_per_second"`
	LagSeconds     float64            `json:"lag_seconds"`
	LagBytes       int64              `json:"lag_bytes"`
	EventTime      string             `json:"event_time,omitempty"`
	Tracked        int64              `json:"tracked"`
	Blocked        int64              `json:"blocked"`
	Throttled      int64              `json:"throttled"`
	Waiting        int64              `json:"waiting"`
	Sources        []ingest.LedgerRow `json:"sources"`
	Blind          []detect.Blindness `json:"blind"`
	Gateways       []gatewayJSON      `json:"gateways"`
}

func (s *Server) statusJSON() statusJSON {
	st := s.deps.Status()
	out := statusJSON{
		Time: stamp(s.now()), Version: st.Version, Roles: list(st.Roles), Started: stamp(st.Started),
		Simulation: st.Simulation, Observing: list(st.Observing), Enforcing: list(st.Enforcing),
		Panic: st.Panic != "", PanicWhy: st.Panic, Trouble: list(st.Trouble), Ready: s.ready() == nil, Login: s.auth.need,
		LinesPerSecond: st.LinesPerSecond, LagSeconds: st.Lag.Seconds(), LagBytes: st.LagBytes,
		EventTime: stamp(st.EventTime), Tracked: st.Tracked, Blocked: st.Blocked,
		Throttled: st.Throttled, Waiting: st.Waiting,
		Sources: list(st.Sources), Blind: list(st.Blind), Gateways: []gatewayJSON{},
	}
	for _, g := range st.Gateways {
		out.Gateways = append(out.Gateways, gatewayJSON{
			g.Name, g.Entries, stamp(g.PushedAt), float64(g.Took.Microseconds()) / 1000, g.Error,
		})
	}
	return out
}

// list makes a missing list an empty one, so that programs need no null check.
func list[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(detect.TimeFormat)
}
