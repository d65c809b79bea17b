package detect

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/portcullis/portcullis/internal/exact"
)

// wireVersion is that of the JSON in which findings and sightings pass from one
// process to another. A reader refuses a newer one, which it cannot know.
const wireVersion = 1

// wireMax caps what is decoded: MaxMembers members, five lines of evidence and the
// words around them are below.
const wireMax = 1 << 20

type subjectWire struct {
	Kind  exact.Text `json:"kind"`
	Value exact.Text `json:"value"`
}

// findingWire is a finding as another process gets it: the names of the output
// contract, but times in Unix nanoseconds, since nothing may be lost.
type findingWire struct {
	V          int            `json:"v"`
	ID         exact.Text     `json:"id"`
	Rule       exact.Text     `json:"rule"`
	Version    int            `json:"version"`
	Family     exact.Text     `json:"family"`
	Severity   string         `json:"severity"`
	Confidence exact.Float    `json:"confidence"`
	Subject    subjectWire    `json:"subject"`
	Window     int64          `json:"window_start"`
	FirstSeen  int64          `json:"first_seen"`
	LastSeen   int64          `json:"last_seen"`
	FiredAt    int64          `json:"fired_at"`
	Updated    int64          `json:"updated"`
	Count      int64          `json:"count"`
	Why        exact.Text     `json:"why"`
	Route      exact.Text     `json:"route,omitempty"`
	Standing   standingWire   `json:"standing"`
	Members    exact.Text     `json:"members,omitempty"`
	Suspects   exact.Text     `json:"suspects,omitempty"`
	Evidence   []evidenceWire `json:"evidence,omitempty"`
}

type standingWire struct {
	Successes int64 `json:"successes"`
	People    int64 `json:"people"`
	Since     int64 `json:"since"`
}

// evidenceWire is a line, here and in the SQLite file. One that is not UTF-8
// must come back as it was: it goes to Raw.
type evidenceWire struct {
	Source exact.Text `json:"source"`
	Offset int64      `json:"offset"`
	Time   int64      `json:"time"`
	Line   string     `json:"line,omitempty"`
	Raw    []byte     `json:"raw,omitempty"`
	Agent  exact.Text `json:"agent,omitempty"`
	Note   exact.Text `json:"note,omitempty"`
}

// EncodeFinding gives the JSON of a finding from which DecodeFinding makes the
// same one, to the last bit.
func EncodeFinding(f *Finding) ([]byte, error) {
	if int(f.Severity) >= len(severityNames) {
		return nil, fmt.Errorf("detect: finding %.40q: no severity %d", f.ID, f.Severity)
	}
	return json.Marshal(findingWire{
		V: wireVersion, ID: exact.Text(f.ID), Rule: exact.Text(f.Rule), Version: f.Version, Family: exact.Text(f.Family),
		Severity: f.Severity.String(), Confidence: exact.Float(f.Confidence),
		Subject: subjectWire{exact.Text(f.Subject.Kind), exact.Text(f.Subject.Value)},
		Window:  f.Window, FirstSeen: f.FirstSeen, LastSeen: f.LastSeen, FiredAt: f.FiredAt, Updated: f.Updated, Count: f.Count,
		Why: exact.Text(f.Why), Route: exact.Text(f.Route), Standing: standingWire(f.Standing), Members: exact.Text(f.Members), Suspects: exact.Text(f.Suspects), Evidence: evidenceOut(f),
	})
}

// DecodeFinding is the inverse of EncodeFinding. It refuses what is no finding,
// and what a newer version wrote.
func DecodeFinding(data []byte) (Finding, error) {
	var in findingWire
	if err := decodeWire(data, "finding", &in, &in.V); err != nil {
		return Finding{}, err
	}
	severity, ok := ParseSeverity(in.Severity)
	switch {
	case in.ID == "" || in.Rule == "" || in.Subject.Kind == "":
		return Finding{}, fmt.Errorf("detect: decode a finding: it has no id, rule or subject")
	case !ok:
		return Finding{}, fmt.Errorf("detect: decode finding %.40q: no severity %.40q", in.ID, in.Severity)
	case len(in.Evidence) > MaxEvidence:
		return Finding{}, fmt.Errorf("detect: decode finding %.40q: %d lines of evidence, %d are the most", in.ID, len(in.Evidence), MaxEvidence)
	}
	f := Finding{
		ID: string(in.ID), Rule: string(in.Rule), Version: in.Version, Family: Family(in.Family), Severity: severity,
		Confidence: float64(in.Confidence), Subject: Subject{string(in.Subject.Kind), string(in.Subject.Value)},
		Window: in.Window, FirstSeen: in.FirstSeen, LastSeen: in.LastSeen, FiredAt: in.FiredAt, Updated: in.Updated, Count: in.Count,
		Why: string(in.Why), Route: string(in.Route), Standing: Standing(in.Standing), Members: string(in.Members), Suspects: string(in.Suspects),
	}
	evidenceIn(in.Evidence, &f)
	return f, nil
}

// decodeWire reads one message of a process's into in; v is its version there.
func decodeWire(data []byte, what string, in any, v *int) error {
	if len(data) > wireMax {
		return fmt.Errorf("detect: decode a %s: %d bytes, %d are the most", what, len(data), wireMax)
	}
	err := json.Unmarshal(data, in)
	if *v > wireVersion { // said first: a newer version may have other types
		return fmt.Errorf("detect: decode a %s: it is version %d, this program knows %d: a newer portcullis wrote it; upgrade this one", what, *v, wireVersion)
	}
	if err != nil {
		return fmt.Errorf("detect: decode a %s: %w", what, err)
	}
	if *v < 1 {
		return fmt.Errorf("detect: decode a %s: it has no version", what)
	}
	return nil
}

// EncodeEvidence gives the JSON of a finding's evidence alone, for stores.
func EncodeEvidence(f *Finding) string {
	b, _ := json.Marshal(evidenceOut(f)) // strings and numbers always marshal
	return string(b)
}

// DecodeEvidence is the inverse of EncodeEvidence. Lines past MaxEvidence are
// left out.
func DecodeEvidence(text string, f *Finding) error {
	var in []evidenceWire
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return fmt.Errorf("evidence of %q: %w", f.ID, err)
	}
	evidenceIn(in[:min(len(in), MaxEvidence)], f)
	return nil
}

func evidenceOut(f *Finding) []evidenceWire {
	lines := f.EvidenceLines()
	out := make([]evidenceWire, len(lines))
	for i, e := range lines {
		out[i] = evidenceWire{Source: exact.Text(e.Source), Offset: e.Offset, Time: e.Time, Line: e.Line, Agent: exact.Text(e.Agent), Note: exact.Text(e.Note)}
		if !utf8.ValidString(e.Line) {
			out[i].Line, out[i].Raw = "", []byte(e.Line)
		}
	}
	return out
}

func evidenceIn(in []evidenceWire, f *Finding) {
	for i, e := range in {
		line := e.Line
		if e.Raw != nil {
			line = string(e.Raw)
		}
		f.Evidence[i] = Evidence{Source: string(e.Source), Offset: e.Offset, Time: e.Time, Line: line, Agent: string(e.Agent), Note: string(e.Note)}
	}
}
