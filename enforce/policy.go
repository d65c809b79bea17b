package enforce

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// Policy says what findings lead to. It is pure: the same findings in the same
// order give the same verdicts, and time comes from the findings.
type Policy struct {
	cfg      PolicyConfig
	simulate []selector
}

// NewPolicy checks the configuration and builds the policy.
func NewPolicy(cfg PolicyConfig) (*Policy, error) {
	sel, err := newSelectors(cfg.Simulate.Subjects)
	if err != nil {
		return nil, err
	}
	return &Policy{cfg: cfg, simulate: sel}, nil
}

// Counted is a finding as it weighs on its subject.
type Counted struct {
	Finding string
	Rule    string
	Family  detect.Family
	Hard    bool    // may be enforced, not only observed
	Top     float64 // the heaviest it was offered with; only more than that counts again
	Weight  float64 // at At
	At      int64   // event time, Unix nanoseconds
}

// Record is what is remembered of a subject.
type Record struct {
	Subject  detect.Subject
	Counted  []Counted // by finding id
	Offences int       // highest offence of its decisions that were in force
	Offended int64     // trigger of the newest of them
	Served   int64     // when the last of them was out of force

	fresh bool // the ledger holds no decision on it at all
}

// recordMax bounds the findings remembered of one subject. Above it the
// lightest is forgotten, and would count again if it were offered again.
const recordMax = 128

type familyMode struct {
	family detect.Family
	mode   string
}

func (m FamilyModes) list() []familyMode {
	return []familyMode{{detect.Credential, m.Credential}, {detect.Rate, m.Rate}, {detect.Injection, m.Injection},
		{detect.Recon, m.Recon}, {detect.API, m.API}}
}

// mode of a family; one that is not known is only observed.
func (m FamilyModes) mode(f detect.Family) string {
	for _, fm := range m.list() {
		if fm.family == f {
			return fm.mode
		}
	}
	return "observe"
}

func (p *Policy) weight(f *detect.Finding) float64 {
	w := p.cfg.Weights
	all := [...]float64{w.Info, w.Low, w.Medium, w.High, w.Critical}
	c := f.Confidence
	if math.IsNaN(c) {
		c = 0
	}
	return all[min(int(f.Severity), len(all)-1)] * min(max(c, 0), 1)
}

// when is the event time of what is new in a finding.
func when(f *detect.Finding) int64 { return max(f.FiredAt, f.LastSeen) }

// decay is what is left of a weight after the time between two moments; an
// earlier moment than the weight's takes nothing away and adds nothing.
func (p *Policy) decay(from, to int64) float64 {
	return math.Exp2(-float64(max(to-from, 0)) / float64(p.cfg.HalfLife))
}

// Count adds a finding to the record and reports whether that changed it. An
// update of a known finding counts only as far as it grew.
func (p *Policy) Count(r *Record, f *detect.Finding) bool {
	if s, known := detect.SpecOf(f.Rule); p.cfg.Families.mode(f.Family) == "off" || known && s.Advice {
		return false
	}
	hard := !slices.Contains(p.cfg.Simulate.Rules, f.Rule) &&
		(p.cfg.Families.mode(f.Family) == "enforce" || f.Confidence >= p.cfg.NearCertain)
	w, at := p.weight(f), when(f)
	i, known := slices.BinarySearchFunc(r.Counted, f.ID, func(c Counted, id string) int { return strings.Compare(c.Finding, id) })
	if !known {
		r.Counted = slices.Insert(r.Counted, i, Counted{Finding: f.ID, Rule: f.Rule, Family: f.Family, Hard: hard, Top: w, Weight: w, At: f.FiredAt})
		p.bound(r, at)
		return true
	}
	c := &r.Counted[i]
	if w <= c.Top && (c.Hard || !hard) {
		return false
	}
	if w > c.Top {
		c.Weight = c.Weight*p.decay(c.At, at) + w - c.Top
		c.At, c.Top = max(c.At, at), w
	}
	c.Hard = c.Hard || hard
	return true
}

func (p *Policy) bound(r *Record, at int64) {
	if len(r.Counted) <= recordMax {
		return
	}
	lightest := 0
	value := func(c Counted) float64 { return c.Weight * p.decay(c.At, at) }
	for i := range r.Counted {
		if value(r.Counted[i]) < value(r.Counted[lightest]) {
			lightest = i
		}
	}
	r.Counted = slices.Delete(r.Counted, lightest, lightest+1)
}

// Returns reports whether a finding that is known already goes on well after the
// last decision on its subject: it came back when that was over. What it did while that
// was in force is paid for, whoever reads of it later. What a person forgave does not count.
func (p *Policy) Returns(r *Record, f *detect.Finding) bool {
	if r.Offences == 0 || when(f)-r.Offended < int64(p.cfg.Repeat) || when(f) <= r.Served {
		return false
	}
	for i := range r.Counted {
		if r.Counted[i].Finding == f.ID {
			return r.Counted[i].Top != forgiven
		}
	}
	return false
}

// Score is what weighs on the subject at a moment: of all findings, and of
// those that may be enforced.
func (p *Policy) Score(r *Record, at int64) (all, hard float64) {
	for _, c := range r.Counted { // in the order of ids, so that the sum is the same every time
		v := c.Weight * p.decay(c.At, at)
		all += v
		if c.Hard {
			hard += v
		}
	}
	return all, hard
}

