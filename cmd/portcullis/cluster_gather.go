package main

import (
	"context"
	"time"

	"github.com/portcullis/portcullis/ingest/bus"
)

// gathering is how a topic of one partition is taken into the database: several records
// at once.
type gathering[T any] struct {
	topic   string
	from    int64
	most    int    // records that are gathered before they are applied
	what    string // what it is called when it cannot be
	of      func(*bus.Message) T
	apply   func(recs []T, to int64) error // all before to; it is tried until it works
	applied func(recs []T) error           // behind it; its error ends the following
	level   func()                         // all that was there is applied
}

// gatherRecords follows a topic until ctx ends.
func gatherRecords[T any](ctx context.Context, c *cluster, g gathering[T]) error {
	var recs []T
	next := g.from
	apply := func(to int64) error {
		if len(recs) == 0 && to <= next {
			return nil
		}
		for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
			err := g.apply(recs, to)
			if err == nil {
				if err := g.applied(recs); err != nil {
					return err
				}
				recs, next = recs[:0], to
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.log.Error(g.what+" cannot be taken into the database; it is tried until it works", "error", err)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
		}
	}
	return c.read(ctx, g.topic, 0, g.from, func(m *bus.Message, _ int64) error {
		if recs = append(recs, g.of(m)); len(recs) < g.most {
			return nil
		}
		return apply(m.Offset + 1)
	}, func(end int64) error {
		if err := apply(end); err != nil {
			return err
		}
		g.level()
		return nil
	}, func(from, to int64) {
		c.log.Warn(g.what+" lacks records that were not read here", "from", from, "to", to)
	})
}
