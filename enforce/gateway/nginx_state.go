package gateway

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"

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

// tighter orders classes for a subject with two throttles.
func (c nginxClass) tighter(d nginxClass) bool {
	if c.rate != d.rate {
		return c.rate < d.rate
	}
	return c.burst < d.burst
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

// nginxState is a wanted state, sorted by prefix and without repeats.
type nginxState struct {
	deny     []netip.Prefix
	throttle []nginxThrottle
	classes  []nginxClass // to be offered: those in use now or before
}

type nginxThrottle struct {
	prefix netip.Prefix
	class  nginxClass
}

// newNginxState takes from the entries what may go into a file: prefixes and
// numbers, nothing that anyone wrote. old is the http file that stands. An entry that nginx cannot serve fails
// the whole, so that the caller's state and the gateway's never differ silently.
func newNginxState(want []enforce.Entry, old []byte) (*nginxState, error) {
	s := new(nginxState)
	for i := range want {
		e := &want[i]
		prefix, err := servable(e.Prefix)
		if err != nil {
			return nil, fmt.Errorf("gateway nginx: decision %.64q: %w", e.Decision, err)
		}
		switch e.Action {
		case enforce.Block:
			s.deny = append(s.deny, prefix)
		case enforce.Throttle:
			if !(e.Rate > 0) || math.IsInf(e.Rate, 0) {
				return nil, fmt.Errorf("gateway nginx: decision %.64q: rate %v is not a number of requests a second above 0", e.Decision, e.Rate)
			}
			s.throttle = append(s.throttle, nginxThrottle{prefix, classOf(e.Rate, e.Burst)})
		default:
			return nil, fmt.Errorf("gateway nginx: decision %.64q: nginx can block and throttle, not %.32q", e.Decision, e.Action)
		}
	}
	s.normalise()
	kept := keptClasses(old)
	for _, c := range nginxClasses() {
		used := slices.ContainsFunc(s.throttle, func(t nginxThrottle) bool { return t.class == c })
		if used || slices.Contains(kept, c) {
			s.classes = append(s.classes, c)
		}
	}
	return s, nil
}

// normalise sorts, and keeps one entry per prefix: the tightest throttle.
func (s *nginxState) normalise() {
	slices.SortFunc(s.deny, netip.Prefix.Compare)
	s.deny = slices.Compact(s.deny)
	slices.SortFunc(s.throttle, func(a, b nginxThrottle) int {
		switch c := a.prefix.Compare(b.prefix); {
		case c != 0:
			return c
		case a.class.tighter(b.class):
			return -1
		case b.class.tighter(a.class):
			return 1
		}
		return 0
	})
	s.throttle = slices.CompactFunc(s.throttle, func(a, b nginxThrottle) bool { return a.prefix == b.prefix })
}

// servable returns the prefix as nginx's geo looks it up: masked, and IPv4
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

// len counts the entries.
func (s *nginxState) len() int { return len(s.deny) + len(s.throttle) }

// changed counts the entries that were added, altered or removed against the
// file that stands. At least 1: it is only asked when something is to be done.
func (s *nginxState) changed(old []byte) int {
	before := map[string]string{}
	section := ""
	for line := range bytes.Lines(old) {
		key, value, ok := geoEntry(line)
		switch {
		case bytes.HasPrefix(line, []byte("geo ")):
			section = string(line)
		case ok && (section == geoDeny || section == geoClass):
			before[section+key] = value
		}
	}
	n := 0
	count := func(key, value string) {
		if before[key] != value {
			n++
		}
		delete(before, key)
	}
	for _, p := range s.deny {
		count(geoDeny+p.String(), denyValue)
	}
	for _, t := range s.throttle {
		count(geoClass+t.prefix.String(), t.class.name())
	}
	return max(1, n+len(before))
}

// geoEntry takes a line of a geo block apart: a tab, a prefix, a value.
func geoEntry(line []byte) (key, value string, ok bool) {
	k, v, ok := bytes.Cut(bytes.TrimSuffix(bytes.TrimSpace(line), []byte(";")), []byte(" "))
	if !ok || len(line) == 0 || line[0] != '\t' || !bytes.Contains(k, []byte("/")) {
		return "", "", false
	}
	return string(k), string(v), true
}
