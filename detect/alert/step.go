package alert

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// step takes in what came, and works out what is due.
func (e *Engine) step(ctx context.Context, now time.Time) error {
	found, missed := e.feed.take()
	if missed != 0 && e.Backlog != nil {
		err := e.Backlog(ctx, missed, func(f detect.Finding) error {
			if _, known := found[f.ID]; !known {
				found[f.ID] = f
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("alert: read the stored findings: %w", err)
		}
	}
	if err := e.readPeople(ctx); err != nil {
		return err
	}
	e.mu.Lock()
	e.group(found, now)
	e.resolve(now)
	e.mute(now)
	for _, a := range e.alerts {
		e.plan(a, now)
	}
	e.prune(now)
	e.mu.Unlock()
	if err := e.flush(ctx); err != nil {
		return err
	}
	for _, ch := range e.channels {
		select {
		case ch.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// readPeople takes in what people wrote since the last time.
func (e *Engine) readPeople(ctx context.Context) error {
	e.mu.Lock()
	from := e.people
	e.mu.Unlock()
	recs, to, err := e.Store.Since(ctx, from)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.people = to
	for _, r := range recs {
		if r.Kind == kindAudit || r.Value == nil {
			continue
		}
		if err := e.remember(r); err != nil {
			e.Log.Warn("what a person wrote of alerts cannot be read and is left out", "error", err)
		}
	}
	return nil
}

// resolve ends alerts of which nothing new was heard.
func (e *Engine) resolve(now time.Time) {
	for _, a := range e.open {
		if now.UnixNano()-a.Heard >= int64(e.Config.Resolve) {
			e.close(a, now)
			e.stats.Resolved++
		}
	}
}

// mute finds out which alerts say nothing now, and why.
func (e *Engine) mute(now time.Time) {
	graver := make([]map[string][]*Alert, len(e.inhibit))
	for i := range e.inhibit {
		graver[i] = e.inhibit[i].graver(e.open)
	}
	for _, a := range e.open {
		why := e.silenced(a, now)
		for i := range e.inhibit {
			if why == "" {
				why = e.inhibit[i].inhibits(a, graver[i])
			}
		}
		if why != a.Muted {
			a.Muted = why
			e.touch(kindAlert, a.ID)
		}
	}
}

func (e *Engine) silenced(a *Alert, now time.Time) string {
	for _, s := range e.silences {
		if s.Active(now.UnixNano()) && s.Match.Match(a) {
			return "silenced: " + s.ID
		}
	}
	return ""
}

// graver are the alerts that keep others quiet, by what both must share but the subject.
func (x *inhibition) graver(open map[string]*Alert) map[string][]*Alert {
	out := map[string][]*Alert{}
	for _, o := range open {
		if x.while.Match(o) && !x.mute.Match(o) {
			out[x.shared(o)] = append(out[x.shared(o)], o)
		}
	}
	return out
}

func (x *inhibition) shared(a *Alert) string {
	key := ""
	for _, name := range x.equal {
		switch name {
		case "route":
			key += "\x00" + a.Route
		case "family":
			key += "\x00" + string(a.Family)
		case "rule":
			key += "\x00" + a.Rule
		}
	}
	return key
}

func (x *inhibition) inhibits(a *Alert, graver map[string][]*Alert) string {
	if len(graver) == 0 || !x.mute.Match(a) {
		return ""
	}
	for _, o := range graver[x.shared(a)] {
		if !slices.Contains(x.equal, "subject") || slices.ContainsFunc(a.Subjects, func(s detect.Subject) bool { return slices.Contains(o.Subjects, s) }) {
			return "inhibited: " + o.ID
		}
	}
	return ""
}

// target is a channel that is to be told of an alert, and why.
type target struct {
	name  string
	step  bool // by an escalation
	route *route
}

// targets are the channels that an alert is for at a time.
func (e *Engine) targets(a *Alert, now time.Time) []target {
	var out []target
	add := func(names []string, step bool, r *route) {
		for _, n := range names {
			if !slices.ContainsFunc(out, func(t target) bool { return t.name == n }) {
				out = append(out, target{n, step, r})
			}
		}
	}
	due := a.Opened + int64(e.Config.Wait)
	for i := range e.routes {
		r := &e.routes[i]
		if !r.match.Match(a) {
			continue
		}
		add(r.Channels, false, r)
		for _, s := range r.Escalate {
			if e.acks[a.ID] == nil && now.UnixNano()-due >= int64(s.After) {
				add(s.Channels, true, r)
			}
		}
	}
	return out
}

// plan works out what is due to whom.
func (e *Engine) plan(a *Alert, now time.Time) {
	if a.State == Closed {
		e.planResolved(a, now)
		return
	}
	if a.Muted != "" {
		for _, d := range a.Told {
			if d.Due != "" && d.Due != Again {
				e.stats.Muted++
				d.Due, d.Held = "", false
				e.touch(kindAlert, a.ID)
			}
		}
		return
	}
	for _, t := range e.targets(a, now) {
		if a.Told[t.name] == nil {
			if now.UnixNano()-a.Opened < int64(e.Config.Wait) {
				continue
			}
			if a.Told == nil {
				a.Told = map[string]*Delivery{}
			}
			a.Told[t.name] = &Delivery{}
		}
		e.due(a, a.Told[t.name], e.want(a, &t, now), now)
	}
}

// want is what an open alert has for a channel.
func (e *Engine) want(a *Alert, t *target, now time.Time) Kind {
	d, ch := a.Told[t.name], e.byName[t.name]
	since := now.UnixNano() - d.At
	switch {
	case d.Count == 0 && t.step:
		return Escalation
	case d.Count == 0:
		return Firing
	case a.Severity > d.Severity:
		return Update
	case a.Findings >= 2*d.Findings && since >= int64(e.Config.Interval):
		return Update
	case e.Config.Repeat > 0 && e.acks[a.ID] == nil && since >= int64(e.Config.Repeat):
		return Reminder
	case ch.spec.Refresh > 0 && since >= int64(ch.spec.Refresh):
		return Again
	}
	return ""
}

func (e *Engine) planResolved(a *Alert, now time.Time) {
	for name, d := range a.Told {
		ch := e.byName[name]
		switch {
		case d.Due == Resolved && ch != nil:
		case ch == nil, d.Count == 0 && d.Trying == "" && d.Due != Firing && d.Due != Escalation:
			if d.Due != "" {
				d.Due = ""
				e.touch(kindAlert, a.ID)
			}
		case d.Count == 0 && d.Held && d.Trying == "" && ch.spec.Chat && ch.cfg.Resolved:
			d.Due = Resolved // one message says both
			e.touch(kindAlert, a.ID)
		case d.Count == 0: // it is told all the same, and then that it is resolved
		case d.Kind == Resolved || !ch.cfg.Resolved:
			if d.Due != "" && d.Due != Resolved {
				d.Due = ""
				e.touch(kindAlert, a.ID)
			}
		default:
			e.due(a, d, Resolved, now)
		}
	}
}

// due notes what a channel is to be told, unless something as urgent waits already.
func (e *Engine) due(a *Alert, d *Delivery, kind Kind, now time.Time) {
	if urgency[kind] <= urgency[d.Due] {
		return
	}
	d.Due, d.Since, d.Tries, d.Next, d.Error, d.Held = kind, now.UnixNano(), 0, 0, "", false
	e.touch(kindAlert, a.ID)
}

// waiting are the alerts of which a channel is to be told, the gravest first.
func (e *Engine) waiting(name string) []*Alert {
	var out []*Alert
	for _, a := range e.alerts {
		if d := a.Told[name]; d != nil && d.Due != "" {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *Alert) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Told[name].Since, b.Told[name].Since), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// prune forgets what is past its time, when nothing of it is due.
func (e *Engine) prune(now time.Time) {
	old := now.Add(-e.Config.Keep).UnixNano()
	for _, a := range e.alerts {
		if a.State != Closed || a.Closed > old {
			continue
		}
		if !e.pending(a) {
			e.forget(a)
		}
	}
	e.crowded()
	for id, s := range e.silences {
		if s.Until < old {
			delete(e.silences, id)
			e.touch(kindSilence, id)
		}
	}
}

// pending reports whether a channel is to be told of an alert.
func (e *Engine) pending(a *Alert) bool {
	return slices.ContainsFunc(e.channels, func(ch *channel) bool { d := a.Told[ch.name]; return d != nil && d.Due != "" })
}

// keptMost bounds the alerts that are kept. Beyond it those are forgotten that were
// resolved first, of which nothing is due; beyond twice as many also what is due, which
// Stats counts as given up.
const keptMost = 20_000

func (e *Engine) crowded() {
	if len(e.alerts) <= keptMost {
		return
	}
	var list []*Alert
	for _, a := range e.alerts {
		if a.State == Closed {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b *Alert) int { return cmp.Compare(a.Closed, b.Closed) })
	for _, a := range list {
		due := e.pending(a)
		if len(e.alerts) <= keptMost || due && len(e.alerts) <= 2*keptMost {
			continue
		}
		if due {
			e.stats.GivenUp++
		}
		e.forget(a)
	}
}
