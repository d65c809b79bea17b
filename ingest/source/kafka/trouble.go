package kafka

import (
	"errors"
	"fmt"
	"strings"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// explain puts an error into words for the operator.
func (s *Source) explain(err error) kafkanet.Problem {
	switch {
	case errors.Is(err, kafkago.UnknownTopicOrPartition):
		return kafkanet.Problem{
			Text: fmt.Sprintf("topic %q does not exist on %s", s.cfg.Topic, strings.Join(s.cfg.Brokers, ", ")),
			Hint: "correct the name (upper and lower case count), or let the gateway write its first record",
		}
	case errors.Is(err, kafkago.TopicAuthorizationFailed):
		return kafkanet.Problem{
			Text: fmt.Sprintf("user %q may not read topic %q", s.cfg.SASL.User, s.cfg.Topic),
			Hint: "allow it on the broker: kafka-acls.sh --add --allow-principal User:NAME --operation Read --operation Describe --topic TOPIC",
		}
	}
	return s.network.Explain(err)
}
