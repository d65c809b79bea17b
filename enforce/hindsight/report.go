package hindsight

import (
	"cmp"
	"slices"

	"github.com/portcullis/portcullis/enforce"
)

// Outcome is a decision and what it would have met.
type Outcome struct {
	enforce.Term
	Hits
}

// Trial is all that one threshold led to.
type Trial struct {
	Threshold float64 // the score from which a subject is acted on
	Set       bool    // it is that of the settings
	Outcomes  []Outcome
}

// Report is a whole backtest.
type Report struct {
	Total  Total
	Trials []Trial // by threshold
}

// Sum is what several decisions come to.
type Sum struct {
	Rule      string
	Decisions int // made
	InForce   int // of these, not only proposed
	Narrowed  int // of these, made weaker by the guard
	Clean     int // in force, and hit no authenticated success of others
	Hits      Hits
}

// Sum adds up the decisions of a trial, all of them or those of one rule.
func (t *Trial) Sum(rule string) Sum {
	s := Sum{Rule: rule}
	for i := range t.Outcomes {
		if o := &t.Outcomes[i]; rule == "" || o.Rule == rule {
			s.add(o)
		}
	}
	return s
}

func (s *Sum) add(o *Outcome) {
	s.Decisions++
	if o.From == 0 {
		return
	}
	s.InForce++
	if o.narrowed() {
		s.Narrowed++
	}
	if o.Authenticated == 0 {
		s.Clean++
	}
	h := &s.Hits
	h.Requests += o.Requests
	h.Refused += o.Refused
	h.Succeeded += o.Succeeded
	h.Authenticated += o.Authenticated
	h.Paid += o.Paid
	h.Identities += o.Identities
}

// Rules adds up by rule, the one that hits most authenticated successes first.
func (t *Trial) Rules() []Sum {
	var names []string
	for i := range t.Outcomes {
		if r := t.Outcomes[i].Rule; !slices.Contains(names, r) {
			names = append(names, r)
		}
	}
	out := make([]Sum, len(names))
	for i, n := range names {
		out[i] = t.Sum(n)
	}
	slices.SortFunc(out, func(a, b Sum) int {
		return cmp.Or(cmp.Compare(b.Hits.Authenticated, a.Hits.Authenticated), cmp.Compare(b.Decisions, a.Decisions), cmp.Compare(a.Rule, b.Rule))
	})
	return out
}

// Worst returns the decisions of a trial, those with most collateral first.
func (t *Trial) Worst() []Outcome {
	out := slices.Clone(t.Outcomes)
	slices.SortStableFunc(out, func(a, b Outcome) int {
		return cmp.Or(cmp.Compare(b.Authenticated, a.Authenticated), cmp.Compare(b.Paid, a.Paid), cmp.Compare(b.Refused, a.Refused), cmp.Compare(a.From, b.From))
	})
	return out
}

// AsSet is the trial with the threshold of the settings.
func (r *Report) AsSet() *Trial {
	for i := range r.Trials {
		if r.Trials[i].Set {
			return &r.Trials[i]
		}
	}
	return &r.Trials[0]
}

// Put gives the trials what a Meter counted, which was made for all their terms in turn.
func (r *Report) Put(hits []Hits) {
	for i := range r.Trials {
		for j := range r.Trials[i].Outcomes {
			r.Trials[i].Outcomes[j].Hits, hits = hits[0], hits[1:]
		}
	}
}

// Terms are the terms of all trials in turn.
func (r *Report) Terms() []enforce.Term {
	var out []enforce.Term
	for i := range r.Trials {
		for j := range r.Trials[i].Outcomes {
			out = append(out, r.Trials[i].Outcomes[j].Term)
		}
	}
	return out
}
