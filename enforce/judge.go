package enforce

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// findingsListed bounds the finding ids kept with a decision.
const findingsListed = 16

const policyName = "policy"

// judge counts a finding and decides what it leads to.
func (e *Enforcer) judge(ctx context.Context, b *batch, f *detect.Finding, now time.Time) error {
	if err := e.judgeOne(ctx, b, f, false, now); err != nil {
		return err
	}
	if err := e.judgeClasses(ctx, b, f, now); err != nil || f.Members == "" {
		return err
	}
	list := f.MemberList()
	for _, m := range list[:min(len(list), membersJudged)] {
		one := member(f, m)
		if err := e.judgeOne(ctx, b, &one, true, now); err != nil {
			return err
		}
	}
	return nil
}

// judgeOne does it for one subject. blind says that its standing is not known.
func (e *Enforcer) judgeOne(ctx context.Context, b *batch, f *detect.Finding, blind bool, now time.Time) error {
	rec, err := e.record(ctx, f.Subject)
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(rec.Counted, func(c Counted) bool { return c.Finding == f.ID })
	live, proposed := e.mem.on(f.Subject)
	if !e.policy.Count(rec, f) && (live != nil || !e.policy.Returns(rec, f)) {
		return nil
	}
	for _, c := range rec.Counted {
		if c.Finding == f.ID {
			b.counted[countedKey{f.Subject, f.ID}] = c
		}
	}
	trigger := f.FiredAt // also where it is first seen long after: who decided at once would have decided so
	if known {
		trigger = when(f) // it crossed the threshold by what is new in it
	}
	v := e.policy.Judge(rec, f, trigger, live)
	if v.Action == "" {
		if live != nil {
			e.attach(b, live, f, 0)
		}
		return nil
	}
	w := wanted{f: f, rec: rec, v: v, trigger: trigger, blind: blind, ruling: e.rule(Case{Subject: f.Subject, Route: f.Route, Action: v.Action, Standing: f.Standing, Blind: blind}, now)}
	return e.decide(ctx, b, w, live, proposed, now)
}

// wanted is what the policy and the guard made of a finding.
type wanted struct {
	f       *detect.Finding
	rec     *Record
	v       Verdict
	trigger int64
	ruling  Ruling
	blind   bool
}

// outcome is the state in which the decision is made, and why.
func (w *wanted) outcome() (action Action, state State, code, why string) {
	action, state, code, why = w.v.Action, Approved, w.ruling.Code, w.ruling.Why
	switch {
	case w.ruling.Action == "":
		state = Proposed
		if !w.v.Enforce && !w.ruling.Hard {
			code, why = w.v.Code, w.v.Reason+"; besides, "+w.ruling.Why
		}
	default:
		action = w.ruling.Action
		if !w.v.Enforce {
			state, code, why = Proposed, w.v.Code, w.v.Reason
		}
	}
	return action, state, code, why
}

// rule asks the guard, who is told the rest.
func (e *Enforcer) rule(c Case, now time.Time) Ruling {
	m := &e.mem
	c.Allows, c.Now, c.Panic, c.Live, c.Recent = m.allows, now.UnixNano(), m.panics != "", m.live, len(m.recent)
	c.Good, c.Inputs, c.Can = m.good, e.inputs(), e.can
	return e.guard.Check(c)
}

// decide makes a decision, or changes the one that is already open.
func (e *Enforcer) decide(ctx context.Context, b *batch, w wanted, live, proposed *Decision, now time.Time) error {
	action, state, code, why := w.outcome()
	route := w.ruling.Route
	if live != nil && evades(w.f, live) && action == live.Action {
		route = "" // it went elsewhere: everywhere, then
	} else if live != nil && !stronger(action, live.Action) {
		e.attach(b, live, w.f, w.v.Score)
		return nil
	}
	if proposed != nil && state == Proposed && !stronger(action, proposed.Action) {
		e.attach(b, proposed, w.f, w.v.Score)
		if code != proposed.Code {
			proposed.Code, proposed.Reason = code, why
			b.decisions[proposed.ID] = *proposed
		}
		return nil
	}
	if proposed != nil && state == Approved && action == proposed.Action && route == proposed.Route {
		e.attach(b, proposed, w.f, w.v.Score)
		proposed.Expires = e.expires(w.v, w.trigger, now)
		e.approve(b, proposed, live, policyName, code, why, now)
		return nil
	}
	d := e.draft(w, action, route, now)
	if done, err := e.made(ctx, &d, w.rec); err != nil || done {
		return err // it was made before and has ended, or a person released it
	}
	if proposed != nil && stronger(action, proposed.Action) {
		e.end(b, proposed, Released, policyName, "", "superseded by "+d.ID, now)
	}
	switch {
	case d.Expires <= now.UnixNano():
		b.move(&d, Expired, policyName, CodeLag, "it would have been over before its line was read", now)
		return nil
	case state == Proposed:
		e.mem.add(&d)
		b.move(&d, Proposed, policyName, code, why, now)
		b.note(e.log, slog.LevelInfo, "decision proposed", "id", d.ID, "subject", d.Subject.Value, "action", d.Action, "why", why)
		if code == CodeBreaker {
			e.say("circuit breaker", why)
		}
	default:
		e.mem.add(&d)
		e.approve(b, &d, live, policyName, code, why, now)
	}
	return nil
}

