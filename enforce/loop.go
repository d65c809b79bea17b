package enforce

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect"
)

const (
	judgedAtOnce   = 1024 // findings per transaction: of larger ones each costs less
	commandsAtOnce = 100
	// backlogAtStart is how far back stored findings are looked at after a start.
	// It covers the time between a finding's save and its judgement, and an
	// enforcer that was down for a while; what is older would be over mostly.
	backlogAtStart = time.Hour
)

// Run works until ctx ends, and then returns nil. What is in force at the
// gateways stays so. ErrDeposed means that another enforcer leads: call
// Ledger.Follow, and begin anew with a new Enforcer if it is this one's turn
// again. Any other error means that the ledger could not be read at the start;
// later failures are said in Health and tried again.
func (e *Enforcer) Run(ctx context.Context) error {
	since, err := e.ledger.unjudged(ctx, e.now())
	if err == nil {
		err = e.load(ctx, e.now())
	}
	if err != nil {
		return fmt.Errorf("enforce: start: %w", err)
	}
	e.queue.miss(since.Add(-backlogAtStart).UnixNano())
	e.catchUp(ctx)
	e.step(ctx, true) // commands posted meanwhile come before the first push
	working, stop := context.WithCancel(ctx)
	var pushers sync.WaitGroup
	for _, p := range e.pushers {
		pushers.Go(func() { p.run(working, e.results) })
	}
	defer pushers.Wait()
	defer stop()
	e.mem.dirty = true
	e.push() // the gateway may have restarted empty, or hold what is long over
	return e.loop(working)
}

func (e *Enforcer) loop(ctx context.Context) error {
	deposed := e.ledger.deposed()
	poll := time.NewTicker(e.cfg.Push.Poll)
	defer poll.Stop()
	reconcile := time.NewTicker(e.cfg.Push.Reconcile)
	defer reconcile.Stop()
	prune := time.NewTicker(time.Hour)
	defer prune.Stop()
	debounce := time.NewTimer(e.cfg.Push.Debounce)
	debounce.Stop()
	defer debounce.Stop()
	armed := false
	for {
		settle := false
		select {
		case <-ctx.Done():
			return nil
		case <-deposed:
			return ErrDeposed
		case <-e.wake:
		case <-poll.C:
			settle = true
		case r := <-e.results:
			e.pushResult(r)
			settle = true
		case <-debounce.C:
			armed = false
			e.push()
		case <-reconcile.C:
			e.mem.dirty = true
			e.reconcile(ctx)
		case <-prune.C:
			e.prune(ctx)
		}
		e.step(ctx, settle)
		switch {
		case e.mem.urgent && e.mem.dirty:
			e.push()
		case e.mem.dirty && !armed:
			armed = true
			debounce.Reset(max(e.cfg.Push.Debounce, rest*e.pushCost))
		}
	}
}

// step takes what waits, writes what follows from it in one transaction, and
// tells those who watch. When the write fails, everything is put back, and
// memory is read anew before the next step.
func (e *Enforcer) step(ctx context.Context, settle bool) {
	now := e.now()
	if !e.mem.loaded {
		if !settle { // only as often as we poll
			return
		}
		if err := e.load(ctx, now); err != nil {
			e.failed(ctx, err)
			return
		}
	}
	if settle {
		if err := e.tidy(ctx); err != nil {
			e.mem.loaded = false
			e.failed(ctx, err)
			return
		}
	}
	e.mem.count(now, settle)
	b := newBatch()
	var findings []detect.Finding
	holdings := e.tracker.take()
	commands, err := e.inbox(ctx, settle)
	if err == nil && len(commands) == 0 {
		findings = e.waiting()
	}
	if err == nil {
		err = e.fill(ctx, b, commands, findings, holdings, settle, now)
	}
	if err == nil && !b.empty() {
		err = e.ledger.write(ctx, b)
	}
	if err != nil {
		e.queue.putBack(findings)
		e.tracker.putBack(holdings)
		e.mem.loaded = false
		e.failed(ctx, err)
		return
	}
	e.changed(b)
	e.metered(b)
	e.say("ledger", "")
	if len(findings) == judgedAtOnce || len(commands) > 0 {
		signal(e.wake)
	}
	if len(b.decisions) > 0 || settle {
		e.watchList(ctx, now)
	}
	if e.mem.loaded {
		e.publish("")
	}
}

