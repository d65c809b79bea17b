package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	_ "github.com/portcullis/portcullis/detect/alert/channel" // registers the channels
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// alerting tells people and systems what was found, while this process is the one to do
// so. A nil one has nobody to tell.
type alerting struct {
	b      *base
	engine atomic.Pointer[alert.Engine] // nil: another process sends, or this one cannot
	why    atomic.Pointer[string]       // why it cannot; nil: it can
}

// newAlerting checks the channels of the settings.
func (b *base) newAlerting() (*alerting, error) {
	if !b.settings.Alerts.Enabled() {
		return nil, nil
	}
	a := &alerting{b: b}
	_, err := a.open(b.alerts, false) // settings that are wrong are said at the start
	return a, err
}

func (a *alerting) open(s alert.Store, whole bool) (*alert.Engine, error) {
	return alert.New(alert.Options{
		Config: a.b.settings.Alerts, Store: s, Now: now, Log: a.b.quiet, Version: buildInfo().Version, Whole: whole,
		Tags: func(rule string) []string { spec, _ := detect.SpecOf(rule); return spec.Tags },
		Backlog: func(ctx context.Context, since int64, each func(detect.Finding) error) error {
			return eachFinding(ctx, a.b.db, store.FindingQuery{SeenSince: since}, 0, each)
		},
	})
}

// note hears of findings that were saved.
func (a *alerting) note(list []detect.Finding) {
	if a == nil || len(list) == 0 {
		return
	}
	e := a.engine.Load()
	if e == nil {
		return // whoever sends next reads them in its database
	}
	if a.b.hide {
		hidden := make([]detect.Finding, len(list))
		for i := range list {
			hidden[i] = list[i]
			store.HideFinding(a.b.cloak, &hidden[i])
		}
		list = hidden
	}
	e.Note(list...)
}

// run sends until ctx ends. What keeps it from that is said, and it is tried again.
func (a *alerting) run(ctx context.Context, s alert.Store, whole bool) error {
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		began := now()
		e, err := a.open(s, whole)
		if err == nil {
			a.engine.Store(e)
			e.Ready = func() { a.why.Store(nil) }
			err = e.Run(ctx)
			a.engine.Store(nil)
		}
		if ctx.Err() != nil {
			return nil
		}
		text := err.Error()
		if was := a.why.Swap(&text); was == nil || *was != text {
			a.b.log.Error("alerts cannot be sent; it is tried until it works", "error", err)
		}
		if now().Sub(began) > time.Minute {
			pause = 200 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// trouble is what an operator should know of it.
func (a *alerting) trouble(add func(what, why string)) {
	if a == nil {
		return
	}
	if why := a.why.Load(); why != nil {
		add("alerts cannot be sent", *why)
	}
	if e := a.engine.Load(); e != nil {
		s := e.Stats()
		s.Trouble(func(what, why string) { add(what, a.b.hideText(why)) })
	}
}

// troubles is trouble as a list. It does not keep a process from being ready: whom to tell
// may be away while all else works.
func (a *alerting) troubles() (list []string) {
	a.trouble(func(what, why string) { list = append(list, what+": "+why) })
	return list
}

// alertMetrics describes the figures of alerts. Channels are named by the settings, the
// rest is of fixed sets.
var alertMetrics = []telemetry.Desc{
	{Name: "portcullis_alerts_open", Help: "Alerts that are open, by severity; of the process that sends.", Kind: telemetry.Gauge, Labels: []string{"severity"}},
	{Name: "portcullis_alerts_opened_total", Help: "Alerts that began, since this process sends.", Kind: telemetry.Counter},
	{Name: "portcullis_alert_notices_total", Help: "Notices that a channel took, by their kind, since this process sends.", Kind: telemetry.Counter, Labels: []string{"channel", "kind"}},
	{Name: "portcullis_alert_waiting", Help: "Notices that wait for a channel: it fails, a rate limit or quiet hours hold them.", Kind: telemetry.Gauge, Labels: []string{"channel"}},
	{Name: "portcullis_alert_failures", Help: "Tries that a channel refused in a row.", Kind: telemetry.Gauge, Labels: []string{"channel"}},
	{Name: "portcullis_alert_muted_total", Help: "Notices that a silence or an inhibition took back.", Kind: telemetry.Counter},
	{Name: "portcullis_alert_held_total", Help: "Notices that a rate limit or quiet hours held back.", Kind: telemetry.Counter},
	{Name: "portcullis_alert_given_up_total", Help: "Notices that a channel did not take for as long as they are tried.", Kind: telemetry.Counter},
	{Name: "portcullis_alert_overflow_total", Help: "Times that findings did not fit into memory and were taken from the store.", Kind: telemetry.Counter},
}

func (a *alerting) emitMetrics(emit func(name string, value float64, labels ...string)) {
	if a == nil {
		return
	}
	e := a.engine.Load()
	if e == nil {
		return
	}
	s := e.Stats()
	for severity, n := range s.Open {
		emit("portcullis_alerts_open", float64(n), detect.Severity(severity).String())
	}
	emit("portcullis_alerts_opened_total", float64(s.Opened))
	emit("portcullis_alert_muted_total", float64(s.Muted))
	emit("portcullis_alert_held_total", float64(s.Held))
	emit("portcullis_alert_given_up_total", float64(s.GivenUp))
	emit("portcullis_alert_overflow_total", float64(s.Missed))
	for _, c := range s.Channels {
		for kind, n := range c.Sent {
			emit("portcullis_alert_notices_total", float64(n), c.Name, string(kind))
		}
		emit("portcullis_alert_waiting", float64(c.Waiting), c.Name)
		emit("portcullis_alert_failures", float64(c.Fails), c.Name)
	}
}
