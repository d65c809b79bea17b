package alert

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// serve sends what is due to one channel, one notice after the other, until ctx ends.
func (e *Engine) serve(ctx context.Context, ch *channel) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ch.wake:
		}
		for ctx.Err() == nil {
			sent, err := e.send(ctx, ch, e.Now())
			if err != nil && ctx.Err() == nil {
				return err
			}
			if !sent {
				break
			}
		}
	}
}

// job is one notice on its way.
type job struct {
	notice *Notice
	alerts []*Alert
	as     []Delivery // what each was due, and what it tells
}

// send sends the next notice of a channel, if there is one. An error is one of the store.
func (e *Engine) send(ctx context.Context, ch *channel, now time.Time) (sent bool, err error) {
	e.mu.Lock()
	j := e.next(ch, now)
	e.mu.Unlock()
	if j == nil {
		return false, nil
	}
	// Before it goes out: whoever takes over knows of it, and that the store took this says
	// that it is still this process that sends.
	if err := e.flush(ctx); err != nil {
		e.mu.Lock()
		e.unsent(ch, j)
		e.mu.Unlock()
		return false, err
	}
	limit, cancel := context.WithTimeout(ctx, ch.cfg.Timeout)
	failed := ch.to.Notify(limit, j.notice)
	cancel()
	if failed != nil && ctx.Err() != nil {
		return false, nil // whether it arrived is not known: it is sent again by the next
	}
	e.mu.Lock()
	if failed != nil {
		e.failed(ch, j, failed, e.Now())
	} else {
		e.done(ch, j, e.Now())
	}
	e.mu.Unlock()
	return failed == nil, e.flush(ctx)
}

// next picks what is sent now.
func (e *Engine) next(ch *channel, now time.Time) *job {
	if now.Before(ch.paused) {
		return nil
	}
	var list []*Alert
	held := false
	for _, a := range e.waiting(ch.name) {
		d := a.Told[ch.name]
		if e.quiet(a, ch, now) {
			e.hold(a, d)
			continue
		}
		if d.Next <= now.UnixNano() {
			list = append(list, a)
			held = held || d.Held
		}
	}
	if len(list) == 0 {
		return nil
	}
	if !ch.spend(now, list[0].Told[ch.name].Due) {
		for _, a := range list {
			e.hold(a, a.Told[ch.name])
		}
		return nil
	}
	e.touch(kindChannel, ch.name)
	if !held || !ch.spec.Chat || len(list) == 1 {
		list = list[:1]
	}
	return e.job(ch, list, now)
}

// hold notes that the turn of a notice is later.
func (e *Engine) hold(a *Alert, d *Delivery) {
	if !d.Held {
		d.Held = true
		e.stats.Held++
		e.touch(kindAlert, a.ID)
	}
}

// quiet reports whether an alert has to wait for the end of quiet hours: only if all
// routes that lead to the channel say so.
func (e *Engine) quiet(a *Alert, ch *channel, now time.Time) bool {
	quiet := false
	if ch.spec.Refresh > 0 {
		return false // a system, which is to know as long as it is told
	}
	for i := range e.routes {
		r := &e.routes[i]
		if !r.match.Match(a) || !r.leadsTo(ch.name) {
			continue
		}
		if !r.Quiet.holds(now, a.Severity) {
			return false
		}
		quiet = true
	}
	return quiet
}

