package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	fixture "github.com/portcullis/portcullis/fixtures/broker"
)

// broker is a real Kafka of one test.
type broker struct{ *fixture.Broker }

// startKafka starts Kafka until the test ends. It skips loudly where Kafka is
// missing, and fails in CI, which installs it.
func startKafka(t testing.TB) broker {
	t.Helper()
	b, err := fixture.New(t.TempDir())
	if errors.Is(err, fixture.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, Kafka is missing: %v: apt-get install default-jre-headless maven && deploy/testbed/kafka.sh fetch", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	return broker{b}
}

// fill makes a topic of three partitions and writes lines to it, spread over them.
func (b broker) fill(ctx context.Context, t *testing.T, topic string, lines [][]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	transport := &kafkago.Transport{MetadataTTL: 200 * time.Millisecond}
	defer transport.CloseIdleConnections()
	client := &kafkago.Client{Addr: kafkago.TCP(b.Plain()), Transport: transport}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for { // a broker that has just started may not know its controller yet
		answer, err := client.CreateTopics(ctx, &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{Topic: topic, NumPartitions: 3, ReplicationFactor: 1}}})
		if err == nil {
			err = answer.Errors[topic]
		}
		if err == nil {
			break
		}
		if !errors.Is(err, kafkago.BrokerNotAvailable) || ctx.Err() != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	w := &kafkago.Writer{Addr: kafkago.TCP(b.Plain()), Topic: topic, Balancer: &kafkago.RoundRobin{}, RequiredAcks: kafkago.RequireAll,
		Compression: kafkago.Zstd, BatchTimeout: 10 * time.Millisecond, Transport: transport}
	messages := make([]kafkago.Message, len(lines))
	for i, line := range lines {
		messages[i].Value = bytes.TrimSuffix(line, []byte("\n"))
	}
	if err := errors.Join(w.WriteMessages(ctx, messages...), w.Close()); err != nil {
		t.Fatal(err)
	}
}
