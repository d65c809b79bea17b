package kafka_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// script starts and stops the real broker.
const script = "../../../deploy/testbed/kafka.sh"

// broker is the one Kafka of this package's tests.
type broker struct {
	dir  string
	port int
	err  error
}

var shared = struct {
	sync.Once
	broker
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		if out, err := exec.Command(script, "stop", shared.dir).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "stop Kafka: %v\n%s", err, out)
			code = 1
		}
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// needBroker returns the running Kafka. It skips loudly where Kafka cannot be had,
// and fails in CI, which installs it.
func needBroker(t testing.TB) *broker {
	t.Helper()
	shared.Do(func() { shared.err = shared.first() })
	if shared.err == nil {
		return &shared.broker
	}
	if os.Getenv("CI") == "true" || !errors.Is(shared.err, errMissing) {
		t.Fatal(shared.err)
	}
	t.Skipf("SKIPPED: %v: apt-get install default-jre-headless maven && deploy/testbed/kafka.sh fetch", shared.err)
	return nil
}

var errMissing = errors.New("missing: Kafka")

func (b *broker) first() (err error) {
	if _, err := exec.LookPath("java"); err != nil {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if _, err := os.Stat("../../../.testbed/kafka/lib/.complete"); err != nil {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if b.dir, err = os.MkdirTemp("", "portcullis-kafka-"); err != nil {
		return err
	}
	if b.port, err = freePorts(4); err != nil {
		return err
	}
	if err := writeCerts(b.dir); err != nil {
		return err
	}
	return b.start()
}

func (b *broker) start() error {
	var said bytes.Buffer
	c := exec.Command(script, "start", b.dir, fmt.Sprint(b.port))
	c.Stdout, c.Stderr = &said, &said
	c.Env = append(os.Environ(), fmt.Sprint("KAFKA_OWNER=", os.Getpid()))
	if err := c.Run(); err != nil {
		return fmt.Errorf("start Kafka: %w\n%s", err, &said)
	}
	return nil
}

func (b *broker) stop() error { return exec.Command(script, "stop", b.dir).Run() }

func (b *broker) addr() string   { return fmt.Sprintf("127.0.0.1:%d", b.port) }
func (b *broker) sasl() string   { return fmt.Sprintf("127.0.0.1:%d", b.port+1) }
func (b *broker) secure() string { return fmt.Sprintf("127.0.0.1:%d", b.port+2) }

// freePorts finds n ports in a row, below those that the kernel gives out.
func freePorts(n int) (int, error) {
	for base := 20000 + os.Getpid()%1000*10; base < 32000; base += n {
		var open []net.Listener
		for i := range n {
			if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+i)); err == nil {
				open = append(open, l)
			}
		}
		for _, l := range open {
			l.Close()
		}
		if len(open) == n {
			return base, nil
		}
	}
	return 0, errors.New("no free ports")
}

// writeCerts makes an authority, and a certificate of it for the broker and for
// its clients.
func writeCerts(dir string) error {
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	block := func(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }
	certPEM, keyPEM := block("CERTIFICATE", der), block("PRIVATE KEY", keyDER)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "ca.pem"), block("CERTIFICATE", caDER), 0o600),
		os.WriteFile(filepath.Join(dir, "cert.pem"), certPEM, 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), keyPEM, 0o600),
		os.WriteFile(filepath.Join(dir, "broker.pem"), append(keyPEM, certPEM...), 0o600),
	)
}

// client is the library's own, beside what is tested.
func (b *broker) client() *kafkago.Client {
	return &kafkago.Client{Addr: kafkago.TCP(b.addr()), Timeout: 20 * time.Second, Transport: &kafkago.Transport{MetadataTTL: 200 * time.Millisecond}}
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
		conn, err := kafkago.DialLeader(ctx, "tcp", b.addr(), topic, partition)
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
