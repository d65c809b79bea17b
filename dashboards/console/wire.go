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
	Kind  string `json:"kind" enum:"ip,cidr,consumer,account,key,session,fingerprint,asn,country,route,campaign,global"`
	Value string `json:"value"`
}

type evidenceJSON struct {
	Source string `json:"source"`
	Offset int64  `json:"offset"`
	Time   string `json:"time,omitempty" format:"date-time"`
	Line   string `json:"line" doc:"As the client sent it, secrets replaced: never put it into HTML unescaped."`
	Agent  string `json:"agent,omitempty" doc:"The user agent in it."`
	Note   string `json:"note,omitempty" doc:"What was matched in it, in words."`
}

type standingJSON struct {
	Successes int64  `json:"successes" doc:"Requests answered below 400 in 24 h."`
	People    int64  `json:"people"`
	Since     string `json:"since,omitempty" format:"date-time"`
}

type findingJSON struct {
	ID         string                `json:"id"`
	Rule       string                `json:"rule"`
	Version    int                   `json:"version"`
	Family     string                `json:"family" enum:"credential,rate,injection,recon,api"`
	Severity   string                `json:"severity" enum:"info,low,medium,high,critical"`
	Confidence float64               `json:"confidence"`
	Subject    subjectJSON           `json:"subject"`
	FirstSeen  string                `json:"first_seen" format:"date-time"`
	LastSeen   string                `json:"last_seen" format:"date-time"`
	FiredAt    string                `json:"fired_at" format:"date-time"`
	Window     string                `json:"window_start" format:"date-time"`
	Count      int64                 `json:"count"`
	Why        string                `json:"why"`
	Route      string                `json:"route,omitempty"`
	Tags       []string              `json:"tags"`
	Standing   standingJSON          `json:"standing"`
	Members    []detect.MemberJSON   `json:"members,omitempty" doc:"Who together are the subject, the surest first."`
	Suspects   []detect.SuspectsJSON `json:"suspects,omitempty" doc:"What a fleet's requests have in common and ordinary ones have not."`
	Evidence   []evidenceJSON        `json:"evidence"`
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
		Suspects: f.SuspectsJSON(),
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
	Action     string      `json:"action" enum:"block,throttle,tarpit,challenge,revoke"`
	Rate       float64     `json:"rate,omitempty" doc:"Requests a second, with throttle."`
	Burst      int         `json:"burst,omitempty"`
	State      string      `json:"state" enum:"proposed,approved,pushed,verified,not_enforced,expired,released"`
	Live       bool        `json:"live" doc:"Whether it belongs on the gateways."`
	Reason     string      `json:"reason,omitempty" doc:"Why it is in this state."`
	Code       string      `json:"code,omitempty" doc:"The reason for programs; missing where all is in order."`
	Rule       string      `json:"rule,omitempty"`
	Findings   []string    `json:"findings"`
	Score      float64     `json:"score"`
	Why        string      `json:"why"`
	Collateral string      `json:"collateral,omitempty" doc:"Who else stands behind the subject."`
	By         string      `json:"by"`
	Offence    int         `json:"offence"`
	People     int64       `json:"people"`
	Good       int64       `json:"good" doc:"Requests answered below 400 in the 24 hours before."`
	Created    string      `json:"created" format:"date-time"`
	Expires    string      `json:"expires" format:"date-time"`
	PushedAt   string      `json:"pushed_at,omitempty" format:"date-time"`
	Checked    string      `json:"checked,omitempty" format:"date-time"`
	Trigger    string      `json:"trigger,omitempty" format:"date-time"`
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
	At   string `json:"at" format:"date-time"`
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
	Created string `json:"created" format:"date-time"`
	Expires string `json:"expires,omitempty" format:"date-time"`
}

type commandJSON struct {
	ID     int64  `json:"id"`
	Verb   string `json:"verb"`
	Arg    string `json:"arg"`
	At     string `json:"at" format:"date-time"`
	Who    string `json:"who"`
	Why    string `json:"why,omitempty"`
	Done   bool   `json:"done"`
	Failed bool   `json:"failed"`
	Result string `json:"result,omitempty"`
}

// refusal is how the result of a command begins that was not done.
const refusal = "error: "

func toCommandJSON(c enforce.Command) commandJSON {
	result, failed := strings.CutPrefix(c.Result, refusal)
	return commandJSON{c.ID, c.Verb, c.Arg, detect.FormatTime(c.At), c.Who, c.Why, c.Done, failed, result}
}

type gatewayJSON struct {
	Name     string  `json:"name"`
	Entries  int     `json:"entries"`
	PushedAt string  `json:"pushed_at,omitempty" format:"date-time"`
	TookMS   float64 `json:"took_ms"`
	Changed  int     `json:"changed" doc:"Decisions that the last push changed."`
	Behind   bool    `json:"behind" doc:"A newer state is still to be taken: it drifts from what was decided."`
	Fails    int     `json:"fails" doc:"Pushes that failed in a row."`
	Error    string  `json:"error,omitempty"`
}

type statusJSON struct {
	Time           string             `json:"time" format:"date-time"`
	Version        string             `json:"version"`
	Roles          []string           `json:"roles"`
	Started        string             `json:"started,omitempty" format:"date-time"`
	Simulation     bool               `json:"simulation"`
	Observing      []string           `json:"observing"`
	Enforcing      []string           `json:"enforcing"`
	Panic          bool               `json:"panic"`
	PanicWhy       string             `json:"panic_why,omitempty"`
	Trouble        []string           `json:"trouble"`
	Ready          bool               `json:"ready"`
	Login          bool               `json:"login" doc:"Whether one can log in."`
	LinesPerSecond float64            `json:"lines_per_second"`
	LagSeconds     float64            `json:"lag_seconds"`
	LagBytes       int64              `json:"lag_bytes"`
	EventTime      string             `json:"event_time,omitempty" format:"date-time"`
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
		Panic: st.Panic != "", PanicWhy: st.Panic, Trouble: list(st.Trouble), Ready: s.ready() == nil, Login: s.auth.need || s.cfg.NoLogin,
		LinesPerSecond: st.LinesPerSecond, LagSeconds: st.Lag.Seconds(), LagBytes: st.LagBytes,
		EventTime: stamp(st.EventTime), Tracked: st.Tracked, Blocked: st.Blocked,
		Throttled: st.Throttled, Waiting: st.Waiting,
		Sources: list(st.Sources), Blind: list(st.Blind), Gateways: []gatewayJSON{},
	}
	for _, g := range st.Gateways {
		out.Gateways = append(out.Gateways, gatewayJSON{
			g.Name, g.Entries, stamp(g.PushedAt), float64(g.Took.Microseconds()) / 1000, g.Changed, g.Behind, g.Fails, g.Error,
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

type trafficJSON struct {
	Since   string          `json:"since" format:"date-time"`
	Until   string          `json:"until" format:"date-time"`
	Rollups []detect.Rollup `json:"rollups"`
}

type findingsJSON struct {
	Findings []findingJSON `json:"findings"`
	Next     string        `json:"next,omitempty" doc:"The cursor of the next page; missing on the last one."`
}

type decisionsJSON struct {
	Decisions []decisionJSON `json:"decisions"`
	Next      string         `json:"next,omitempty" doc:"The cursor of the next page; missing on the last one."`
}

type decisionStoryJSON struct {
	decisionJSON
	History []changeJSON `json:"history"`
}

type allowsJSON struct {
	Allow []allowJSON `json:"allow"`
}
