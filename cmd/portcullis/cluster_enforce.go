package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/follow"
	"github.com/portcullis/portcullis/enforce/journal"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
)

// groupEnforce is the consumer group whose one partition elects the active enforcer.
const groupEnforce = "enforce"

// enforceRole decides, while this process leads; else it stands by.
type enforceRole struct {
	active  atomic.Pointer[enforce.Enforcer] // nil: another one leads
	epoch   atomic.Int64
	good    atomic.Int64
	journal journalTopic
	groups  *campaigns

	mu  sync.Mutex
	why string // why it cannot lead though it should; "" = it can, or should not
}

func (c *cluster) openFollower() {
	c.follow = follow.New(follow.Config{
		Read: func(ctx context.Context, partition int, from int64, each func(*bus.Message, int64) error, gap func(from, to int64)) error {
			return c.read(ctx, kafka.Findings, partition, from, each, nil, gap)
		},
		Partitions: kafka.FindingsPartitions, Store: followed{c.db, c}, Finding: c.offer, Saw: c.saw, Now: now, Log: c.quiet,
	})
}

// followed is the database, which tells what it has of new findings.
type followed struct {
	*store.DB
	c *cluster
}

// Save implements follow.Store.
func (d followed) Save(ctx context.Context, s store.State) error {
	err := d.DB.Save(ctx, s)
	if err == nil && d.c.enforce != nil {
		d.c.enforce.groups.note(s.Findings...)
		d.c.alerting.note(s.Findings)
	}
	return err
}

// offer gives a finding to the enforcer, if it is here.
func (c *cluster) offer(f detect.Finding) {
	if c.enforce == nil {
		return
	}
	if e := c.enforce.active.Load(); e != nil {
		c.found.see(&f, now())
		e.Offer(f)
	}
}

func (c *cluster) saw(s detect.Sightings) {
	if c.enforce == nil {
		return
	}
	if e := c.enforce.active.Load(); e != nil {
		e.SawAll(s)
	}
}

func (c *cluster) openEnforce() error {
	c.enforce = &enforceRole{journal: journalTopic{p: c.producer}, groups: newCampaigns(c.settings, c.db)}
	if err := c.openInline(func() bool { return c.enforce.active.Load() != nil }); err != nil {
		return err
	}
	if _, err := c.newEnforcer(nil, c.inputs); err != nil { // settings that are wrong are said at the start
		return err
	}
	var err error
	c.alerting, err = c.newAlerting()
	return err
}

func (c *cluster) inputs() enforce.Inputs {
	return enforce.Inputs{Lag: c.lag(now()), Good: c.enforce.good.Load()}
}

// startEnforce takes part in the election, and leads when it is this one's turn.
func (c *cluster) startEnforce(start func(string, func(context.Context) error)) {
	start("enforcer", func(ctx context.Context) error {
		return c.kafka.Join(ctx, groupEnforce, []string{kafka.Decisions}, func(turn context.Context, g *kafka.Generation) {
			if !slices.Contains(g.Partitions[kafka.Decisions], 0) {
				c.log.Info("another enforcer is active, this one stands by", "generation", g.ID)
				<-turn.Done()
				return
			}
			c.lead(turn, int64(g.ID))
		})
	})
	c.inline.start(start)
	start("good traffic", c.countGood)
	start("campaigns", c.group)
}

// lead decides until the turn is over, and tries again where something is in the way.
func (c *cluster) lead(turn context.Context, least int64) {
	for pause := 200 * time.Millisecond; turn.Err() == nil; pause = min(2*pause, 5*time.Second) {
		err := c.term(turn, least)
		if turn.Err() != nil {
			return
		}
		c.enforce.say(err)
		c.log.Error("the active enforcer stopped and is started anew", "error", err)
		select {
		case <-turn.Done():
		case <-time.After(pause):
		}
	}
}

func (r *enforceRole) say(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = ""
	if err != nil {
		r.why = err.Error()
	}
}

// term is one term as the leader.
func (c *cluster) term(turn context.Context, least int64) error {
	select {
	case <-c.level: // all that others wrote is in the ledger
	case <-turn.Done():
		return nil
	}
	epoch, err := c.ledger.Lead(turn, &c.enforce.journal, least)
	if err != nil {
		return err
	}
	defer c.ledger.Follow()
	e, err := c.newEnforcer(nil, c.inputs)
	if err != nil {
		return err
	}
	c.enforce.say(nil)
	c.enforce.epoch.Store(epoch)
	c.enforce.active.Store(e)
	defer c.enforce.active.Store(nil)
	c.log.Info("this enforcer is active", "epoch", epoch, "gateways", c.settings.gateways())
	ctx, cancel := context.WithCancel(turn)
	var alerts sync.WaitGroup
	defer alerts.Wait()
	defer cancel()
	if c.alerting != nil {
		alerts.Go(func() { c.shared.term(ctx, epoch) })
	}
	return e.Run(ctx)
}

// group makes campaigns of what was found while this enforcer is the active one, and
// tells them to all as any other finding. Who becomes active finds the last hours in its
// database.
func (c *cluster) group(ctx context.Context) error {
	tick := time.NewTicker(campaignsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if c.enforce.active.Load() == nil {
			continue
		}
		err := c.enforce.groups.group(ctx, now(), func(list []detect.Finding) error { return c.topics.Findings(ctx, list) })
		if err != nil && ctx.Err() == nil {
			c.log.Warn("campaigns cannot be made yet; it is tried again", "error", err)
		}
	}
}

