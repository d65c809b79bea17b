package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	kafkago "github.com/segmentio/kafka-go"
)

// everywhere is the place of a trouble that is not of one partition.
const everywhere = -1

// trouble is what keeps the topic from being read. Each message is said once
// until all is well again, however many partitions and attempts it meets.
type trouble struct {
	log  *slog.Logger
	name string

	mu   sync.Mutex
	of   map[int]string // by partition
	said map[string]bool
}

// maxSaid bounds how many different messages one time of trouble brings to the
// log.
const maxSaid = 100

// say notes why a partition is not read now.
func (t *trouble) say(ctx context.Context, partition int, what problem) {
	if ctx.Err() != nil {
		return // it is we who stop
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of, t.said = map[int]string{}, map[string]bool{}
	}
	t.of[partition] = what.text
	if t.said[what.text] || len(t.said) >= maxSaid {
		return
	}
	t.said[what.text] = true
	t.log.Warn("kafka: the topic cannot be read", "source", t.name, "error", what.text, "hint", what.hint)
}

// well notes that a partition is read.
func (t *trouble) well(partition int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, had := t.of[partition]; !had {
		return
	}
	delete(t.of, partition)
	if len(t.of) == 0 {
		clear(t.said)
		t.log.Info("kafka: the topic can be read again", "source", t.name)
	}
}

// now is the trouble to show: of the topic as a whole, else of its first
// partition that has one; empty where all is well.
func (t *trouble) now() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.of) == 0 {
		return ""
	}
	first := 1<<31 - 1
	for id := range t.of {
		first = min(first, id)
	}
	if first == everywhere {
		return t.of[first]
	}
	return fmt.Sprintf("partition %d: %s", first, t.of[first])
}

// problem is an error in words that do not change from attempt to attempt.
type problem struct{ text, hint string }

// explain puts an error into words for the operator.
func (s *Source) explain(err error) problem {
	brokers := strings.Join(s.cfg.Brokers, ", ")
	const retried = "it is tried again until it works"
	var op *net.OpError
	switch {
	case errors.Is(err, kafkago.UnknownTopicOrPartition):
		return problem{fmt.Sprintf("topic %q does not exist on %s", s.cfg.Topic, brokers),
			"correct the name (upper and lower case count), or let the gateway write its first record; it is read as soon as it is there"}
	case errors.Is(err, kafkago.TopicAuthorizationFailed):
		return problem{fmt.Sprintf("user %q may not read topic %q", s.cfg.SASL.User, s.cfg.Topic),
			"allow it on the broker: kafka-acls.sh --add --allow-principal User:NAME --operation Read --operation Describe --topic TOPIC"}
	case errors.Is(err, kafkago.SASLAuthenticationFailed):
		return problem{fmt.Sprintf("the broker refused user %q (%s)", s.cfg.SASL.User, s.cfg.SASL.Mechanism),
			"check user, password and mechanism"}
	case errors.Is(err, kafkago.UnsupportedSASLMechanism):
		return problem{fmt.Sprintf("the broker does not offer SASL mechanism %s", s.cfg.SASL.Mechanism),
			"set the mechanism that the broker's listener has in sasl.enabled.mechanisms"}
	case errors.As(err, &op): // its own text names a local port, which is another each time
		return problem{fmt.Sprintf("%s %v: %v", op.Op, op.Addr, op.Err), "is the broker up, and the address right? " + retried}
	}
	hint := retried
	if s.cfg.SASL.User == "" || !s.cfg.TLS.Enabled {
		hint = "does the broker's listener want TLS or a login (SASL) that is not set? " + retried
	}
	return problem{fmt.Sprintf("%.300s", err.Error()), hint}
}
