package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

// network is how to reach the brokers.
type network struct {
	cfg  *Config
	tls  *tls.Config
	sasl sasl.Mechanism
}

// clientID is the name in the broker's logs and quotas.
const clientID = "portcullis"

func newNetwork(cfg *Config) (network, error) {
	t, err := cfg.TLS.client()
	if err != nil {
		return network{}, fmt.Errorf("kafka: %w", err)
	}
	m, err := mechanisms[cfg.SASL.Mechanism](cfg.SASL.User, cfg.SASL.Password)
	if err != nil {
		return network{}, fmt.Errorf("kafka: sasl: %w", err)
	}
	return network{cfg: cfg, tls: t, sasl: m}, nil
}

// link is the network during one Run. The transport asks about the topic and
// commits; records come over a connection per partition, so that a slow partition
// does not hold up another, and an answer is worked on while it comes in.
type link struct {
	cfg       *Config
	client    kafkago.Client
	transport *kafkago.Transport
	dialer    *kafkago.Dialer
}

// open prepares connections that end with ctx.
func (n network) open(ctx context.Context) *link {
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{Timeout: patience}).DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		// Until the first request the library sets no deadline: not during the login.
		err = c.SetDeadline(time.Now().Add(patience))
		return &boundConn{Conn: c, free: context.AfterFunc(ctx, func() { c.Close() })}, err
	}
	l := &link{cfg: n.cfg}
	l.transport = &kafkago.Transport{
		Dial: dial, DialTimeout: patience, ClientID: clientID, TLS: n.tls, SASL: n.sasl,
		MetadataTopics: []string{n.cfg.Topic}, MetadataTTL: min(n.cfg.Refresh, 6*time.Second), Context: ctx,
	}
	l.client = kafkago.Client{Addr: kafkago.TCP(n.cfg.Brokers...), Timeout: patience, Transport: l.transport}
	l.dialer = &kafkago.Dialer{ClientID: clientID, Timeout: patience, DialFunc: dial, TLS: n.tls, SASLMechanism: n.sasl}
	return l
}

func (l *link) close() { l.transport.CloseIdleConnections() }

// boundConn is closed when the Run that opened it ends, whatever reads from it.
type boundConn struct {
	net.Conn
	free func() bool
}

// Close implements net.Conn.
func (c *boundConn) Close() error {
	c.free()
	return c.Conn.Close()
}

// errNoLeader is a partition that nobody serves.
var errNoLeader = errors.New("a partition has no leader: are all its replicas down?")

// describe asks about the topic. It never makes the topic, as a plain look-up by
// the library's Conn would on a broker that allows it.
func (l *link) describe(ctx context.Context) (*kafkago.Topic, error) {
	answer, err := l.client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{l.cfg.Topic}})
	if err != nil {
		return nil, err
	}
	for i := range answer.Topics {
		if t := &answer.Topics[i]; t.Name == l.cfg.Topic {
			return t, t.Error
		}
	}
	return nil, kafkago.UnknownTopicOrPartition
}

// partitions lists the partitions of the topic.
func (l *link) partitions(ctx context.Context) ([]int, error) {
	t, err := l.describe(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]int, 0, len(t.Partitions))
	for _, p := range t.Partitions {
		ids = append(ids, p.ID)
	}
	return ids, nil
}

// leader connects to the broker that serves a partition.
func (l *link) leader(ctx context.Context, id int) (*kafkago.Conn, error) {
	t, err := l.describe(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range t.Partitions {
		if p.ID == id {
			if p.Leader.Host == "" {
				return nil, errNoLeader
			}
			p.Topic = l.cfg.Topic
			return l.dialer.DialPartition(ctx, "tcp", "", p)
		}
	}
	return nil, kafkago.UnknownTopicOrPartition
}

// commit tells the group where we are. Generation -1 and no member are those of a
// consumer that assigns its partitions itself.
func (l *link) commit(ctx context.Context, p places) error {
	var list []kafkago.OffsetCommit
	for _, id := range p.ids() {
		list = append(list, kafkago.OffsetCommit{Partition: id, Offset: p[id]})
	}
	answer, err := l.client.OffsetCommit(ctx, &kafkago.OffsetCommitRequest{
		GroupID: l.cfg.Group, GenerationID: -1, Topics: map[string][]kafkago.OffsetCommit{l.cfg.Topic: list},
	})
	if err != nil {
		return err
	}
	for _, one := range answer.Topics[l.cfg.Topic] {
		if one.Error != nil {
			return one.Error
		}
	}
	return nil
}
