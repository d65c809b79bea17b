package rule

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/detect"
)

// sight is what a look at a route's clients shows over one span.
type sight struct {
	span     int64
	clients  int // unknown ones that were refused and not let in
	lately   int // of those, in the last sixth of the span
	known    int // clients that do much else and well, but were refused now
	accepted float64
	expected float64
	needed   float64 // clients that make a finding
}

// fires tells a fleet from people: there are more of them than people make, and not
// because the login itself is broken, which meets those who are known as well. It is over
// when they come no more.
func (s *sight) fires() bool {
	return float64(s.clients) >= s.needed && s.lately > s.clients/24 && s.known <= s.clients/2
}

// look judges what the route has seen.
func (r *authRoute) look(f *fleet, slot detect.Slot, sec int64) {
	best, seen := r.best(f, sec)
	if !seen && f.begun == 0 {
		return
	}
	if seen {
		if f.begun == 0 {
			f.begun = sec - best.span
		}
		f.fired = sec
	}
	start := detect.WindowOf(sec)
	switch {
	case f.now == nil && seen && f.fresh(start/1e9) >= 3:
		f.now = &episode{start: start, fired: sec, first: f.since(max(f.begun, start/1e9-fleetGrace))}
		for i := range f.lines {
			f.now.evidence = append(f.now.evidence, shown(r.env, &f.lines[i]))
		}
		f.told = 0
	case f.now == nil:
		return
	}
	f.now.times = max(f.now.times, float64(best.clients)/max(1, best.needed))
	if best.clients > 0 && best.clients >= int(f.now.level) {
		f.now.level, f.now.shown = int64(best.clients), best.span
	}
	if wait := max(fleetGrace/2, min((sec-f.now.fired)/4, 600)); f.told == 0 || sec-f.told >= wait || sec >= f.lastLook() {
		f.told = sec
		r.report(f, slot, sec)
	}
}

// fresh is how many unknown clients were refused from a second on, and not let in.
func (f *fleet) fresh(from int64) (n int) {
	for i := range f.clients.list {
		if m := &f.clients.list[i]; int64(m.last) >= from && m.luckless() && !m.known {
			n++
		}
	}
	return n
}

// since is the first refusal of those that were refused after a second.
func (f *fleet) since(sec int64) int64 {
	first := int64(0)
	for i := range f.clients.list {
		if m := &f.clients.list[i]; int64(m.last) >= sec && (first == 0 || int64(m.first) < first) {
			first = max(int64(m.first), sec)
		}
	}
	return first
}

// spans are looked over: the first at once, by who was refused and not let in yet, the
// others later, by who never was.
var spans = [...]struct{ secs, grace int64 }{{60, 0}, {300, 0}, {900, 0}, {600, fleetGrace}, {hour, fleetGrace}, {fleetKeep, fleetGrace}}

// best is the clearest sight of a fleet, if there is any.
func (r *authRoute) best(f *fleet, sec int64) (sight, bool) {
	var best sight
	seen := false
	for i, s := range f.survey(sec) {
		if spans[i].grace == 0 {
			s.expected = f.norm.refusedFor(s.accepted)
		} else {
			s.expected = f.norm.allLucklessFor(s.accepted)
		}
		s.needed = max(float64(r.cfg.Clients), beyond(s.expected, r.cfg.Factor, r.cfg.Sigmas))
		if s.fires() && float64(s.clients)*max(1, best.needed) > float64(best.clients)*s.needed {
			best, seen = s, true
		}
	}
	return best, seen
}

// survey counts the clients that were refused within each span.
func (f *fleet) survey(sec int64) (out [len(spans)]sight) {
	for i := range out {
		out[i].span = spans[i].secs
		out[i].accepted, _ = f.logins(sec - spans[i].secs)
	}
	for j := range f.clients.list {
		m := &f.clients.list[j]
		known := m.known
		if !known && !m.luckless() {
			continue
		}
		for i, ago := range spans {
			switch last := int64(m.last); {
			case last <= sec-ago.secs || last > sec-ago.grace:
			case known:
				out[i].known++
			default:
				out[i].clients++
				if last > sec-ago.grace-(ago.secs-ago.grace)/6 {
					out[i].lately++
				}
			}
		}
	}
	return out
}

