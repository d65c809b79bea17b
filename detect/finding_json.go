package detect

import (
	"encoding/json"
	"time"
)

// TimeFormat is RFC 3339 with milliseconds, in UTC: the time format of all output.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

// FormatTime renders Unix nanoseconds in TimeFormat; 0 gives "".
func FormatTime(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).UTC().Format(TimeFormat)
}

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
	ID         string         `json:"id"`
	Rule       string         `json:"rule"`
	Version    int            `json:"version"`
	Family     Family         `json:"family"`
	Severity   string         `json:"severity"`
	Confidence float64        `json:"confidence"`
	Subject    subjectJSON    `json:"subject"`
	FirstSeen  string         `json:"first_seen"`
	LastSeen   string         `json:"last_seen"`
	FiredAt    string         `json:"fired_at"`
	Window     string         `json:"window_start"`
	Count      int64          `json:"count"`
	Why        string         `json:"why"`
	Route      string         `json:"route,omitempty"`
	Tags       []string       `json:"tags"`
	Standing   standingJSON   `json:"standing"`
	Members    []MemberJSON   `json:"members,omitempty"`
	Suspects   []SuspectsJSON `json:"suspects,omitempty"`
	Evidence   []evidenceJSON `json:"evidence"`
}

// MarshalJSON gives the object of the output contract (docs/cli.md).
func (f Finding) MarshalJSON() ([]byte, error) {
	spec, _ := SpecOf(f.Rule)
	out := findingJSON{
		ID: f.ID, Rule: f.Rule, Version: f.Version, Family: f.Family,
		Severity: f.Severity.String(), Confidence: f.Confidence,
		Subject:   subjectJSON(f.Subject),
		FirstSeen: FormatTime(f.FirstSeen), LastSeen: FormatTime(f.LastSeen),
		FiredAt: FormatTime(f.FiredAt), Window: FormatTime(f.Window),
		Count: f.Count, Why: f.Why, Route: f.Route, Tags: spec.Tags,
		Standing: standingJSON{f.Standing.Successes, f.Standing.People, FormatTime(f.Standing.Since)},
		Members:  f.MembersJSON(),
		Suspects: f.SuspectsJSON(),
		Evidence: []evidenceJSON{},
	}
	if out.Tags == nil {
		out.Tags = []string{}
	}
	for _, e := range f.EvidenceLines() {
		out.Evidence = append(out.Evidence, evidenceJSON{e.Source, e.Offset, FormatTime(e.Time), e.Line, e.Agent, e.Note})
	}
	return json.Marshal(out)
}
