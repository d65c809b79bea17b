package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/detect/collect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
)

// topicLog is the access topic as it is now, as one log: the lines of all partitions in
// the order of their times.
type topicLog struct {
	client *kafka.Client
	ranges map[int]kafka.Range
	timers func() (*timer, error)
	since  int64 // Unix nanoseconds
	until  int64
	done   atomic.Int64 // messages
}

func (l *topicLog) Name() string { return "kafka" }
func (l *topicLog) Close()       {}

// Done implements replayFile; it counts messages.
func (l *topicLog) Done() (done, size int64) {
	for _, r := range l.ranges {
		size += r.End - r.First
	}
	return l.done.Load(), size
}

// errAtEnd ends the reading of a partition.
var errAtEnd = errors.New("at the end")

// partStream is one partition: the batch at hand, and the times of its lines.
type partStream struct {
	in      chan *ingest.Batch
	err     error // set before in is closed
	batch   *ingest.Batch
	cursors []ingest.Cursor
	times   []int64
	next    int
	last    int64
}

// Run implements ingest.Source; it has no marks. It starts one goroutine a partition and
// joins them.
func (l *topicLog) Run(ctx context.Context, _ []ingest.Mark, out func(context.Context, *ingest.Batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	l.done.Store(0)
	var all []*partStream
	for _, partition := range slices.Sorted(maps.Keys(l.ranges)) {
		r := l.ranges[partition]
		if r.First >= r.End {
			continue
		}
		s := &partStream{in: make(chan *ingest.Batch, 1)}
		all = append(all, s)
		wg.Go(func() {
			defer close(s.in)
			s.err = l.partition(ctx, partition, r, s.in)
		})
	}
	return l.merge(ctx, all, out)
}

// partition reads the messages that were there at the start.
func (l *topicLog) partition(ctx context.Context, partition int, r kafka.Range, in chan<- *ingest.Batch) error {
	seen := map[[2]string]int64{} // by source and file, how far it was read: collectors may send lines again
	err := l.client.Read(ctx, kafka.Access, partition, r.First, func(m *bus.Message, _ int64) error {
		if m.Offset >= r.End {
			return errAtEnd
		}
		l.done.Add(1)
		b, err := bus.ToBatch(m)
		if m.Header(collect.HeaderIdle) == nil && err == nil && len(b.Data) > 0 {
			key, end := [2]string{b.Source, fmt.Sprint(b.File)}, b.End()
			b.SkipTo(seen[key])
			seen[key] = max(seen[key], end)
			b.Free = m.Free
			select {
			case in <- &b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if m.Offset == r.End-1 {
			return errAtEnd
		}
		return nil // what is none of ours was said by those who detect
	}, func(end int64) error {
		if end >= r.End {
			return errAtEnd
		}
		return nil
	})
	if errors.Is(err, errAtEnd) {
		return nil
	}
	return err
}

// mergedBytes is how large the batches of merged lines get.
const mergedBytes = 256 << 10

func (l *topicLog) merge(ctx context.Context, all []*partStream, out func(context.Context, *ingest.Batch) error) error {
	t, err := l.timers()
	if err != nil {
		return err
	}
	var picker ingest.Picker
	form, size := "", 0
	flush := func() error {
		if picker.Empty() {
			return nil
		}
		b := picker.Take()
		b.Format, size = form, 0
		return out(ctx, &b)
	}
	for all, err = fillParts(all, t); err == nil && len(all) > 0; {
		s := slices.MinFunc(all, (*partStream).compare)
		if at, c := s.times[s.next], &s.cursors[s.next]; at >= l.since && at < l.until {
			if size >= mergedBytes || form != s.batch.Format || !picker.Add(s.batch, c) {
				if err := flush(); err != nil {
					return err
				}
				form = s.batch.Format
				picker.Add(s.batch, c)
			}
			size += c.End - c.Start
		}
		if s.next++; s.next == len(s.times) {
			all, err = fillParts(all, t)
		}
	}
	return errors.Join(err, flush())
}

// compare orders by the next line: by time, and within a second as the lines stand in
// their file.
func (s *partStream) compare(o *partStream) int {
	return cmp.Or(cmp.Compare(s.times[s.next], o.times[o.next]), cmp.Compare(s.batch.Source, o.batch.Source),
		cmp.Compare(s.batch.File, o.batch.File), cmp.Compare(s.cursors[s.next].At, o.cursors[o.next].At))
}

// fillParts gets the next batch of those that have used theirs up, and leaves out those
// that are at their end.
func fillParts(all []*partStream, t *timer) ([]*partStream, error) {
	var live []*partStream
	for _, s := range all {
		for s.next == len(s.times) {
			if s.batch != nil {
				s.batch.Release()
			}
			b, more := <-s.in
			if s.batch = b; !more {
				break
			}
			s.load(t)
		}
		if s.batch != nil {
			live = append(live, s)
		} else if s.err != nil {
			return nil, s.err
		}
	}
	return live, nil
}

// load reads the times of a batch's lines; one without has that of the line before.
func (s *partStream) load(t *timer) {
	s.next, s.times, s.cursors = 0, s.times[:0], s.cursors[:0]
	t.times(s.batch, func(_ int, at int64) {
		s.last = max(s.last, at)
		s.times = append(s.times, s.last)
	})
	for c := s.batch.Begin(); s.batch.Next(&c); {
		s.cursors = append(s.cursors, c)
	}
}
