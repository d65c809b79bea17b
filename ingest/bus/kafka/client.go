package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// The topics, without the prefix.
const (
	Access    = "access"    // batches of log lines by shard of the client
	Partials  = "partials"  // what level one found of wider subjects, for level two
	Findings  = "findings"  // by subject; the header "kind" tells what a message is
	Decisions = "decisions" // the enforcer's journal, compacted
	Alerts    = "alerts"    // alerts, silences and what was told, compacted
	State     = "state"     // snapshots in chunks, compacted
	Rejected  = "rejected"  // what could not be taken in; the header "reason" says why
)

// topics in order.
var topics = []string{Access, Partials, Findings, Decisions, Alerts, State, Rejected}

// metadataTTL bounds how long a new leader goes unnoticed. It is also how long the
// library waits for the answer.
const metadataTTL = 2 * time.Second

// Client is the connection to the brokers. Its methods may be called at any time
// by any goroutine.
type Client struct {
	cfg     Config
	log     *slog.Logger
	network *kafkanet.Network
	link    *kafkanet.Link
	end     context.CancelFunc
	packer  *packer
	layout  layoutBox

	unpacker *unpacker
	answers  *spare // what brokers answered
	spare    *spare // what that was decompressed to: several times as large
}

// Open checks the settings and the way to the brokers. Where none answers it tries
// again for as long as cfg.Wait says; a refused login is an error at once. A nil
// log is slog.Default.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Client, error) {
	var errs []error
	cfg.Enabled = true
	cfg.Check(func(key, message string) { errs = append(errs, errors.New("kafka: "+key+": "+message)) })
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	cfg = cfg.withDefaults()
	network, err := kafkanet.New(cfg.access())
	if err != nil {
		return nil, err
	}
	packer, err := packers[cfg.Compression]()
	if err != nil {
		return nil, err
	}
	unpacker, err := newUnpacker()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, log: cmp.Or(log, slog.Default()), network: network, packer: packer, unpacker: unpacker, answers: &spare{}, spare: &spare{}}
	var life context.Context
	life, c.end = context.WithCancel(context.WithoutCancel(ctx))
	c.link = network.Open(life, c.known(), metadataTTL)
	if err := c.greet(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// known are the full names of all topics that are used.
func (c *Client) known() []string {
	var names []string
	for _, name := range slices.Concat(topics, c.cfg.Topics) {
		names = append(names, c.cfg.topic(name))
	}
	return names
}

// greet waits for a broker to answer.
func (c *Client) greet(ctx context.Context) error {
	pause := kafkanet.Pause{First: 100 * time.Millisecond, Last: time.Second}
	until := time.Now().Add(c.cfg.Wait)
	said := false
	for {
		_, err := c.link.Client.Metadata(ctx, &kafkago.MetadataRequest{})
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		p := c.network.Explain(err)
		if !time.Now().Before(until) || errors.Is(err, kafkago.SASLAuthenticationFailed) || errors.Is(err, kafkago.UnsupportedSASLMechanism) {
			return fmt.Errorf("kafka: brokers %s: %w", strings.Join(c.cfg.Brokers, ", "), p)
		}
		if !said {
			said = true
			c.log.Warn("kafka: waiting for the brokers", "error", p.Text, "hint", p.Hint, "for", c.cfg.Wait)
		}
		kafkanet.Sleep(ctx, pause.Next())
	}
}

// Close ends all connections. Producers and members are closed before.
func (c *Client) Close() {
	c.end()
	c.link.Close()
}

// Group is the full name of a consumer group.
func (c *Client) Group(name string) string { return c.cfg.Prefix + "." + name }

// Topic is the full name of a topic.
func (c *Client) Topic(name string) string { return c.cfg.topic(name) }

// Range is which offsets a partition holds: from First up to, not including, End.
type Range struct{ First, End int64 }

// Ranges asks what the partitions of a topic hold, for lag and to know when a
// follower is caught up.
func (c *Client) Ranges(ctx context.Context, topic string) (map[int]Range, error) {
	name := c.cfg.topic(topic)
	ids, err := c.link.Partitions(ctx, name)
	if err != nil {
		return nil, c.explain(topic, err)
	}
	var ask []kafkago.OffsetRequest
	for _, id := range ids {
		ask = append(ask, kafkago.FirstOffsetOf(id), kafkago.LastOffsetOf(id))
	}
	answer, err := c.link.Client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{name: ask}})
	if err != nil {
		return nil, c.explain(topic, err)
	}
	out := map[int]Range{}
	for _, p := range answer.Topics[name] {
		if p.Error != nil {
			return nil, c.explain(topic, p.Error)
		}
		out[p.Partition] = Range{p.FirstOffset, p.LastOffset}
	}
	return out, nil
}

// explain puts an error that concerns a topic into words for the operator.
func (c *Client) explain(topic string, err error) error {
	return fmt.Errorf("kafka: %s: %w", c.cfg.topic(topic), c.problem(topic, err))
}

func (c *Client) problem(topic string, err error) kafkanet.Problem {
	name := c.cfg.topic(topic)
	p := func(text, hint string) kafkanet.Problem { return kafkanet.Problem{Text: text, Hint: hint, Cause: err} }
	switch {
	case errors.Is(err, kafkago.UnknownTopicOrPartition), errors.Is(err, protocol.ErrNoTopic), errors.Is(err, protocol.ErrNoPartition):
		return p(fmt.Sprintf("topic %q, or that partition of it, does not exist", name),
			"has it been deleted? a start of portcullis collect, detect or enforce makes missing topics")
	case errors.Is(err, kafkago.TopicAuthorizationFailed):
		return p(fmt.Sprintf("user %q has no right to topic %q", c.cfg.SASL.User, name),
			fmt.Sprintf("allow it: kafka-acls.sh --add --allow-principal User:%s --operation Read --operation Write --operation Describe --topic %s. --resource-pattern-type prefixed", cmp.Or(c.cfg.SASL.User, "NAME"), c.cfg.Prefix))
	case errors.Is(err, kafkago.GroupAuthorizationFailed):
		return p(fmt.Sprintf("user %q may not use consumer groups that begin with %q", c.cfg.SASL.User, c.cfg.Prefix+"."),
			fmt.Sprintf("allow it: kafka-acls.sh --add --allow-principal User:%s --operation Read --group %s. --resource-pattern-type prefixed", cmp.Or(c.cfg.SASL.User, "NAME"), c.cfg.Prefix))
	case errors.Is(err, kafkago.NotEnoughReplicas), errors.Is(err, kafkago.NotEnoughReplicasAfterAppend):
		return p(fmt.Sprintf("topic %q has fewer replicas in sync than its min.insync.replicas", name),
			"start the brokers that are down")
	}
	var code kafkago.Error
	if errors.As(err, &code) && code != kafkago.SASLAuthenticationFailed && code != kafkago.UnsupportedSASLMechanism {
		return p(strings.TrimSpace(code.Title()), strings.TrimSpace(code.Description()))
	}
	return c.network.Explain(err)
}
