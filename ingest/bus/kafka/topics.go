package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// maxMessage is what a topic must allow for one request: a batch of lines is about
// 1 MiB before compression, and a single line may have as much.
const maxMessage = 8 << 20

// Deviations is what is wrong with topics that are there, one error each. Nothing
// is changed in topics that others may have made on purpose.
type Deviations []error

// Error implements error.
func (d Deviations) Error() string {
	lines := make([]string, len(d))
	for i, err := range d {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each of them.
func (d Deviations) Unwrap() []error { return d }

// spec is how a topic is made.
type spec struct {
	name       string // in full
	short      string
	partitions int
	compact    bool
	retention  time.Duration
}

// specs are the topics for a layout.
func (c *Client) specs(l Layout) []spec {
	of := func(short string, partitions int, compact bool, retention time.Duration) spec {
		return spec{c.Topic(short), short, partitions, compact, retention}
	}
	return []spec{ // state is the first: who makes it writes the layout
		of(State, max(l.Partitions, l.Wide), true, 0),
		of(Access, l.Partitions, false, c.cfg.AccessRetention),
		of(Partials, l.Wide, false, c.cfg.AccessRetention),
		of(Findings, FindingsPartitions, false, c.cfg.FindingsRetention),
		of(Decisions, 1, true, 0),
		of(Alerts, 1, true, 0),
		of(Rejected, 1, false, c.cfg.FindingsRetention),
	}
}

// FindingsPartitions is how many partitions the findings topic is used with.
const FindingsPartitions = 4

// entries are the settings of a topic. The segments of compacted topics are small,
// since only what is behind the newest segment is cleaned.
func (s *spec) entries(replication int) []kafkago.ConfigEntry {
	out := []kafkago.ConfigEntry{
		{ConfigName: "cleanup.policy", ConfigValue: s.policy()},
		{ConfigName: "compression.type", ConfigValue: "producer"},
		{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(maxMessage)},
		{ConfigName: "min.insync.replicas", ConfigValue: strconv.Itoa(max(1, replication-1))},
	}
	if s.compact {
		out = append(out, kafkago.ConfigEntry{ConfigName: "segment.bytes", ConfigValue: strconv.Itoa(64 << 20)},
			kafkago.ConfigEntry{ConfigName: "min.cleanable.dirty.ratio", ConfigValue: "0.3"})
		if s.short == Decisions || s.short == Alerts { // a record that was written over by one who led no longer must be there to be seen, and deletions for a ledger that was away
			out = append(out, kafkago.ConfigEntry{ConfigName: "min.compaction.lag.ms", ConfigValue: "3600000"},
				kafkago.ConfigEntry{ConfigName: "delete.retention.ms", ConfigValue: "86400000"})
		}
		return out
	}
	return append(out, kafkago.ConfigEntry{ConfigName: "retention.ms", ConfigValue: strconv.FormatInt(s.retention.Milliseconds(), 10)})
}

func (s *spec) policy() string {
	if s.compact {
		return "compact"
	}
	return "delete"
}

// command is what makes the topic by hand.
func (s *spec) command(replication int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "kafka-topics.sh --create --topic %s --partitions %d --replication-factor %d", s.name, s.partitions, replication)
	for _, e := range s.entries(replication) {
		fmt.Fprintf(&b, " --config %s=%s", e.ConfigName, e.ConfigValue)
	}
	return b.String()
}

// Ensure makes the topics that are missing, and checks those that are there; what
// is wrong with them it returns as Deviations, what is only unusual it logs. The
// first to make the topics also writes the layout, which holds from then on.
func (c *Client) Ensure(ctx context.Context) error {
	replication, err := c.replication(ctx)
	if err != nil {
		return err
	}
	layout := Layout{Partitions: c.cfg.Partitions, Wide: c.cfg.WidePartitions}
	made, err := c.create(ctx, c.specs(layout)[:1], replication)
	if err != nil {
		return err
	}
	if layout, err = c.settle(ctx, layout, len(made) > 0); err != nil {
		return err
	}
	specs := c.specs(layout)
	madeToo, err := c.create(ctx, specs, replication)
	if err != nil {
		return err
	}
	made = append(made, madeToo...)
	var wrong Deviations
	for i := range specs {
		if !slices.Contains(made, specs[i].short) {
			wrong = append(wrong, c.inspect(ctx, &specs[i])...)
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// replication is how many brokers are to hold each message.
func (c *Client) replication(ctx context.Context) (int, error) {
	answer, err := c.link.Client.Metadata(ctx, &kafkago.MetadataRequest{})
	if err != nil {
		return 0, fmt.Errorf("kafka: brokers: %w", c.network.Explain(err))
	}
	there := len(answer.Brokers)
	if c.cfg.Replication > there {
		return 0, fmt.Errorf("kafka: replication is %d, but only %d brokers are there (start the others, or lower kafka.replication)", c.cfg.Replication, there)
	}
	if c.cfg.Replication > 0 {
		return c.cfg.Replication, nil
	}
	return min(3, there), nil
}

// create makes the topics that are not there and says which those were. A broker
// that has just started may not know its controller yet.
func (c *Client) create(ctx context.Context, specs []spec, replication int) (made []string, err error) {
	var missing []spec
	for _, s := range specs {
		_, err := c.link.Describe(ctx, s.name)
		switch {
		case errors.Is(err, kafkago.UnknownTopicOrPartition), errors.Is(err, kafkago.TopicAuthorizationFailed):
			missing = append(missing, s) // without the right to see it, making it tells
		case err != nil && !errors.Is(err, kafkago.LeaderNotAvailable):
			return nil, c.explain(s.short, err)
		}
	}
	for _, s := range missing {
		switch err := c.make(ctx, &s, replication); {
		case err == nil:
			made = append(made, s.short)
			c.log.Info("kafka: topic made", "topic", s.name, "partitions", s.partitions, "replication", replication)
		case errors.Is(err, kafkago.TopicAlreadyExists): // another process was quicker
		case errors.Is(err, kafkago.TopicAuthorizationFailed), errors.Is(err, kafkago.ClusterAuthorizationFailed):
			return made, fmt.Errorf("kafka: topic %q does not exist, and user %q may not make it (let somebody who may run: %s)", s.name, c.cfg.SASL.User, s.command(replication))
		default:
			return made, fmt.Errorf("kafka: make topic %q: %w (or make it by hand: %s)", s.name, err, s.command(replication))
		}
	}
	for _, s := range missing {
		if err := c.await(ctx, &s); err != nil {
			return made, err
		}
	}
	return made, nil
}

func (c *Client) make(ctx context.Context, s *spec, replication int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	pause := pauseShort()
	for {
		answer, err := c.link.Client.CreateTopics(ctx, &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{
			Topic: s.name, NumPartitions: s.partitions, ReplicationFactor: replication, ConfigEntries: s.entries(replication),
		}}})
		if err == nil {
			err = answer.Errors[s.name]
		}
		if !c.soon(err) || !sleep(ctx, pause) {
			return err
		}
	}
}

// await waits until the partitions of a topic that was just made have leaders, as
// far as this process knows.
func (c *Client) await(ctx context.Context, s *spec) error {
	pause := pauseShort()
	for until := time.Now().Add(30 * time.Second); ; {
		t, err := c.link.Describe(ctx, s.name)
		if err == nil && len(t.Partitions) > 0 && !slices.ContainsFunc(t.Partitions, func(p kafkago.Partition) bool { return p.Leader.Host == "" }) {
			return nil
		}
		if err == nil {
			err = kafkago.LeaderNotAvailable
		}
		if time.Now().After(until) || !sleep(ctx, pause) {
			return c.explain(s.short, err)
		}
	}
}

// soon says whether an error is that of a cluster that is not ready yet: brokers
// that have just started, a topic that was just made.
func (c *Client) soon(err error) bool {
	return slices.ContainsFunc([]error{
		kafkago.BrokerNotAvailable, kafkago.NotController, kafkago.RequestTimedOut, kafkago.LeaderNotAvailable, kafkago.NotLeaderForPartition,
	}, func(one error) bool { return errors.Is(err, one) })
}