// made reports whether there is or was such a decision, and that there is one now.
func (e *Enforcer) made(ctx context.Context, d *Decision, rec *Record) (bool, error) {
	fresh := rec.fresh
	rec.fresh = false
	if e.mem.open[d.ID] != nil || fresh {
		return e.mem.open[d.ID] != nil, nil
	}
	_, done, err := e.ledger.Decision(ctx, d.ID)
	return done, err
}

func (e *Enforcer) draft(w wanted, action Action, route string, now time.Time) Decision {
	f, v := w.f, w.v
	d := Decision{
		ID: decisionID(e.ledger.hiddenSubject(f.Subject), action, route, v.Offence, f.ID), Subject: f.Subject, Route: route, Action: action,
		Rule: v.Rule, Findings: f.ID, Score: v.Score, Why: clean(f.Why), Collateral: collateral(f.Standing),
		By: policyName, Offence: v.Offence, People: f.Standing.People, Good: f.Standing.Successes,
		Created: now.UnixNano(), Expires: e.expires(v, w.trigger, now), Trigger: w.trigger,
	}
	if w.blind {
		d.Collateral = "not known: it was found together with others"
	}
	if action != v.Action {
		d.Collateral += "; " + w.ruling.Why
	}
	if action == Throttle {
		d.Rate, d.Burst = e.policy.pace(f)
	}
	return d
}

// expires counts from the line that crossed the threshold, so that reading an
// old log blocks nobody for what is long over; a line from the future gives no
// longer a time.
func (e *Enforcer) expires(v Verdict, trigger int64, now time.Time) int64 {
	return min(trigger, now.UnixNano()) + int64(e.guard.Cap(v.For))
}

// attach adds a finding to an open decision.
func (e *Enforcer) attach(b *batch, d *Decision, f *detect.Finding, score float64) {
	ids := strings.Fields(d.Findings)
	d.Score = max(d.Score, score)
	if !slices.Contains(ids, f.ID) && len(ids) < findingsListed {
		d.Findings = strings.Join(append(ids, f.ID), " ")
	}
	b.decisions[d.ID] = *d
}

// approve puts a decision in force; a weaker one on the subject gives way.
func (e *Enforcer) approve(b *batch, d, live *Decision, who, code, why string, now time.Time) {
	m := &e.mem
	if live != nil {
		e.end(b, live, Released, who, "", "superseded by "+d.ID, now)
	}
	b.move(d, Approved, who, code, why, now)
	b.offended[d.ID] = true
	if r, ok := m.records.Peek(d.Subject); ok {
		r.Offences, r.Offended = max(r.Offences, d.Offence), max(r.Offended, d.Trigger)
	}
	if who == policyName {
		m.recent = append(m.recent, now.UnixNano())
	}
	m.live++
	m.good += shared(detect.Standing{Successes: d.Good, People: d.People})
	m.dirty = true
	b.note(e.log, slog.LevelInfo, "decision approved", "id", d.ID, "subject", d.Subject.Value, "action", d.Action,
		"by", who, "until", time.Unix(0, d.Expires).UTC(), "why", d.Why)
}

// end takes a decision out of force for good.
func (e *Enforcer) end(b *batch, d *Decision, to State, who, code, why string, now time.Time) {
	m := &e.mem
	if d.State.Live() {
		m.live--
		m.dirty = true
		if r, ok := m.records.Peek(d.Subject); ok {
			r.Served = max(r.Served, now.UnixNano())
		}
		m.linger[d.Subject] = lingering{
			watch: detect.Watch{Subject: d.Subject, Deny: deny(d.Action), Since: d.Trigger},
			until: now.Add(lingerFor),
		}
	}
	b.move(d, to, who, code, why, now)
	m.drop(d)
	b.note(e.log, slog.LevelInfo, "decision ended", "id", d.ID, "subject", d.Subject.Value, "state", to, "by", who, "why", why)
}

// forgive ends a decision that a person took back: it is no offence, and what
// led to it weighs no longer.
func (e *Enforcer) forgive(b *batch, d *Decision, who, code, why string, now time.Time) {
	e.end(b, d, Released, who, code, why, now)
	b.offended[d.ID] = false
	b.forgive(d.Subject)
	e.mem.records.Remove(d.Subject)
}
