package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	kafkago "github.com/segmentio/kafka-go"
)

// inspect compares a topic that is there with what it should be.
func (c *Client) inspect(ctx context.Context, s *spec) (wrong []error) {
	t, err := c.link.Describe(ctx, s.name)
	if err != nil {
		return []error{c.explain(s.short, err)}
	}
	switch there := len(t.Partitions); {
	case there < s.partitions:
		wrong = append(wrong, fmt.Errorf("kafka: topic %q has %d partitions, and %d are needed (run: kafka-topics.sh --alter --topic %s --partitions %d)",
			s.name, there, s.partitions, s.name, s.partitions))
	case there > s.partitions:
		c.log.Warn("kafka: a topic has more partitions than are used", "topic", s.name, "partitions", there, "used", s.partitions,
			"hint", "nothing is lost; portcullis kafka rescale spreads the work over all of them")
	}
	settings, err := c.settings(ctx, s.name)
	if err != nil {
		c.log.Warn("kafka: the settings of a topic cannot be checked", "topic", s.name, "error", err.Error(),
			"hint", "allow the user DescribeConfigs on it")
		return wrong
	}
	replicas := 0
	if len(t.Partitions) > 0 {
		replicas = len(t.Partitions[0].Replicas)
	}
	return append(wrong, c.compare(s, settings, replicas)...)
}

// compare finds settings with which messages are lost or refused. What only costs
// is said in the log.
func (c *Client) compare(s *spec, settings map[string]string, replicas int) (wrong []error) {
	bad := func(key, why, want string) {
		wrong = append(wrong, fmt.Errorf("kafka: topic %q has %s=%s: %s (run: kafka-configs.sh --alter --topic %s --add-config %s=%s)",
			s.name, key, settings[key], why, s.name, key, want))
	}
	if is := settings["cleanup.policy"]; is != s.policy() {
		switch {
		case s.compact:
			bad("cleanup.policy", "its records are needed until newer ones replace them, so it must be compact and nothing else", "compact")
		case strings.Contains(is, "compact"):
			bad("cleanup.policy", "its messages are not newer versions of each other, so compaction would lose some", "delete")
		}
	}
	if n, err := strconv.Atoi(settings["max.message.bytes"]); err == nil && n < maxMessage {
		bad("max.message.bytes", "batches of lines may be larger and would be refused", strconv.Itoa(maxMessage))
	}
	if n, err := strconv.Atoi(settings["min.insync.replicas"]); err == nil && replicas > 0 && n > replicas {
		bad("min.insync.replicas", fmt.Sprintf("the topic has %d replicas, so nothing could be written", replicas), strconv.Itoa(max(1, replicas-1)))
	}
	if is := settings["compression.type"]; is != "producer" && is != "" {
		c.log.Warn("kafka: a topic's compression.type makes the broker compress anew", "topic", s.name, "compression.type", is,
			"hint", "set it to producer, which leaves messages as they come")
	}
	if is, err := strconv.ParseInt(settings["retention.ms"], 10, 64); err == nil && !s.compact && is >= 0 && is < s.retention.Milliseconds() {
		c.log.Warn("kafka: a topic keeps messages shorter than configured", "topic", s.name, "retention.ms", is, "configured", s.retention.Milliseconds(),
			"hint", "a reader that is away for longer misses messages: raise retention.ms of the topic, or lower the setting of portcullis")
	}
	return wrong
}

// settings reads the settings of a topic.
func (c *Client) settings(ctx context.Context, name string) (map[string]string, error) {
	answer, err := c.link.Client.DescribeConfigs(ctx, &kafkago.DescribeConfigsRequest{Resources: []kafkago.DescribeConfigRequestResource{
		{ResourceType: kafkago.ResourceTypeTopic, ResourceName: name},
	}})
	if err != nil {
		return nil, err
	}
	for _, r := range answer.Resources {
		if r.ResourceName != name {
			continue
		}
		if r.Error != nil {
			return nil, r.Error
		}
		out := map[string]string{}
		for _, e := range r.ConfigEntries {
			out[e.ConfigName] = e.ConfigValue
		}
		return out, nil
	}
	return nil, errors.New("the broker said nothing of it")
}
