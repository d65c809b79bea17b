package enforce

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/portcullis/portcullis/detect"
)

// Prefix is what a gateway that knows only addresses holds for a subject.
// Kinds other than ip and cidr have none.
func Prefix(s detect.Subject) (netip.Prefix, error) {
	switch s.Kind {
	case "ip":
		a, err := netip.ParseAddr(s.Value)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("enforce: subject %s: not an address", quoted(s.Value))
		}
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	case "cidr":
		p, err := netip.ParsePrefix(s.Value)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("enforce: subject %s: not a network prefix", quoted(s.Value))
		}
		return unmapped(p)
	}
	return netip.Prefix{}, fmt.Errorf("enforce: a gateway that lists addresses cannot hold a subject of kind %s", quoted(s.Kind))
}

// unmapped masks a prefix and turns one inside ::ffff:0:0/96 into IPv4.
func unmapped(p netip.Prefix) (netip.Prefix, error) {
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("enforce: %s covers all of IPv4", p)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// parsePrefix reads an address or a prefix as people write them.
func parsePrefix(s string) (netip.Prefix, error) {
	kind := "ip"
	if strings.Contains(s, "/") {
		kind = "cidr"
	}
	return Prefix(detect.Subject{Kind: kind, Value: strings.TrimSpace(s)})
}

func parsePrefixes(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		p, err := parsePrefix(s)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// inAny returns the first of the prefixes that shares an address with p.
func inAny(list []netip.Prefix, p netip.Prefix) (netip.Prefix, bool) {
	for _, q := range list {
		if q.Overlaps(p) {
			return q, true
		}
	}
	return netip.Prefix{}, false
}

// textMax caps text of findings and of people before it is kept or shown.
const textMax = 400

// clean makes text safe for one line of a log, a page or a terminal: what
// cannot be printed becomes a middle dot, and it ends at textMax bytes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s[:min(len(s), textMax)])
	if len(s) <= textMax {
		return s
	}
	s = s[:textMax] // the dots are wider than what they replaced
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// quoted caps and quotes a word that an attacker or a person wrote.
func quoted(s string) string { return fmt.Sprintf("%q", s[:min(len(s), 80)]) }
