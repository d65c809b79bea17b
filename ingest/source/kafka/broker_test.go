package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	fixture "github.com/portcullis/portcullis/fixtures/broker"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

// broker is the one Kafka of this package's tests.
type broker struct{ *fixture.Broker }

var shared struct {
	sync.Once
	broker
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.Broker != nil {
		if err := shared.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.RemoveAll(shared.dir)
	os.Exit(code)
}

// needBroker returns the running Kafka. It skips loudly where Kafka cannot be had,
// and fails in CI, which installs it.
func needBroker(t testing.TB) *broker {
	t.Helper()
	shared.Do(func() { shared.err = firstBroker(t) })
	if shared.err == nil {
		return &shared.broker
	}
	if os.Getenv("CI") == "true" || !errors.Is(shared.err, fixture.ErrMissing) {
		t.Fatal(shared.err)
	}
	t.Skipf("SKIPPED: %v: apt-get install default-jre-headless maven && deploy/testbed/kafka.sh fetch", shared.err)
	return nil
}

// firstBroker starts Kafka with a certificate, which its clients show too.
func firstBroker(t testing.TB) (err error) {
	if shared.dir, err = os.MkdirTemp("", "portcullis-kafka-"); err != nil {
		return err
	}
	if shared.Broker, err = fixture.New(shared.dir); err != nil {
		shared.Broker = nil
		return err
	}
	certFile, keyFile := servetest.NewAuthorityIn(t, shared.dir).Issue("client")
	cert, err1 := os.ReadFile(certFile)
	key, err2 := os.ReadFile(keyFile)
	if err := errors.Join(err1, err2, os.WriteFile(filepath.Join(shared.dir, "broker.pem"), append(key, cert...), 0o600)); err != nil {
		return err
	}
	return shared.Start()
}

// client is the library's own, beside what is tested.
func (b *broker) client() *kafkago.Client {
	return &kafkago.Client{Addr: kafkago.TCP(b.Plain()), Timeout: 20 * time.Second, Transport: &kafkago.Transport{MetadataTTL: 200 * time.Millisecond}}
}

// with gives f a client and lets go of its connections.
func (b *broker) with(t testing.TB, f func(ctx context.Context, c *kafkago.Client) error) {
	t.Helper()
	c := b.client()
	defer c.Transport.(*kafkago.Transport).CloseIdleConnections()
	if err := f(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

// topic makes a topic of the test's own.
func (b *broker) topic(t testing.TB, name string, partitions int, settings ...string) string {
	t.Helper()
	var entries []kafkago.ConfigEntry
	for i := 0; i+1 < len(settings); i += 2 {
		entries = append(entries, kafkago.ConfigEntry{ConfigName: settings[i], ConfigValue: settings[i+1]})
	}
	b.with(t, func(ctx context.Context, c *kafkago.Client) error {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		for { // a broker that has just started may not know its controller yet
			answer, err := c.CreateTopics(ctx, &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{
				Topic: name, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: entries,
			}}})
			if err == nil {
				err = answer.Errors[name]
			}
			if !errors.Is(err, kafkago.BrokerNotAvailable) || ctx.Err() != nil {
				return err
			}
		}
	})
	return name
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

// tool runs one of Kafka's own commands.
func (b *broker) tool(t testing.TB, class string, args ...string) {
	t.Helper()
	lib, err := filepath.Abs("../../../.testbed/kafka/lib")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("java", append([]string{"-cp", lib + "/*", class}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", class, err, out)
	}
}
