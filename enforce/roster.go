package enforce

import (
	"slices"
	"strings"
)

// roster keeps what the gateways should hold in order, so that a push costs the sorting of
// what changed and one pass over the rest. It gives what entries gives.
type roster struct {
	all     []Entry             // of every decision in force; weaker ones on a target behind the strongest
	want    []Entry             // one of each target; the same memory as all where that is the same
	changed map[string]struct{} // decisions that may stand otherwise than in all
	spare   string              // of the classes in all
}

// next returns the wanted entries; find is the decision that belongs on the gateways by its
// id, nil if none does. What was returned before is left as it is: a gateway may be reading it.
func (r *roster) next(find func(id string) *Decision, spare string) []Entry {
	if len(r.changed) == 0 && spare == r.spare && r.want != nil {
		return r.want
	}
	fresh := make([]Entry, 0, len(r.changed))
	for id := range r.changed {
		if d := find(id); d != nil {
			if e, ok := entryOf(d, spare); ok {
				fresh = append(fresh, e)
			}
		}
	}
	slices.SortFunc(fresh, func(a, b Entry) int { return compareEntries(&a, &b) })
	r.all = r.merged(fresh, spare)
	r.want = distinct(r.all)
	r.spare = spare
	clear(r.changed)
	return r.want
}

// merged is all without what changed, with what is in its place now.
func (r *roster) merged(fresh []Entry, spare string) []Entry {
	out := make([]Entry, 0, len(r.all)+len(fresh))
	for i := range r.all {
		e := &r.all[i]
		if _, other := r.changed[e.Decision]; other {
			continue
		}
		n := 0
		for n < len(fresh) && compareEntries(&fresh[n], e) < 0 {
			n++
		}
		out = append(append(out, fresh[:n]...), *e)
		fresh = fresh[n:]
		if e.Subject.Kind == "class" {
			out[len(out)-1].Spare = spare
		}
	}
	return append(out, fresh...)
}

// forget begins anew with these decisions.
func (r *roster) forget(open map[string]*Decision) {
	*r = roster{changed: make(map[string]struct{}, len(open))}
	for id := range open {
		r.changed[id] = struct{}{}
	}
}

// entryOf is how a decision stands on the gateways; false: none can look its subject up.
func entryOf(d *Decision, spare string) (Entry, bool) {
	t, err := targetOf(d.Subject, d.Route)
	if err != nil {
		return Entry{}, false // the guard lets none through
	}
	e := Entry{Decision: d.ID, Prefix: t.Prefix, Subject: t.Subject, Route: t.Route,
		Action: d.Action, Rate: d.Rate, Burst: d.Burst, Until: d.Expires, Why: d.Why}
	if d.Subject.Kind == "class" {
		e.Spare = spare
	}
	return e, true
}

// compareEntries orders by target, then the strongest first, then by decision.
func compareEntries(a, b *Entry) int {
	if a.Prefix != b.Prefix || a.Subject != b.Subject || a.Route != b.Route {
		return compareTargets(a.Target(), b.Target())
	}
	switch {
	case stronger(a.Action, b.Action):
		return -1
	case stronger(b.Action, a.Action):
		return 1
	}
	return strings.Compare(a.Decision, b.Decision)
}

// distinct leaves the first entry of each target.
func distinct(sorted []Entry) []Entry {
	same := func(a, b *Entry) bool { return a.Prefix == b.Prefix && a.Subject == b.Subject && a.Route == b.Route }
	n := 1
	for n < len(sorted) && !same(&sorted[n-1], &sorted[n]) {
		n++
	}
	if n >= len(sorted) {
		return sorted
	}
	out := append(make([]Entry, 0, len(sorted)-1), sorted[:n]...)
	for i := n; i < len(sorted); i++ {
		if !same(&sorted[i-1], &sorted[i]) {
			out = append(out, sorted[i])
		}
	}
	return out
}
