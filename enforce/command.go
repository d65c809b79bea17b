package enforce

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// command does what a person asked for and records the result with it.
func (e *Enforcer) command(ctx context.Context, b *batch, c Command, now time.Time) error {
	if c.Who == "" {
		c.Who = "unknown"
	}
	var err error
	switch c.Verb {
	case VerbRelease:
		c.Result, err = e.release(ctx, b, c, now)
	case VerbExtend:
		c.Result, err = e.extend(ctx, b, c, now)
	case VerbApprove:
		c.Result, err = e.approveCommand(ctx, b, c, now)
	case VerbAllow:
		c.Result = e.allow(b, c, now)
	case VerbDisallow:
		c.Result = e.disallow(b, c)
	case VerbPanic:
		c.Result = e.panicSwitch(b, c, now)
	case VerbResume:
		c.Result = e.resume(b)
	default:
		c.Result = fmt.Sprintf("error: no command %s", quoted(c.Verb))
	}
	if err != nil {
		return err
	}
	c.Done = true
	b.commands = append(b.commands, c)
	b.note(e.log, slog.LevelInfo, "command", "verb", c.Verb, "arg", c.Arg, "who", c.Who, "result", c.Result)
	return nil
}

// named finds the open decisions that a person means: by id, by the beginning
// of one id (four letters or more), or by subject. The words say why there are
// none.
func (e *Enforcer) named(ctx context.Context, arg string) ([]*Decision, string, error) {
	arg = strings.TrimSpace(arg)
	if d := e.mem.open[arg]; d != nil {
		return []*Decision{d}, "", nil
	}
	var byID, bySubject []*Decision
	sel, selErr := newSelector(arg)
	for id, d := range e.mem.open {
		if len(arg) >= 4 && strings.HasPrefix(id, arg) {
			byID = append(byID, d)
		}
		if selErr == nil && sel.is(d.Subject) {
			bySubject = append(bySubject, d)
		}
	}
	switch {
	case len(byID) == 1:
		return byID, "", nil
	case len(byID) > 1:
		return nil, fmt.Sprintf("error: %d decisions begin with %s: give more of the id", len(byID), quoted(arg)), nil
	case len(bySubject) > 0:
		slices.SortFunc(bySubject, func(a, b *Decision) int { return strings.Compare(a.ID, b.ID) })
		return bySubject, "", nil
	}
	if d, ok, err := e.ledger.Decision(ctx, arg); err != nil || ok {
		return nil, fmt.Sprintf("error: decision %s is already %s", d.ID, d.State), err
	}
	return nil, fmt.Sprintf("error: no open decision %s: \"portcullis decisions\" lists them", quoted(arg)), nil
}

// is reports whether the selector names just this subject; an IPv6 address also
// names its /64, which is what is acted on.
func (s selector) is(sub detect.Subject) bool {
	if s.subject != (detect.Subject{}) {
		return s.subject == sub
	}
	p, err := Prefix(sub)
	if err != nil {
		return false
	}
	one := s.prefix.Addr().Is6() && s.prefix.IsSingleIP()
	return p == s.prefix || one && p.Bits() == 64 && p.Contains(s.prefix.Addr())
}

func (e *Enforcer) release(ctx context.Context, b *batch, c Command, now time.Time) (string, error) {
	ds, none, err := e.named(ctx, c.Arg)
	if err != nil || len(ds) == 0 {
		return none, err
	}
	for _, d := range ds {
		e.forgive(b, d, c.Who, "", because("released", c.Why), now)
	}
	e.mem.urgent = true
	return "released " + list(ds), nil
}

func (e *Enforcer) extend(ctx context.Context, b *batch, c Command, now time.Time) (string, error) {
	if c.For <= 0 {
		return "error: extend needs a duration, such as 1h", nil
	}
	ds, none, err := e.named(ctx, c.Arg)
	if err != nil || len(ds) == 0 {
		return none, err
	}
	last := now.Add(e.cfg.Guard.MaxExpiry).UnixNano()
	for _, d := range ds {
		if _, gone := e.mem.leaving[d.ID]; gone {
			return fmt.Sprintf("error: decision %s is over", d.ID), nil
		}
		d.Expires = min(max(d.Expires, now.UnixNano())+int64(min(c.For, e.cfg.Guard.MaxExpiry)), last)
		until := time.Unix(0, d.Expires).UTC().Format(time.RFC3339)
		code, why := d.Code, d.Reason
		b.move(d, d.State, c.Who, code, because("extended until "+until, c.Why), now)
		d.Reason = why // what it says of the state is still true
		b.decisions[d.ID] = *d
	}
	return "extended " + list(ds), nil
}