// countGood sums up what was answered well in the last 24 hours, every minute.
func (c *cluster) countGood(ctx context.Context) error {
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		if n, err := c.goodOf(ctx, now()); err == nil { // else the guard does not know; it says so
			c.enforce.good.Store(n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-minute.C:
		}
	}
}

// headerEpoch is the header of a record with the epoch of the leader that wrote it.
const headerEpoch = "epoch"

// journalTopic is the decisions topic as enforce.Journal.
type journalTopic struct {
	p  *kafka.Producer
	mu sync.Mutex // keeps the records of one append together
}

// Append implements enforce.Journal.
func (j *journalTopic) Append(ctx context.Context, epoch int64, recs []journal.Record) error {
	answers := make(chan error, len(recs))
	header := bus.Header{Key: headerEpoch, Value: strconv.AppendInt(nil, epoch, 10)}
	j.mu.Lock()
	for _, r := range recs {
		m := bus.Message{Key: []byte(r.Key), Value: r.Value, Headers: []bus.Header{header}}
		if err := j.p.Send(ctx, kafka.Decisions, 0, m, func(_ int64, err error) { answers <- err }); err != nil {
			j.mu.Unlock()
			return fmt.Errorf("journal: %w", err)
		}
	}
	j.mu.Unlock()
	var errs []error
	for range recs {
		select {
		case err := <-answers:
			errs = append(errs, err)
		case <-ctx.Done():
			return fmt.Errorf("journal: %w", context.Cause(ctx))
		}
	}
	return errors.Join(errs...)
}

// startDecisions follows the decisions topic: into the ledger for enforcers and
// consoles, into the watch list for detectors.
func (c *cluster) startDecisions(start func(string, func(context.Context) error)) {
	if c.follow != nil {
		start("journal", c.followJournal)
		start("commands", c.sendCommands)
		c.shared.start(start)
	}
	if c.detect != nil {
		start("watch list", c.followWatches)
	}
	if c.enforce != nil {
		c.startEnforce(start)
	}
}

// recordOf reads a message of the decisions topic.
func recordOf(m *bus.Message) journal.Record {
	epoch, err := strconv.ParseInt(string(m.Header(headerEpoch)), 10, 64)
	if err != nil {
		epoch = 0 // nobody who leads wrote it: the ledger refuses what is no request
	}
	return journal.Record{Key: string(m.Key), Value: m.Value, Epoch: epoch, Offset: m.Offset}
}

// What is gathered of the journal before it is applied.
const journalMost = 500

// followJournal applies the journal to the ledger.
func (c *cluster) followJournal(ctx context.Context) error {
	from, err := c.ledger.Resume(ctx, now(), journalKeeps)
	if err != nil {
		return err
	}
	var told enforce.Report
	return gatherRecords(ctx, c, gathering[journal.Record]{
		topic: kafka.Decisions, from: from, most: journalMost, what: "the journal", of: recordOf,
		apply: func(recs []journal.Record, to int64) (err error) {
			told, err = c.ledger.Apply(ctx, recs, to)
			return err
		},
		applied: func(recs []journal.Record) error { return c.report(ctx, recs, told) },
		level:   func() { c.leveled.Do(func() { close(c.level) }) },
	})
}

// journalKeeps is how long deletions are told by the decisions topic at the least
// (delete.retention.ms, whose default is a day).
const journalKeeps = 20 * time.Hour

// report says what was not understood of the journal, and puts what nobody of ours
// writes into the rejected topic.
func (c *cluster) report(ctx context.Context, recs []journal.Record, r enforce.Report) error {
	c.foreign.add(r)
	if r.Newer > 0 {
		c.log.Warn("the journal has records of a newer version, which are kept out: upgrade this process", "records", r.Newer)
	}
	for _, x := range r.Refused {
		rec := recs[x.Index]
		c.quiet.Warn("a record of the journal is none of ours", "key", fmt.Sprintf("%.80q", rec.Key), "offset", rec.Offset, "why", x.Reason)
		m := &bus.Message{Topic: kafka.Decisions, Offset: rec.Offset, Key: []byte(rec.Key), Value: rec.Value}
		if err := c.topics.Foreign(ctx, m, errors.New(x.Reason)); err != nil {
			return err
		}
	}
	return nil
}

// sendCommands puts what people want into the journal, where the active enforcer
// finds it.
func (c *cluster) sendCommands(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	j := journalTopic{p: c.producer}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := c.ledger.Send(ctx, &j); err != nil && ctx.Err() == nil {
			c.log.Warn("commands cannot be handed to the active enforcer yet", "error", err)
		}
	}
}

// followWatches keeps the watch list of the engines here.
func (c *cluster) followWatches(ctx context.Context) error {
	view, changed := journal.NewView(watchedMost, c.cloak.ShowText), true
	return c.read(ctx, kafka.Decisions, 0, 0, func(m *bus.Message, _ int64) error {
		moved, err := view.Apply(recordOf(m))
		if err != nil {
			c.quiet.Warn("a record of the journal is not understood", "offset", m.Offset, "error", err)
		}
		changed = changed || moved
		return nil
	}, func(int64) error {
		if changed {
			changed = false
			c.detect.watch.set(view.List())
		}
		return nil
	}, func(int64, int64) {})
}

// watchedMost bounds the subjects that are watched.
const watchedMost = 1 << 20
