package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/kafkanet"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// described reads a topic's settings from the broker.
func described(t *testing.T, b *kafkatest.Broker, topic string) (out map[string]string) {
	t.Helper()
	out = map[string]string{}
	b.With(t, func(ctx context.Context, c *kafkago.Client) error {
		answer, err := c.DescribeConfigs(ctx, &kafkago.DescribeConfigsRequest{Resources: []kafkago.DescribeConfigRequestResource{{ResourceType: kafkago.ResourceTypeTopic, ResourceName: topic}}})
		if err != nil {
			return err
		}
		for _, e := range answer.Resources[0].ConfigEntries {
			out[e.ConfigName] = e.ConfigValue
		}
		return answer.Resources[0].Error
	})
	return out
}

func TestEnsure(t *testing.T) {
	b := kafkatest.Full(t)
	cfg := settings(b)
	c, log := ready(t, cfg)
	if l := c.Layout(); l != (kafka.Layout{Partitions: 4, Wide: 2}) {
		t.Errorf("layout %+v", l)
	}
	for topic, want := range map[string]string{
		kafka.Access: "delete 8388608 172800000 4", kafka.Partials: "delete 8388608 172800000 2", kafka.Findings: "delete 8388608 604800000 4",
		kafka.Decisions: "compact 8388608 604800000 1", kafka.State: "compact 8388608 604800000 4", kafka.Rejected: "delete 8388608 604800000 1",
	} {
		s := described(t, b, c.Topic(topic))
		r, err := c.Ranges(t.Context(), topic)
		if got := fmt.Sprint(s["cleanup.policy"], " ", s["max.message.bytes"], " ", s["retention.ms"], " ", len(r)); got != want || err != nil {
			t.Errorf("%s: %s, want %s (%v)", topic, got, want, err)
		}
		if s["min.insync.replicas"] != "1" || s["compression.type"] != "producer" {
			t.Errorf("%s: min.insync.replicas %s, compression.type %s", topic, s["min.insync.replicas"], s["compression.type"])
		}
	}
	if n := log.count("topic made"); n != 7 {
		t.Errorf("said %d times that a topic was made", n)
	}
	// A second process with other numbers takes those of the topics.
	cfg.Partitions, cfg.WidePartitions = 3, 1
	other, said := ready(t, cfg)
	if l := other.Layout(); l != (kafka.Layout{Partitions: 4, Wide: 2}) || said.count("those of the topics hold") != 1 || said.count("topic made") != 0 {
		t.Errorf("layout %+v", l)
	}
	if err := other.SetLayout(t.Context(), kafka.Layout{Partitions: 999, Wide: 1}); err == nil {
		t.Error("a layout of 999 partitions was written")
	}
	if err := other.SetLayout(t.Context(), kafka.Layout{Partitions: 3, Wide: 1}); err != nil {
		t.Error(err)
	}
	third, said := ready(t, cfg)
	if l := third.Layout(); l != (kafka.Layout{Partitions: 3, Wide: 1}) || said.count("more partitions than are used") != 3 {
		t.Errorf("layout %+v; %d topics have more", l, said.count("more partitions than are used"))
	}
}

// TestEnsureTogether starts several processes at once on an empty cluster.
func TestEnsureTogether(t *testing.T) {
	cfg := settings(kafkatest.Full(t))
	ends := make(chan error)
	for range 4 {
		c, _ := open(t, cfg)
		go func() { ends <- c.Ensure(t.Context()) }()
	}
	for range 4 {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
}

// TestDeviations finds topics that others made in another way.
func TestDeviations(t *testing.T) {
	b := kafkatest.Full(t)
	cfg := settings(b)
	b.Topic(t, cfg.Prefix+".state", 4, "cleanup.policy", "compact,delete", "max.message.bytes", "9000000")
	b.Topic(t, cfg.Prefix+".access", 2, "max.message.bytes", "1000000", "retention.ms", "1000")
	b.Topic(t, cfg.Prefix+".findings", 9, "cleanup.policy", "compact", "max.message.bytes", "9000000")
	b.Topic(t, cfg.Prefix+".rejected", 1, "min.insync.replicas", "2", "max.message.bytes", "9000000", "compression.type", "gzip")
	c, log := open(t, cfg)
	err := c.Ensure(t.Context())
	var wrong kafka.Deviations
	if !errors.As(err, &wrong) || len(wrong) != 5 {
		t.Fatalf("Ensure = %v, want 5 deviations", err)
	}
	p := cfg.Prefix
	for _, want := range []string{
		`topic "` + p + `.state" has cleanup.policy=compact,delete: its records are needed`,
		`kafka-configs.sh --alter --topic ` + p + `.state --add-config cleanup.policy=compact)`,
		`topic "` + p + `.access" has 2 partitions, and 4 are needed (run: kafka-topics.sh --alter --topic ` + p + `.access --partitions 4)`,
		`--topic ` + p + `.access --add-config max.message.bytes=8388608)`,
		`topic "` + p + `.findings" has cleanup.policy=compact: its messages are not newer versions`,
		`topic "` + p + `.rejected" has min.insync.replicas=2: the topic has 1 replicas, so nothing could be written`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say: %s\n%v", want, err)
		}
	}
	for _, want := range []string{"makes the broker compress anew", "shorter than configured", "more partitions than are used"} {
		if log.count(want) != 1 {
			t.Errorf("the log does not say: %s", want)
		}
	}
	cfg.Replication = 3
	c, _ = open(t, cfg)
	if err := c.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "replication is 3, but only 1 brokers are there") {
		t.Errorf("three replicas on one broker: %v", err)
	}
}

