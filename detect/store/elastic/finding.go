package elastic

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
)

// severities are event.severity by detect.Severity: the numbers of Elastic's own
// detection rules, which its pages colour.
var severities = [...]int64{detect.Info: 1, detect.Low: 21, detect.Medium: 47, detect.High: 73, detect.Critical: 99}

func severityNumber(s detect.Severity) int64 {
	if int(s) < len(severities) {
		return severities[s]
	}
	return 100 + int64(s)
}

func severityOf(n int64) detect.Severity {
	for s, v := range severities {
		if v == n {
			return detect.Severity(s)
		}
	}
	return detect.Severity(n - 100)
}

// Common adds the fields that all documents have.
func (s *Store) Common(b *Builder, k Kind, at int64, kind string, category, types []string) {
	b.Time("@timestamp", at)
	b.Text("ecs.version", ECSVersion)
	b.Text("data_stream.type", k.typ())
	b.Text("data_stream.dataset", k.dataset())
	b.Text("data_stream.namespace", s.cfg.Namespace)
	b.Text("event.kind", kind)
	b.List("event.category", category)
	b.List("event.type", types)
	b.Text("event.module", "portcullis")
	b.Text("event.dataset", k.dataset())
	b.Text("observer.vendor", "Portcullis")
	b.Text("observer.product", "Portcullis")
	b.Text("observer.type", "waf")
}

// evidence is a line in a document. JSON cannot hold bytes that are not UTF-8: such
// a text is written with escapes, and as it was in Raw.
type evidence struct {
	Source string `json:"source"`
	Offset int64  `json:"offset"`
	Time   int64  `json:"time"`
	Line   string `json:"line"`
	Agent  string `json:"agent,omitempty"`
	Note   string `json:"note,omitempty"`
	Raw    Raw    `json:"raw,omitempty"`
}

func (e *evidence) put(name string, field *string, s string) {
	if utf8.ValidString(s) {
		*field = s
		return
	}
	quoted := appendString(nil, s)
	_ = json.Unmarshal(quoted, field) // our own form always reads
	if e.Raw == nil {
		e.Raw = Raw{}
	}
	e.Raw[name] = []byte(s)
}

// FindingDoc makes the document of a finding. Its index is that of the window's
// first day, which its id fixes too: it stays in one place however long it grows.
func (s *Store) FindingDoc(f detect.Finding) (Doc, error) {
	if s.opt.Hide {
		store.HideFinding(s.opt.Cloak, &f)
	}
	version := findingVersion(&f)
	spec, _ := detect.SpecOf(f.Rule)
	var b Builder
	s.Common(&b, Finding, f.FiredAt, "alert", []string{"intrusion_detection"}, []string{"info"})
	b.Exact("event.id", f.ID)
	b.Int("event.severity", severityNumber(f.Severity))
	b.Time("event.start", f.FirstSeen)
	b.Time("event.end", f.LastSeen)
	b.Whole("message", f.Why)
	b.Exact("rule.id", f.Rule)
	b.Text("rule.version", strconv.Itoa(f.Version))
	b.Exact("rule.category", string(f.Family))
	b.Text("rule.ruleset", "portcullis")
	b.List("tags", spec.Tags)
	techniques(&b, spec.Tags)
	PutSubject(&b, f.Subject)
	b.Exact("portcullis.route", f.Route)
	b.Int("portcullis.count", f.Count)
	b.Float("portcullis.confidence", f.Confidence)
	b.Int("portcullis.fired_ns", f.FiredAt)
	b.Int("portcullis.first_ns", f.FirstSeen)
	b.Int("portcullis.last_ns", f.LastSeen)
	b.Int("portcullis.judged_ns", f.Updated)
	b.Int("portcullis.window_ns", f.Window)
	b.Some("portcullis.known_ns", f.Standing.Since)
	b.Some("portcullis.successes", f.Standing.Successes)
	b.Some("portcullis.people", f.Standing.People)
	b.Int("portcullis.version", version)
	if members := f.MembersJSON(); members != nil {
		b.JSON("portcullis.members", members)
	}
	if suspects := f.SuspectsJSON(); suspects != nil {
		b.JSON("portcullis.suspects", suspects)
	}
	var lines []evidence
	for _, e := range f.EvidenceLines() {
		out := evidence{Offset: e.Offset, Time: e.Time}
		out.put("source", &out.Source, e.Source)
		out.put("line", &out.Line, e.Line)
		out.put("agent", &out.Agent, e.Agent)
		out.put("note", &out.Note, e.Note)
		lines = append(lines, out)
	}
	if lines != nil {
		b.JSON("portcullis.evidence", lines)
	}
	source, err := b.Done()
	if err != nil {
		return Doc{}, fmt.Errorf("elastic: finding %.80q: %w", f.ID, err)
	}
	return Doc{Kind: Finding, ID: docKey(f.ID), Time: f.Window, Version: version, Source: source}, nil
}

// docKey is an id as Elasticsearch takes it: up to 512 bytes of UTF-8.
func docKey(id string) string {
	if id == "" || len(id) > 512 || !utf8.ValidString(id) {
		return DocID(id)
	}
	return id
}

