package gateway

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/portcullis/portcullis/enforce"
)

// ability is what a gateway can hold; it implements enforce.Holder.
type ability struct {
	name    string
	actions []enforce.Action
	kinds   map[string]string // kinds of subjects besides addresses, with where the gateway finds them
	routes  bool              // entries can be confined to a route
	longest int               // bytes of a subject's value; 0 = any
	refuse  string            // bytes that a subject's value must not have; valid UTF-8 is demanded if set
}

// Holds implements enforce.Holder. What it says holds no word of the subject's
// value: that may be a key.
func (a ability) Holds(t enforce.Target, act enforce.Action) error {
	kind := t.Subject.Kind
	switch {
	case !slices.Contains(a.actions, act):
		return fmt.Errorf("gateway %s: it cannot %.32q", a.name, act)
	case t.Prefix.IsValid():
		if _, err := servable(t.Prefix); err != nil {
			return fmt.Errorf("gateway %s: %w", a.name, err)
		}
	case kind == "":
		return fmt.Errorf("gateway %s: it has no valid address prefix", a.name)
	case a.kinds[kind] == "":
		return fmt.Errorf("gateway %s: it cannot tell a subject of kind %.32q: see subjects in its settings", a.name, kind)
	case t.Subject.Value == "":
		return fmt.Errorf("gateway %s: a subject of kind %.32q has no value", a.name, kind)
	case a.longest > 0 && kind != "class" && len(t.Subject.Value) > a.longest:
		return fmt.Errorf("gateway %s: a subject of kind %.32q is longer than %d bytes", a.name, kind, a.longest)
	case kind != "route" && a.refuse != "" && (strings.ContainsAny(t.Subject.Value, a.refuse) || !utf8.ValidString(t.Subject.Value)):
		return fmt.Errorf("gateway %s: a subject of kind %.32q has bytes that cannot be written for it", a.name, kind)
	}
	if t.Route == "" && kind != "route" {
		return nil
	}
	if !a.routes {
		return fmt.Errorf("gateway %s: it cannot tell routes apart", a.name)
	}
	route := t.Route
	if kind == "route" {
		route = t.Subject.Value
	}
	if _, err := routePattern(route); err != nil {
		return fmt.Errorf("gateway %s: %w", a.name, err)
	}
	return nil
}

// normal returns the wanted entries as a gateway writes them: sorted, masked, the
// strongest of each target. One that the gateway cannot hold fails the whole, so that
// the caller's state and the gateway's never differ silently.
func (a ability) normal(want []enforce.Entry) ([]enforce.Entry, error) {
	out := make([]enforce.Entry, 0, len(want))
	for _, e := range want {
		if err := a.Holds(e.Target(), e.Action); err != nil {
			return nil, fmt.Errorf("decision %.64q: %w", e.Decision, err)
		}
		if e.Action == enforce.Throttle && (!(e.Rate > 0) || math.IsInf(e.Rate, 0)) {
			return nil, fmt.Errorf("gateway %s: decision %.64q: rate %v is not a number of requests a second above 0", a.name, e.Decision, e.Rate)
		}
		if e.Prefix.IsValid() {
			e.Prefix, _ = servable(e.Prefix) // Holds has asked
		}
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(x, y enforce.Entry) int {
		return cmp.Or(x.Prefix.Compare(y.Prefix), cmp.Compare(x.Subject.Kind, y.Subject.Kind), cmp.Compare(x.Subject.Value, y.Subject.Value),
			cmp.Compare(x.Route, y.Route), cmp.Compare(hardness(y.Action), hardness(x.Action)), cmp.Compare(x.Rate, y.Rate), cmp.Compare(x.Burst, y.Burst))
	})
	return slices.CompactFunc(out, func(x, y enforce.Entry) bool { return x.Target() == y.Target() }), nil
}

// heldAll says why one of the entries cannot be held, and which.
func heldAll(h enforce.Holder, want []enforce.Entry) error {
	for i := range want {
		if err := h.Holds(want[i].Target(), want[i].Action); err != nil {
			return fmt.Errorf("decision %.64q: %w", want[i].Decision, err)
		}
	}
	return nil
}

// hardness orders actions on one target: the strongest is kept.
func hardness(a enforce.Action) int {
	return slices.Index([]enforce.Action{enforce.Challenge, enforce.Throttle, enforce.Tarpit, enforce.Block, enforce.Revoke}, a)
}

// The templates that stand for no path that could be matched.
var noPath = []string{"{other}", "{rest}", "{malformed}", "{authority}", "{odd}"}

// plainSegment is what may stand in a route as it is. Everything else is no route that
// could be written into a pattern without care, and is refused.
var plainSegment = regexp.MustCompile(`^[A-Za-z0-9._~:@!,=+-]*$`)

var parameter = regexp.MustCompile(`^\{[A-Za-z0-9_.-]{1,64}\}$`)

// routeMax bounds a route, in bytes and segments.
const routeMax, segmentsMax = 256, 24

// routePattern is the anchored regular expression of a path without its query: a
// parameter is one segment that is not empty. It holds letters, digits and [^/]+$\. only
// beside what plainSegment lets through, and no blank.
func routePattern(route string) (string, error) {
	refused := fmt.Errorf("it cannot match a route like that: want a path of plain segments and {parameters}")
	if !strings.HasPrefix(route, "/") || len(route) > routeMax || strings.Count(route, "/") > segmentsMax {
		return "", refused
	}
	var b strings.Builder
	b.WriteByte('^')
	for _, seg := range strings.Split(route[1:], "/") {
		b.WriteByte('/')
		switch {
		case slices.Contains(noPath, seg):
			return "", refused
		case parameter.MatchString(seg):
			b.WriteString("[^/]+")
		case plainSegment.MatchString(seg):
			b.WriteString(regexp.QuoteMeta(seg))
		default:
			return "", refused
		}
	}
	b.WriteByte('$')
	return b.String(), nil
}

// byRoute orders routes so that those with fewer parameters come first: the first match
// counts.
func byRoute(a, b string) int {
	return cmp.Or(cmp.Compare(strings.Count(a, "{"), strings.Count(b, "{")), strings.Compare(a, b))
}

// label is a short name for anything, of lower-case hexadecimal digits.
func label(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// targetLabel names a target.
func targetLabel(t enforce.Target) string {
	if t.Prefix.IsValid() {
		return label("prefix", t.Prefix.String(), t.Route)
	}
	return label(t.Subject.Kind, t.Subject.Value, t.Route)
}

// perSpan is how many requests a throttle lets through in so many seconds; at least one.
func perSpan(rate float64, seconds int) int {
	return int(min(max(math.Floor(rate*float64(seconds)), 1), 1e6))
}