// TestOpen tries ways in, right and wrong ones.
func TestOpen(t *testing.T) {
	b := kafkatest.Full(t)
	file := func(name string) string { return filepath.Join(b.Dir, name) }
	full := kafkanet.TLS{Enabled: true, CA: file("ca.pem"), Cert: file("client.pem"), Key: file("client.key")}
	login := func(mechanism, password string) kafkanet.SASL {
		return kafkanet.SASL{Mechanism: mechanism, User: "reader", Password: password}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	for _, c := range []struct {
		name, broker string
		sasl         kafkanet.SASL
		tls          kafkanet.TLS
		says         string
	}{
		{"plain", b.SASL(), login("plain", "reader-secret"), kafkanet.TLS{}, ""},
		{"scram-sha-256", b.SASL(), login("scram-sha-256", "reader-secret"), kafkanet.TLS{}, ""},
		{"scram-sha-512 over TLS with our certificate", b.TLS(), login("scram-sha-512", "reader-secret"), full, ""},
		{"nobody there", free, kafkanet.SASL{}, kafkanet.TLS{}, "connection refused (is the broker up, and the address right?)"},
		{"wrong password", b.SASL(), login("plain", "guess"), kafkanet.TLS{}, `the broker refused user "reader" (plain) (check user, password and mechanism)`},
		{"no login", b.SASL(), kafkanet.SASL{}, kafkanet.TLS{}, "TLS or a login (SASL) that is not set"},
		{"TLS where there is none", b.Plain(), kafkanet.SASL{}, full, "does the broker's listener speak TLS"},
		{"no TLS where there is", b.TLS(), login("plain", "reader-secret"), kafkanet.TLS{}, "TLS"},
		{"unknown authority", b.TLS(), login("plain", "reader-secret"), kafkanet.TLS{Enabled: true}, "name in tls.ca the file"},
		{"no certificate of ours", b.TLS(), login("plain", "reader-secret"), kafkanet.TLS{Enabled: true, CA: full.CA}, "does the broker ask for a certificate?"},
		{"no such file", b.TLS(), login("plain", "reader-secret"), kafkanet.TLS{Enabled: true, CA: "none.pem"}, "tls.ca"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings(b)
			cfg.Brokers, cfg.SASL, cfg.TLS, cfg.Wait = []string{c.broker}, c.sasl, c.tls, 0
			if c.says == "" {
				cfg.Wait = time.Minute
				client, _ := ready(t, cfg)
				p := produce(t, client)
				if _, err := p.SendWait(t.Context(), kafka.Access, 0, bus.Message{Value: []byte("line\n")}); err != nil {
					t.Error(err)
				}
				if got := all(t, client, kafka.Access, 0); len(got) != 1 || string(got[0].Value) != "line\n" {
					t.Errorf("got %v", got)
				}
				return
			}
			_, err := kafka.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Open = %v, want %q", err, c.says)
			}
		})
	}
}

// TestForeign reads what another program wrote: it arrives as it is, and is for the
// reader to judge.
func TestForeign(t *testing.T) {
	b := kafkatest.Full(t)
	c, _ := ready(t, settings(b))
	w := &kafkago.Writer{Addr: kafkago.TCP(b.Plain()), Topic: c.Topic(kafka.Access), Balancer: kafkago.BalancerFunc(func(kafkago.Message, ...int) int { return 0 }), Compression: kafkago.Gzip, RequiredAcks: kafkago.RequireAll}
	defer w.Close()
	if err := w.WriteMessages(t.Context(), kafkago.Message{Value: []byte("not a batch\n")}, kafkago.Message{Key: []byte("k"), Headers: []kafkago.Header{{Key: "source", Value: []byte("x")}}, Value: []byte{0xff, 0}}); err != nil {
		t.Fatal(err)
	}
	got := all(t, c, kafka.Access, 0)
	if len(got) != 2 || string(got[0].Value) != "not a batch\n" || string(got[1].Header("source")) != "x" {
		t.Fatalf("got %v", got)
	}
	for _, m := range got {
		if _, err := bus.ToBatch(m); err == nil || !strings.Contains(err.Error(), "was it written by another program?") {
			t.Errorf("ToBatch = %v", err)
		}
	}
	// In the state topic, keys of others are passed over.
	p := produce(t, c)
	for _, key := range []string{"access/1", "access/1/", "access/1/head/x", "access/1/blob/a", "access/1/blob/a/1.x/0", "\xff"} {
		if _, err := p.SendWait(t.Context(), kafka.State, 1, bus.Message{Key: []byte(key), Value: []byte("?")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, saved := load(t, c.Store(p), "access/1"); saved.Found || saved.Epoch != 0 {
		t.Errorf("foreign keys were taken for a snapshot: %+v", saved)
	}
}
