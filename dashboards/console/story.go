package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
)

// Bounds of what is gathered for one page.
const (
	storyRows     = 100                 // findings and decisions of a subject
	storyRequests = 200                 // lines of evidence
	campaignRows  = 200                 // campaigns looked through for the subject
	ruleSpan      = 30 * 24 * time.Hour // what a rule's history covers
)

func (s *Server) getSummary(w http.ResponseWriter, r *http.Request) error {
	q := s.query(r)
	from, to := q.at("since"), q.at("until")
	if from.IsZero() {
		from = q.now.Add(-24 * time.Hour)
	}
	if q.err != nil {
		return q.err
	}
	var end int64
	if !to.IsZero() {
		end = to.UnixNano()
	}
	tallies, err := s.deps.Findings.Tallies(r.Context(), from.UnixNano(), end)
	if err != nil {
		return fmt.Errorf("console: summary: %w", err)
	}
	counts, err := s.deps.Audit.States(r.Context(), from.UnixNano())
	if err != nil {
		return fmt.Errorf("console: summary: %w", err)
	}
	out := summaryJSON{Since: stamp(from), Until: stamp(to), Findings: []tallyJSON{}, Decisions: map[string]int64{}}
	for _, t := range tallies {
		out.Findings = append(out.Findings, tallyJSON{t.Rule, string(t.Family), t.Severity.String(), t.Kind, t.Findings, detect.FormatTime(t.Newest)})
	}
	for _, state := range states {
		out.Decisions[string(state)] = counts[state]
	}
	reply(w, http.StatusOK, out)
	return nil
}

// getSubject tells all that is known of one subject.
func (s *Server) getSubject(w http.ResponseWriter, r *http.Request) error {
	q := s.query(r)
	who, from := q.subject(), q.nanos("since")
	if who == (detect.Subject{}) {
		q.bad("subject: must be kind:value, such as ip:192.0.2.7")
	}
	if q.err != nil {
		return q.err
	}
	out := subjectStoryJSON{Subject: subjectJSON(who), Network: enforce.Network(who), Findings: []findingJSON{}, Decisions: []decisionStoryJSON{},
		Campaigns: []findingJSON{}, Allow: []allowJSON{}, Requests: []requestJSON{}}
	if err := s.storyOfFindings(r.Context(), who, from, &out); err != nil {
		return err
	}
	if err := s.storyOfDecisions(r.Context(), who, from, &out); err != nil {
		return err
	}
	allowed, err := s.allowed(r.Context())
	if err != nil {
		return err
	}
	for _, a := range allowed {
		if allows(a.Value, who) {
			out.Allow = append(out.Allow, a)
		}
	}
	reply(w, http.StatusOK, out)
	return nil
}

func (s *Server) storyOfFindings(ctx context.Context, who detect.Subject, from int64, out *subjectStoryJSON) error {
	found, err := s.deps.Findings.Findings(ctx, store.FindingQuery{Subject: who, Since: from, Limit: storyRows + 1})
	if err != nil {
		return fmt.Errorf("console: findings of a subject: %w", err)
	}
	if len(found) > storyRows {
		found, out.More = found[:storyRows], true
	}
	seen := map[string]bool{}
	var first, last int64
	for i := range found {
		f := &found[i]
		out.Findings = append(out.Findings, s.findingJSON(*f))
		if first == 0 || f.FirstSeen < first {
			first = f.FirstSeen
		}
		last = max(last, f.LastSeen)
		out.Requests = append(out.Requests, requestsOf(f, seen)...)
	}
	if len(found) > 0 {
		st := found[0].Standing
		out.Standing = &standingJSON{st.Successes, st.People, detect.FormatTime(st.Since)}
	}
	out.FirstSeen, out.LastSeen = detect.FormatTime(first), detect.FormatTime(last)
	slices.SortStableFunc(out.Requests, func(a, b requestJSON) int { return cmp.Compare(b.Time, a.Time) })
	out.Requests = out.Requests[:min(len(out.Requests), storyRequests)]
	if who.Kind == "campaign" {
		return nil
	}
	groups, err := s.deps.Findings.Findings(ctx, store.FindingQuery{Subject: detect.Subject{Kind: "campaign"}, Since: from, Limit: campaignRows})
	if err != nil {
		return fmt.Errorf("console: campaigns of a subject: %w", err)
	}
	for i := range groups {
		if slices.ContainsFunc(groups[i].MembersJSON(), func(m detect.MemberJSON) bool { return m.Value == who.Value && m.Kind == who.Kind }) {
			out.Campaigns = append(out.Campaigns, s.findingJSON(groups[i]))
		}
	}
	return nil
}

