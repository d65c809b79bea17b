package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/ingest/bus"
)

// Bus is bus.Bus on Kafka, for topics that are there. What Read and Join do for one
// partition and one group it does for all of a topic.
//
// Publish waits for the brokers. Where its context ends first the message may still
// be published: that much more than bus.Bus promises, a network cannot.
type Bus struct {
	client   *Client
	producer *Producer
	turn     atomic.Uint32 // for messages without a key

	mu      sync.Mutex
	closed  bool
	readers map[*reader]bool
}

var _ bus.Bus = (*Bus)(nil)

// Bus makes a bus. Close it before the client.
func (c *Client) Bus() *Bus {
	return &Bus{client: c, producer: c.Producer(), readers: map[*reader]bool{}}
}

// Publish implements bus.Bus. It copies the message.
func (b *Bus) Publish(ctx context.Context, m bus.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return bus.ErrClosed
	}
	ids, err := b.client.used(ctx, b.client.Topic(m.Topic))
	if err == nil && len(ids) == 0 {
		err = errors.New("the topic has no partitions")
	}
	if err != nil {
		return b.client.explain(m.Topic, err)
	}
	at := int(b.turn.Add(1)) % len(ids)
	if m.Key != nil {
		at = bus.Spread(m.Key, len(ids))
	}
	copied := m
	copied.Key, copied.Value, copied.Free = bytes.Clone(m.Key), bytes.Clone(m.Value), nil
	if _, err := b.producer.SendWait(ctx, m.Topic, ids[at], copied); err != nil {
		return err
	}
	if m.Free != nil {
		m.Free()
	}
	return nil
}

// Subscribe implements bus.Bus. It returns once all partitions have a place in the
// group from which to read.
func (b *Bus) Subscribe(ctx context.Context, topic, group string) (bus.Reader, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	r := &reader{Bus: b, topic: topic, group: group, arrivals: make(chan *bus.Message), end: end, over: make(chan struct{})}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		end()
		return nil, bus.ErrClosed
	}
	b.readers[r] = true
	go func() {
		defer close(r.over)
		r.failed = b.client.Join(life, group, []string{topic}, r.serve)
	}()
	b.mu.Unlock()
	if err := r.placed(ctx); err != nil {
		r.Close() //nolint:errcheck // always nil
		return nil, err
	}
	return r, nil
}

// Close implements bus.Bus.
func (b *Bus) Close() error {
	b.mu.Lock()
	b.closed = true
	var readers []*reader
	for r := range b.readers {
		readers = append(readers, r)
	}
	b.mu.Unlock()
	err := b.producer.Close()
	for _, r := range readers {
		err = errors.Join(err, r.Close())
	}
	return err
}

// errFailed puts the end of a membership into words.
func (r *reader) errFailed() error {
	if r.failed == nil || errors.Is(r.failed, context.Canceled) {
		return bus.ErrClosed
	}
	return fmt.Errorf("kafka: group %s: %w", r.client.Group(r.group), r.failed)
}
