package gateway

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// nginxAgent is a user agent that is throttled on a route: all who have it share one
// budget.
type nginxAgent struct {
	detect.Class
	class nginxClass
}

// withClass adds the class of requests by route and user agent, which nginx always knows.
func withClass(kinds map[string]string) map[string]string {
	kinds["class"] = "$http_user_agent"
	return kinds
}

// nginxAgentName is what a user agent may be made of: what stands within a quoted pattern
// once regexp.QuoteMeta has gone over it.
var nginxAgentName = regexp.MustCompile(`^[ !#%&'()*+,./0-9:;<=>?@A-Z\[\]^_a-z{|}~-]{1,120}$`)

func (g *Nginx) holdsClass(s detect.Subject, a enforce.Action) error {
	c, ok := detect.ParseClass(s)
	switch {
	case a != enforce.Throttle:
		return fmt.Errorf("gateway nginx: it can throttle a class of requests, not %.32q it", string(a))
	case !ok:
		return fmt.Errorf("gateway nginx: a subject of kind %.32q is a route and a quoted user agent", s.Kind)
	case !nginxAgentName.MatchString(c.Agent):
		return fmt.Errorf("gateway nginx: a subject of kind %.32q has bytes that cannot be written for it", s.Kind)
	}
	if _, err := routePattern(c.Route); err != nil {
		return fmt.Errorf("gateway nginx: %w", err)
	}
	return nil
}

func (s *nginxState) addAgent(e *enforce.Entry) {
	c, _ := detect.ParseClass(e.Subject) // Holds has asked
	s.agents = append(s.agents, nginxAgent{c, classOf(e.Rate, e.Burst)})
	for _, p := range e.Spared() {
		if p, err := servable(p); err == nil {
			s.spared = append(s.spared, p)
		}
	}
	slices.SortFunc(s.spared, netip.Prefix.Compare)
	s.spared = slices.Compact(s.spared)
}

// agentsPart renders who is throttled by route and user agent. A pattern, unlike a plain
// string of a map, takes notice of case. The budget of the class goes before one that
// somebody has of his own: else a fleet would gain by having its members throttled.
func (s *nginxState) agentsPart() string {
	var b strings.Builder
	b.WriteString("# User agents that are throttled on a route, and whom that does not hit.\ngeo $portcullis_spared {\n\tdefault 0;\n")
	for _, p := range s.spared {
		fmt.Fprintf(&b, "\t%s 1;\n", p)
	}
	b.WriteString("}\nmap $http_user_agent $portcullis_agent {\n\tdefault \"\";\n")
	seen := map[string]bool{}
	for _, a := range s.agents {
		if !seen[a.Agent] {
			fmt.Fprintf(&b, "\t\"~^%s$\" a%s;\n", regexp.QuoteMeta(a.Agent), label(a.Agent))
		}
		seen[a.Agent] = true
	}
	b.WriteString("}\nmap \"$portcullis_spared $portcullis_agent $portcullis_route\" $portcullis_agent_class {\n\tdefault \"\";\n")
	for _, a := range s.agents {
		fmt.Fprintf(&b, "\t\"0 a%s r%s\" %s;\n", label(a.Agent), label(a.Route), a.class.name())
	}
	b.WriteString("}\nmap $portcullis_agent_class $portcullis_class { \"\" $portcullis_narrow; default $portcullis_agent_class; }\n")
	b.WriteString("map $portcullis_agent_class $portcullis_subject { \"\" $portcullis_narrow_who; default \"$portcullis_agent $portcullis_route\"; }\n\n")
	return b.String()
}
