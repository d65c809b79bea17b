package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/kafkanet"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
	"github.com/portcullis/portcullis/ingest/source/kafka"
)

func TestAccess(t *testing.T) {
	b := fullBroker(t)
	topic := b.Topic(t, "access", 1)
	b.write(t, topic, 0, nil, []byte("line"))
	tls := kafkanet.TLS{
		Enabled: true, CA: filepath.Join(b.Dir, "ca.pem"),
		Cert: filepath.Join(b.Dir, "client.pem"), Key: filepath.Join(b.Dir, "client.key"),
	}
	for _, c := range []struct {
		name, broker, mechanism, password string
		tls                               kafkanet.TLS
		says                              string
	}{
		{"plain", b.SASL(), "plain", "reader-secret", kafkanet.TLS{}, ""},
		{"scram 256", b.SASL(), "scram-sha-256", "reader-secret", kafkanet.TLS{}, ""},
		{"scram 512 over TLS", b.TLS(), "scram-sha-512", "reader-secret", tls, ""},
		{"wrong password", b.SASL(), "plain", "guess", kafkanet.TLS{}, `the broker refused user "reader"`},
		{"wrong password, scram", b.SASL(), "scram-sha-256", "guess", kafkanet.TLS{}, `the broker refused user "reader"`},
		{"unknown authority", b.TLS(), "plain", "reader-secret", kafkanet.TLS{Enabled: true}, "unknown authority"},
		{"no TLS", b.TLS(), "plain", "reader-secret", kafkanet.TLS{}, "TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings(b, topic)
			cfg.Brokers, cfg.TLS = []string{c.broker}, c.tls
			cfg.SASL = kafkanet.SASL{Mechanism: c.mechanism, User: "reader", Password: c.password}
			r := read(t, cfg, newSink())
			if c.says == "" {
				await(t, "the line", func() bool { return r.total() == 1 })
				return
			}
			await(t, "the trouble", func() bool { return r.Health().Error != "" && r.log.count("hint=") > 0 })
			if r.log.count(strings.ReplaceAll(c.says, `"`, `\"`)) == 0 || r.total() != 0 {
				t.Errorf("it says %q, want %q", r.Health().Error, c.says)
			}
		})
	}
}

func TestGroup(t *testing.T) {
	b := needBroker(t)
	topic := b.Topic(t, "grouped", 2)
	values, _ := numbered("n", 0, 10)
	b.write(t, topic, 0, nil, values...)
	b.write(t, topic, 1, nil, values[:4]...)
	cfg := settings(b, topic)
	cfg.Group = "portcullis"
	r := read(t, cfg, newSink())
	await(t, "all lines", func() bool { return r.total() == 14 })
	r.Saved(r.last()[0])
	b.With(t, func(ctx context.Context, c *kafkago.Client) error {
		await(t, "the commit", func() bool {
			answer, err := c.OffsetFetch(ctx, &kafkago.OffsetFetchRequest{GroupID: "portcullis", Topics: map[string][]int{topic: {0, 1}}})
			if err != nil {
				return false
			}
			got := map[int]int64{}
			for _, p := range answer.Topics[topic] {
				got[p.Partition] = p.CommittedOffset
			}
			return got[0] == 10 && got[1] == 4
		})
		return nil
	})
}

func TestBackPressure(t *testing.T) {
	b := needBroker(t)
	topic := b.Topic(t, "pressure", 1)
	values, lines := numbered("n", 0, 5000)
	b.write(t, topic, 0, nil, values...)
	s, hold := newSink(), make(chan struct{})
	s.hook = func(n int) error {
		if n == 100 {
			<-hold
		}
		return nil
	}
	r := read(t, settings(b, topic), s)
	await(t, "lag", func() bool { return r.Stats().LagRecords >= 4899 && r.Stats().LagRecords < 4902 })
	if lag := r.Health().Lag; lag < 4899*8 || lag > 4901*8 {
		t.Errorf("lag %d bytes for 4900 records of 8", lag)
	}
	close(hold)
	await(t, "all lines", func() bool { return r.total() == 5000 })
	r.stop()
	r.check(t, lines)
}

func BenchmarkRead(b *testing.B) {
	broker := &broker{kafkatest.Bench(b)}
	topic := broker.Topic(b, fmt.Sprint("bench-", time.Now().UnixNano()), 4)
	const records = 50_000
	line := []byte(strings.Repeat(`{"request":{"method":"GET","uri":"/api/orders/4711"},"client_ip":"203.0.113.7"}`, 4))
	values := make([][]byte, records)
	for i := range values {
		values[i] = line
	}
	for p := range 4 {
		broker.write(b, topic, p, compress.Lz4.Codec(), values...)
	}
	b.SetBytes(int64(4 * records * len(line)))
	for b.Loop() {
		src, err := kafka.New(settings(broker, topic))
		if err != nil {
			b.Fatal(err)
		}
		n, done := 0, errors.New("done")
		err = src.Run(b.Context(), nil, func(_ context.Context, batch *ingest.Batch) error {
			if len(batch.Data) > 0 {
				n++
			}
			if n == 4*records {
				return done
			}
			return nil
		})
		if err != done {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(4*records*b.N)/b.Elapsed().Seconds(), "records/s")
}
