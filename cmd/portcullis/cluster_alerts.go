package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
)

// sharedAlerts is what several processes know of alerts: a topic, which each of them has
// in its database. The active enforcer sends; it writes what it is about to send to the
// topic first, and only goes on once that came back while nobody else had begun to send.
type sharedAlerts struct {
	c *cluster

	mu      sync.Mutex
	applied int64         // offset up to which the database has the topic
	epoch   int64         // of the sender whose records count
	moved   chan struct{} // closed when one of them changes
}

func newSharedAlerts(c *cluster) *sharedAlerts {
	return &sharedAlerts{c: c, moved: make(chan struct{})}
}

// start follows the topic, and hands on what people write here.
func (s *sharedAlerts) start(start func(string, func(context.Context) error)) {
	start("alerts", s.follow)
	start("alert commands", s.hand)
}

// What is gathered of the topic before it is applied.
const alertRecordsMost = 500

// follow keeps the database level with the topic.
func (s *sharedAlerts) follow(ctx context.Context) error {
	from, err := s.c.alerts.Next(ctx)
	if err != nil {
		return err
	}
	return gatherRecords(ctx, s.c, gathering[alert.Shared]{
		topic: kafka.Alerts, from: from, most: alertRecordsMost, what: "the topic of alerts", of: sharedOf,
		apply:   func(recs []alert.Shared, to int64) error { return s.apply(ctx, recs, to) },
		applied: func([]alert.Shared) error { return nil },
		level:   func() {},
	})
}

// apply has the database take records in, and tells who waits for them.
func (s *sharedAlerts) apply(ctx context.Context, recs []alert.Shared, to int64) error {
	done, err := s.c.alerts.Apply(ctx, recs, to)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.applied, s.epoch = to, done.Epoch
	close(s.moved)
	s.moved = make(chan struct{})
	s.mu.Unlock()
	if e := s.c.alerting.sender(); e != nil && len(done.Stale) > 0 {
		e.Changed(done.Stale)
	}
	return nil
}

// sender is the engine, if this process sends.
func (a *alerting) sender() *alert.Engine {
	if a == nil {
		return nil
	}
	return a.engine.Load()
}

// sharedOf reads a message of the topic.
func sharedOf(m *bus.Message) alert.Shared {
	kind, key, _ := strings.Cut(string(m.Key), "/")
	epoch, err := strconv.ParseInt(string(m.Header(headerEpoch)), 10, 64)
	if err != nil {
		epoch = 0
	}
	return alert.Shared{Record: alert.Record{Kind: kind, Key: key, Value: m.Value}, Epoch: epoch}
}

// hand writes to the topic what people wrote into the database here.
func (s *sharedAlerts) hand(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		recs, err := s.c.alerts.Fresh(ctx)
		if err == nil && len(recs) > 0 {
			if _, err = s.append(ctx, recs, 0); err == nil {
				err = s.c.alerts.Handed(ctx, recs)
			}
		}
		if err != nil && ctx.Err() == nil {
			s.c.log.Warn("silences and acknowledgements cannot be handed to the other processes yet", "error", err)
		}
	}
}

// append writes records to the topic and returns the offset of the last one.
func (s *sharedAlerts) append(ctx context.Context, recs []alert.Record, epoch int64) (last int64, err error) {
	type answer struct {
		offset int64
		err    error
	}
	answers := make(chan answer, len(recs))
	header := []bus.Header{{Key: headerEpoch, Value: strconv.AppendInt(nil, epoch, 10)}}
	for _, r := range recs {
		m := bus.Message{Key: []byte(r.Kind + "/" + r.Key), Value: r.Value, Headers: header}
		if err := s.c.producer.Send(ctx, kafka.Alerts, 0, m, func(offset int64, err error) { answers <- answer{offset, err} }); err != nil {
			return 0, fmt.Errorf("alerts: %w", err)
		}
	}
	for range recs {
		select {
		case a := <-answers:
			last, err = max(last, a.offset), errors.Join(err, a.err)
		case <-ctx.Done():
			return 0, fmt.Errorf("alerts: %w", context.Cause(ctx))
		}
	}
	if err != nil {
		return 0, fmt.Errorf("alerts: %w", err)
	}
	return last, nil
}

// term sends while this enforcer is the active one.
func (s *sharedAlerts) term(turn context.Context, epoch int64) {
	store := &alertTerm{Table: s.c.alerts, s: s, epoch: epoch}
	err := s.c.alerting.run(turn, store, true)
	if err != nil && turn.Err() == nil {
		s.c.log.Error("alerts", "error", err)
	}
}

// alertPatience is how long a sender waits for the topic before it says so.
const alertPatience = 10 * time.Second

// alertTerm is alert.Store of the active enforcer.
type alertTerm struct {
	*alert.Table
	s     *sharedAlerts
	epoch int64
}

// Load implements alert.Store: it has all that was written before this term began.
func (t *alertTerm) Load(ctx context.Context) ([]alert.Record, error) {
	if err := t.Put(ctx, []alert.Record{{Kind: alert.KindLead, Key: "sender", Value: []byte(`{"who":` + strconv.Quote(t.s.c.id) + `}`)}}); err != nil {
		return nil, err
	}
	return t.Table.Load(ctx)
}

// Put implements alert.Store.
func (t *alertTerm) Put(ctx context.Context, recs []alert.Record) error {
	ctx, cancel := context.WithTimeoutCause(ctx, alertPatience, fmt.Errorf("no answer from Kafka within %s", alertPatience))
	defer cancel()
	last, err := t.s.append(ctx, recs, t.epoch)
	if err != nil {
		return err
	}
	for {
		t.s.mu.Lock()
		applied, epoch, moved := t.s.applied, t.s.epoch, t.s.moved
		t.s.mu.Unlock()
		switch {
		case epoch > t.epoch:
			return fmt.Errorf("alerts: another process sends: %w", enforce.ErrDeposed)
		case applied > last:
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("alerts: %w", context.Cause(ctx))
		}
	}
}
