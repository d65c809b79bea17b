package authz

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// holdsClass says why a class of requests cannot be held.
func holdsClass(s detect.Subject, a enforce.Action) error {
	c, ok := detect.ParseClass(s)
	switch {
	case !ok || c.Agent == "":
		return errors.New("gateway authz: a class is a route and a quoted user agent")
	case a != enforce.Throttle:
		return errors.New("gateway authz: a class of requests can be throttled only: others may have its user agent, too")
	case !strings.HasPrefix(c.Route, "/"):
		return errors.New("gateway authz: requests of a route that is no path cannot be told")
	}
	return nil
}

// classRule is a rule whose subject is a user agent on a route. There are few of them: four
// a finding at most, and each ends by itself.
type classRule struct {
	detect.Class
	rule  *rule
	spare []netip.Prefix
}

func classesOf(others map[detect.Subject]spot) (out []classRule) {
	for s, sp := range others {
		if c, ok := detect.ParseClass(s); ok && sp.all != nil {
			e := enforce.Entry{Spare: sp.all.spare}
			out = append(out, classRule{c, sp.all, e.Spared()})
		}
	}
	return out
}

// class returns the strongest rule for whoever asks for a route with a user agent.
func (s *snapshot) class(client netip.Addr, agent string, at way, best *rule) *rule {
	for i := range s.classes {
		c := &s.classes[i]
		if c.Agent == agent && at.fits(c.Route) && !c.spares(client) {
			best = harder(best, c.rule)
		}
	}
	return best
}

func (c *classRule) spares(client netip.Addr) bool {
	for _, p := range c.spare {
		if p.Contains(client) {
			return true
		}
	}
	return false
}
