// Package campaign groups findings into campaigns: several clients that do the same, on
// the same route, with the same tool or from one network, at about the same time.
//
// It is a function of the findings of one clock hour and of the campaigns of the hour
// before: it keeps no state, so that whoever has the findings gets the same campaigns.
package campaign

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

// Rule is the name under which campaigns are found.
const Rule = "campaign"

func init() {
	detect.Register(Rule, detect.Spec{
		Doc:     "several clients that do the same at about the same time: on one route, with one tool, or from one network",
		Family:  detect.API,
		Tags:    []string{"attack:T1595", "attack:T1110", "oat:008", "oat:015"},
		Needs:   "findings of other detectors; which tool was used is known where the user agent is logged",
		Fields:  []ingest.Fields{},
		Helps:   ingest.FieldAgent,
		State:   "nothing: it is made of the findings of an hour",
		Evasion: "clients of whom no detector found anything belong to no campaign, but for those that a finding of a route lists; a fleet that shares neither route nor tool nor network is seen as single clients",
		By:      detect.ByFindings,
		Concern: detect.Any,
		Config:  func() any { return new(Config) },
		New:     func(*detect.Env, any) (detect.Rule, error) { return idle{}, nil },
	})
}

// idle stands in the registry: a campaign is made of findings and not of requests.
type idle struct{}

func (idle) Observe(*ingest.Event, detect.Slot) {}
func (idle) Close(detect.Slot, int64)           {}

// Config is the "campaign" section of the config file.
type Config struct {
	Members int `yaml:"members" default:"4" doc:"distinct clients that make a campaign when their findings of an hour share a route, a tool or a network: fewer are as likely strangers to each other"`
}

// Check implements validation for the config loader.
func (c *Config) Check(report func(key, message string)) {
	if c.Members < 2 {
		report("members", "must be at least 2: one client is no campaign")
	}
}

// Group returns the campaigns of one clock hour, given all findings of that hour and the
// campaigns of the hour before. The order of either does not matter.
func Group(cfg *Config, before, findings []detect.Finding) []detect.Finding {
	groups := map[string]group{}
	for i := range findings {
		f := &findings[i]
		if f.Rule == Rule || f.Severity < detect.Medium {
			continue // what is not sure of one client is not made surer by another
		}
		if a := anchor(f); a != "" {
			groups[a] = append(groups[a], f)
		}
	}
	earlier := map[string]*detect.Finding{}
	for i := range before {
		if before[i].Rule == Rule {
			earlier[before[i].Subject.Value] = &before[i]
		}
	}
	var out []detect.Finding
	for a, g := range groups {
		slices.SortFunc(g, func(a, b *detect.Finding) int {
			return cmp.Or(cmp.Compare(a.FirstSeen, b.FirstSeen), cmp.Compare(a.ID, b.ID))
		})
		if m := g.members(); len(m) >= cfg.Members {
			out = append(out, g.finding(a, m, earlier[a]))
		}
	}
	detect.SortFindings(out)
	return out
}

// group are findings that belong together, the earliest first.
type group []*detect.Finding

// anchor is what a finding shares with the others of its campaign, "" if it belongs to
// none. A finding has one, made of itself alone, so that a campaign keeps its name while
// it grows: who guesses, floods or walks does it on a route; who probes and injects tries
// many, with a tool.
func anchor(f *detect.Finding) string {
	family := string(f.Family)
	route := f.Route
	if f.Subject.Kind == "route" {
		route = f.Subject.Value
	}
	if route == "{other}" {
		route = ""
	}
	tool := agent(f)
	if tool != "" && (f.Family == detect.Injection || f.Family == detect.Recon || route == "") {
		return family + " with " + tool
	}
	if route != "" {
		return family + " on " + route
	}
	if n, ok := network(f.Subject); ok {
		return family + " from " + n.String()
	}
	return ""
}

// agent is the tool of a finding: the agent of its first line, unless it is a browser's,
// which strangers share.
func agent(f *detect.Finding) string {
	a := f.Evidence[0].Agent
	if a == "-" || strings.HasPrefix(a, "Mozilla/") || strings.HasPrefix(a, "Opera/") {
		return ""
	}
	return a
}

// network is the neighbourhood of a client.
func network(s detect.Subject) (netip.Prefix, bool) {
	p, ok := client(s)
	if !ok {
		return netip.Prefix{}, false
	}
	bits := 24
	if p.Addr().Is6() {
		bits = 48
	}
	if p.Bits() < bits {
		return p, true
	}
	n, err := p.Addr().Prefix(bits)
	return n, err == nil
}

// client is the address or network that a subject stands for.
func client(s detect.Subject) (netip.Prefix, bool) {
	switch s.Kind {
	case "ip":
		a, err := netip.ParseAddr(s.Value)
		if err != nil {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(a, a.BitLen()), true
	case "cidr":
		p, err := netip.ParsePrefix(s.Value)
		return p, err == nil
	}
	return netip.Prefix{}, false
}

// members are the clients of a group, those of findings of a route included.
func (g group) members() []detect.Member {
	sum := map[detect.Subject]*detect.Member{}
	add := func(m detect.Member) {
		x := sum[m.Subject]
		if x == nil {
			x = &detect.Member{Subject: m.Subject}
			sum[m.Subject] = x
		}
		x.Score = max(x.Score, m.Score)
		x.Count += m.Count
	}
	for _, f := range g {
		for _, m := range f.MemberList() {
			add(m)
		}
		if f.Subject.Kind == "ip" || f.Subject.Kind == "cidr" { // hidden ones too
			add(detect.Member{Subject: f.Subject, Score: f.Confidence, Count: f.Count})
		}
	}
	out := make([]detect.Member, 0, len(sum))
	for _, m := range sum {
		out = append(out, *m)
	}
	return out
}

// Name is what a campaign would be called that the finding belongs to, "" if it would
// belong to none: the value of the campaign's subject.
func Name(f *detect.Finding) string { return anchor(f) }
