package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect/index"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/enforce/follow"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
)

// cluster is the service past one machine: some roles in this process, and Kafka
// between them and those of other processes. Its goroutines start in run and are
// joined there.
type cluster struct {
	*base
	roles    roles
	id       string
	kafka    *kafka.Client
	producer *kafka.Producer
	topics   *task.Topics
	identity string // fingerprint of how clients are told
	layout   kafka.Layout

	collect *collectRole
	detect  *detectRole
	enforce *enforceRole
	elastic *elastic.Store   // nil: none
	index   *index.Indexer   // nil: nothing is indexed here
	follow  *follow.Follower // enforce and console
	refused refusedMessages
	foreign foreignRecords
	view    atomic.Pointer[overview] // of the whole pipeline, as the others told it
	gap     follow.Gap
	found   foundDelays
	shared  *sharedAlerts // enforce and console; nil: neither
	level   chan struct{} // closed once the ledger has all that the journal had
	leveled sync.Once
}

// refusedMessages is what topics refused for good, by topic.
type refusedMessages struct {
	mu    sync.Mutex
	count map[string]int64
	last  string
}

func (r *refusedMessages) add(topic string, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == nil {
		r.count = map[string]int64{}
	}
	r.count[topic]++
	r.last = fmt.Sprintf("topic %s: %v", topic, why)
}

// openCluster connects to Kafka and makes the parts of the roles.
func openCluster(ctx context.Context, s *Settings, r roles, log *slog.Logger) (*cluster, error) {
	if err := r.workable(s); err != nil {
		return nil, err
	}
	if err := r.sharedKey(s); err != nil {
		return nil, err
	}
	b, err := openBase(ctx, s, log)
	if err != nil {
		return nil, err
	}
	c := &cluster{base: b, roles: r, id: processID(), level: make(chan struct{})}
	if err := c.open(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func processID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

func (c *cluster) open(ctx context.Context) error {
	s := c.settings
	ring, ident, err := identityOf(s, true)
	if err != nil {
		return err
	}
	if c.kafka, err = kafka.Open(ctx, s.Kafka.Config, c.log); err != nil {
		return err
	}
	if err := c.kafka.Ensure(ctx); err != nil {
		return err
	}
	c.layout = c.kafka.Layout()
	c.identity = identityPrint(s, ident, ring) + fmt.Sprintf("/%d.%d", c.layout.Partitions, c.layout.Era)
	c.producer = c.kafka.Producer()
	c.topics = &task.Topics{Sender: sender{c.producer}, FindingParts: kafka.FindingsPartitions, Refused: c.refuse}
	if c.roles.has(roleEnforce) || c.roles.has(roleConsole) {
		c.openFollower()
		c.shared = newSharedAlerts(c)
	}
	if c.roles.has(roleCollect) {
		if err := c.openCollect(ctx); err != nil {
			return err
		}
	}
	if c.roles.has(roleDetect) {
		if err := c.openDetect(); err != nil {
			return err
		}
	}
	if err := c.openIndex(); err != nil {
		return err
	}
	if err := c.openOutputs(); err != nil {
		return err
	}
	if c.roles.has(roleEnforce) {
		return c.openEnforce()
	}
	return nil
}

func (c *cluster) refuse(topic string, why error) {
	c.refused.add(topic, why)
	c.log.Error("kafka refuses a message for good", "topic", topic, "error", why)
}

// run works until ctx ends. An error is one that keeps it from working at all.
func (c *cluster) run(ctx context.Context) error {
	defer c.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	start := func(what string, work func(context.Context) error) {
		wg.Go(func() {
			if err := work(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, bus.ErrClosed) {
				if !strings.HasPrefix(err.Error(), what+": ") {
					err = fmt.Errorf("%s: %w", what, err)
				}
				cancel(err)
			}
		})
	}
	if c.follow != nil {
		start("findings", c.follow.Run)
	}
	if c.collect != nil {
		if err := c.noteCollecting(ctx); err != nil {
			cancel(err)
		} else {
			c.startCollect(start)
		}
	}
	if c.detect != nil {
		c.startDetect(start)
	}
	c.startDecisions(start)
	if c.index != nil {
		c.startIndex(start)
	}
	c.startOutputs(start)
	if c.roles.has(roleConsole) || c.settings.Console.Listen != "" {
		start("console", c.serveConsole)
	}
	start("bookkeeping", c.keepBooks)
	c.log.Info("running", "roles", strings.Join(c.roles, ","), "partitions", c.layout.Partitions, "state", c.settings.StateDir)
	<-ctx.Done()
	wg.Wait()
	err := c.farewell()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// farewell hands over what is on its way, trying for a few seconds, and leaves a
// heartbeat that says that nobody is here any more.
func (c *cluster) farewell() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	flushed := c.producer.Flush(ctx)
	if flushed != nil {
		c.log.Warn("not all could be handed over; what lacks is done again at the next start", "error", flushed)
	}
	if c.collect != nil {
		if err := c.saveCollected(ctx); err != nil {
			return err
		}
		if flushed == nil {
			if err := c.noteCollected(ctx); err != nil {
				c.log.Warn("that this process ended in good order could not be said", "error", err)
			}
		}
	}
	c.gone(c.beat)
	return nil
}

// close gives back what open took.
func (c *cluster) close() {
	if c.collect != nil {
		c.collect.intake.close(c.log)
	}
	if c.elastic != nil {
		c.elastic.Close()
	}
	if c.producer != nil {
		if err := c.producer.Close(); err != nil {
			c.log.Error("close kafka", "error", err)
		}
	}
	if c.kafka != nil {
		c.kafka.Close()
	}
	c.base.close()
}

// sender is task.Sender on a producer.
type sender struct{ p *kafka.Producer }

// Send implements task.Sender.
func (s sender) Send(ctx context.Context, topic string, partition int, m bus.Message, done func(error)) error {
	return s.p.Send(ctx, topic, partition, m, func(_ int64, err error) {
		if !errors.Is(err, bus.ErrClosed) { // it may be there or not: what it belongs to is done again
			done(err)
		}
	})
}

// Flush implements task.Sender.
func (s sender) Flush(ctx context.Context) error { return s.p.Flush(ctx) }

// read reads a partition until ctx ends. What was deleted before it could be read is
// told by gap.
func (c *cluster) read(ctx context.Context, topic string, partition int, from int64, each func(*bus.Message, int64) error, level func(end int64) error, gap func(from, to int64)) error {
	next := from
	for {
		err := c.kafka.Read(ctx, topic, partition, next, func(m *bus.Message, end int64) error {
			next = m.Offset + 1
			return each(m, end)
		}, level)
		var gone *kafka.GoneError
		if !errors.As(err, &gone) {
			return err
		}
		if gone.First > next {
			gap(next, gone.First)
		}
		next = gone.First
	}
}