// What is done about all decisions at once takes time where they are many. It is done
// again at once only as long as that costs little of it: rest times as long as it took is
// nothing done.
const rest = 4

// tidy does for the journal what it asks of its leader.
func (e *Enforcer) tidy(ctx context.Context) error {
	if !e.ledger.cluster.follows() {
		return nil
	}
	if e.ledger.stirred() { // somebody who led before woke up, and may have pushed what is over
		e.mem.dirty = true
	}
	if len(e.mem.backlog) == 0 && e.mem.askUntil.IsZero() {
		e.ledger.judgedUntil(e.now())
	}
	return e.ledger.repay(ctx)
}

// waiting takes findings off the queue and, when that is short, off the backlog.
func (e *Enforcer) waiting() []detect.Finding {
	out := e.queue.take(judgedAtOnce)
	n := min(judgedAtOnce-len(out), len(e.mem.backlog))
	out = append(out, e.mem.backlog[:n]...)
	e.mem.backlog = e.mem.backlog[n:]
	return out
}

// inbox returns the commands that wait. Findings wait for the next step then:
// what a person took back must be written before records are read again.
func (e *Enforcer) inbox(ctx context.Context, look bool) ([]Command, error) {
	if !look {
		return nil, nil
	}
	return e.ledger.inbox(ctx, commandsAtOnce)
}

func (e *Enforcer) fill(ctx context.Context, b *batch, cs []Command, fs []detect.Finding, hs map[string]Holding, settle bool, now time.Time) error {
	for _, c := range cs {
		if err := e.command(ctx, b, c, now); err != nil {
			return err
		}
	}
	if err := e.strangers(ctx, fs); err != nil {
		return err
	}
	for i := range fs {
		if err := e.judge(ctx, b, &fs[i], now); err != nil {
			return err
		}
	}
	e.hold(b, hs, now)
	if settle {
		e.settle(b, now)
	}
	return nil
}

func (e *Enforcer) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // we are stopping, and what was not written is judged again
	}
	e.say("ledger", err.Error())
	e.publish(err.Error())
}

// push hands the whole desired state to every gateway.
func (e *Enforcer) push() {
	m := &e.mem
	if !m.loaded || !m.dirty {
		return
	}
	began := e.now()
	defer func() { e.pushCost = e.now().Sub(began) }()
	m.gen++
	want := m.pending(e.guard.spared(m.allows, began.UnixNano()))
	for _, p := range e.pushers {
		p.give(push{gen: m.gen, want: fitting(p.gw, want)}, m.urgent)
	}
	m.dirty, m.urgent = false, false
}

func (e *Enforcer) pushResult(r result) {
	g := &e.mem.gateways[r.gateway]
	topic := "gateway " + g.Name
	e.meter.Pushed(g.Name, r.took, r.err)
	if r.err != nil {
		g.Fails++
		g.Error = clean(r.err.Error())
		e.say(topic, strings.TrimPrefix(g.Error, topic+": "))
		return
	}
	e.say(topic, "")
	g.Fails, g.Error = 0, ""
	g.Entries, g.Took, g.At = r.applied.Entries, r.applied.Took, r.applied.At
	if g.At.IsZero() {
		g.At = e.now()
	}
	if r.applied.Changed > 0 {
		g.Changed = r.applied.Changed
	}
	g.acked = max(g.acked, r.gen)
}

