package kafkanet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
)

// Patience is how long a broker may take to answer before the connection counts
// as dead.
const Patience = 10 * time.Second

// ClientID is the name in the broker's logs and quotas.
const ClientID = "portcullis"

// Network is how to reach the brokers.
type Network struct {
	Access
	tls  *tls.Config
	sasl sasl.Mechanism
}

// New reads the files that the settings name. It connects to nothing.
func New(a Access) (*Network, error) {
	t, err := a.TLS.client()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	mechanism, known := mechanisms[a.SASL.Mechanism]
	if !known {
		return nil, fmt.Errorf("kafka: sasl: no mechanism %.40q: use none, plain, scram-sha-256 or scram-sha-512", a.SASL.Mechanism)
	}
	m, err := mechanism(a.SASL.User, a.SASL.Password)
	if err != nil {
		return nil, fmt.Errorf("kafka: sasl: %w", err)
	}
	return &Network{Access: a, tls: t, sasl: m}, nil
}

// Link is the network while it is used. Client's transport serves requests of all
// kinds; records are read over a connection per partition (Leader), so that a slow
// partition does not hold up another, and an answer is worked on while it comes in.
type Link struct {
	Client    kafkago.Client
	transport *kafkago.Transport
	dialer    *kafkago.Dialer
	tls       *tls.Config
	brokers   int

	mu    sync.Mutex
	moved time.Time // when another broker was last asked for what there is
}

// unheard is how long one broker is believed that a topic is not there, where there are
// several.
const unheard = 2 * time.Second

// Open prepares connections that end with ctx. What is known of the topics is
// asked anew after ttl at the latest; a topic that is not named is not known.
func (n *Network) Open(ctx context.Context, topics []string, ttl time.Duration) *Link {
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{Timeout: Patience}).DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		// Until the first request the library sets no deadline: not during the login.
		err = c.SetDeadline(time.Now().Add(Patience))
		return &boundConn{Conn: c, free: context.AfterFunc(ctx, func() { c.Close() })}, err
	}
	l := &Link{tls: n.tls, brokers: len(n.Brokers), moved: time.Now()}
	l.transport = &kafkago.Transport{
		Dial: dial, DialTimeout: Patience, ClientID: ClientID, TLS: n.tls, SASL: n.sasl,
		MetadataTopics: topics, MetadataTTL: ttl, Context: ctx,
	}
	l.Client = kafkago.Client{Addr: kafkago.TCP(n.Brokers...), Timeout: Patience, Transport: l.transport}
	l.dialer = &kafkago.Dialer{ClientID: ClientID, Timeout: Patience, DialFunc: dial, TLS: n.tls, SASLMechanism: n.sasl}
	return l
}

// Close lets go of the connections that nobody uses.
func (l *Link) Close() { l.transport.CloseIdleConnections() }

// boundConn is closed when the context of its Link ends, whatever reads from it.
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

// Describe asks about a topic. It never makes the topic, as a plain look-up by
// the library's Conn would on a broker that allows it.
func (l *Link) Describe(ctx context.Context, topic string) (*kafkago.Topic, error) {
	answer, err := l.Client.Metadata(ctx, &kafkago.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	for i := range answer.Topics {
		if t := &answer.Topics[i]; t.Name == topic {
			l.elsewhere(t.Error)
			return t, t.Error
		}
	}
	l.elsewhere(kafkago.UnknownTopicOrPartition)
	return nil, kafkago.UnknownTopicOrPartition
}

// Why is what the broker says of a topic where err is only that the library did not find
// it, or a partition of it, among what it knows: a topic that the user may no longer see
// is left without partitions there. Any other error is returned as it is.
func (l *Link) Why(ctx context.Context, topic string, err error) error {
	if errors.Is(err, protocol.ErrNoTopic) || errors.Is(err, protocol.ErrNoPartition) {
		if _, said := l.Describe(ctx, topic); said != nil {
			return said
		}
	}
	return err
}

// elsewhere has another broker asked next, by chance, where one has not heard of a topic.
// The library asks the broker that it happened on for as long as the connection lives,
// and a broker that lost touch with its controller goes on to answer from what it knew.
// Requests under way are not disturbed.
func (l *Link) elsewhere(err error) {
	if l.brokers < 2 || !errors.Is(err, kafkago.UnknownTopicOrPartition) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.moved) >= unheard {
		l.moved = now
		l.transport.CloseIdleConnections()
	}
}

// Partitions lists the partitions of a topic.
func (l *Link) Partitions(ctx context.Context, topic string) ([]int, error) {
	t, err := l.Describe(ctx, topic)
	if err != nil {
		return nil, err
	}
	ids := make([]int, 0, len(t.Partitions))
	for _, p := range t.Partitions {
		ids = append(ids, p.ID)
	}
	return ids, nil
}

// Leader connects to the broker that serves a partition.
func (l *Link) Leader(ctx context.Context, topic string, id int) (*kafkago.Conn, error) {
	return l.lead(ctx, l.dialer, topic, id)
}

// Wire is Leader, and the connection that lies below, after the login: for who asks for
// records without the library. Use one of both at a time.
func (l *Link) Wire(ctx context.Context, topic string, id int) (*kafkago.Conn, net.Conn, error) {
	d := *l.dialer
	var below net.Conn
	dial := d.DialFunc
	d.TLS, d.DialFunc = nil, func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil && l.tls != nil {
			c, err = secure(ctx, c, l.tls, address)
		}
		below = c
		return c, err
	}
	conn, err := l.lead(ctx, &d, topic, id)
	return conn, below, err
}

// secure speaks TLS over a connection to HOST:PORT.
func secure(ctx context.Context, c net.Conn, cfg *tls.Config, address string) (net.Conn, error) {
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	t := tls.Client(c, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close() // the handshake's error is the reason
		return nil, err
	}
	return t, nil
}

func (l *Link) lead(ctx context.Context, d *kafkago.Dialer, topic string, id int) (*kafkago.Conn, error) {
	t, err := l.Describe(ctx, topic)
	if err != nil {
		return nil, err
	}
	for _, p := range t.Partitions {
		if p.ID == id {
			if p.Leader.Host == "" {
				return nil, errNoLeader
			}
			p.Topic = topic
			return d.DialPartition(ctx, "tcp", "", p)
		}
	}
	return nil, kafkago.UnknownTopicOrPartition
}