func (e *Enforcer) approveCommand(ctx context.Context, b *batch, c Command, now time.Time) (string, error) {
	ds, none, err := e.named(ctx, c.Arg)
	if err != nil || len(ds) == 0 {
		return none, err
	}
	var done []*Decision
	for _, d := range ds {
		if d.State != Proposed {
			continue
		}
		if e.mem.panics != "" {
			return "error: the panic switch is on: resume first", nil
		}
		r := e.rule(Case{Subject: d.Subject, Action: d.Action, Person: true}, now)
		switch {
		case r.Action == "":
			return "error: " + r.Why, nil
		case r.Action != d.Action:
			return fmt.Sprintf("error: no gateway here can %s it", d.Action), nil
		}
		if err := e.can(d.Subject, d.Route, d.Action); err != nil {
			return "error: " + clean(err.Error()), nil
		}
		live, _ := e.mem.on(d.Subject)
		if live != nil && stronger(live.Action, d.Action) {
			return fmt.Sprintf("error: a stronger decision, %s, is in force", live.ID), nil
		}
		span := time.Duration(d.Expires - d.Created)
		if c.For > 0 {
			span = c.For
		}
		d.Expires = now.Add(e.guard.Cap(span)).UnixNano()
		e.approve(b, d, live, c.Who, "", because("approved", c.Why), now)
		done = append(done, d)
	}
	if len(done) == 0 {
		return fmt.Sprintf("error: %s is already %s", ds[0].ID, ds[0].State), nil
	}
	return "approved " + list(done), nil
}

func (e *Enforcer) allow(b *batch, c Command, now time.Time) string {
	sel, err := newSelector(c.Arg)
	if err != nil {
		return "error: " + err.Error()
	}
	a := Allow{Value: sel.String(), Why: c.Why, By: c.Who, Created: now.UnixNano()}
	if c.For > 0 {
		a.Expires = now.Add(c.For).UnixNano()
	}
	e.mem.allows = slices.DeleteFunc(e.mem.allows, func(o Allow) bool { return o.Value == a.Value })
	e.mem.allows = append(e.mem.allows, a)
	b.allows = append(b.allows, a)
	b.disallows = slices.DeleteFunc(b.disallows, func(v string) bool { return v == a.Value })
	e.mem.dirty = true // classes spare it from now on
	var gone []*Decision
	for _, d := range e.sorted(anyDecision) {
		if sel.matches(d.Subject) {
			e.forgive(b, d, c.Who, CodeAllowed, because(a.Value+" was put on the allow-list", c.Why), now)
			gone = append(gone, d)
		}
	}
	e.mem.urgent = e.mem.urgent || len(gone) > 0
	if len(gone) > 0 {
		return fmt.Sprintf("allowed %s, released %s", a.Value, list(gone))
	}
	return "allowed " + a.Value
}

func (e *Enforcer) disallow(b *batch, c Command) string {
	sel, err := newSelector(c.Arg)
	if err != nil {
		return "error: " + err.Error()
	}
	value := sel.String()
	before := len(e.mem.allows)
	e.mem.allows = slices.DeleteFunc(e.mem.allows, func(a Allow) bool { return a.Value == value })
	if len(e.mem.allows) == before {
		return fmt.Sprintf("error: %s is not on the allow-list of the ledger (entries of the configuration are changed there)", value)
	}
	e.mem.dirty = true
	b.disallows = append(b.disallows, value)
	b.allows = slices.DeleteFunc(b.allows, func(a Allow) bool { return a.Value == value })
	return "removed " + value + " from the allow-list"
}

// panicSwitch lifts everything that is in force. What is lifted is no offence,
// but its findings still weigh: this is about us, not about the subjects.
func (e *Enforcer) panicSwitch(b *batch, c Command, now time.Time) string {
	e.mem.panics = because("switched on by "+c.Who, c.Why)
	b.panics = &e.mem.panics
	n := 0
	for _, d := range e.sorted(anyDecision) {
		if d.State.Live() {
			e.end(b, d, Released, c.Who, CodePanic, because("lifted by the panic switch", c.Why), now)
			b.offended[d.ID] = false
			e.mem.records.Remove(d.Subject)
			n++
		}
	}
	e.mem.urgent, e.mem.dirty = true, true
	e.say("panic switch", e.mem.panics, "lifted", n)
	return fmt.Sprintf("lifted %d decisions; nothing is put in force until resume", n)
}

func (e *Enforcer) resume(b *batch) string {
	if e.mem.panics == "" {
		return "error: the panic switch is not on"
	}
	e.mem.panics = ""
	b.panics = &e.mem.panics
	e.say("panic switch", "")
	return "resumed: new findings are acted on again"
}

func anyDecision(*Decision) bool { return true }

// sorted returns those of the open decisions that are asked for by id, so that a run can
// be repeated.
func (e *Enforcer) sorted(which func(*Decision) bool) []*Decision {
	var out []*Decision
	for _, d := range e.mem.open {
		if which(d) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b *Decision) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// list names decisions, five at most.
func list(ds []*Decision) string {
	var out []string
	for _, d := range ds[:min(len(ds), 5)] {
		out = append(out, fmt.Sprintf("%s (%s %s)", d.ID, d.Action, clean(d.Subject.Value)))
	}
	if len(ds) > 5 {
		out = append(out, fmt.Sprintf("and %d more", len(ds)-5))
	}
	return strings.Join(out, ", ")
}
