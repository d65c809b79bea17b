package authz

import (
	"maps"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"

	"github.com/portcullis/portcullis/detect"
)

// act is what a rule does. A larger one is stronger.
type act uint8

const (
	actNote     act = iota // only counted: a list of others that is observed
	actThrottle            // at a rate
	actBlock
)

// target is whom a rule hits: an address or prefix, or another subject, everywhere or
// on one route.
type target struct {
	prefix  netip.Prefix
	subject detect.Subject // where there is no prefix
	route   string
}

// wanted is a rule to be.
type wanted struct {
	target
	act   act
	pace  pace // of actThrottle
	id    string
	label string // what it is called in the RateLimit fields
	spare string // of a class: prefixes that it does not hit
}

// rule is one entry of the list. Only due changes once it is there, and gen, which
// the writer alone reads.
type rule struct {
	act   act
	pace  pace
	due   atomic.Int64 // of a throttle: shared by all whom it hits
	id    string
	label string
	spare string
	gen   uint64
}

func (r *rule) is(w *wanted) bool {
	return r.act == w.act && r.pace == w.pace && r.id == w.id && r.label == w.label && r.spare == w.spare
}

// spot is all rules on one prefix or subject. byRoute is never changed, only replaced.
type spot struct {
	all     *rule
	byRoute map[string]*rule
}

func (s spot) empty() bool { return s.all == nil && len(s.byRoute) == 0 }

func (s spot) get(route string) *rule {
	if route == "" {
		return s.all
	}
	return s.byRoute[route]
}

// with returns the spot with another rule for a route; nil takes it away.
func (s spot) with(route string, r *rule) spot {
	if route == "" {
		s.all = r
		return s
	}
	copied := make(map[string]*rule, len(s.byRoute)+1)
	maps.Copy(copied, s.byRoute)
	if delete(copied, route); r != nil {
		copied[route] = r
	}
	s.byRoute = copied
	return s
}

// snapshot is the list at a moment. It is never changed.
type snapshot struct {
	addrs   *bart.Table[spot]
	others  map[detect.Subject]spot
	routes  []everyoneRule // of others, those on a route
	classes []classRule    // of others, those on a user agent and a route
	routed  int            // rules that are for one route
	size    int
}

var nothing = &snapshot{addrs: new(bart.Table[spot])}

// find returns the strongest rule for an address on a route.
func (s *snapshot) find(a netip.Addr, at way) *rule {
	if _, ok := s.addrs.Lookup(a); !ok {
		return nil
	}
	var best *rule
	// The longest prefix is not the strongest rule: a throttled address may stand in
	// a network that is blocked.
	for _, sp := range s.addrs.Supernets(netip.PrefixFrom(a, a.BitLen())) {
		best = stronger(best, sp, at)
	}
	return best
}

// subject returns the strongest rule for a subject of another kind.
func (s *snapshot) subject(sub detect.Subject, at way, best *rule) *rule {
	if sp, ok := s.others[sub]; ok {
		best = stronger(best, sp, at)
	}
	return best
}

// everyone returns the strongest rule for whoever asks for a route.
func (s *snapshot) everyone(at way, best *rule) *rule {
	for _, e := range s.routes {
		if at.fits(e.route) {
			best = harder(best, e.rule)
		}
	}
	return best
}

// everyoneRule is a rule whose subject is a route.
type everyoneRule struct {
	route string
	rule  *rule
}

func routesOf(others map[detect.Subject]spot) (out []everyoneRule) {
	for s, sp := range others {
		if s.Kind == "route" && sp.all != nil {
			out = append(out, everyoneRule{s.Value, sp.all})
		}
	}
	return out
}

func stronger(best *rule, sp spot, at way) *rule {
	best = harder(best, sp.all)
	for route, r := range sp.byRoute {
		if at.fits(route) {
			best = harder(best, r)
		}
	}
	return best
}

// way is what a request is for: its route template as the log shows it, and its path.
// A rule on a route fits by either, since a decision may name a route that was learnt
// from other paths.
type way struct{ route, path string }

func (w way) fits(route string) bool {
	return route == w.route || w.path != "" && matches(route, w.path)
}

// matches tells whether a path is one of a template, of which a part in braces stands
// for one segment.
func matches(template, path string) bool {
	for {
		want, moreWant, endWant := strings.Cut(template, "/")
		have, moreHave, endHave := strings.Cut(path, "/")
		parameter := len(want) > 2 && want[0] == '{' && want[len(want)-1] == '}'
		if endWant != endHave || parameter && have == "" || !parameter && want != have {
			return false
		}
		if !endWant {
			return true
		}
		template, path = moreWant, moreHave
	}
}

