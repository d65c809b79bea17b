package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// fill writes n numbered messages.
func fill(t testing.TB, p *kafka.Producer, topic string, n int) {
	t.Helper()
	for i := range n {
		if err := p.Send(t.Context(), topic, 0, bus.Message{Key: fmt.Append(nil, i%7), Value: fmt.Append(nil, i)}, func(_ int64, err error) {
			if err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestRead follows a partition through a kill of the broker, and is told when it is
// caught up, also where there is nothing to read.
func TestRead(t *testing.T) {
	b := kafkatest.Need(t)
	c, p, _ := single(t, b, settings(b), "read", 1)
	var next, end, level atomic.Int64
	level.Store(-1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.Read(ctx, "read", 0, kafka.First, func(m *bus.Message, e int64) error {
			if m.Offset != next.Load() || string(m.Value) != fmt.Sprint(m.Offset%1000) {
				t.Errorf("offset %d: %s, want offset %d", m.Offset, m.Value, next.Load())
			}
			next.Store(m.Offset + 1)
			end.Store(e)
			return nil
		}, func(e int64) error {
			level.Store(e)
			return nil
		})
	}()
	await(t, "an empty partition to be caught up with", func() bool { return level.Load() == 0 })
	fill(t, p, "read", 1000)
	await(t, "all messages", func() bool { return next.Load() == 1000 && level.Load() == 1000 && end.Load() == 1000 })
	b.Kill(t)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	fill(t, p, "read", 1000)
	await(t, "all messages after the kill", func() bool { return next.Load() == 2000 && level.Load() == 2000 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v", err)
	}
}

// TestLatency measures how long a message takes from Send to a waiting reader.
func TestLatency(t *testing.T) {
	b := kafkatest.Full(t)
	c, p, _ := single(t, b, settings(b), "soon", 1)
	came := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.Read(ctx, "soon", 0, kafka.First, func(*bus.Message, int64) error {
			came <- struct{}{}
			return nil
		}, nil)
	}()
	var took []time.Duration
	for range 200 {
		start := time.Now()
		if err := p.Send(t.Context(), "soon", 0, bus.Message{Value: []byte("v")}, nil); err != nil {
			t.Fatal(err)
		}
		<-came
		took = append(took, time.Since(start))
	}
	cancel()
	<-done
	slices.Sort(took)
	t.Logf("from Send to the reader: median %s, 99 %% within %s", took[100].Round(10*time.Microsecond), took[198].Round(10*time.Microsecond))
	if took[100] > time.Second {
		t.Errorf("the median message took %s", took[100])
	}
}

// TestGone reads at offsets that a partition does not hold.
func TestGone(t *testing.T) {
	b := kafkatest.Full(t)
	cfg := settings(b)
	cfg.Topics = []string{"gone"}
	b.Topic(t, cfg.Prefix+".gone", 1)
	c, _ := open(t, cfg)
	fill(t, produce(t, c), "gone", 10)
	b.Tool(t, "org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", b.Plain(), "--offset-json-file",
		b.File(t, fmt.Sprintf(`{"partitions":[{"topic":%q,"partition":0,"offset":4}],"version":1}`, c.Topic("gone"))))
	for from, want := range map[int64]kafka.Range{2: {First: 4, End: 10}, 99: {First: 4, End: 10}} {
		err := c.Read(t.Context(), "gone", 0, from, func(m *bus.Message, _ int64) error { return fmt.Errorf("got %d", m.Offset) }, nil)
		var gone *kafka.GoneError
		if !errors.As(err, &gone) || gone.Range != want || gone.Wanted != from {
			t.Errorf("from %d: %v", from, err)
		}
	}
	if got := all(t, c, "gone", 0); len(got) != 6 || got[0].Offset != 4 {
		t.Errorf("got %d messages", len(got))
	}
	if r, err := c.Ranges(t.Context(), "gone"); err != nil || r[0] != (kafka.Range{First: 4, End: 10}) {
		t.Errorf("Ranges = %v, %v", r, err)
	}
	err := c.ReadAll(t.Context(), "gone", 7, func(*bus.Message) error { return nil })
	if !errors.Is(err, kafkago.UnknownTopicOrPartition) {
		t.Errorf("partition 7: %v", err)
	}
}

// TestCompactedEnd reads a partition whose last messages were compacted away: who
// follows it is caught up all the same.
func TestCompactedEnd(t *testing.T) {
	b := kafkatest.Full(t)
	c, p, _ := single(t, b, settings(b), "tomb", 1, "cleanup.policy", "compact", "segment.ms", "100", "min.cleanable.dirty.ratio", "0.01", "delete.retention.ms", "0", "min.compaction.lag.ms", "0")
	seen := 0
	await(t, "compaction", func() bool { // each write rolls a segment; the cleaner comes every 15 s
		fill(t, p, "tomb", 14)
		for k := range 7 {
			if _, err := p.SendWait(t.Context(), "tomb", 0, bus.Message{Key: fmt.Append(nil, k)}); err != nil {
				t.Fatal(err)
			}
		}
		r, err := c.Ranges(t.Context(), "tomb")
		if err != nil {
			t.Fatal(err)
		}
		seen = len(all(t, c, "tomb", 0))
		return int64(seen) < r[0].End
	})
	t.Logf("%d messages left", seen)
}

func BenchmarkProduce(b *testing.B) {
	broker := kafkatest.Bench(b)
	lines := logLines(1 << 20)
	count := int64(bytes.Count(lines, []byte("\n")))
	for _, codec := range []string{"none", "snappy", "lz4", "zstd"} {
		b.Run(codec, func(b *testing.B) {
			cfg := settings(broker)
			cfg.Compression, cfg.Topics = codec, []string{"bench"}
			broker.Topic(b, cfg.Prefix+".bench", 4, "max.message.bytes", "8388608", "retention.bytes", "67108864", "segment.bytes", "16777216")
			c, _ := open(b, cfg)
			p := produce(b, c)
			b.SetBytes(int64(len(lines)))
			n, used := 0, cpu()
			for b.Loop() {
				if err := p.Send(b.Context(), "bench", n%4, bus.Message{Value: lines}, nil); err != nil {
					b.Fatal(err)
				}
				n++
			}
			if err := p.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(int64(n)*count)/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(float64(cpu()-used)/float64(int64(n)*count), "own-ns/line")
			s := p.Stats()
			b.ReportMetric(float64(s.Bytes)/float64(s.Wire), "ratio")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	broker := kafkatest.Bench(b)
	lines := logLines(1 << 20)
	const messages = 100
	for _, codec := range []string{"none", "lz4", "zstd"} {
		b.Run(codec, func(b *testing.B) {
			cfg := settings(broker)
			cfg.Compression, cfg.Topics = codec, []string{"bench"}
			broker.Topic(b, cfg.Prefix+".bench", 1, "max.message.bytes", "8388608")
			c, _ := open(b, cfg)
			p := produce(b, c)
			for range messages {
				if err := p.Send(b.Context(), "bench", 0, bus.Message{Value: lines}, nil); err != nil {
					b.Fatal(err)
				}
			}
			if err := p.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(lines) * messages))
			rounds, used := 0, cpu()
			for b.Loop() {
				if n := len(all(b, c, "bench", 0)); n != messages {
					b.Fatalf("%d messages", n)
				}
				rounds++
			}
			b.ReportMetric(float64(cpu()-used)/float64(rounds*messages*bytes.Count(lines, []byte("\n"))), "own-ns/line")
		})
	}
}

// cpu is the processor time of this process, without the broker's.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// logLines are access log lines of about so many bytes, different as those of a
// real log are.
func logLines(size int) []byte {
	var out []byte
	state := uint64(1)
	next := func(n uint64) uint64 { // xorshift
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		return state % n
	}
	paths := []string{"/api/orders/%d", "/api/users/%d/cart", "/login", "/search?q=%d", "/static/app.%d.js"}
	agents := []string{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36", "okhttp/4.12.0", "curl/8.5.0", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"}
	for second := 0; len(out) < size; second++ {
		path := paths[next(5)]
		if n := next(1 << 20); path != "/login" {
			path = fmt.Sprintf(path, n)
		}
		out = fmt.Appendf(out, "10.%d.%d.%d - - [10/Oct/2025:13:%02d:%02d +0000] \"GET %s HTTP/1.1\" %d %d \"-\" \"%s\" rt=0.%03d\n",
			next(256), next(256), next(256), second/6000%60, second/100%60, path, []int{200, 200, 200, 304, 401, 404}[next(6)], next(50000), agents[next(4)], next(1000))
	}
	return out
}
