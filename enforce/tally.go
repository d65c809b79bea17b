package enforce

import (
	"slices"

	"github.com/portcullis/portcullis/detect"
)

// tally counts the requests of one window by route and source.
type tally struct {
	let, denied span
	keys        []tallyKey
	counts      []count
}

// span is a number of requests and the time they lie in.
type span struct {
	n           int64
	first, last int64
}

type tallyKey struct{ route, source string }

type count struct{ let, denied span }

// of is the span of requests that were reported together.
func of(s detect.Sightings) span { return span{n: s.N, first: s.First, last: s.Time} }

func (s *span) plus(o span) {
	if o.n == 0 {
		return
	}
	first, last := min(s.first, o.first), max(s.last, o.last)
	if s.n == 0 {
		first, last = o.first, o.last
	}
	*s = span{n: s.n + o.n, first: first, last: last}
}

// add counts requests. Routes beyond keysMax are counted together: their
// names are lost, not their numbers.
func (t *tally) add(s detect.Sightings, denied bool) {
	c := t.at(tallyKey{s.Route, s.Source})
	if denied {
		t.denied.plus(of(s))
		c.denied.plus(of(s))
	} else {
		t.let.plus(of(s))
		c.let.plus(of(s))
	}
}

func (t *tally) at(k tallyKey) *count {
	i := slices.Index(t.keys, k)
	if i < 0 && len(t.keys) >= keysMax {
		k = tallyKey{"other routes", "other sources"}
		i = slices.Index(t.keys, k)
	}
	if i < 0 {
		t.keys, t.counts = append(t.keys, k), append(t.counts, count{})
		i = len(t.keys) - 1
	}
	return &t.counts[i]
}

// plus is the tally of both windows.
func (t *tally) plus(o *tally) tally {
	sum := tally{let: t.let, denied: t.denied, keys: slices.Clone(t.keys), counts: slices.Clone(t.counts)}
	sum.let.plus(o.let)
	sum.denied.plus(o.denied)
	for i, k := range o.keys {
		c := sum.at(k)
		c.let.plus(o.counts[i].let)
		c.denied.plus(o.counts[i].denied)
	}
	return sum
}

// routes lists the routes with a count that matches, sorted. Requests without
// a route have none to name.
func (t *tally) routes(is func(count) bool) []string {
	return t.names(func(k tallyKey) string { return k.route }, is)
}

// sources lists the sources of which the sum over all routes matches; nil
// matches all.
func (t *tally) sources(is func(count) bool) []string {
	return t.names(func(k tallyKey) string { return k.source }, is)
}

func (t *tally) names(name func(tallyKey) string, is func(count) bool) []string {
	sums := map[string]*count{}
	for i, k := range t.keys {
		c := sums[name(k)]
		if c == nil {
			c = &count{}
			sums[name(k)] = c
		}
		c.let.plus(t.counts[i].let)
		c.denied.plus(t.counts[i].denied)
	}
	var out []string
	for n, c := range sums {
		if n != "" && (is == nil || is(*c)) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
