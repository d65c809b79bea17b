package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/collect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/identity"
)

// collectRole reads the sources of this process and hands their lines on.
type collectRole struct {
	intake    *intake
	collector *collect.Collector
	marks     []ingest.Mark
	quiet     time.Time // since when all was read and nothing came
	lines     int64
	note      string // that this process reads logs, by its name; "" = not written
}

// identityPrint is a fingerprint of all that decides which client a line has, and in
// which shard that one is.
func identityPrint(s *Settings, ident identity.Config, ring identity.Ring) string {
	text, _ := json.Marshal([]any{ident.TrustedProxies, ident.ClientHeaders, ident.Consumer, ident.JWTClaims, ident.JWTIssuer, ident.BasicUser,
		ident.Key, seedOf(ring.Root), s.Engine.Late}) // lists, words and numbers always marshal
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func (c *cluster) openCollect(ctx context.Context) error {
	s := c.settings
	ring, ident, err := identityOf(s, false)
	if err != nil {
		return err
	}
	in, err := openIntake(s, s.Kafka.Redact, c.log)
	if err != nil {
		return err
	}
	c.collect = &collectRole{intake: in}
	ident.Sealed = s.Kafka.Redact
	plan, err := newPlan(s, engineOptions{formats: formatsOf(s), clients: true, log: c.log, noTime: func() int64 { return now().UnixNano() }}, ident)
	if err != nil {
		return err
	}
	lines, err := plan.New()
	if err != nil {
		return err
	}
	saved, err := c.db.Load(ctx)
	if err != nil {
		return err
	}
	splitter, err := detect.NewSplitter(detect.SplitConfig{Partitions: c.layout.Partitions, Seed: seedOf(ring.Root),
		LateSeconds: int64(s.Engine.Late.Seconds()), Lines: lines, Now: func() int64 { return now().Unix() }})
	if err != nil {
		return err
	}
	if state := saved.Blobs[splitterBlob]; len(state) > 0 {
		if err := splitter.Restore(state); err != nil {
			return err
		}
	}
	c.collect.marks, c.collect.quiet = saved.Marks, now()
	c.collect.collector = collect.New(collect.Config{
		Topic: task.TopicAccess, Partitions: c.layout.Partitions, Splitter: splitter, Identity: c.identity, Out: accessOut{c.topics.Sender}, Now: now,
		Lost: func(_ string, why error) { c.refuse(task.TopicAccess, why) },
	}, saved.Ledger)
	return nil
}

// splitterBlob is how far the collector has seen the stream, in the database.
const splitterBlob = "splitter"

// accessOut is the access topic as collect.Out.
type accessOut struct{ to task.Sender }

// Send implements collect.Out. Where the end comes between the messages of a group it
// tries for a moment longer, so that the group is sent as a whole.
func (o accessOut) Send(ctx context.Context, partition int, m bus.Message, done func(error)) error {
	err := o.to.Send(ctx, task.TopicAccess, partition, m, done)
	if err == nil || ctx.Err() == nil {
		return err
	}
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer stop()
	return o.to.Send(last, task.TopicAccess, partition, m, done)
}

func (c *cluster) startCollect(start func(string, func(context.Context) error)) {
	r := c.collect
	r.intake.start(start, r.marks, r.collector.Put)
	start("collector", c.keepCollecting)
}

// keepCollecting sends what waits, tells of quiet, and saves how far all is
// acknowledged, until ctx ends.
func (c *cluster) keepCollecting(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var saved time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := c.collect.collector.Flush(ctx); err != nil {
			return err
		}
		if err := c.stillness(ctx, now()); err != nil {
			return err
		}
		if t := now(); t.Sub(saved) >= min(c.settings.Snapshot, time.Second) {
			saved = t
			if err := c.saveCollected(ctx); err != nil && ctx.Err() == nil {
				c.log.Error("how far the log was read cannot be saved; it is tried again", "error", err)
			}
		}
	}
}

// stillness tells the detectors that nothing old is to come, when all was read and
// nothing came for the late bound and a while.
func (c *cluster) stillness(ctx context.Context, t time.Time) error {
	r := c.collect
	if lines := r.collector.Stats().Lines; lines != r.lines || !r.intake.caughtUp() {
		r.lines, r.quiet = lines, t
		return nil
	}
	margin := c.settings.Engine.Late + 30*time.Second
	if t.Sub(r.quiet) <= margin {
		return nil
	}
	r.quiet = t
	return r.collector.Idle(ctx, c.id, t.Add(-margin).Unix())
}

// saveCollected saves marks and rows of what is acknowledged.
func (c *cluster) saveCollected(ctx context.Context) error {
	s, moved := c.collect.collector.Saved()
	if !moved {
		return nil
	}
	st := store.State{Marks: s.Marks, Ledger: s.Rows, Blobs: map[string][]byte{splitterBlob: s.State}}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := c.db.Save(context.WithoutCancel(ctx), st)
		if err == nil {
			break
		}
		c.log.Error("how far the log was read cannot be saved", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
	c.collect.intake.saved(st.Marks)
	return nil
}