func (r *route) leadsTo(name string) bool {
	names := r.Channels
	for _, s := range r.Escalate {
		names = append(names[:len(names):len(names)], s.Channels...)
	}
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// spend takes one from what the rate limit leaves, and reports whether there was one.
// Telling a system again what it knows costs nothing.
func (ch *channel) spend(now time.Time, kind Kind) bool {
	if ch.cfg.Rate == 0 || kind == Again {
		return true
	}
	most := float64(ch.cfg.Rate)
	if ch.saved.At == 0 {
		ch.saved.Tokens = most
	} else {
		passed := max(0, now.UnixNano()-ch.saved.At)
		ch.saved.Tokens = min(most, ch.saved.Tokens+most*float64(passed)/float64(ch.cfg.Per))
	}
	ch.saved.At = now.UnixNano()
	if ch.saved.Tokens < 1 {
		return false
	}
	ch.saved.Tokens--
	return true
}

// refund gives back what a notice cost that did not go out.
func (ch *channel) refund(kind Kind) {
	if kind != Again {
		ch.saved.Tokens = min(float64(ch.cfg.Rate), ch.saved.Tokens+1)
	}
}

// job makes the notice of one alert, or the digest of several.
func (e *Engine) job(ch *channel, list []*Alert, now time.Time) *job {
	j := &job{alerts: list}
	var notices []*Notice
	for _, a := range list {
		d := a.Told[ch.name]
		n := NoticeOf(a, d.Due, ch.redacts())
		n.ID = fmt.Sprintf("%s-%s-%d", a.ID, ch.name, d.Count+1)
		notices = append(notices, n)
		j.as = append(j.as, Delivery{Due: d.Due, Findings: a.Findings, Severity: a.Severity})
	}
	j.notice = notices[0]
	if len(list) > 1 {
		j.notice = digestOf(notices)
		ch.saved.Digests++
		j.notice.ID = fmt.Sprintf("digest-%s-%d", ch.name, ch.saved.Digests)
		j.notice.Alert = j.notice.ID
	}
	n := j.notice
	n.At, n.Channel, n.Version, n.Link = now.UTC(), ch.name, e.Version, e.link(n)
	if err := n.render(ch.title, ch.text); err != nil {
		e.stats.Templates++
		ch.why = fmt.Sprintf("template: %.200q", err)
	}
	for _, a := range list {
		a.Told[ch.name].Trying = n.ID
		e.touch(kindAlert, a.ID)
	}
	return j
}

// link leads to the console.
func (e *Engine) link(n *Notice) string {
	base := strings.TrimSuffix(e.Config.ConsoleURL, "/")
	switch {
	case base == "":
		return ""
	case n.Kind == Digest:
		return base + "/alerts"
	}
	return base + "/alerts?id=" + n.Alert
}

// unsent takes a job back that did not go out.
func (e *Engine) unsent(ch *channel, j *job) {
	ch.refund(j.as[0].Due)
	for _, a := range j.alerts {
		if d := a.Told[ch.name]; d != nil {
			d.Trying = ""
		}
	}
}

// done notes that a channel took a notice.
func (e *Engine) done(ch *channel, j *job, now time.Time) {
	ch.fails, ch.why, ch.paused = 0, "", time.Time{}
	ch.byKind[j.notice.Kind]++
	for i, a := range j.alerts {
		d := a.Told[ch.name]
		if d.Due == j.as[i].Due {
			d.Due = ""
		}
		d.Count, d.Kind, d.At, d.Trying, d.Held, d.Tries, d.Error = d.Count+1, j.as[i].Due, now.UnixNano(), "", false, 0, ""
		d.Findings, d.Severity = j.as[i].Findings, j.as[i].Severity
		e.touch(kindAlert, a.ID)
	}
}

// failed notes that a channel did not take a notice: what is wrong with the notice waits
// by itself, what is wrong with the channel keeps all of it waiting. After the time of
// give_up the notice is left out.
func (e *Engine) failed(ch *channel, j *job, err error, now time.Time) {
	ch.fails++
	ch.why = fmt.Sprint(err)
	ch.refund(j.as[0].Due)
	for i, a := range j.alerts {
		d := a.Told[ch.name]
		d.Tries++
		d.Error, d.Trying = cut(ch.why, whyMost), ""
		if final(err) {
			d.Next = now.Add(mostPause).UnixNano()
		}
		if now.UnixNano()-d.Since >= int64(ch.cfg.GiveUp) && d.Due == j.as[i].Due {
			e.gaveUp(d, d.Due, now)
			d.Due, d.Held = "", false
		}
		e.touch(kindAlert, a.ID)
	}
	if !final(err) {
		ch.paused = now.Add(pauseAfter(err, ch.fails))
	}
}

// gaveUp lets a notice go that nobody took, as if it had been taken: it would only be due
// again.
func (e *Engine) gaveUp(d *Delivery, kind Kind, now time.Time) {
	e.stats.GivenUp++
	d.Count, d.Kind, d.At, d.Tries = d.Count+1, kind, now.UnixNano(), 0
}
