package main

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// aligner keeps several live sources together in event time, so that a log with
// a backlog is not late because another one is read at its end. A source that
// was read to its end does not hold the others back. With one source it only
// passes batches on.
type aligner struct {
	timer   *timer
	feed    func(context.Context, *ingest.Batch) error
	streams []*stream
	arrived chan struct{} // one token: some stream has a batch
	more    []bool        // by stream: its last batch left something unread
	waited  []time.Time   // by stream: since when that something is awaited
}

// alignPatience is how long the others wait for a source that says it has more.
const alignPatience = 2 * time.Second

func newAligner(sources int, t *timer, feed func(context.Context, *ingest.Batch) error) *aligner {
	a := &aligner{timer: t, feed: feed, arrived: make(chan struct{}, 1), more: make([]bool, sources), waited: make([]time.Time, sources)}
	for range sources {
		a.streams = append(a.streams, &stream{in: make(chan *ingest.Batch, 1)})
	}
	return a
}

// put takes a batch of source i; it blocks while the one before waits.
func (a *aligner) put(ctx context.Context, i int, b *ingest.Batch) error {
	if len(a.streams) == 1 {
		return a.feed(ctx, b)
	}
	select {
	case a.streams[i].in <- b:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case a.arrived <- struct{}{}:
	default:
	}
	return nil
}

// run passes batches on until ctx ends.
func (a *aligner) run(ctx context.Context) error {
	tick := time.NewTicker(alignPatience / 4)
	defer tick.Stop()
	for {
		first, until, waiting := a.pick()
		if first == nil || waiting {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-a.arrived:
			case <-tick.C:
			}
			continue
		}
		if err := a.feed(ctx, first.take(until)); err != nil {
			return err
		}
	}
}

// pick finds the stream whose next line is the earliest, and how far it may go.
// waiting says that a stream with more to come has nothing here yet.
func (a *aligner) pick() (first *stream, until int64, waiting bool) {
	until = 1<<63 - 1
	for i, s := range a.streams {
		if s.next == len(s.times) && !a.refill(i) {
			if a.more[i] && time.Since(a.waited[i]) < alignPatience {
				waiting = true
			}
			continue
		}
		switch {
		case first == nil:
			first = s
		case s.head() < first.head():
			until = min(until, first.head())
			first = s
		default:
			until = min(until, s.head())
		}
	}
	return first, until, waiting
}

// refill takes the next batch of a stream, if it is there.
func (a *aligner) refill(i int) bool {
	s := a.streams[i]
	select {
	case b := <-s.in:
		s.load(b, a.timer)
		a.more[i], a.waited[i] = b.Lag > 0, time.Now()
		return true
	default:
		return false
	}
}