func harder(a, b *rule) *rule {
	switch {
	case a == nil:
		return b
	case b == nil, a.act > b.act, a.act == b.act && a.pace.Every >= b.pace.Every:
		return a
	}
	return b
}

// list is the current snapshot and its one writer.
type list struct {
	cur atomic.Pointer[snapshot]

	mu  sync.Mutex
	gen uint64
}

func newList() *list {
	l := new(list)
	l.cur.Store(nothing)
	return l
}

// replace makes want the whole list and says how many rules were added, altered or
// removed. Of two wanted rules with one target the stronger one counts.
func (l *list) replace(want []wanted) (changed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gen++
	e := edit{old: l.cur.Load(), gen: l.gen}
	e.addrs, e.others = e.old.addrs, e.old.others
	e.routed, e.size = e.old.routed, e.old.size
	for i := range want {
		e.want(&want[i])
	}
	if e.seen < e.size {
		e.sweep()
	}
	if e.changed > 0 {
		next := &snapshot{addrs: e.addrs, others: e.others, routes: e.old.routes, classes: e.old.classes, routed: e.routed, size: e.size}
		if e.own {
			next.routes, next.classes = routesOf(e.others), classesOf(e.others)
		}
		l.cur.Store(next)
	}
	return e.changed
}

// persistMost is how many changes are made one by one, each with a copy of the few
// nodes on its way; with more the whole table is copied once.
const persistMost = 2048

// edit makes the next snapshot out of the last one, which stays as it is.
type edit struct {
	old     *snapshot
	gen     uint64
	addrs   *bart.Table[spot]
	others  map[detect.Subject]spot
	own     bool // others is a copy
	fresh   bool // addrs is a copy
	puts    int
	seen    int // distinct rules wanted
	size    int
	routed  int
	changed int
}

func (e *edit) get(t *target) spot {
	if t.prefix.IsValid() {
		sp, _ := e.addrs.Get(t.prefix)
		return sp
	}
	return e.others[t.subject]
}

func (e *edit) put(t *target, sp spot) {
	if !t.prefix.IsValid() {
		e.putOther(t.subject, sp)
		return
	}
	if e.puts++; e.puts == persistMost {
		e.addrs, e.fresh = e.addrs.Clone(), true
	}
	switch {
	case e.fresh && sp.empty():
		e.addrs.Delete(t.prefix)
	case e.fresh:
		e.addrs.Insert(t.prefix, sp)
	case sp.empty():
		e.addrs = e.addrs.DeletePersist(t.prefix)
	default:
		e.addrs = e.addrs.InsertPersist(t.prefix, sp)
	}
}

func (e *edit) putOther(s detect.Subject, sp spot) {
	if !e.own {
		copied := make(map[detect.Subject]spot, len(e.others)+1)
		maps.Copy(copied, e.others)
		e.others, e.own = copied, true
	}
	if sp.empty() {
		delete(e.others, s)
		return
	}
	e.others[s] = sp
}

func (e *edit) want(w *wanted) {
	sp := e.get(&w.target)
	have := sp.get(w.route)
	if have != nil && have.gen != e.gen && have.is(w) {
		have.gen = e.gen
		e.seen++
		return
	}
	next := &rule{act: w.act, pace: w.pace, id: w.id, label: w.label, spare: w.spare, gen: e.gen}
	switch {
	case have == nil:
		e.size, e.seen = e.size+1, e.seen+1
		if w.route != "" {
			e.routed++
		}
	case have.gen == e.gen: // a second one on this target
		if harder(have, next) == have {
			return
		}
	default:
		e.seen++
	}
	if have != nil {
		next.due.Store(have.due.Load()) // a throttle that is altered does not begin anew
	}
	e.changed++
	e.put(&w.target, sp.with(w.route, next))
}

// sweep takes away what is not wanted any more.
func (e *edit) sweep() {
	type change struct {
		at   target
		kept spot
	}
	var list []change
	for p, sp := range e.addrs.All() {
		if kept, gone := e.kept(sp); gone {
			list = append(list, change{target{prefix: p}, kept})
		}
	}
	for s, sp := range e.others {
		if kept, gone := e.kept(sp); gone {
			list = append(list, change{target{subject: s}, kept})
		}
	}
	for i := range list {
		e.put(&list[i].at, list[i].kept)
	}
}

func (e *edit) kept(sp spot) (kept spot, gone bool) {
	kept = sp
	if sp.all != nil && sp.all.gen != e.gen {
		kept, gone = kept.with("", nil), true
		e.gone(0)
	}
	for route, r := range sp.byRoute {
		if r.gen != e.gen {
			kept, gone = kept.with(route, nil), true
			e.gone(1)
		}
	}
	return kept, gone
}

func (e *edit) gone(routed int) {
	e.size--
	e.routed -= routed
	e.changed++
}
