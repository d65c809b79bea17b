package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// TestProduce checks that messages arrive as they were sent, with each codec.
func TestProduce(t *testing.T) {
	b := kafkatest.Need(t)
	for _, codec := range []string{"zstd", "lz4", "snappy", "none"} {
		t.Run(codec, func(t *testing.T) {
			cfg := settings(b)
			cfg.Compression, cfg.Topics = codec, []string{"plain"}
			b.Topic(t, cfg.Prefix+".plain", 2)
			c, _ := open(t, cfg)
			p := produce(t, c)
			sent := []bus.Message{
				{Key: []byte("k"), Value: []byte("v")},
				{Key: []byte{}, Value: []byte("a\x00\xff\n"), Headers: []bus.Header{{Key: "b", Value: []byte("1")}, {Key: "a", Value: nil}, {Key: "b", Value: []byte{0}}}},
				{Value: []byte(strings.Repeat("line\n", 200_000))},
				{Key: []byte("gone")},
			}
			offsets := make([]int64, len(sent))
			freed := 0
			for i, m := range sent {
				m.Free = func() { freed++ }
				if err := p.Send(t.Context(), "plain", 1, m, func(offset int64, err error) {
					offsets[i] = offset
					if err != nil {
						t.Error(err)
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Flush(t.Context()); err != nil || freed != len(sent) {
				t.Fatalf("Flush: %v, %d freed", err, freed)
			}
			got := all(t, c, "plain", 1)
			if len(got) != len(sent) || !slices.Equal(offsets, []int64{0, 1, 2, 3}) {
				t.Fatalf("%d messages, offsets %v", len(got), offsets)
			}
			for i, m := range got {
				if !bytes.Equal(m.Key, sent[i].Key) || !bytes.Equal(m.Value, sent[i].Value) || fmt.Sprint(m.Headers) != fmt.Sprint(sent[i].Headers) || m.Offset != int64(i) || m.Topic != "plain" || m.Partition != 1 {
					t.Errorf("message %d: %.80q %.80q %v", i, m.Key, m.Value, m.Headers)
				}
			}
			if s := p.Stats(); s.Messages != 4 || s.Refused != 0 || s.Waiting != 0 || codec != "none" && s.Wire > s.Bytes/10 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// sender sends numbered messages to partitions as fast as they go, and notes what
// was acknowledged.
type sender struct {
	acked  [2]atomic.Int64
	failed atomic.Int64
	work   sync.WaitGroup
	stop   context.CancelFunc
}

func (s *sender) run(t *testing.T, p *kafka.Producer) {
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = cancel
	for part := range s.acked {
		s.work.Go(func() {
			for n := int64(0); ctx.Err() == nil; n++ {
				m := bus.Message{Key: []byte("k"), Value: fmt.Appendf(nil, "%d", n)}
				err := p.Send(ctx, "order", part, m, func(_ int64, err error) {
					if err != nil {
						s.failed.Add(1)
					} else if s.acked[part].Add(1) != n+1 {
						t.Errorf("done of %d came out of order", n)
					}
				})
				if err != nil && ctx.Err() == nil {
					t.Errorf("Send: %v", err)
				}
			}
		})
	}
}

// TestOrderThroughKills kills the broker and starts it again while messages are
// sent: each partition has all of them, in order, and none twice.
func TestOrderThroughKills(t *testing.T) {
	b := kafkatest.Full(t)
	cfg := settings(b)
	cfg.Topics, cfg.BatchBytes = []string{"order"}, 16<<10
	b.Topic(t, cfg.Prefix+".order", 2)
	c, log := open(t, cfg)
	p := produce(t, c)
	var s sender
	s.run(t, p)
	const rounds = 2
	for range rounds {
		before := s.acked[0].Load()
		await(t, "acknowledgements", func() bool { return s.acked[0].Load() > before+500 && s.acked[1].Load() > 500 })
		b.Kill(t)
		await(t, "trouble", func() bool { text, since := p.Health(); return text != "" && !since.IsZero() })
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		await(t, "all well", func() bool { text, _ := p.Health(); return text == "" })
	}
	s.stop()
	s.work.Wait()
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for part := range s.acked {
		n := 0
		for _, m := range all(t, c, "order", part) {
			if want := fmt.Sprint(n); string(m.Value) != want {
				t.Fatalf("partition %d, offset %d: %s, want %s", part, m.Offset, m.Value, want)
			}
			n++
		}
		if int64(n) != s.acked[part].Load() {
			t.Errorf("partition %d holds %d messages, %d were acknowledged", part, n, s.acked[part].Load())
		}
		t.Logf("partition %d: %d messages through %d kills", part, n, rounds)
	}
	if s.failed.Load() > 0 {
		t.Errorf("%d messages failed", s.failed.Load())
	}
	if down, up := log.count("cannot be written to"), log.count("can be written to again"); up != rounds || down > 4*rounds {
		t.Errorf("said %d times that Kafka is away and %d times that it is back, in %d outages", down, up, rounds)
	}
}

// TestRefused sends what the broker will never take among what it takes.
func TestRefused(t *testing.T) {
	b := kafkatest.Full(t)
	cfg := settings(b)
	cfg.Compression, cfg.Topics, cfg.BatchBytes = "none", []string{"small", "keyed"}, 64<<10
	b.Topic(t, cfg.Prefix+".small", 1, "max.message.bytes", "20000")
	b.Topic(t, cfg.Prefix+".keyed", 1, "cleanup.policy", "compact")
	c, _ := open(t, cfg)
	p := produce(t, c)
	for topic, bad := range map[string]bus.Message{
		"small": {Key: []byte("k"), Value: make([]byte, 30_000)},
		"keyed": {Value: []byte("no key")},
	} {
		var errs []error
		for n := range 9 {
			m := bus.Message{Key: []byte("k"), Value: make([]byte, 5000)}
			if n == 4 {
				m = bad
			}
			if err := p.Send(t.Context(), topic, 0, m, func(_ int64, err error) { errs = append(errs, err) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for n, err := range errs {
			var refused *kafka.RefusedError
			if (n == 4) != errors.As(err, &refused) || n != 4 && err != nil {
				t.Errorf("%s: message %d: %v", topic, n, err)
			}
		}
		if got := len(all(t, c, topic, 0)); got != 8 {
			t.Errorf("%s: %d messages arrived, want all but one of 9", topic, got)
		}
	}
	if s := p.Stats(); s.Refused != 2 {
		t.Errorf("stats %+v", s)
	}
}

// TestFullQueue stops the broker: senders block, and go on when it is back.
func TestFullQueue(t *testing.T) {
	b := kafkatest.Need(t)
	cfg := settings(b)
	cfg.Topics, cfg.QueueBytes, cfg.BatchBytes = []string{"full"}, 64<<10, 16<<10
	b.Topic(t, cfg.Prefix+".full", 1)
	c, _ := open(t, cfg)
	p := produce(t, c)
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	var acked atomic.Int64
	sent := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err := p.Send(ctx, "full", 0, bus.Message{Value: make([]byte, 1000)}, func(_ int64, err error) {
			if err == nil {
				acked.Add(1)
			}
		})
		cancel()
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("a full queue: %v", err)
			}
			break
		}
		if sent++; sent > 200 {
			t.Fatal("the queue has no bound")
		}
	}
	if s := p.Stats(); s.WaitingBytes > 64<<10 || s.WaitingBytes < 40<<10 {
		t.Errorf("stats %+v", s)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(t.Context()); err != nil || acked.Load() != int64(sent) {
		t.Errorf("Flush: %v; %d of %d acknowledged", err, acked.Load(), sent)
	}
}

// TestClosedProducer gives each waiting message its end.
func TestClosedProducer(t *testing.T) {
	b := kafkatest.Need(t)
	cfg := settings(b)
	cfg.Topics = []string{"missing"}
	c, _ := open(t, cfg)
	p := produce(t, c)
	var ends []error
	for range 3 {
		if err := p.Send(t.Context(), "missing", 0, bus.Message{Value: []byte("v")}, func(_ int64, err error) { ends = append(ends, err) }); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the trouble", func() bool { text, _ := p.Health(); return strings.Contains(text, "does not exist") })
	p.Close()
	if len(ends) != 3 || errors.Join(ends...) == nil || !errors.Is(ends[2], bus.ErrClosed) {
		t.Errorf("ends: %v", ends)
	}
	if err := p.Send(t.Context(), "missing", 0, bus.Message{}, nil); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
}

// TestTopicMadeAnew deletes a topic that a producer has written to: the broker has
// no sequence of ours any more, and the producer goes on.
func TestTopicMadeAnew(t *testing.T) {
	b := kafkatest.Full(t)
	c, p, _ := single(t, b, settings(b), "anew", 1)
	if _, err := p.SendWait(t.Context(), "anew", 0, bus.Message{Value: []byte("before")}); err != nil {
		t.Fatal(err)
	}
	b.With(t, func(ctx context.Context, client *kafkago.Client) error {
		_, err := client.DeleteTopics(ctx, &kafkago.DeleteTopicsRequest{Topics: []string{c.Topic("anew")}})
		return err
	})
	b.Topic(t, c.Topic("anew"), 1)
	if _, err := p.SendWait(t.Context(), "anew", 0, bus.Message{Value: []byte("after")}); err != nil {
		t.Fatal(err)
	}
	if got := all(t, c, "anew", 0); len(got) != 1 || string(got[0].Value) != "after" {
		t.Errorf("got %v", got)
	}
}
