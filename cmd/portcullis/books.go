package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// keepBooks measures, leaves heartbeats and deletes what is past its time,
// until ctx ends.
func (p *pipeline) keepBooks(ctx context.Context) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var beat, minute, hour time.Time
	for {
		t := now()
		p.look(t)
		if t.Sub(beat) >= heartbeatEvery {
			beat = t
			if err := p.beat(ctx, t); err != nil && ctx.Err() == nil {
				p.log.Warn("heartbeat", "error", err)
			}
		}
		if t.Sub(minute) >= time.Minute {
			minute = t
			p.countGood(ctx, t)
		}
		if t.Sub(hour) >= time.Hour {
			hour = t
			p.prune(ctx, t)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-second.C:
		}
	}
}

// prune deletes what is past its time.
func (b *base) prune(ctx context.Context, t time.Time) {
	err := errors.Join(b.db.Prune(ctx, t, b.settings.Retention), b.alerts.PruneAudit(ctx, t.Add(-b.settings.Alerts.Keep).UnixNano()))
	if err != nil && ctx.Err() == nil {
		b.log.Warn("retention", "error", err)
	}
}

// look takes the figures of the sources and the rate since the last look.
func (p *pipeline) look(t time.Time) {
	last, b := p.books.Load(), &books{rows: p.engine.Books(), at: t}
	for i := range b.rows {
		b.lines += b.rows[i].Read
	}
	p.intake.lags(b.rows)
	if !last.at.IsZero() && t.After(last.at) {
		b.rate = max(0, float64(b.lines-last.lines)/t.Sub(last.at).Seconds())
	}
	p.books.Store(b)
}

// countGood sums up what was answered well in the last 24 hours.
func (p *pipeline) countGood(ctx context.Context, t time.Time) {
	if good, err := p.goodOf(ctx, t); err == nil { // else the guard does not know; it says so
		p.good.Store(good)
	}
}

// goodOf is how much was answered well in the 24 hours before t.
func (b *base) goodOf(ctx context.Context, t time.Time) (good int64, err error) {
	rollups, err := b.db.Rollups(ctx, t.Add(-24*time.Hour).Unix(), t.Unix()+1, "")
	for _, r := range rollups {
		if r.Route == "" {
			good += r.S2xx + r.S3xx
		}
	}
	return good, err
}

// lag is how far detection is behind the log, 0 when all was read.
func (p *pipeline) lag(t time.Time) time.Duration {
	newest := p.engine.Stats().Newest
	if p.intake.caughtUp() || newest == 0 {
		return 0
	}
	return max(0, t.Sub(time.Unix(newest, 0)))
}

func (p *pipeline) inputs() enforce.Inputs {
	return enforce.Inputs{Lag: p.lag(now()), Good: p.good.Load()}
}

// trouble is what an operator should know, in words, worst first.
func (p *pipeline) trouble(h enforce.Health) []string {
	var list []string
	add := func(what, why string) {
		if why != "" {
			list = append(list, what+": "+why)
		}
	}
	if why := p.unsaved.Load(); why != nil {
		add("the state cannot be saved", *why)
	}
	add("decisions cannot be saved", h.Store)
	add("panic switch", h.Panic)
	p.intake.trouble(add)
	add("clock", skew(p.engine.Stats().Newest, now()))
	p.mirror.trouble(add)
	p.outputs.trouble(add)
	p.inline.trouble(add)
	p.alerting.trouble(add)
	for _, g := range h.Gateways {
		add("gateway "+g.Name, strings.TrimPrefix(g.Error, "gateway "+g.Name+": "))
	}
	add("circuit breaker", h.Breaker)
	if len(h.Gateways) == 0 {
		list = append(list, "no gateway is connected: decisions are made and not pushed (portcullis setup)")
	}
	return list
}

// skewSeen is by how much the log's clock may be ahead before it is said.
const skewSeen = 2 * time.Second

// skew says in words that a log is ahead of this machine's clock; "" = it is not.
func skew(newest int64, t time.Time) string {
	ahead := time.Unix(newest, 0).Sub(t)
	if ahead <= skewSeen {
		return ""
	}
	return fmt.Sprintf("the newest line of the log is %s ahead of this machine's clock: set both by the same time server", ahead.Round(time.Second))
}

func (p *pipeline) beat(ctx context.Context, t time.Time) error {
	h := p.health()
	return heartbeat{
		PID: os.Getpid(), Version: buildInfo().Version, Started: detect.FormatTime(p.started.UnixNano()), At: detect.FormatTime(t.UnixNano()),
		Console: p.consoleURL(), LinesPerSecond: p.books.Load().rate, Panic: h.Panic, Trouble: p.trouble(h), Gateways: gatewayBeats(h),
	}.save(ctx, p.db)
}

// status is what the console shows.
func (p *pipeline) status() console.Status {
	h, b, stats := p.health(), p.books.Load(), p.engine.Stats()
	s := console.Status{
		Version: buildInfo().Version, Roles: []string{"collect", "detect", "enforce", "console"}, Started: p.started,
		Simulation: p.settings.Enforce.Policy.Simulate.All, Panic: h.Panic, Trouble: p.trouble(h),
		LinesPerSecond: b.rate, Lag: p.lag(now()), Tracked: int64(stats.Clients), Sources: b.rows, Blind: p.settings.blindnesses(b.rows...),
		Waiting: int64(h.States[enforce.Proposed]),
	}
	s.Observing, s.Enforcing = families(p.settings.Enforce.Policy.Families)
	if stats.Newest > 0 {
		s.EventTime = time.Unix(stats.Newest, 0)
	}
	for i := range b.rows {
		s.LagBytes += b.rows[i].LagBytes
	}
	s.Blocked, s.Throttled = p.inForce()
	for _, g := range h.Gateways {
		s.Gateways = append(s.Gateways, console.Gateway{Name: g.Name, Entries: g.Entries, PushedAt: g.At, Took: g.Took, Changed: g.Changed, Behind: g.Behind, Fails: g.Fails, Error: g.Error})
	}
	return s
}

// inForce counts the decisions that a gateway holds, by action.
func (p *base) inForce() (blocked, throttled int64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	list, err := p.ledger.Decisions(ctx, enforce.DecisionQuery{Live: true, Limit: 100_000})
	if err != nil {
		return 0, 0
	}
	for _, d := range list {
		if d.PushedAt == 0 {
			continue // no gateway has it
		}
		switch d.Action {
		case enforce.Block:
			blocked++
		case enforce.Throttle:
			throttled++
		}
	}
	return blocked, throttled
}

func families(m enforce.FamilyModes) (observing, enforcing []string) {
	for _, f := range []struct{ name, mode string }{{"credential", m.Credential}, {"rate", m.Rate}, {"injection", m.Injection}, {"recon", m.Recon}, {"api", m.API}} {
		switch f.mode {
		case "observe":
			observing = append(observing, f.name)
		case "enforce":
			enforcing = append(enforcing, f.name)
		}
	}
	return observing, enforcing
}

func (p *pipeline) serveConsole(ctx context.Context) error {
	collector, err := p.metrics()
	if err != nil {
		return err
	}
	return p.serve(ctx, collector, console.Deps{Status: p.status, Ready: p.ready})
}

// ready says why the pipeline does not do its work, if it does not.
func (p *pipeline) ready() error {
	if err := p.intake.ready(); err != nil {
		return err
	}
	if h := p.health(); h.Store != "" {
		return fmt.Errorf("decisions cannot be saved: %s", h.Store)
	}
	return nil
}
