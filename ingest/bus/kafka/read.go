package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// Where Read may begin, beside an offset.
const (
	First int64 = kafkago.FirstOffset // with the oldest message that is there
	End   int64 = kafkago.LastOffset  // with what comes from now on
)

// How records are asked for: an answer comes as soon as there is one, and has up
// to so many compressed bytes.
const (
	fetchBytes = 1 << 20
	fetchWait  = 500 * time.Millisecond
)

// readAhead bounds what waits to be read: enough for the time that an answer takes, and
// so little that it is still in the processor's caches when its turn comes, also where
// one process reads many partitions.
const readAhead = 1 << 20

// GoneError is an offset that a partition does not hold: its records were deleted
// before they were read, or it ends before (it was made anew, or lost records).
type GoneError struct {
	Topic     string // in full
	Partition int
	Wanted    int64
	Range     // what it holds
}

// Error implements error.
func (e *GoneError) Error() string {
	if e.Wanted > e.End {
		return fmt.Sprintf("kafka: %s/%d: offset %d is behind its end %d (was the topic made anew, or a broker that was behind made the leader?)",
			e.Topic, e.Partition, e.Wanted, e.End)
	}
	return fmt.Sprintf("kafka: %s/%d: offset %d was deleted before it was read, the first one there is %d (raise retention.ms of the topic, or find out why reading fell so far behind)",
		e.Topic, e.Partition, e.Wanted, e.First)
}

// arrival is what Read's fetching goroutine hands over.
type arrival struct {
	message *bus.Message // nil: level
	end     int64        // behind the partition's last message, as far as known
}

// fetcher reads ahead of Read.
type fetcher struct {
	*Client
	topic     string
	partition int
	next      int64
	astray    bool // the broker has no such offset
	level     bool // the end was reached and said
	queue     *queue[arrival]
	trouble   kafkanet.Trouble
}

// Read gives each message of a partition from an offset on to each, in order, with
// the offset behind the partition's last one as it was known when the message came:
// their difference is the lag. The bytes of a message are each's to keep, or to give
// back by Free: those that came in one batch share their memory. Where
// level is not nil it is called each time that all messages up to end were given:
// who follows a topic is caught up then, also where the last ones were compacted
// away and never come.
//
// Read fetches ahead in a goroutine of its own, up to the configured queue, and
// reconnects for as long as it takes. It returns the error of each, of level or of
// ctx, or a *GoneError.
func (c *Client) Read(ctx context.Context, topic string, partition int, from int64, each func(m *bus.Message, end int64) error, level func(end int64) error) error {
	fetching, cancel := context.WithCancel(ctx)
	f := &fetcher{Client: c, topic: topic, partition: partition, next: from, queue: newQueue[arrival](min(readAhead, c.cfg.QueueBytes))}
	f.trouble = kafkanet.Trouble{Log: c.log, Down: "kafka: cannot be read", Up: "kafka: can be read again",
		Args: []any{"topic", c.Topic(topic), "partition", partition}}
	var gone error
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		gone = f.run(fetching)
		f.queue.close()
	}()
	defer func() {
		cancel()
		<-stopped
	}()
	for {
		batch := f.queue.take(ctx, readAhead/4, 1024)
		if len(batch) == 0 {
			break
		}
		for _, a := range batch {
			var err error
			if a.message != nil {
				err = each(a.message, a.end)
			} else if level != nil {
				err = level(a.end)
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	<-stopped
	return gone
}

// errEnough ends a Read that has all it wants.
var errEnough = errors.New("enough")

// ReadAll gives each message that a partition holds now to each. It waits for
// brokers that are away as Read does.
func (c *Client) ReadAll(ctx context.Context, topic string, partition int, each func(m *bus.Message) error) error {
	end, err := c.endOf(ctx, topic, partition)
	if err != nil || end == 0 {
		return err
	}
	enough := func(at int64) error {
		if at >= end {
			return errEnough
		}
		return nil
	}
	err = c.Read(ctx, topic, partition, First, func(m *bus.Message, _ int64) error {
		if m.Offset >= end {
			return errEnough
		}
		if err := each(m); err != nil {
			return err
		}
		return enough(m.Offset + 1)
	}, enough)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// unheard is how long a topic that a broker has not heard of may still be one that was just
// made: with several brokers each hears of it in its own time.
const unheard = 5 * time.Second

// endOf asks for the end of a partition until a broker answers.
func (c *Client) endOf(ctx context.Context, topic string, partition int) (int64, error) {
	t := kafkanet.Trouble{Log: c.log, Down: "kafka: cannot be read", Up: "kafka: can be read again", Args: []any{"topic", c.Topic(topic), "partition", partition}}
	pause, began := pauseShort(), time.Now()
	for {
		ranges, err := c.Ranges(ctx, topic)
		r, there := ranges[partition]
		if err == nil && there {
			t.Well(kafkanet.Everywhere)
			return r.End, nil
		}
		if err == nil {
			err = c.explain(topic, kafkago.UnknownTopicOrPartition)
		}
		missing := errors.Is(err, kafkago.UnknownTopicOrPartition)
		if missing && time.Since(began) > unheard || errors.Is(err, kafkago.TopicAuthorizationFailed) {
			return 0, err
		}
		var p kafkanet.Problem
		if errors.As(err, &p) && !missing && !c.soon(err) {
			t.Say(ctx, kafkanet.Everywhere, p)
		}
		if !sleep(ctx, pause) {
			return 0, ctx.Err()
		}
	}
}

// run fetches until ctx ends, or the offset is gone.
func (f *fetcher) run(ctx context.Context) error {
	place := kafkanet.Place{Partition: f.partition}
	pause := kafkanet.Pause{First: 50 * time.Millisecond, Last: 2 * time.Second}
	for {
		err := f.session(ctx, func() {
			f.trouble.Well(place)
			pause.Reset()
		})
		var gone *GoneError
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.As(err, &gone) {
			return err
		}
		if f.astray = errors.Is(err, kafkago.OffsetOutOfRange); !f.astray {
			f.trouble.Say(ctx, place, f.problem(f.topic, err))
		}
		if !kafkanet.Sleep(ctx, pause.Next()) {
			return ctx.Err()
		}
	}
}

// session reads over one connection until an error.
func (f *fetcher) session(ctx context.Context, well func()) error {
	conn, below, err := f.link.Wire(ctx, f.Topic(f.topic), f.partition)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		if stop() {
			conn.Close()
		}
	}()
	f.level = false
	first, end, err := kafkanet.Offsets(conn)
	if err != nil {
		return err
	}
	switch {
	case f.next == First:
		f.next = first
	case f.next == End:
		f.next = end
	case f.astray && (f.next < first || f.next > end):
		return &GoneError{f.Topic(f.topic), f.partition, f.next, Range{first, end}}
	}
	w := wire{conn: below, topic: f.Topic(f.topic), id: int32(f.partition)}
	for {
		if f.next < end {
			f.level = false
		} else if !f.level {
			f.level = true
			if err := f.queue.put(ctx, arrival{end: f.next}, 0); err != nil {
				return err
			}
		}
		place, now, err := f.fetch(ctx, &w)
		if err != nil {
			f.next = place
			return err
		}
		f.level = f.level && place == f.next
		moved := place > f.next
		f.next, end = place, now
		well()
		if !moved && now > place && !kafkanet.Sleep(ctx, fetchWait/10) { // compacted away, or an answer too small
			return ctx.Err()
		}
	}
}