// Forgive takes away what weighed on a subject until now, since a person let
// it go. The findings stay known and never count again, however they grow: the
// person has seen what they are about.
func (p *Policy) Forgive(r *Record) {
	for i := range r.Counted {
		r.Counted[i].Weight, r.Counted[i].Top = 0, forgiven
	}
}

// forgiven is heavier than any finding.
const forgiven = math.MaxFloat64

// Verdict is what the policy wants done; Action "" = nothing.
type Verdict struct {
	Action  Action
	Enforce bool   // false: only proposed
	Code    string // why it is only proposed
	Reason  string // the same in words
	Rule    string // the rule that weighed most
	Score   float64
	Offence int
	For     time.Duration
	Rate    float64
	Burst   int
}

// Judge says what the record leads to now that f was counted, at the event time of what
// is new in it. live is the decision in force on the subject, or nil.
func (p *Policy) Judge(r *Record, f *detect.Finding, at int64, live *Decision) Verdict {
	all, hard := p.Score(r, at)
	v := Verdict{Score: hard, Enforce: true, Offence: 1}
	if r.Offences > 0 && at-r.Offended < int64(p.cfg.Forget) {
		v.Offence = r.Offences + 1
	}
	repeat := v.Offence > 1
	if live != nil {
		repeat = at-live.Trigger >= int64(p.cfg.Repeat)
		v.Offence = live.Offence
		if repeat {
			v.Offence++
		}
	}
	v.Action = p.action(r, at, hard, true, repeat)
	if v.Action == "" {
		v.Action, v.Score, v.Enforce = p.action(r, at, all, false, repeat), all, false
		v.Code = CodeObserve
		v.Reason = fmt.Sprintf("observed only: set policy.families.%s to enforce, or approve it", f.Family)
	}
	v.Action = p.finished(v.Action, f.Subject, v.Offence)
	if v.Action == "" || (live != nil && !stronger(v.Action, live.Action) && !evades(f, live)) {
		return Verdict{}
	}
	if why := p.simulated(f); why != "" {
		v.Enforce, v.Code, v.Reason = false, CodeSimulate, why
	}
	v.Rule = p.heaviest(r, at, v.Enforce)
	v.For = p.expiry(v.Offence)
	if v.Action == Throttle {
		v.Rate, v.Burst = p.pace(f)
	}
	return v
}

// action applies the ladder: abuse by volume is throttled first and blocked
// when it is repeated; everything else is blocked once it weighs enough.
func (p *Policy) action(r *Record, at int64, score float64, hardOnly, repeat bool) Action {
	if score < p.cfg.Throttle {
		return ""
	}
	volumeOnly := true
	for _, c := range r.Counted {
		if (!hardOnly || c.Hard) && c.Family != detect.Rate && c.Family != detect.API && c.Weight*p.decay(c.At, at) >= 0.01 {
			volumeOnly = false
		}
	}
	if score < p.cfg.Block || (volumeOnly && !repeat) {
		return Throttle
	}
	return Block
}

// finished is the form that the settings give a block.
func (p *Policy) finished(a Action, s detect.Subject, offence int) Action {
	switch {
	case a != Block:
		return a
	case s.Kind == "class": // whoever else has that agent is only slowed
		return Throttle
	case p.cfg.Revoke > 0 && offence >= p.cfg.Revoke && s.Kind == "key":
		return Revoke
	case p.cfg.Tarpit:
		return Tarpit
	}
	return Block
}

// evades reports whether a subject goes on where its decision does not reach.
func evades(f *detect.Finding, live *Decision) bool {
	return live.Route != "" && f.Route != live.Route
}

func (p *Policy) simulated(f *detect.Finding) string {
	switch {
	case p.cfg.Simulate.All:
		return "simulated: policy.simulate.all is on"
	case slices.Contains(p.cfg.Simulate.Rules, f.Rule):
		return fmt.Sprintf("simulated: the rule %s is in policy.simulate.rules", f.Rule)
	}
	for _, s := range p.simulate {
		if s.matches(f.Subject) {
			return fmt.Sprintf("simulated: %s is in policy.simulate.subjects", s)
		}
	}
	return ""
}

func (p *Policy) heaviest(r *Record, at int64, hardOnly bool) string {
	rule, top := "", -1.0
	for _, c := range r.Counted {
		if v := c.Weight * p.decay(c.At, at); v > top && (c.Hard || !hardOnly) {
			rule, top = c.Rule, v
		}
	}
	return rule
}

func (p *Policy) expiry(offence int) time.Duration {
	e := p.cfg.Expiry
	steps := [...]time.Duration{e.First, e.Second, e.Third, e.Later}
	return steps[min(max(offence, 1), len(steps))-1]
}

// stronger reports whether an action denies more than another.
func stronger(a, b Action) bool {
	rank := func(x Action) int {
		return slices.Index([]Action{"", Challenge, Throttle, Tarpit, Block, Revoke}, x)
	}
	return rank(a) > rank(b)
}

// decisionID depends only on what is decided and on the finding that led to
// it, so that judging the same finding again makes the same decision.
func decisionID(s detect.Subject, action Action, route string, offence int, finding string) string {
	h := sha256.New()
	for _, part := range []string{s.Kind, s.Value, string(action), route, fmt.Sprint(offence), finding} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}