// PutSubject adds whom a document is about: exactly, and in the fields that other
// tools look for.
func PutSubject(b *Builder, s detect.Subject) {
	b.Exact("portcullis.subject.kind", s.Kind)
	b.Exact("portcullis.subject.value", s.Value)
	switch s.Kind {
	case "ip":
		a, err := netip.ParseAddr(s.Value)
		if err != nil {
			b.Text("source.address", s.Value) // a pseudonym
			return
		}
		b.Addr("source.ip", a)
		b.Text("source.address", s.Value)
		b.List("related.ip", []string{a.Unmap().WithZone("").String()})
	case "account", "consumer":
		b.Text("user.name", s.Value)
		b.List("related.user", []string{s.Value})
	case "asn":
		if n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(s.Value), "AS"), 10, 32); err == nil {
			b.Int("source.as.number", int64(n))
		}
	case "country":
		b.Text("source.geo.country_iso_code", s.Value)
	}
}

// techniques adds the ATT&CK techniques among the tags of a rule.
func techniques(b *Builder, tags []string) {
	var all, sub []string
	for _, t := range tags {
		id, ok := strings.CutPrefix(t, "attack:")
		if !ok {
			continue
		}
		technique, _, has := strings.Cut(id, ".")
		all = append(all, technique)
		if has {
			sub = append(sub, id)
		}
	}
	if all != nil {
		b.Text("threat.framework", "MITRE ATT&CK")
	}
	b.List("threat.technique.id", all)
	b.List("threat.technique.subtechnique.id", sub)
}

// findingVersion orders the states of a finding: by the second in which it was judged,
// then when it was last seen, how grave and how often. 32 bits hold seconds until 2106,
// 16 those of its window, to a fifth, 3 the severity and 12 the count, exact up to 127
// and to a part in 64 above.
func findingVersion(f *detect.Finding) int64 {
	judged := min(max(f.Updated/1e9, 0)+1, 1<<32-1) // a version of 0 would mean that it never changes
	seen := min(max((f.LastSeen-f.Window)/2e8, 0), 1<<16-1)
	return judged<<31 | seen<<15 | int64(f.Severity&7)<<12 | small(f.Count)
}

// small squeezes a count into 12 bits and keeps the order: 6 bits of exponent, 6 of
// mantissa.
func small(n int64) int64 {
	if n < 1<<7 {
		return max(n, 0)
	}
	e := int64(bits.Len64(uint64(n))) - 7
	return (e+1)<<6 | (n >> e & (1<<6 - 1))
}

type findingDoc struct {
	ID         string                `json:"event.id"`
	Severity   int64                 `json:"event.severity"`
	Why        string                `json:"message"`
	Rule       string                `json:"rule.id"`
	Version    string                `json:"rule.version"`
	Family     string                `json:"rule.category"`
	Kind       string                `json:"portcullis.subject.kind"`
	Value      string                `json:"portcullis.subject.value"`
	Route      string                `json:"portcullis.route"`
	Count      int64                 `json:"portcullis.count"`
	Confidence float64               `json:"portcullis.confidence"`
	Fired      int64                 `json:"portcullis.fired_ns"`
	First      int64                 `json:"portcullis.first_ns"`
	Last       int64                 `json:"portcullis.last_ns"`
	Judged     int64                 `json:"portcullis.judged_ns"`
	Window     int64                 `json:"portcullis.window_ns"`
	Known      int64                 `json:"portcullis.known_ns"`
	Successes  int64                 `json:"portcullis.successes"`
	People     int64                 `json:"portcullis.people"`
	Members    []detect.MemberJSON   `json:"portcullis.members"`
	Suspects   []detect.SuspectsJSON `json:"portcullis.suspects"`
	Evidence   []evidence            `json:"portcullis.evidence"`
	Raw        Raw                   `json:"portcullis.raw"`
}

// decodeFinding is the inverse of FindingDoc.
func decodeFinding(source []byte) (detect.Finding, error) {
	var in findingDoc
	if err := json.Unmarshal(source, &in); err != nil {
		return detect.Finding{}, fmt.Errorf("elastic: a finding cannot be read: %w", err)
	}
	version, err := strconv.Atoi(in.Version)
	if err != nil {
		return detect.Finding{}, fmt.Errorf("elastic: finding %.80q: rule.version: %w", in.ID, err)
	}
	f := detect.Finding{
		ID: in.Raw.Text("event.id", in.ID), Rule: in.Raw.Text("rule.id", in.Rule), Version: version,
		Family: detect.Family(in.Raw.Text("rule.category", in.Family)), Severity: severityOf(in.Severity),
		Confidence: in.Confidence,
		Subject: detect.Subject{
			Kind:  in.Raw.Text("portcullis.subject.kind", in.Kind),
			Value: in.Raw.Text("portcullis.subject.value", in.Value),
		},
		Window: in.Window, FirstSeen: in.First, LastSeen: in.Last, FiredAt: in.Fired, Updated: in.Judged, Count: in.Count,
		Why: in.Raw.Text("message", in.Why), Route: in.Raw.Text("portcullis.route", in.Route),
		Standing: detect.Standing{Successes: in.Successes, People: in.People, Since: in.Known},
	}
	f.SetMembers(in.Members)
	f.SetSuspects(in.Suspects)
	for i, e := range in.Evidence[:min(len(in.Evidence), detect.MaxEvidence)] {
		f.Evidence[i] = detect.Evidence{
			Source: e.Raw.Text("source", e.Source), Offset: e.Offset, Time: e.Time,
			Line: e.Raw.Text("line", e.Line), Agent: e.Raw.Text("agent", e.Agent), Note: e.Raw.Text("note", e.Note),
		}
	}
	return f, nil
}