// requestsOf are the lines of a finding that no other one has shown.
func requestsOf(f *detect.Finding, seen map[string]bool) (out []requestJSON) {
	for _, e := range f.EvidenceLines() {
		at := fmt.Sprintf("%s %d", e.Source, e.Offset)
		if seen[at] || e.Line == "" {
			continue
		}
		seen[at] = true
		out = append(out, requestJSON{evidenceJSON{e.Source, e.Offset, detect.FormatTime(e.Time), e.Line, e.Agent, e.Note}, f.Rule, f.ID})
	}
	return out
}

func (s *Server) storyOfDecisions(ctx context.Context, who detect.Subject, from int64, out *subjectStoryJSON) error {
	made, err := s.deps.Decisions.Decisions(ctx, enforce.DecisionQuery{Subject: who, Since: from, Limit: storyRows + 1})
	if err != nil {
		return fmt.Errorf("console: decisions of a subject: %w", err)
	}
	if len(made) > storyRows {
		made, out.More = made[:storyRows], true
	}
	for _, d := range made {
		changes, err := s.deps.Decisions.History(ctx, d.ID)
		if err != nil {
			return fmt.Errorf("console: history: %w", err)
		}
		out.Decisions = append(out.Decisions, decisionStoryJSON{toDecisionJSON(d), toChangesJSON(changes)})
	}
	return nil
}

// allows reports whether an entry of the allow list is about a subject.
func allows(entry string, who detect.Subject) bool {
	if entry == who.Kind+":"+who.Value || entry == who.Value {
		return true
	}
	wide, err := netip.ParsePrefix(entry)
	if err != nil {
		return false
	}
	if addr, err := netip.ParseAddr(who.Value); err == nil {
		return wide.Contains(addr.Unmap())
	}
	p, err := netip.ParsePrefix(who.Value)
	return err == nil && wide.Overlaps(p) && wide.Bits() <= p.Bits()
}

func (s *Server) getRules(w http.ResponseWriter, r *http.Request) error {
	q := s.query(r)
	from := q.at("since")
	if from.IsZero() {
		from = q.now.Add(-ruleSpan)
	}
	if q.err != nil {
		return q.err
	}
	tallies, err := s.deps.Findings.Tallies(r.Context(), from.UnixNano(), 0)
	if err != nil {
		return fmt.Errorf("console: rules: %w", err)
	}
	judged, err := s.deps.Audit.Judged(r.Context(), from.UnixNano())
	if err != nil {
		return fmt.Errorf("console: rules: %w", err)
	}
	out := rulesJSON{Since: stamp(from), Rules: []ruleJSON{}}
	var rules []Rule
	if s.deps.Rules != nil {
		rules = s.deps.Rules()
	}
	var costs map[string]float64
	if s.deps.Costs != nil {
		costs = s.deps.Costs()
	}
	for _, x := range rules {
		j := ruleJSON{Rule: x.Name, Version: x.Version, Family: x.Family, Flags: x.Doc, Tags: list(x.Tags), By: x.By, Needs: x.Needs,
			State: x.State, Evasion: x.Evasion, Enabled: x.Enabled, Mode: x.Mode}
		j.count(tallies, judged)
		if nanos, known := costs[x.Name]; known {
			j.CostNS = &nanos
		}
		out.Rules = append(out.Rules, j)
	}
	slices.SortFunc(out.Rules, func(a, b ruleJSON) int { return strings.Compare(a.Rule, b.Rule) })
	reply(w, http.StatusOK, out)
	return nil
}

// count adds what a rule found, and what people made of it. Precision is the share of the
// decisions that a person looked at and left standing; it says nothing where nobody did.
func (j *ruleJSON) count(tallies []store.Tally, judged []enforce.Judged) {
	var newest int64
	for _, t := range tallies {
		if t.Rule == j.Rule {
			j.Findings += t.Findings
			newest = max(newest, t.Newest)
		}
	}
	j.Newest = detect.FormatTime(newest)
	for _, x := range judged {
		if x.Rule != j.Rule {
			continue
		}
		j.Decisions, j.Standing, j.Approved, j.Regretted = x.Decided, x.Standing, x.Approved, x.TakenOff
		if n := x.Approved + x.TakenOff; n > 0 {
			share := float64(x.Approved) / float64(n)
			j.Precision = &share
		}
	}
}
