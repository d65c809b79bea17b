package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest/bus"
)

// Grow gives the topics of a layout the partitions that it needs and they lack, and
// says which it changed. Partitions are never taken away: Kafka cannot.
func (c *Client) Grow(ctx context.Context, l Layout) (changed []string, err error) {
	for _, s := range c.specs(l) {
		t, err := c.link.Describe(ctx, s.name)
		if err != nil {
			return changed, c.explain(s.short, err)
		}
		if len(t.Partitions) >= s.partitions {
			continue
		}
		answer, err := c.link.Client.CreatePartitions(ctx, &kafkago.CreatePartitionsRequest{
			Topics: []kafkago.TopicPartitionsConfig{{Name: s.name, Count: int32(s.partitions)}},
		})
		if err == nil {
			err = answer.Errors[s.name]
		}
		if err != nil {
			return changed, fmt.Errorf("kafka: topic %q cannot be given more partitions: %w (or let somebody who may run: kafka-topics.sh --alter --topic %s --partitions %d)",
				s.name, err, s.name, s.partitions)
		}
		if err := c.grown(ctx, &s); err != nil {
			return changed, err
		}
		changed = append(changed, fmt.Sprintf("topic %s has %d partitions, before %d", s.name, s.partitions, len(t.Partitions)))
	}
	return changed, nil
}

// grown waits until this process knows all partitions, and their leaders.
func (c *Client) grown(ctx context.Context, s *spec) error {
	pause := pauseShort()
	for until := time.Now().Add(30 * time.Second); ; {
		ranges, err := c.Ranges(ctx, s.short)
		if err == nil && len(ranges) >= s.partitions {
			return c.await(ctx, s)
		}
		if time.Now().After(until) || !sleep(ctx, pause) {
			return errors.Join(c.explain(s.short, kafkago.LeaderNotAvailable), err)
		}
	}
}

// Sweep deletes the snapshots in a partition of the state topic whose name stale
// says is of no use. Nobody may save under such a name meanwhile.
func (s *Store) Sweep(ctx context.Context, partition int, stale func(task string) bool) error {
	there := map[string]bool{}
	err := s.client.ReadAll(ctx, State, partition, func(m *bus.Message) error {
		key := string(m.Key)
		task, ok := taskOf(key)
		if !ok || !stale(task) {
			return nil
		}
		if m.Value == nil {
			delete(there, key)
		} else {
			there[key] = true
		}
		return nil
	})
	var heads, rest []bus.Message
	for key := range there { // heads first: without its head nothing counts
		if strings.Contains(key, "/head/") {
			heads = append(heads, bus.Message{Key: []byte(key)})
		} else {
			rest = append(rest, bus.Message{Key: []byte(key)})
		}
	}
	t := &Task{store: s, partition: partition}
	if err == nil {
		err = t.write(ctx, heads)
	}
	if err == nil {
		err = t.write(ctx, rest)
	}
	if err != nil {
		return fmt.Errorf("kafka: sweep partition %d of %s: %w", partition, State, err)
	}
	return nil
}

// taskOf is the task that a key of the state topic belongs to.
func taskOf(key string) (task string, ok bool) {
	for _, kind := range []string{"/blob/", "/head/"} {
		if at := strings.Index(key, kind); at > 0 {
			_, ok = parseKey(key[at+1:])
			return key[:at], ok
		}
	}
	return "", false
}
