package enforce

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// hold takes in what the log says of decisions.
func (e *Enforcer) hold(b *batch, hs map[string]Holding, now time.Time) {
	for _, id := range slices.Sorted(maps.Keys(hs)) {
		d, h := e.mem.open[id], hs[id]
		switch {
		case d == nil || !d.State.Live():
		case d.State == Approved: // seen before every gateway answered
			e.mem.early[id] = h
		case d.State != h.State || d.Code != h.Code:
			e.held(b, d, h, now)
		}
	}
}

func (e *Enforcer) held(b *batch, d *Decision, h Holding, now time.Time) {
	d.Checked = h.At
	b.move(d, h.State, "verify", h.Code, h.Why, now)
	level := slog.LevelInfo
	if h.State == NotEnforced {
		level = slog.LevelWarn
		e.mem.dirty = true // the gateway may have lost it: give it the whole again
	}
	b.note(e.log, level, "decision "+string(h.State), "id", d.ID, "subject", d.Subject.Value, "code", h.Code, "why", h.Why)
}

// settle looks at every open decision for what time or the gateways brought.
// It looks at states, not at events, so that nothing is missed after a restart
// or a failed write.
func (e *Enforcer) settle(b *batch, now time.Time) {
	acked, failing := e.acked()
	lag := e.inputs().Lag
	for _, d := range e.mem.unsettled(b, now.UnixNano()) {
		switch {
		case d.Expires <= now.UnixNano():
			e.expire(b, d, acked, failing, now)
		case d.State == Approved:
			e.pushed(b, d, acked, failing, now)
		case d.State == Proposed && d.Code == CodeLag && lag <= e.cfg.Guard.MaxLag:
			e.retry(b, d, now)
		}
	}
	e.alerts(lag)
}

// acked is the newest push that every gateway took.
func (e *Enforcer) acked() (gen uint64, failing string) {
	gen = e.mem.gen
	for _, g := range e.mem.gateways {
		gen = min(gen, g.acked)
		if g.Error != "" && failing == "" {
			failing = fmt.Sprintf("gateway %s: %s", g.Name, strings.TrimPrefix(g.Error, "gateway "+g.Name+": "))
		}
	}
	return gen, failing
}

func (e *Enforcer) expire(b *batch, d *Decision, acked uint64, failing string, now time.Time) {
	if !d.State.Live() {
		e.end(b, d, Expired, policyName, d.Code, because("never in force", d.Reason), now)
		return
	}
	gen, leaving := e.mem.leaving[d.ID]
	switch {
	case !leaving:
		e.mem.leaving[d.ID] = 0
		e.mem.left = append(e.mem.left, d.ID)
		e.mem.dirty = true
	case gen != 0 && gen <= acked, len(e.pushers) == 0:
		e.end(b, d, Expired, policyName, "", "its time was over", now)
	case failing != "":
		e.reason(b, d, CodeGateway, "its time is over, but it is still in force: "+failing)
	}
}

func (e *Enforcer) pushed(b *batch, d *Decision, acked uint64, failing string, now time.Time) {
	since, names := e.mem.since[d.ID], e.holders(d)
	switch {
	case len(e.pushers) == 0:
		e.reason(b, d, CodeGateway, "no gateway is configured: add one under gateways")
	case len(names) == 0:
		e.reason(b, d, CodeUnsupported, "no gateway here can hold it any longer: release it, or add one that can")
	case since != 0 && since <= acked:
		d.PushedAt = now.UnixNano()
		b.move(d, Pushed, "gateway", "", "taken by "+strings.Join(names, ", ")+"; no request of the subject seen since", now)
		if h, ok := e.mem.early[d.ID]; ok {
			delete(e.mem.early, d.ID)
			e.held(b, d, h, now)
		}
	case failing != "":
		e.reason(b, d, CodeGateway, "not in force yet, tried again: "+failing)
	}
}

// reason notes why a decision stays as it is. It is no change of state.
func (e *Enforcer) reason(b *batch, d *Decision, code, why string) {
	if d.Code == code && d.Reason == why {
		return
	}
	d.Code, d.Reason = code, why
	b.decisions[d.ID] = *d
}

// retry asks the guard again about what waited only because we were behind.
func (e *Enforcer) retry(b *batch, d *Decision, now time.Time) {
	r := e.rule(Case{Subject: d.Subject, Action: d.Action, Standing: detect.Standing{Successes: d.Good, People: d.People}}, now)
	live, _ := e.mem.on(d.Subject)
	switch {
	case r.Action == "":
		if r.Code != CodeLag {
			e.reason(b, d, r.Code, r.Why)
		}
	case r.Action != d.Action:
		e.reason(b, d, r.Code, "withheld: "+r.Why)
	case live != nil && !stronger(d.Action, live.Action):
		e.end(b, d, Released, policyName, "", "superseded by "+live.ID, now)
	default:
		e.approve(b, d, live, policyName, "", "detection has caught up", now)
	}
}

// alerts says once what an operator should know.
func (e *Enforcer) alerts(lag time.Duration) {
	text := ""
	if lag > e.cfg.Guard.MaxLag {
		text = fmt.Sprintf("detection is over guard.max_lag (%s) behind: nothing new is put in force", e.cfg.Guard.MaxLag)
	}
	e.say("dead-man", text)
	if e.breaker() == "" {
		e.say("circuit breaker", "")
	}
}

func (e *Enforcer) breaker() string {
	switch m := &e.mem; {
	case len(m.recent) >= e.cfg.Guard.PerMinute:
		return fmt.Sprintf("%d decisions within a minute (guard.per_minute: %d)", len(m.recent), e.cfg.Guard.PerMinute)
	case m.live >= e.cfg.Guard.Live:
		return fmt.Sprintf("%d decisions in force (guard.live: %d)", m.live, e.cfg.Guard.Live)
	}
	return ""
}

// touch notes when verified decisions were last seen to hold, without a change
// of state for it.
func (e *Enforcer) touch(b *batch) {
	for id, at := range e.tracker.seen() {
		if d := e.mem.open[id]; d != nil && at > d.Checked {
			d.Checked = at
			b.decisions[id] = *d
		}
	}
}
