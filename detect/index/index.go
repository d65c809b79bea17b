// Package index writes to Elasticsearch what the topics hold: findings, traffic,
// requests, decisions. It is a consumer group of its own, so that detection does not
// wait for Elasticsearch.
//
// Loss policy: the offset of a message is committed once each of its documents is
// durable or was handed to the rejected topic. After a crash, and when a partition
// passes to another process, messages are read again; ids make that harmless.
package index

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/ingest/bus"
)

// Place is a partition.
type Place struct {
	Topic     string
	Partition int
}

// Convert makes documents of a message of a topic. An error says that the message is
// none of ours: it is counted, said, and left out. It is used by one goroutine.
type Convert func(m *bus.Message) ([]elastic.Doc, error)

// Config is what an Indexer is made of.
type Config struct {
	// Pump writes what comes in, and calls Done of each piece; *elastic.Store has it.
	Pump func(ctx context.Context, in <-chan elastic.Piece) error
	// New makes the converter of a topic, for one goroutine.
	New func(topic string) (Convert, error)
	// Read reads a partition until ctx ends.
	Read func(ctx context.Context, p Place, from int64, each func(m *bus.Message, end int64) error, gap func(from, to int64)) error
	// Foreign takes a message that cannot be converted.
	Foreign func(ctx context.Context, m *bus.Message, why error) error
	Log     *slog.Logger
}

// Indexer writes the partitions that it is given.
type Indexer struct {
	cfg     Config
	foreign atomic.Int64
	docs    atomic.Int64

	mu     sync.Mutex
	behind map[Place]int64
}

// New makes an Indexer.
func New(cfg Config) *Indexer { return &Indexer{cfg: cfg, behind: map[Place]int64{}} }

// Stats are figures for status.
type Stats struct {
	Documents int64 // handed over since the start
	Foreign   int64 // messages that could not be read
	Waiting   int64 // messages of the partitions here that are not indexed
}

// Stats returns the latest figures.
func (x *Indexer) Stats() Stats {
	s := Stats{Documents: x.docs.Load(), Foreign: x.foreign.Load()}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, n := range x.behind {
		s.Waiting += n
	}
	return s
}

// Commit notes up to where partitions of a topic are indexed.
type Commit func(ctx context.Context, topic string, offsets map[int]int64) error

const (
	commitEvery = time.Second
	ahead       = 64 // pieces that wait for the pump
)

// Run indexes the places from their offsets until ctx ends. It starts a goroutine a
// place, one that writes and one that commits, and joins them.
func (x *Indexer) Run(ctx context.Context, from map[Place]int64, commit Commit) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := make(chan elastic.Piece, ahead)
	done := &offsets{next: map[Place]int64{}}
	var readers, rest sync.WaitGroup
	for p, next := range from {
		readers.Go(func() {
			if err := x.read(ctx, p, next, in, done); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("index: %s/%d: %w", p.Topic, p.Partition, err))
			}
		})
	}
	rest.Go(func() {
		if err := x.cfg.Pump(ctx, in); err != nil && ctx.Err() == nil {
			cancel(fmt.Errorf("index: %w", err))
		}
	})
	rest.Go(func() { x.keepCommitting(ctx, done, commit) })
	readers.Wait()
	close(in)
	rest.Wait()
	x.mu.Lock()
	clear(x.behind)
	x.mu.Unlock()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// read converts the messages of a place.
func (x *Indexer) read(ctx context.Context, p Place, from int64, in chan<- elastic.Piece, done *offsets) error {
	convert, err := x.cfg.New(p.Topic)
	if err != nil {
		return err
	}
	before := int64(-1) // the end as it was at the beginning: what lies before may have been written already
	return x.cfg.Read(ctx, p, from, func(m *bus.Message, end int64) error {
		if before < 0 {
			before = end
		}
		docs, err := convert(m)
		for i := range docs {
			docs[i].Again = docs[i].Again || m.Offset < before
		}
		if err != nil {
			docs = nil
			if x.foreign.Add(1) == 1 {
				x.cfg.Log.Warn("a message cannot be indexed and goes to the rejected topic", "topic", p.Topic, "partition", p.Partition, "offset", m.Offset, "error", err)
			}
			if err := x.cfg.Foreign(ctx, m, err); err != nil {
				return err
			}
		}
		next := m.Offset + 1
		piece := elastic.Piece{Docs: docs, Done: func() {
			x.docs.Add(int64(len(docs)))
			done.set(p, next)
			x.mu.Lock()
			x.behind[p] = max(0, end-next)
			x.mu.Unlock()
		}}
		select {
		case in <- piece:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, func(from, to int64) {
		x.cfg.Log.Error("messages were deleted from a topic before they were indexed: raise its retention", "topic", p.Topic, "partition", p.Partition, "from", from, "to", to)
	})
}

// offsets are up to where each place is indexed.
type offsets struct {
	mu    sync.Mutex
	next  map[Place]int64
	moved bool
}

func (o *offsets) set(p Place, next int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next[p], o.moved = next, true
}

// back takes back what could not be committed, where nothing newer is there.
func (o *offsets) back(topic string, list map[int]int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for partition, next := range list {
		p := Place{topic, partition}
		o.next[p], o.moved = max(o.next[p], next), true
	}
}

// take returns what moved, by topic.
func (o *offsets) take() map[string]map[int]int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.moved {
		return nil
	}
	o.moved = false
	out := map[string]map[int]int64{}
	for p, next := range o.next {
		if out[p.Topic] == nil {
			out[p.Topic] = map[int]int64{}
		}
		out[p.Topic][p.Partition] = next
	}
	clear(o.next)
	return out
}

func (x *Indexer) keepCommitting(ctx context.Context, done *offsets, commit Commit) {
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	for said := false; ; {
		last := ctx.Err() != nil
		commitCtx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		for topic, offsets := range done.take() {
			err := commit(commitCtx, topic, offsets)
			if err == nil || last {
				said = false
				continue
			}
			done.back(topic, offsets)
			if !said {
				said = true
				x.cfg.Log.Warn("up to where is indexed cannot be noted; after a restart it is written again, over itself", "topic", topic, "error", err)
			}
		}
		stop()
		if last {
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
