package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// Producer writes messages. Its methods may be called at any time by any
// goroutine. A goroutine per partition that was written to sends its batches, one
// after another; Close joins them.
type Producer struct {
	client  *Client
	trouble kafkanet.Trouble
	stats   counters

	mu     sync.Mutex
	closed bool
	pumps  map[kafkanet.Place]*pump
	work   sync.WaitGroup
	life   context.CancelFunc
	ended  <-chan struct{}
	start  func(*pump)
}

type counters struct{ messages, bytes, wire, requests, retries, refused atomic.Int64 }

// Stats is what a Producer did since it was made, and what waits.
type Stats struct {
	Messages, Bytes int64 // acknowledged; bytes before compression
	Wire            int64 // bytes of the batches as they were sent, once
	Requests        int64 // acknowledged
	Retries         int64 // requests that had to be repeated
	Refused         int64 // messages that the broker refused for good
	Waiting         int64 // messages in the queues, without those in flight
	WaitingBytes    int64
}

// entry is a message on its way.
type entry struct {
	message bus.Message
	done    func(offset int64, err error)
	size    int64
}

// end tells what became of a message.
func (e *entry) end(offset int64, err error) {
	if e.message.Free != nil {
		e.message.Free()
	}
	if e.done != nil {
		e.done(offset, err)
	}
}

// RefusedError is a message that the broker refuses for good: sent again it would
// be refused again. The messages behind it go on.
type RefusedError struct {
	Topic     string
	Partition int
	Bytes     int   // of key and value
	Err       error // the broker's
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("kafka: %s/%d: the broker refused a message of %d bytes: %v (is max.message.bytes of the topic at least %d?)",
		e.Topic, e.Partition, e.Bytes, e.Err, maxMessage)
}

// Unwrap returns the broker's error.
func (e *RefusedError) Unwrap() error { return e.Err }

// Producer makes a producer. Close it before the client.
func (c *Client) Producer() *Producer {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Producer{client: c, pumps: map[kafkanet.Place]*pump{}, life: cancel, ended: ctx.Done()}
	p.trouble = kafkanet.Trouble{Log: c.log, Down: "kafka: cannot be written to", Up: "kafka: can be written to again"}
	p.start = func(q *pump) { p.work.Go(func() { q.run(ctx) }) }
	return p
}

// Send queues a message for a partition of a topic and returns; it blocks while
// that partition's queue is full, until ctx ends. After nil the producer owns the
// message, and done (nil is fine) is called once, in the order of Send within the
// partition: with its offset when all in-sync replicas have it, with a
// *RefusedError where the broker will never take it, or with bus.ErrClosed where
// the producer was closed before, and the message may or may not be there. done
// must not block: the partition waits for it.
func (p *Producer) Send(ctx context.Context, topic string, partition int, m bus.Message, done func(offset int64, err error)) error {
	q, err := p.pump(kafkanet.Place{Topic: topic, Partition: partition})
	if err != nil {
		return err
	}
	e := entry{message: m, done: done, size: sizeOf(&m)}
	q.sent.Add(1)
	if err := q.queue.put(ctx, e, e.size); err != nil {
		q.finish(1)
		return err
	}
	return nil
}

// SendWait is Send, and waits for what becomes of the message.
func (p *Producer) SendWait(ctx context.Context, topic string, partition int, m bus.Message) (offset int64, err error) {
	type outcome struct {
		offset int64
		err    error
	}
	end := make(chan outcome, 1)
	if err := p.Send(ctx, topic, partition, m, func(offset int64, err error) { end <- outcome{offset, err} }); err != nil {
		return 0, err
	}
	select {
	case o := <-end:
		return o.offset, o.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (p *Producer) pump(at kafkanet.Place) (*pump, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, bus.ErrClosed
	}
	q := p.pumps[at]
	if q == nil {
		if at.Partition < 0 {
			return nil, fmt.Errorf("kafka: partition %d of %s: there is no such partition", at.Partition, at.Topic)
		}
		q = newPump(p, at)
		p.pumps[at] = q
		p.start(q)
	}
	return q, nil
}

func (p *Producer) all() []*pump {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*pump, 0, len(p.pumps))
	for _, q := range p.pumps {
		out = append(out, q)
	}
	return out
}

// Flush waits until each message that was queued before has met its end.
func (p *Producer) Flush(ctx context.Context) error {
	for _, q := range p.all() {
		if err := q.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Health is the trouble that keeps messages from being written now, and since
// when there is any; empty where all is well.
func (p *Producer) Health() (trouble string, since time.Time) { return p.trouble.Now() }

// Stats counts what was done.
func (p *Producer) Stats() Stats {
	s := Stats{
		Messages: p.stats.messages.Load(), Bytes: p.stats.bytes.Load(), Wire: p.stats.wire.Load(),
		Requests: p.stats.requests.Load(), Retries: p.stats.retries.Load(), Refused: p.stats.refused.Load(),
	}
	for _, q := range p.all() {
		items, bytes := q.queue.fill()
		s.Waiting, s.WaitingBytes = s.Waiting+int64(items), s.WaitingBytes+bytes
	}
	return s
}

// Close gives up what is not acknowledged: its done gets bus.ErrClosed. Flush
// before, to lose nothing. It is idempotent.
func (p *Producer) Close() error {
	p.mu.Lock()
	p.closed = true
	pumps := p.pumps
	p.mu.Unlock()
	p.life()
	for _, q := range pumps {
		q.queue.close()
	}
	p.work.Wait()
	return nil
}

// refused says whether an error is for good.
func refused(err error) bool {
	for _, one := range forGood {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}
