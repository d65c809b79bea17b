// Package kafkatest starts one real Kafka for the tests of a package.
package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	fixture "github.com/portcullis/portcullis/fixtures/broker"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

// Broker is the one Kafka of a package's tests.
type Broker struct{ *fixture.Broker }

var shared struct {
	sync.Once
	Broker
	dir string
	err error
}

// Run runs a package's tests and stops Kafka then; TestMain exits with what it
// returns.
func Run(m *testing.M) int {
	code := m.Run()
	if shared.Broker.Broker != nil {
		if err := shared.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.RemoveAll(shared.dir)
	return code
}

// Need returns the running Kafka. It skips loudly where Kafka cannot be had,
// and fails in CI, which installs it.
func Need(t testing.TB) *Broker {
	t.Helper()
	shared.Do(func() { shared.err = firstBroker(t) })
	if shared.err == nil {
		return &shared.Broker
	}
	if os.Getenv("CI") == "true" || !errors.Is(shared.err, fixture.ErrMissing) {
		t.Fatal(shared.err)
	}
	t.Skipf("SKIPPED: %v: apt-get install default-jre-headless maven && deploy/testbed/kafka.sh fetch", shared.err)
	return nil
}

// Full is Need for a test that -short leaves out. The race detector's run is short: it
// keeps the tests in which our goroutines meet, and not those of what a broker answers.
func Full(t testing.TB) *Broker {
	t.Helper()
	if testing.Short() {
		t.Skip("asks a real Kafka; leave out -short")
	}
	return Need(t)
}

// Bench is Need for a benchmark, which skips without PORTCULLIS_BENCH=1: its figures are
// those of the broker too, and take more than a few rounds.
func Bench(b *testing.B) *Broker {
	b.Helper()
	if os.Getenv("PORTCULLIS_BENCH") == "" {
		b.Skip("starts Kafka: set PORTCULLIS_BENCH=1")
	}
	return Need(b)
}

// firstBroker starts Kafka with a certificate, which its clients show too.
func firstBroker(t testing.TB) (err error) {
	if shared.dir, err = os.MkdirTemp("", "portcullis-kafka-"); err != nil {
		return err
	}
	if shared.Broker.Broker, err = fixture.New(shared.dir); err != nil {
		shared.Broker.Broker = nil
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

// Client is the library's own, beside what is tested.
func (b *Broker) Client() *kafkago.Client {
	return &kafkago.Client{Addr: kafkago.TCP(b.Plain()), Timeout: 20 * time.Second, Transport: &kafkago.Transport{MetadataTTL: 200 * time.Millisecond}}
}

// With gives f a client and lets go of its connections.
func (b *Broker) With(t testing.TB, f func(ctx context.Context, c *kafkago.Client) error) {
	t.Helper()
	c := b.Client()
	defer c.Transport.(*kafkago.Transport).CloseIdleConnections()
	if err := f(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

// Topic makes a topic of the test's own.
func (b *Broker) Topic(t testing.TB, name string, partitions int, settings ...string) string {
	t.Helper()
	var entries []kafkago.ConfigEntry
	for i := 0; i+1 < len(settings); i += 2 {
		entries = append(entries, kafkago.ConfigEntry{ConfigName: settings[i], ConfigValue: settings[i+1]})
	}
	b.With(t, func(ctx context.Context, c *kafkago.Client) error {
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

// Tool runs one of Kafka's own commands.
func (b *Broker) Tool(t testing.TB, class string, args ...string) {
	t.Helper()
	lib := filepath.Join(b.Root(), ".testbed", "kafka", "lib")
	if out, err := exec.Command("java", append([]string{"-cp", lib + "/*", class}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", class, err, out)
	}
}

// File writes a file of the test's own for a tool.
func (b *Broker) File(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Kill ends Kafka without a word, as a power cut does.
func (b *Broker) Kill(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.Dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C { // its ports are free when it is gone
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			tick.Stop()
			return
		}
	}
}
