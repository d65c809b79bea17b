package collect

import (
	"context"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest/bus"
)

// dispatch sends the parts of a group. An error leaves some of it sent: nothing more
// may be sent then, the caller ends.
func (c *Collector) dispatch(ctx context.Context, g *group, parts []detect.Part, more *bus.Header) error {
	list := make([]bus.Message, 0, len(parts))
	for i := range parts {
		m, err := bus.FromBatch(c.cfg.Topic, &parts[i].Batch)
		if err != nil {
			return err
		}
		m.Partition = parts[i].Partition
		m.Headers = append(m.Headers, bus.Header{Key: HeaderIdentity, Value: []byte(c.cfg.Identity)})
		if more != nil {
			m.Headers = append(m.Headers, *more)
		}
		list = append(list, m)
	}
	c.mu.Lock()
	g.left = len(list)
	c.queue = append(c.queue, g)
	if g.left == 0 { // its lines are all kept back
		c.advance()
	}
	c.mu.Unlock()
	for _, m := range list {
		if err := c.cfg.Out.Send(ctx, m.Partition, m, func(err error) { c.answered(g, err) }); err != nil {
			return err
		}
	}
	return nil
}

// await waits until the queue has room.
func (c *Collector) await(ctx context.Context) error {
	for {
		c.mu.Lock()
		n := len(c.queue)
		c.mu.Unlock()
		if n < maxGroups {
			return nil
		}
		select {
		case <-c.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answered notes what became of a message. One that is refused for good is said; the
// ledger then shows that its lines are missing.
func (c *Collector) answered(g *group, err error) {
	if err != nil {
		c.cfg.Lost(g.row.Source, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.left--; g.left == 0 {
		c.advance()
	}
}

// advance takes the groups off the queue that are acknowledged and have none before
// them that is not. The caller holds mu.
func (c *Collector) advance() {
	for len(c.queue) > 0 && c.queue[0].left == 0 {
		g := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.state = g.state
		c.stats.Newest = max(c.stats.Newest, g.newest)
		c.stats.Lines += g.lines
		c.stats.Bytes += g.bytes
		if g.mark.Source != "" {
			c.acked[g.mark.Source], c.books[g.mark.Source] = g.mark, g.row
		}
	}
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// Saved returns what changed since it was last asked, and whether anything did.
func (c *Collector) Saved() (Saved, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == nil {
		return Saved{}, false
	}
	s := Saved{State: c.state}
	c.state = nil
	for _, m := range c.acked {
		s.Marks = append(s.Marks, m)
	}
	for _, r := range c.books {
		s.Rows = append(s.Rows, r)
	}
	clear(c.acked)
	clear(c.books)
	return s, true
}

// Stats returns the latest figures.
func (c *Collector) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Waiting = len(c.queue)
	return s
}
