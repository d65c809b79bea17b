package main

import (
	"context"
	"errors"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/ingest/bus"
)

const (
	flushEvery = 200 * time.Millisecond // findings become visible

)

// detect feeds the engine from the bus and saves its state, until ctx ends or
// the state cannot be saved any more.
func (p *pipeline) detect(ctx context.Context, reader bus.Reader) error {
	messages := make(chan *bus.Message)
	fetched := make(chan error, 1)
	go func() {
		for {
			m, err := reader.Fetch(ctx)
			if err != nil {
				fetched <- err
				return
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				fetched <- ctx.Err()
				return
			}
		}
	}()
	l := &detectLoop{p: p, reader: reader, saved: make(chan error, 1), idleSince: now(), next: now()} // the first save is at once: a log is known from then on
	err := l.run(ctx, messages)
	if l.saving {
		failed := <-l.saved
		l.kept, err = failed == nil, errors.Join(err, failed)
	}
	p.kept = err == nil && l.kept && !l.dirty
	if ctx.Err() == nil {
		return err // the caller cancels; the fetcher then ends
	}
	<-fetched
	return err
}

// detectLoop is the state of detect.
type detectLoop struct {
	p         *pipeline
	reader    bus.Reader
	saved     chan error // of the snapshot being saved
	saving    bool
	began     time.Time // of that
	next      time.Time // when a snapshot is due
	dirty     bool      // something was fed since the last
	kept      bool      // the last that was made is saved
	idleSince time.Time
	shown     time.Time // when the figures were last published
}

func (l *detectLoop) run(ctx context.Context, messages <-chan *bus.Message) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-messages:
			if err := l.feed(ctx, m); err != nil {
				return err
			}
		case err := <-l.saved:
			l.saving = false
			if l.kept = err == nil; !l.kept {
				return err
			}
			l.next = now().Add(max(l.p.settings.Snapshot, min(10*now().Sub(l.began), 15*time.Second)))
		case <-tick.C:
		}
		if err := l.chores(ctx); err != nil {
			return err
		}
	}
}

func (l *detectLoop) feed(ctx context.Context, m *bus.Message) error {
	b, err := bus.ToBatch(m)
	if err != nil {
		return err
	}
	b.Free = func() {
		// In order: a batch is released only after all before it (see detect.pool).
		if err := l.reader.Commit(ctx, m); err != nil && ctx.Err() == nil {
			l.p.log.Error("commit", "error", err)
		}
	}
	began := now()
	l.p.engine.Feed(&b)
	l.p.meters.stage(stageDetect, began)
	l.dirty, l.idleSince = true, now()
	return nil
}

// chores saves findings soon and the whole state in its turn.
func (l *detectLoop) chores(ctx context.Context) error {
	p := l.p
	t := now()
	if idle := t.Sub(l.idleSince); idle > p.settings.Engine.Late+30*time.Second && p.intake.caughtUp() {
		p.engine.Advance(t.Add(-p.settings.Engine.Late - 30*time.Second).Unix())
		l.idleSince, l.dirty = t, true
	}
	if t.Sub(l.shown) >= time.Second {
		l.shown = t
		p.engine.Publish()
	}
	if l.saving {
		return nil // it holds the database; findings go with the next one
	}
	if l.dirty && t.After(l.next) {
		p.emitted.Store(false)
		s := p.engine.Snapshot()
		p.meters.stage(stageSnapshot, t)
		l.saving, l.dirty, l.began = true, false, t
		go func() { l.saved <- p.save(ctx, s) }()
		return nil
	}
	if p.emitted.Swap(false) {
		list := p.engine.Findings()
		p.meters.all(list)
		began := now()
		err := p.retry(ctx, func() error { return p.db.SaveFindings(context.WithoutCancel(ctx), list) })
		if err != nil {
			return err
		}
		p.meters.stage(stageFindings, began)
		p.groups.note(list...)
		p.alerting.note(list)
		p.mirror.offer(list, nil)
	}
	err := p.groups.group(ctx, t, func(list []detect.Finding) error { return p.campaigned(ctx, list) })
	if ctx.Err() != nil {
		return nil // the state can be saved all the same: campaigns are made of what is stored
	}
	return err
}

// campaigned saves campaigns and hands them on.
func (p *pipeline) campaigned(ctx context.Context, list []detect.Finding) error {
	err := p.retry(ctx, func() error { return p.db.SaveFindings(context.WithoutCancel(ctx), list) })
	if err != nil {
		return err
	}
	p.meters.all(list)
	p.alerting.note(list)
	p.mirror.offer(list, nil)
	for _, f := range list {
		if p.onEvent != nil {
			p.onEvent(f)
		}
		p.enforcer.Offer(f)
	}
	return nil
}

// save writes a snapshot in one transaction.
func (p *pipeline) save(ctx context.Context, s detect.Snapshot) error {
	p.meters.all(s.Findings)
	began := now()
	err := p.retry(ctx, func() error {
		return p.db.Save(context.WithoutCancel(ctx), store.State{Findings: s.Findings, Rollups: s.Rollups, Ledger: s.Ledger, Rejects: s.Rejects, Marks: s.Marks, Blobs: s.Blobs})
	})
	if err != nil {
		return err
	}
	p.meters.stage(stageSave, began)
	p.intake.saved(s.Marks)
	p.groups.note(s.Findings...)
	p.alerting.note(s.Findings)
	p.mirror.offer(s.Findings, s.Rollups)
	return nil
}

// retry tries until it works or ctx ends: a full disk or a busy database passes,
// and until then the log file keeps what is not saved. It says so once, and
// status shows it.
func (p *pipeline) retry(ctx context.Context, do func() error) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := do()
		if err == nil {
			if p.unsaved.Swap(nil) != nil {
				p.log.Info("the state can be saved again")
			}
			return nil
		}
		if text := err.Error(); p.unsaved.Swap(&text) == nil {
			p.log.Error("the state cannot be saved; it is tried until it works", "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
