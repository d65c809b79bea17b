package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(helperEnv); text != "" {
		if err := runMember(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(kafkatest.Run(m))
}

// serial keeps the prefixes of tests apart.
var serial atomic.Int64

// settings are those of a test with topics of its own.
func settings(b *kafkatest.Broker) kafka.Config {
	return kafka.Config{Brokers: []string{b.Plain()}, Prefix: fmt.Sprintf("t%d", serial.Add(1)), Partitions: 4, Wait: time.Minute}
}

// journal is a log that a test can look into.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) count(s string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.buf.String(), s)
}

// open opens a client that ends with the test.
func open(t testing.TB, cfg kafka.Config) (*kafka.Client, *journal) {
	t.Helper()
	j := &journal{}
	c, err := kafka.Open(t.Context(), cfg, slog.New(slog.NewTextHandler(j, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if t.Failed() {
			t.Logf("log:\n%s", &j.buf)
		}
	})
	return c, j
}

// ready is open, with all topics made.
func ready(t testing.TB, cfg kafka.Config) (*kafka.Client, *journal) {
	t.Helper()
	c, j := open(t, cfg)
	if err := c.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, j
}

// produce returns a producer that ends with the test.
func produce(t testing.TB, c *kafka.Client) *kafka.Producer {
	p := c.Producer()
	t.Cleanup(func() { p.Close() })
	return p
}

// await waits for a condition, for a minute at most.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited a minute for: %s", what)
		}
	}
}

// all reads what a partition holds.
func all(t testing.TB, c *kafka.Client, topic string, partition int) (out []*bus.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.ReadAll(ctx, topic, partition, func(m *bus.Message) error {
		out = append(out, m)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// single opens a client with one topic of its own, and a producer.
func single(t testing.TB, b *kafkatest.Broker, cfg kafka.Config, topic string, partitions int, entries ...string) (*kafka.Client, *kafka.Producer, *journal) {
	t.Helper()
	cfg.Topics = []string{topic}
	b.Topic(t, cfg.Prefix+"."+topic, partitions, entries...)
	c, j := open(t, cfg)
	return c, produce(t, c), j
}
