package hindsight

import (
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// Bounds of a Result, whatever the log held: the worst decisions of a trial that it lists,
// and the bytes of a text that a client may have written.
const (
	worstKept = 100
	textKept  = 300
)

// Result is a report that is kept, and shown by programs: sums, and of each trial the
// decisions with most collateral. Times are RFC 3339.
type Result struct {
	Total  Log          `json:"total"`
	Trials []Tried      `json:"trials" doc:"By threshold."`
	Worst  []WouldBeHit `json:"worst" doc:"Of the threshold as set, the decisions with most collateral first; at most 100."`
	More   int          `json:"more" doc:"Decisions that worst leaves out."`
}

// Log is what the log held, with decisions or without.
type Log struct {
	First         string `json:"first,omitempty" format:"date-time"`
	Last          string `json:"last,omitempty" format:"date-time"`
	Requests      int64  `json:"requests"`
	Succeeded     int64  `json:"succeeded" doc:"Answered below 400."`
	Authenticated int64  `json:"authenticated" doc:"Of these, those of a known identity."`
	Paid          int64  `json:"paid" doc:"Of the succeeded, those on paths that earn money."`
}

// Tried is what one threshold led to.
type Tried struct {
	Threshold float64 `json:"threshold" doc:"Score from which a subject is acted on."`
	Set       bool    `json:"set" doc:"It is that of the settings."`
	Sums      Sums    `json:"sums"`
	Rules     []Sums  `json:"rules" doc:"By rule, the one that hits most good requests first."`
	InForce   []int   `json:"in_force" doc:"Decisions in force in each of 96 equal parts of the log's time."`
}

// Sums is what several decisions come to.
type Sums struct {
	Rule       string `json:"rule,omitempty"`
	Decisions  int    `json:"decisions"`
	InForce    int    `json:"in_force" doc:"Of these, not only proposed."`
	Narrowed   int    `json:"narrowed" doc:"Of these, made weaker by the guard."`
	Clean      int    `json:"clean" doc:"In force, and no good request refused."`
	Refused    int64  `json:"refused" doc:"Requests that would have been refused."`
	Succeeded  int64  `json:"succeeded" doc:"Of these, answered below 400."`
	Good       int64  `json:"good" doc:"Of these, of an identity other than the one that was meant."`
	Identities int    `json:"identities" doc:"Distinct ones behind good, added up over the decisions."`
	Paid       int64  `json:"paid" doc:"Of the succeeded, those on paths that earn money."`
}

// WouldBeHit is a decision and whom it would have hit.
type WouldBeHit struct {
	Kind       string  `json:"kind"`
	Value      string  `json:"value"`
	Action     string  `json:"action"`
	Route      string  `json:"route,omitempty"`
	Rule       string  `json:"rule"`
	Why        string  `json:"why"`
	Reason     string  `json:"reason,omitempty" doc:"Why it was only proposed."`
	Narrowed   bool    `json:"narrowed"`
	From       string  `json:"from,omitempty" format:"date-time" doc:"Missing: it was only proposed."`
	To         string  `json:"to,omitempty" format:"date-time"`
	Score      float64 `json:"score"`
	Refused    int64   `json:"refused"`
	Succeeded  int64   `json:"succeeded"`
	Good       int64   `json:"good"`
	Identities int     `json:"identities"`
	Paid       int64   `json:"paid"`
	Most       []Often `json:"most" doc:"The identities that were hit most."`
}

// Often is how often somebody was hit.
type Often struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// Result is the report as it is kept.
func (r *Report) Result() Result {
	t := &r.Total
	out := Result{Total: Log{detect.FormatTime(t.First), detect.FormatTime(t.Last), t.Requests, t.Succeeded, t.Authenticated, t.Paid}, Trials: []Tried{}, Worst: []WouldBeHit{}}
	for i := range r.Trials {
		out.Trials = append(out.Trials, r.Trials[i].tried(t.First, t.Last))
	}
	set := r.AsSet()
	worst := set.Worst()
	for i := range worst[:min(len(worst), worstKept)] {
		out.Worst = append(out.Worst, worst[i].wouldBeHit())
	}
	out.More = max(0, len(worst)-worstKept)
	return out
}

func (t *Trial) tried(first, last int64) Tried {
	out := Tried{Threshold: t.Threshold, Set: t.Set, Sums: t.Sum("").sums(), Rules: []Sums{}, InForce: []int{}}
	for _, s := range t.Rules() {
		out.Rules = append(out.Rules, s.sums())
	}
	if counts, _ := t.inForce(first, last); counts != nil {
		out.InForce = counts
	}
	return out
}

func (s Sum) sums() Sums {
	return Sums{short(s.Rule), s.Decisions, s.InForce, s.Narrowed, s.Clean, s.Hits.Refused, s.Hits.Succeeded, s.Hits.Authenticated, s.Hits.Identities, s.Hits.Paid}
}

func (o *Outcome) wouldBeHit() WouldBeHit {
	out := WouldBeHit{
		Kind: o.Subject.Kind, Value: capped(o.Subject.Value), Action: string(o.Action), Route: capped(o.Route), Rule: o.Rule, Why: capped(o.Why), Narrowed: o.narrowed(), Score: o.Score,
		Refused: o.Refused, Succeeded: o.Succeeded, Good: o.Authenticated, Identities: o.Identities, Paid: o.Paid, Most: []Often{},
	}
	if o.From == 0 {
		out.Reason = capped(o.Reason)
	} else {
		out.From, out.To = detect.FormatTime(o.From), detect.FormatTime(o.To)
	}
	for _, m := range o.Most {
		out.Most = append(out.Most, Often{m.Subject.Kind, capped(m.Subject.Value), m.Count})
	}
	return out
}

// narrowed reports whether the guard made the decision weaker.
func (o *Outcome) narrowed() bool {
	return o.Code == enforce.CodePeople || o.Code == enforce.CodeUnknown
}

// Conceal replaces what may hold an address, by a function that hides them.
func (r *Report) Conceal(hide func(string) string) {
	for i := range r.Trials {
		for j := range r.Trials[i].Outcomes {
			o := &r.Trials[i].Outcomes[j]
			for _, p := range []*string{&o.Subject.Value, &o.Route, &o.Why, &o.Reason, &o.Collateral} {
				*p = hide(*p)
			}
			for k := range o.Most {
				o.Most[k].Subject.Value = hide(o.Most[k].Subject.Value)
			}
		}
	}
}

// capped cuts what a client may have written.
func capped(s string) string { return cut(s, textKept) }
