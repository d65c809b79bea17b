package campaign

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
)

// finding is the campaign that a group makes. earlier is that of the hour before.
func (g group) finding(name string, members []detect.Member, earlier *detect.Finding) detect.Finding {
	first := g[0]
	spec, _ := detect.SpecOf(Rule)
	f := detect.Finding{
		Rule: Rule, Version: spec.Version, Family: first.Family, Subject: detect.Subject{Kind: "campaign", Value: name},
		Window: first.Window, FirstSeen: first.FirstSeen, FiredAt: g.fired(), Route: g.route(), Members: detect.PackMembers(members),
	}
	for _, x := range g {
		f.LastSeen = max(f.LastSeen, x.LastSeen)
		f.Severity = max(f.Severity, x.Severity)
		f.Confidence = max(f.Confidence, x.Confidence)
		f.Count += x.Count
	}
	g.evidence(&f)
	f.Why = g.why(&f, members, earlier)
	f.ID = detect.FindingID(Rule, f.Subject, f.Window)
	return f
}

// fired is when the finding fired that made it several.
func (g group) fired() int64 {
	at := make([]int64, len(g))
	for i, f := range g {
		at[i] = f.FiredAt
	}
	slices.Sort(at)
	return at[min(1, len(at)-1)]
}

// route is the one that most of the requests are for.
func (g group) route() string {
	n := map[string]int64{}
	for _, f := range g {
		r := f.Route
		if f.Subject.Kind == "route" {
			r = f.Subject.Value
		}
		n[r] += f.Count
	}
	return most(n)
}

// tool is the agent of most findings, "" if they show none.
func (g group) tool() string {
	n := map[string]int64{}
	for _, f := range g {
		n[agent(f)]++
	}
	return most(n)
}

// most is the key with the greatest number, the first of equals; "" only where there is
// no other.
func most(n map[string]int64) string {
	best := ""
	for k, v := range n {
		if k != "" && (best == "" || v > n[best] || v == n[best] && k < best) {
			best = k
		}
	}
	return best
}

// evidence shows a line of each of the gravest findings.
func (g group) evidence(f *detect.Finding) {
	list := slices.Clone(g)
	slices.SortStableFunc(list, func(a, b *detect.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Confidence, a.Confidence))
	})
	n := 0
	for _, x := range list {
		if n < detect.MaxEvidence && x.Evidence[0] != (detect.Evidence{}) {
			f.Evidence[n] = x.Evidence[0]
			n++
		}
	}
	slices.SortStableFunc(f.Evidence[:n], func(a, b detect.Evidence) int { return cmp.Compare(a.Time, b.Time) })
}

// why says who, what, how it grows and what to do.
func (g group) why(f *detect.Finding, members []detect.Member, earlier *detect.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d clients in %s", len(members), networks(members))
	if f.Route != "" {
		fmt.Fprintf(&b, ", mostly on %.60q", f.Route)
	}
	if t := g.tool(); t != "" {
		fmt.Fprintf(&b, ", with %.60q", t)
	}
	if earlier != nil {
		n := len(earlier.MemberList())
		fmt.Fprintf(&b, "; %s since the hour before (%d)", growth(n, len(members)), n)
	}
	fmt.Fprintf(&b, "; rules: %s. ", strings.Join(g.rules(), ", "))
	b.WriteString(g.proposal(f, members))
	return b.String()
}

// growth says in a word how a campaign changed.
func growth(before, now int) string {
	switch {
	case now > before+before/4:
		return "growing"
	case now < before-before/4:
		return "shrinking"
	}
	return "steady"
}

func networks(members []detect.Member) string {
	seen := map[string]bool{}
	for _, m := range members {
		if n, ok := network(m.Subject); ok {
			seen[n.String()] = true
		}
	}
	if len(seen) == 1 {
		return "one network"
	}
	return fmt.Sprintf("%d networks", len(seen))
}

func (g group) rules() []string {
	var out []string
	for _, f := range g {
		out = append(out, f.Rule)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sure is the score from which a member may be acted on by itself.
const sure = 0.9

// proposal is the least that would do: the sure members by themselves while they are
// few, a throttle of the route for who looks like them before that where they are many.
func (g group) proposal(f *detect.Finding, members []detect.Member) string {
	n := 0
	for _, m := range members {
		if m.Score >= sure {
			n++
		}
	}
	switch {
	case len(members) <= 50 && n == len(members):
		return "Proposed: block its members"
	case f.Route != "" && n > 0:
		return fmt.Sprintf("Proposed: throttle %.60q for clients without history, and block the %d members that are sure", f.Route, n)
	case f.Route != "":
		return fmt.Sprintf("Proposed: throttle %.60q for clients without history; no member is sure enough to be blocked", f.Route)
	case n > 0:
		return fmt.Sprintf("Proposed: block the %d members that are sure, watch the others", n)
	}
	return "Proposed: watch its members; none is sure enough to be blocked"
}
