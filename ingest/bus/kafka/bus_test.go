package kafka_test

import (
	"testing"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/ingesttest"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// closing is a bus that ends its client with it.
type closing struct {
	*kafka.Bus
	client *kafka.Client
}

func (c closing) Close() error {
	err := c.Bus.Close()
	c.client.Close()
	return err
}

func TestContract(t *testing.T) {
	b := kafkatest.Need(t)
	ingesttest.Bus(t, func(t testing.TB, topic string) bus.Bus {
		cfg := settings(b)
		cfg.Topics = []string{topic}
		b.Topic(t, cfg.Prefix+"."+topic, 3)
		c, err := kafka.Open(t.Context(), cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		return closing{c.Bus(), c}
	})
}
