package kafka

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/ingest/bus"
)

// reader is a member of a group of the bus. A message goes straight from the
// goroutine of its partition to Fetch, so that none is handed out once the
// partition has moved.
type reader struct {
	*Bus
	topic, group string
	arrivals     chan *bus.Message
	end          context.CancelFunc
	over         chan struct{} // closed when it has left the group
	failed       error         // why; read it after over

	mu        sync.Mutex
	now       *Generation   // nil: between two
	committed map[int]int64 // in it
	changed   signal        // when now did
}

// serve reads the partitions of a generation.
func (r *reader) serve(ctx context.Context, g *Generation) {
	from, err := r.begin(ctx, g)
	if err != nil {
		return // the generation ended
	}
	r.set(g, from)
	defer r.set(nil, nil)
	var all sync.WaitGroup
	for _, p := range g.Partitions[r.topic] {
		all.Go(func() { r.read(ctx, p, from[p]) })
	}
	all.Wait()
	<-ctx.Done() // also where others have all partitions
}

func (r *reader) set(g *Generation, committed map[int]int64) {
	r.mu.Lock()
	r.now, r.committed = g, committed
	r.mu.Unlock()
	r.changed.wake()
}

// begin finds where our partitions are read from. One that the group has never
// read begins with what comes from now on, and that is noted.
func (r *reader) begin(ctx context.Context, g *Generation) (map[int]int64, error) {
	pause := pauseShort()
	for {
		from, err := r.places(ctx, g)
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrLost) {
			return from, err
		}
		if !sleep(ctx, pause) {
			return nil, ctx.Err()
		}
	}
}

func (r *reader) places(ctx context.Context, g *Generation) (map[int]int64, error) {
	from, err := r.client.Committed(ctx, r.group, r.topic)
	if err != nil {
		return nil, err
	}
	ranges, err := r.client.Ranges(ctx, r.topic)
	if err != nil {
		return nil, err
	}
	fresh := map[int]int64{}
	for _, p := range g.Partitions[r.topic] {
		if _, known := from[p]; !known {
			fresh[p] = ranges[p].End
			from[p] = ranges[p].End
		}
	}
	if len(fresh) == 0 {
		return from, nil
	}
	return from, g.Commit(ctx, r.topic, fresh)
}

// placed waits until each partition has a place in the group.
func (r *reader) placed(ctx context.Context) error {
	pause := pauseShort()
	for {
		ids, err := r.client.used(ctx, r.client.Topic(r.topic))
		if err != nil {
			return r.client.explain(r.topic, err)
		}
		r.mu.Lock()
		joined := r.now != nil
		r.mu.Unlock()
		if joined {
			if known, err := r.client.Committed(ctx, r.group, r.topic); err == nil && len(known) >= len(ids) {
				return nil
			}
		}
		select {
		case <-r.over:
			return r.errFailed()
		default:
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// read hands out a partition's messages until ctx ends.
func (r *reader) read(ctx context.Context, partition int, from int64) {
	for {
		err := r.client.Read(ctx, r.topic, partition, from, func(m *bus.Message, _ int64) error {
			select {
			case r.arrivals <- m:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, nil)
		var gone *GoneError
		if !errors.As(err, &gone) {
			return
		}
		r.client.log.Error("kafka: messages are lost to a group", "group", r.client.Group(r.group), "error", gone.Error())
		from = First
	}
}

// Fetch implements bus.Reader.
func (r *reader) Fetch(ctx context.Context) (*bus.Message, error) {
	select {
	case <-r.over:
		return nil, r.errFailed()
	default:
	}
	select {
	case m := <-r.arrivals:
		return m, nil
	case <-r.over:
		return nil, r.errFailed()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Commit implements bus.Reader. While partitions move it waits until it is known
// whose they are.
func (r *reader) Commit(ctx context.Context, messages ...*bus.Message) error {
	offsets := map[int]int64{}
	for _, m := range messages {
		if m.Topic != r.topic {
			return bus.ErrNotAssigned
		}
		offsets[m.Partition] = max(offsets[m.Partition], m.Offset+1)
	}
	var err error
	pause := pauseShort()
	for {
		if ctx.Err() != nil {
			return cmp.Or(err, ctx.Err())
		}
		changed := r.changed.wait()
		r.mu.Lock()
		g := r.now
		news := r.news(offsets)
		r.mu.Unlock()
		if g != nil {
			for p := range offsets {
				if !slices.Contains(g.Partitions[r.topic], p) {
					return bus.ErrNotAssigned
				}
			}
			if err = r.note(ctx, g, news); err == nil {
				return nil
			}
		}
		select {
		case <-changed:
		case <-r.over:
			return r.errFailed()
		case <-time.After(pause.Next()):
		case <-ctx.Done():
		}
	}
}

// news are the offsets that are behind what was committed.
func (r *reader) news(offsets map[int]int64) map[int]int64 {
	out := map[int]int64{}
	for p, offset := range offsets {
		if offset > r.committed[p] {
			out[p] = offset
		}
	}
	return out
}

func (r *reader) note(ctx context.Context, g *Generation, offsets map[int]int64) error {
	if len(offsets) == 0 {
		return nil
	}
	if err := g.Commit(ctx, r.topic, offsets); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, offset := range offsets {
		if r.now == g {
			r.committed[p] = max(r.committed[p], offset)
		}
	}
	return nil
}

// Close implements bus.Reader.
func (r *reader) Close() error {
	r.end()
	<-r.over
	r.Bus.mu.Lock()
	defer r.Bus.mu.Unlock()
	delete(r.Bus.readers, r)
	return nil
}
