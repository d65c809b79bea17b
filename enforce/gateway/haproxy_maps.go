package gateway

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce"
)

// haproxyLine is one entry of a map. Neither part holds anything but what vetted allows.
type haproxyLine struct{ key, value string }

// haproxyMap is one map with what it should hold.
type haproxyMap struct {
	name   string
	lines  []haproxyLine
	counts bool // each line is an entry, rather than what several entries refer to
}

// The maps besides those that are named after a kind of subject. What HAProxy finds first
// in one counts: of prefixes the longest, of patterns the one that stands first.
const (
	mapAddress = "address" // prefix → what happens
	mapPrefix  = "prefix"  // prefix → its label, where it is confined to routes
	mapRoute   = "route"   // pattern of a path → label of the route
	mapPair    = "pair"    // label of a subject|label of a route → what happens
)

// haproxyWindow is the span, in seconds, in which HAProxy counts throttled requests.
const haproxyWindow = 10

// haproxyValue says what happens, and for a throttle how many requests pass in a window and
// who shares them.
func haproxyValue(e *enforce.Entry) string {
	if e.Action != enforce.Throttle {
		return string(e.Action)
	}
	return fmt.Sprintf("throttle|%d|%s", perSpan(e.Rate, haproxyWindow), targetLabel(e.Target()))
}

// haproxyMaps renders all maps: also those that hold nothing.
func haproxyMaps(list []enforce.Entry, subjects map[string]string) []haproxyMap {
	named := map[string][]haproxyLine{}
	var address, prefixes, routes, pairs []haproxyLine
	confined := map[netip.Prefix]map[string]*enforce.Entry{} // prefix → label of a route
	seen := map[string]bool{}
	for i := range list {
		e := &list[i]
		route := e.Route
		if e.Subject.Kind == "route" {
			route = e.Subject.Value
		}
		if route != "" && !seen[route] {
			seen[route] = true
		}
		switch {
		case e.Subject.Kind == "route":
			pairs = append(pairs, haproxyLine{"*|" + label(route), haproxyValue(e)})
		case e.Prefix.IsValid() && route == "":
			address = append(address, haproxyLine{e.Prefix.String(), haproxyValue(e)})
		case e.Prefix.IsValid():
			if confined[e.Prefix] == nil {
				confined[e.Prefix] = map[string]*enforce.Entry{}
			}
			confined[e.Prefix][label(route)] = e
		case route == "":
			named[e.Subject.Kind] = append(named[e.Subject.Kind], haproxyLine{hashed(e.Subject.Value), haproxyValue(e)})
		default:
			pairs = append(pairs, haproxyLine{hashed(e.Subject.Value) + "|" + label(route), haproxyValue(e)})
		}
	}
	for p := range confined {
		prefixes = append(prefixes, haproxyLine{p.String(), label(p.String())})
		for route, e := range inherited(confined, p) {
			pairs = append(pairs, haproxyLine{label(p.String()) + "|" + route, haproxyValue(e)})
		}
	}
	for _, r := range slices.SortedFunc(maps.Keys(seen), byRoute) {
		pattern, _ := routePattern(r) // normal has asked for it
		routes = append(routes, haproxyLine{pattern, label(r)})
	}
	out := []haproxyMap{{mapAddress, address, true}, {mapPair, pairs, true}, {mapPrefix, prefixes, false}}
	for _, kind := range slices.Sorted(maps.Keys(subjects)) {
		out = append(out, haproxyMap{kind, named[kind], true})
	}
	for i := range out {
		slices.SortFunc(out[i].lines, func(a, b haproxyLine) int { return strings.Compare(a.key, b.key) })
	}
	return append(out, haproxyMap{mapRoute, routes, false}) // in its own order
}

// inherited is what holds on routes for a prefix: its own, and what wider ones have that it
// has not, since only the longest prefix is found.
func inherited(confined map[netip.Prefix]map[string]*enforce.Entry, p netip.Prefix) map[string]*enforce.Entry {
	out := maps.Clone(confined[p])
	for bits := p.Bits() - 1; bits > 0; bits-- {
		wider, err := p.Addr().Prefix(bits)
		if err != nil {
			break
		}
		for route, e := range confined[wider] {
			if out[route] == nil {
				out[route] = e
			}
		}
	}
	return out
}

// hashed is a subject's value as HAProxy computes it: sha2(256),hex.
func hashed(value string) string {
	sum := sha256.Sum256([]byte(value))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// vetted refuses lines that hold anything but the alphabet of haproxyMaps. It is the last
// gate before the socket.
func vetted(lines []haproxyLine) error {
	for _, l := range lines {
		for _, s := range [...]string{l.key, l.value} {
			if s == "" || strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:/|*-_~@!,=+^$[]\\") != "" {
				return fmt.Errorf("the line %.80q is none that Portcullis renders: refused", l.key+" "+l.value)
			}
		}
	}
	return nil
}

// haproxyDiff is what has to be done one by one, additions first so that nobody who stays
// is let go meanwhile, and how many keys differ. A map may hold a key twice: it is taken out.
func haproxyDiff(file string, have, want []haproxyLine) (commands []string, changed int) {
	is, twice := map[string]string{}, map[string]bool{}
	for _, l := range have {
		if _, again := is[l.key]; again {
			twice[l.key] = true
		}
		is[l.key] = l.value
	}
	var after []string
	for _, l := range want {
		value, known := is[l.key]
		switch {
		case twice[l.key]:
			commands = append(commands, "del map "+file+" "+escaped(l.key), "add map "+file+" "+escaped(l.key)+" "+l.value)
			changed++
		case !known:
			commands = append(commands, "add map "+file+" "+escaped(l.key)+" "+l.value)
			changed++
		case value != l.value:
			commands = append(commands, "set map "+file+" "+escaped(l.key)+" "+l.value)
			changed++
		}
		delete(is, l.key)
	}
	for key := range is {
		after = append(after, "del map "+file+" "+escaped(key))
	}
	slices.SortFunc(after, cmp.Compare)
	return append(commands, after...), changed + len(after)
}

// escaped writes a vetted key on the command line, which takes a backslash away.
func escaped(key string) string { return strings.ReplaceAll(key, `\`, `\\`) }

// file is the map as HAProxy reads it at its start.
func (m *haproxyMap) file() string {
	var b strings.Builder
	b.WriteString("# Written by Portcullis and replaced at every push: changes made here are lost.\n")
	for _, l := range m.lines {
		b.WriteString(l.key + " " + l.value + "\n")
	}
	return b.String()
}