// report hands over the finding of the window.
func (r *authRoute) report(f *fleet, slot detect.Slot, sec int64) {
	e := f.now
	from := max(f.begun, e.start/1e9-fleetGrace)
	members, networks := r.members(f, from, sec)
	e.count, e.last = 0, e.fired
	for i := range f.clients.list {
		if m := &f.clients.list[i]; int64(m.last) >= from && m.luckless() && !m.known {
			e.count++
			e.last = max(e.last, int64(m.last))
		}
	}
	out := e.finding()
	out.Standing = detect.Standing{}
	out.Route = r.env.Subject(slot).Value
	out.Severity = detect.Medium
	if e.times >= 2 || e.count >= 100 {
		out.Severity = detect.High
	}
	out.Confidence = surer(0.8, 0.97, e.times, 4)
	out.Members, out.Suspects = detect.PackMembers(members), detect.PackSuspects(f.suspects(out.Route, from))
	accepted, refused := f.logins(from)
	out.Why = fmt.Sprintf("%d clients that nobody knew were refused and never let in; %d within %s are %.1f times what makes a finding here. In all %.0f refused and %.0f accepted; %d members are listed, of %d networks",
		e.count, e.level, newSpan(e.shown), e.times, refused, accepted, len(members), networks)
	if n := f.users.Estimate(); n > 1 {
		out.Why += fmt.Sprintf("; about %d accounts were tried", n)
	}
	r.env.Report(slot, out)
}

// group are the clients of one class that were refused last in one stretch of time.
type group struct {
	class int
	at    int64 // number of the stretch
	list  []*member
	doubt float64 // share of them that are expected to be people
}

// fleetStretch is how long people are expected to be in the same proportion to logins
// that work, in seconds.
const fleetStretch = 600

// members ranks the clients that take part: those of classes and times in which hardly
// anybody fails ordinarily come first, and the list ends before too many must be people.
func (r *authRoute) members(f *fleet, from, sec int64) (list []detect.Member, networks int) {
	groups := f.groups(from, sec-fleetGrace)
	people, seen := 0.0, map[uint64]bool{}
	for _, g := range groups {
		n := float64(len(g.list))
		if g.doubt > mostDoubt || people+g.doubt*n > (1-r.cfg.Precision)*(float64(len(list))+n) {
			break
		}
		people += g.doubt * n
		for _, m := range g.list {
			seen[m.who.network()] = true
			list = append(list, detect.Member{Subject: m.who.subject(), Score: 1 - g.doubt, Count: int64(m.refused)})
		}
	}
	return list, len(seen)
}

// stranger is added to the people that are expected of each class: with so many classes,
// somebody is of one that hardly anybody is of. A handful shows nothing.
const stranger = 0.5

// mostDoubt is the share of people beyond which no group is listed.
const mostDoubt = 0.1

// groups sorts unknown clients that were refused last in [from, to] and never let in,
// the surest first.
func (f *fleet) groups(from, to int64) []*group {
	var groups []*group
	index := map[[2]int64]*group{}
	var alike [classes]int
	for i := range f.clients.list {
		m := &f.clients.list[i]
		if int64(m.last) < from || int64(m.last) > to || !m.luckless() || m.known {
			continue
		}
		key := [2]int64{int64(f.norm.class(m)), int64(m.last) / fleetStretch}
		g := index[key]
		if g == nil {
			g = &group{class: int(key[0]), at: key[1]}
			groups, index[key] = append(groups, g), g
		}
		g.list = append(g.list, m)
		alike[g.class]++
	}
	for _, g := range groups {
		before, _ := f.logins(max(from, g.at*fleetStretch))
		after, _ := f.logins((g.at + 1) * fleetStretch)
		g.doubt = min(1, f.norm.lucklessFor(g.class, before-after)/float64(len(g.list))+stranger/float64(alike[g.class]))
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.doubt, b.doubt), cmp.Compare(a.class, b.class), cmp.Compare(a.at, b.at))
	})
	return groups
}
