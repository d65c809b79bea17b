package kafka

import (
	"context"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// link is the network during one Run.
type link struct {
	*kafkanet.Link
	cfg *Config
}

// commit tells the group where we are. Generation -1 and no member are those of a
// consumer that assigns its partitions itself.
func (l *link) commit(ctx context.Context, p places) error {
	var list []kafkago.OffsetCommit
	for _, id := range p.ids() {
		list = append(list, kafkago.OffsetCommit{Partition: id, Offset: p[id]})
	}
	answer, err := l.Client.OffsetCommit(ctx, &kafkago.OffsetCommitRequest{
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