// reconcile does what is due every minute beside the push.
func (e *Enforcer) reconcile(ctx context.Context) {
	e.catchUp(ctx)
	if !e.mem.loaded {
		return
	}
	b := newBatch()
	e.touch(b)
	if b.empty() {
		return
	}
	if err := e.ledger.write(ctx, b); err != nil {
		e.mem.loaded = false
		e.failed(ctx, err)
		return
	}
	e.changed(b)
}

// catchUp asks the store for findings that were left out of the queue. Those
// that have just been found may not be stored yet: it asks for two rounds more.
func (e *Enforcer) catchUp(ctx context.Context) {
	m, now := &e.mem, e.now()
	if since, any := e.queue.takeMissed(); any {
		if m.askUntil.IsZero() || since < m.askSince {
			m.askSince = since
		}
		m.askUntil = now.Add(2 * e.cfg.Push.Reconcile)
	}
	if m.askUntil.IsZero() || e.backlog == nil {
		return
	}
	found, err := e.backlog(ctx, m.askSince)
	if err != nil {
		if ctx.Err() == nil {
			e.say("backlog", clean(err.Error()))
		}
		return // the next round asks again
	}
	e.say("backlog", "")
	m.backlog = append(m.backlog[:0:0], found...)
	signal(e.wake)
	if !now.Before(m.askUntil) {
		m.askUntil = time.Time{}
	}
}

func (e *Enforcer) prune(ctx context.Context) {
	if err := e.ledger.Prune(ctx, e.now().Add(-e.cfg.Keep)); err != nil && ctx.Err() == nil {
		e.say("prune", clean(err.Error()))
		return
	}
	e.say("prune", "")
}

// watchList tells the watcher and the tracker whom to follow, if that changed.
// In a cluster the detectors read it from the journal.
func (e *Enforcer) watchList(ctx context.Context, now time.Time) {
	if now.Sub(e.watchedAt) < rest*e.watchCost {
		return // the next poll asks again
	}
	if !e.mem.unwatched && len(e.mem.linger) == 0 {
		return
	}
	e.mem.unwatched = false
	began := e.now()
	defer func() { e.watchedAt = e.now(); e.watchCost = e.watchedAt.Sub(began) }()
	follows := e.ledger.cluster.follows()
	if e.watch == nil && !follows {
		return
	}
	list := make([]detect.Watch, 0, len(e.mem.open)+len(e.mem.linger))
	followed := map[detect.Subject]bool{}
	for _, d := range e.mem.open {
		if d.State.Live() { // also one that is over, until the gateways let go
			followed[d.Subject] = true
			list = append(list, detect.Watch{Subject: d.Subject, Deny: deny(d.Action), Since: d.Trigger})
		}
	}
	for s, l := range e.mem.linger {
		switch {
		case !now.Before(l.until):
			delete(e.mem.linger, s)
		case !followed[s]:
			list = append(list, l.watch)
		}
	}
	slices.SortFunc(list, compareWatch)
	if slices.Equal(list, e.mem.watched) {
		return
	}
	if follows {
		if err := e.ledger.writeWatched(ctx, list); err != nil {
			e.mem.loaded = false
			e.failed(ctx, err)
			return
		}
	}
	e.mem.watched = list
	if e.watch != nil {
		e.watch.Watch(slices.Clone(list))
	}
}

// publish refreshes what Health returns.
func (e *Enforcer) publish(store string) {
	h := Health{
		States: maps.Clone(e.mem.states), Panic: e.mem.panics, Breaker: e.breaker(), Recent: len(e.mem.recent),
		Lag: e.inputs().Lag, Store: store, Watched: len(e.mem.watched),
		Gateways: slices.Clone(e.mem.gateways),
	}
	for i := range h.Gateways {
		h.Gateways[i].Behind = h.Gateways[i].acked < e.mem.gen || e.mem.dirty
	}
	e.mu.Lock()
	e.health = h
	e.mu.Unlock()
}
