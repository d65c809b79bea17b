package kafka_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// broker is the one Kafka of this package's tests.
type broker struct{ *kafkatest.Broker }

func TestMain(m *testing.M) { os.Exit(kafkatest.Run(m)) }

func needBroker(t testing.TB) *broker {
	t.Helper()
	return &broker{kafkatest.Need(t)}
}

// fullBroker is needBroker for a test that -short leaves out.
func fullBroker(t testing.TB) *broker {
	t.Helper()
	return &broker{kafkatest.Full(t)}
}

// write appends records to one partition, in order.
func (b *broker) write(t testing.TB, topic string, partition int, codec kafkago.CompressionCodec, values ...[]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn := b.leader(ctx, t, topic, partition)
	defer func() { conn.Close() }()
	for len(values) > 0 {
		var batch []kafkago.Message
		for n := 0; len(batch) < len(values) && len(batch) < 2000 && n < 1<<20; {
			n += len(values[len(batch)])
			batch = append(batch, kafkago.Message{Value: values[len(batch)]})
		}
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		switch _, err := conn.WriteCompressedMessages(codec, batch...); {
		case err == nil:
			values = values[len(batch):]
		case errors.Is(err, kafkago.NotLeaderForPartition) && ctx.Err() == nil: // refused: nothing was written
			conn.Close()
			conn = b.leader(ctx, t, topic, partition)
		default:
			t.Fatal(err)
		}
	}
}

// leader connects to who takes records of a partition; a new topic has nobody for
// a moment.
func (b *broker) leader(ctx context.Context, t testing.TB, topic string, partition int) *kafkago.Conn {
	t.Helper()
	for {
		conn, err := kafkago.DialLeader(ctx, "tcp", b.Plain(), topic, partition)
		if err == nil {
			return conn
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}
