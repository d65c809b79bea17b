package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/internal/cliout"
)

// countLines counts the lines of a batch, those that its source refused included.
func countLines(b *ingest.Batch) int64 {
	return int64(bytes.Count(b.Data, []byte{'\n'}) + len(b.Rejects))
}

// stream is one file of several that are merged: a batch cut into single lines
// with their times.
type stream struct {
	file   replayFile
	in     chan *ingest.Batch
	err    error // set before in is closed
	batch  *ingest.Batch
	times  []int64 // of every line of the batch, the latest so far where a line has none
	starts []int   // offsets of the lines in the batch's data, and its length
	next   int
	last   int64
}

// mergeByTime feeds the lines of several files in the order of their times, file
// by file in runs, so that no file is late because another was read first. It
// starts one goroutine a file and joins them.
func mergeByTime(ctx context.Context, files []replayFile, decoder *timer, feed func(*ingest.Batch)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	streams := make([]*stream, len(files))
	for i, f := range files {
		s := &stream{file: f, in: make(chan *ingest.Batch, 1)}
		streams[i] = s
		go func() {
			defer close(s.in)
			s.err = f.Run(ctx, nil, func(ctx context.Context, b *ingest.Batch) error {
				select {
				case s.in <- b:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		}()
	}
	live, err := fillAll(streams, decoder)
	for err == nil && len(live) > 0 {
		sort.SliceStable(live, func(i, j int) bool { return live[i].head() < live[j].head() })
		until := int64(1<<63 - 1)
		if len(live) > 1 {
			until = live[1].head()
		}
		if b := live[0].take(until); b != nil {
			feed(b)
		}
		if live[0].next == len(live[0].times) {
			live, err = fillAll(live, decoder)
		}
	}
	cancel()
	for _, s := range streams {
		for b := range s.in {
			b.Release()
		}
		if s.err != nil && !errors.Is(s.err, context.Canceled) {
			err = errors.Join(err, s.err)
		}
	}
	return err
}

// fillAll gets the next batch of the streams that have used theirs up, and
// leaves out those that are at their end.
func fillAll(streams []*stream, d *timer) ([]*stream, error) {
	var live []*stream
	for _, s := range streams {
		if s.next == len(s.times) && !s.fill(d) {
			if s.err != nil {
				err := s.err
				s.err = nil // said once
				return nil, err
			}
			continue
		}
		live = append(live, s)
	}
	return live, nil
}

func (s *stream) fill(d *timer) bool {
	b, more := <-s.in
	if more {
		s.load(b, d)
	}
	return more
}

// load reads the times of a batch's lines.
func (s *stream) load(b *ingest.Batch, d *timer) {
	s.batch, s.next, s.times, s.starts = b, 0, s.times[:0], s.starts[:0]
	d.times(b, func(start int, t int64) {
		if t > s.last {
			s.last = t
		}
		s.times = append(s.times, s.last)
		s.starts = append(s.starts, start)
	})
	if len(s.times) == 0 { // only rejects of the source: they go with the next run
		s.times, s.starts = append(s.times, s.last), append(s.starts, 0)
	}
	s.starts = append(s.starts, len(b.Data))
}

func (s *stream) head() int64 { return s.times[s.next] }

// take cuts the run of lines that are not later than until, at least one, as a
// batch that owns its bytes.
func (s *stream) take(until int64) *ingest.Batch {
	from := s.next
	s.next++
	for s.next < len(s.times) && (s.times[s.next] <= until || s.batch.Whole) {
		s.next++
	}
	b := *s.batch
	b.Free = nil
	b.Offset += int64(s.starts[from])
	b.Data = bytes.Clone(s.batch.Data[s.starts[from]:s.starts[s.next]])
	if from > 0 {
		b.Rejects = nil
	}
	if s.next == len(s.times) {
		s.batch.Release()
	} else {
		b.Mark.Offset = b.Offset + int64(len(b.Data))
	}
	return &b
}

// timer reads the times of lines ahead of the engine, which parses them again:
// merging is for back-filling, where that does not matter.
type timer struct{ d detect.Decoder }

func (t *timer) times(b *ingest.Batch, each func(start int, at int64)) {
	t.d.Decode(b, func(ev *ingest.Event) { each(int(ev.Pos.Offset-b.Offset), ev.Time) },
		func(r ingest.Reject) { each(int(r.Pos.Offset-b.Offset), 0) })
}

// inWords lists counts by name: " (bad_time 3, empty 1)".
func inWords(counts map[string]int64) string {
	if len(counts) == 0 {
		return ""
	}
	names := make([]string, 0, len(counts))
	for n := range counts {
		names = append(names, n)
	}
	sort.Strings(names)
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = fmt.Sprintf("%s %s", n, cliout.Count(counts[n]))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}
