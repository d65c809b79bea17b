package gateway

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/enforce"
)

// nginxRates and nginxBursts are the throttles that the include files offer.
// nginx takes neither from a variable, so each pair in use is a zone of its own.
// A wanted throttle is rounded down to the next pair, never up: but nothing is
// slower than 0.1/s.
var (
	nginxRates  = [...]float64{0.1, 0.5, 1, 2, 5, 10, 20, 50, 100}
	nginxBursts = [...]int{0, 5, 10, 20}
)

// nginxClass is a pair of a rate and a burst, by index.
type nginxClass struct{ rate, burst int }

// classOf rounds a throttle down to a class.
func classOf(rate float64, burst int) nginxClass {
	var c nginxClass
	for i, r := range nginxRates {
		if r <= rate {
			c.rate = i
		}
	}
	for i, b := range nginxBursts {
		if b <= burst {
			c.burst = i
		}
	}
	return c
}

// name is used in variable, zone and class names: r0_5b20.
func (c nginxClass) name() string {
	rate := strconv.FormatFloat(nginxRates[c.rate], 'f', -1, 64)
	return "r" + string(bytes.ReplaceAll([]byte(rate), []byte("."), []byte("_"))) +
		"b" + strconv.Itoa(nginxBursts[c.burst])
}

// limit is the rate as limit_req_zone writes it; it has no fractions.
func (c nginxClass) limit() string {
	if r := nginxRates[c.rate]; r < 1 {
		return strconv.Itoa(int(math.Round(r*60))) + "r/m"
	}
	return strconv.Itoa(int(nginxRates[c.rate])) + "r/s"
}

// perWindow says how many requests pass within how many seconds.
func (c nginxClass) perWindow() (requests, seconds int) {
	if r := nginxRates[c.rate]; r < 1 {
		return 1, int(math.Round(1 / r))
	}
	return int(nginxRates[c.rate]), 1
}

// nginxClasses lists all classes in a fixed order.
func nginxClasses() []nginxClass {
	var all []nginxClass
	for r := range nginxRates {
		for b := range nginxBursts {
			all = append(all, nginxClass{r, b})
		}
	}
	return all
}

// nginxState is a wanted state, sorted and without repeats.
type nginxState struct {
	deny     []netip.Prefix
	throttle []nginxThrottle
	pairs    []nginxPair         // prefixes on routes
	agents   []nginxAgent        // user agents that are throttled on a route
	spared   []netip.Prefix      // whom these do not hit
	closed   []string            // routes that are closed for all
	names    map[string][]string // kind → values that are refused
	slow     []nginxSlow         // subjects that are no addresses, throttled
	classes  []nginxClass        // to be offered: those in use now or before
}

type nginxThrottle struct {
	prefix netip.Prefix
	class  nginxClass
}

// nginxPair is what happens to a prefix on a route.
type nginxPair struct {
	prefix netip.Prefix
	route  string
	deny   bool
	class  nginxClass // unless deny
}

// newNginxState sorts entries, as normal returns them, by what the files have. old is the
// http file that stands.
func newNginxState(list []enforce.Entry, old []byte) *nginxState {
	s := &nginxState{names: map[string][]string{}}
	confined := map[netip.Prefix]map[string]*enforce.Entry{}
	for i := range list {
		e := &list[i]
		switch {
		case e.Subject.Kind == "class":
			s.addAgent(e)
		case e.Subject.Kind == "route":
			s.closed = append(s.closed, e.Subject.Value)
		case !e.Prefix.IsValid() && e.Action == enforce.Throttle:
			s.slow = append(s.slow, nginxSlow{e.Subject.Kind, e.Subject.Value, classOf(e.Rate, e.Burst)})
		case !e.Prefix.IsValid():
			s.names[e.Subject.Kind] = append(s.names[e.Subject.Kind], e.Subject.Value)
		case e.Route != "":
			if confined[e.Prefix] == nil {
				confined[e.Prefix] = map[string]*enforce.Entry{}
			}
			confined[e.Prefix][e.Route] = e
		case e.Action == enforce.Throttle:
			s.throttle = append(s.throttle, nginxThrottle{e.Prefix, classOf(e.Rate, e.Burst)})
		default:
			s.deny = append(s.deny, e.Prefix)
		}
	}
	for p := range confined {
		for route, e := range inherited(confined, p) {
			pair := nginxPair{prefix: p, route: route, deny: e.Action != enforce.Throttle}
			if !pair.deny {
				pair.class = classOf(e.Rate, e.Burst)
			}
			s.pairs = append(s.pairs, pair)
		}
	}
	slices.SortFunc(s.pairs, func(a, b nginxPair) int { return cmp.Or(a.prefix.Compare(b.prefix), strings.Compare(a.route, b.route)) })
	kept := keptClasses(old)
	for _, c := range nginxClasses() {
		if s.uses(c) || slices.Contains(kept, c) {
			s.classes = append(s.classes, c)
		}
	}
	return s
}

func (s *nginxState) uses(c nginxClass) bool {
	return slices.ContainsFunc(s.throttle, func(t nginxThrottle) bool { return t.class == c }) ||
		slices.ContainsFunc(s.pairs, func(p nginxPair) bool { return !p.deny && p.class == c }) ||
		slices.ContainsFunc(s.slow, func(n nginxSlow) bool { return n.class == c }) ||
		slices.ContainsFunc(s.agents, func(a nginxAgent) bool { return a.class == c })
}

// routes lists the routes that entries are confined to, the most precise first.
func (s *nginxState) routes() []string {
	out := slices.Clone(s.closed)
	for _, p := range s.pairs {
		out = append(out, p.route)
	}
	for _, a := range s.agents {
		out = append(out, a.Route)
	}
	slices.SortFunc(out, byRoute)
	return slices.Compact(out)
}

// servable returns the prefix as gateways look it up: masked, and IPv4
// inside IPv6 as IPv4. A whole address family is refused: whatever asked for
// it, no client would be left.
func servable(p netip.Prefix) (netip.Prefix, error) {
	if !p.IsValid() {
		return p, fmt.Errorf("it has no valid address prefix")
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Bits() == 0 {
		return p, fmt.Errorf("%s is everybody: refused", p)
	}
	return p.Masked(), nil
}
