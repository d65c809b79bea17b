package main

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
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// writeCerts writes an authority (ca.pem), and a certificate of it (cert.pem,
// key.pem) that either end of a connection on loopback may show.
func writeCerts(t *testing.T, dir string) {
	t.Helper()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	caKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	caDER, err1 := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	der, err2 := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	keyDER, err3 := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: caDER}, "cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		write(t, filepath.Join(dir, name), string(pem.EncodeToMemory(block)))
	}
}

// broker is a real Kafka of one test.
type broker struct{ port int }

// startKafka starts Kafka until the test ends. It skips loudly where Kafka is
// missing, and fails in CI, which installs it.
func startKafka(t *testing.T) broker {
	t.Helper()
	const script = "../../deploy/testbed/kafka.sh"
	_, err := exec.LookPath("java")
	if err == nil {
		_, err = os.Stat("../../.testbed/kafka/lib/.complete")
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED, Kafka is missing: %v: apt-get install default-jre-headless maven && deploy/testbed/kafka.sh fetch", err)
	}
	dir := t.TempDir()
	b := broker{freePorts(t, 15000, 4)}
	cmd := exec.Command(script, "start", dir, fmt.Sprint(b.port))
	cmd.Env = append(os.Environ(), fmt.Sprint("KAFKA_OWNER=", os.Getpid()))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	t.Cleanup(func() {
		if out, err := exec.Command(script, "stop", dir).CombinedOutput(); err != nil {
			t.Errorf("stop Kafka: %v\n%s", err, out)
		}
	})
	if err := cmd.Run(); err != nil {
		t.Fatalf("start Kafka: %v\n%s", err, &said)
	}
	return b
}

func (b broker) addr() string { return fmt.Sprintf("127.0.0.1:%d", b.port) }

// freePorts finds n free ports in a row among 2500 from first on. They lie below
// those that the kernel gives out, so that who has to bind one again still can.
func freePorts(t *testing.T, first, n int) int {
	t.Helper()
	for base := first + os.Getpid()%400*5; base < first+2500; base += n {
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
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// fill makes a topic of three partitions and writes lines to it, spread over them.
func (b broker) fill(ctx context.Context, t *testing.T, topic string, lines [][]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	transport := &kafkago.Transport{MetadataTTL: 200 * time.Millisecond}
	defer transport.CloseIdleConnections()
	client := &kafkago.Client{Addr: kafkago.TCP(b.addr()), Transport: transport}
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
	w := &kafkago.Writer{Addr: kafkago.TCP(b.addr()), Topic: topic, Balancer: &kafkago.RoundRobin{}, RequiredAcks: kafkago.RequireAll,
		Compression: kafkago.Zstd, BatchTimeout: 10 * time.Millisecond, Transport: transport}
	messages := make([]kafkago.Message, len(lines))
	for i, line := range lines {
		messages[i].Value = bytes.TrimSuffix(line, []byte("\n"))
	}
	if err := errors.Join(w.WriteMessages(ctx, messages...), w.Close()); err != nil {
		t.Fatal(err)
	}
}
