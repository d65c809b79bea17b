package task

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// The topics, without the installation's prefix.
const (
	TopicAccess    = "access"
	TopicPartials  = "partials"
	TopicFindings  = "findings"
	TopicDecisions = "decisions"
	TopicState     = "state"
	TopicRejected  = "rejected"
)

// HeaderKind is the header that tells what a message of the findings topic is.
const HeaderKind = "kind"

// The kinds of messages in the findings topic.
const (
	KindFinding  = "finding"
	KindSighting = "sighting"
	KindRollup   = "rollup"
	KindReject   = "reject"
	KindBeat     = "beat"    // of a task
	KindProcess  = "process" // of a collector, a detector, an enforcer
)

// HeaderReason is the header of a rejected message that says why it is there.
const HeaderReason = "reason"

// Sender puts messages into topics. Send blocks while too much waits and keeps the
// order within a partition; done is called when the message is durable, or with the
// reason why it never will be. Flush waits for all that was sent.
type Sender interface {
	Send(ctx context.Context, topic string, partition int, m bus.Message, done func(error)) error
	Flush(ctx context.Context) error
}

// Topics is Out on a Sender.
type Topics struct {
	Sender
	FindingParts int                           // partitions of the findings topic
	Refused      func(topic string, why error) // hears of what a topic refuses for good; it is not lost silently
}

var _ Out = (*Topics)(nil)

func (o *Topics) send(ctx context.Context, topic string, partition int, m bus.Message) error {
	m.Partition = partition
	return o.Send(ctx, topic, partition, m, func(err error) {
		if err != nil {
			o.Refused(topic, err)
		}
	})
}

// Tell sends one message of a kind to the findings topic; those of one key stay in
// order.
func (o *Topics) Tell(ctx context.Context, kind, key string, value []byte) error {
	h := fnv.New32a()
	h.Write([]byte(key)) //nolint:errcheck // never fails
	m := bus.Message{Key: []byte(key), Value: value, Headers: []bus.Header{{Key: HeaderKind, Value: []byte(kind)}}}
	return o.send(ctx, TopicFindings, int(h.Sum32()%uint32(o.FindingParts)), m)
}

// Findings implements Out.
func (o *Topics) Findings(ctx context.Context, list []detect.Finding) error {
	for i := range list {
		value, err := detect.EncodeFinding(&list[i])
		if err != nil {
			return err
		}
		if err := o.Tell(ctx, KindFinding, list[i].Subject.Kind+":"+list[i].Subject.Value, value); err != nil {
			return err
		}
	}
	return nil
}

// Sightings hands on requests of watched subjects.
func (o *Topics) Sightings(ctx context.Context, list []detect.Sightings) error {
	for i := range list {
		if err := o.Tell(ctx, KindSighting, "ip:"+list[i].Client.String(), detect.EncodeSightings(list[i])); err != nil {
			return err
		}
	}
	return nil
}

// Rollups implements Out.
func (o *Topics) Rollups(ctx context.Context, list []detect.Rollup) error {
	for len(list) > 0 {
		n := min(len(list), 200)
		value, err := json.Marshal(list[:n])
		if err != nil {
			return fmt.Errorf("rollups: %w", err)
		}
		// One key: the figures of a minute must not overtake each other.
		if err := o.Tell(ctx, KindRollup, KindRollup, value); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// rejectWire is a sample of a rejected line; its bytes may be anything.
type rejectWire struct {
	Source string        `json:"source"`
	File   uint64        `json:"file"`
	Offset int64         `json:"offset"`
	Reason ingest.Reason `json:"reason"`
	Length int64         `json:"length"`
	Sample []byte        `json:"sample"`
}

// Rejects implements Out.
func (o *Topics) Rejects(ctx context.Context, list []ingest.Reject) error {
	if len(list) == 0 {
		return nil
	}
	wire := make([]rejectWire, len(list))
	for i, r := range list {
		wire[i] = rejectWire{r.Pos.Source, r.Pos.File, r.Pos.Offset, r.Reason, r.Length, []byte(r.Sample)}
	}
	value, err := json.Marshal(wire)
	if err != nil {
		return fmt.Errorf("rejects: %w", err)
	}
	return o.Tell(ctx, KindReject, KindReject, value)
}

// DecodeRejects reads what Rejects sent.
func DecodeRejects(value []byte) ([]ingest.Reject, error) {
	var wire []rejectWire
	if err := json.Unmarshal(value, &wire); err != nil {
		return nil, fmt.Errorf("rejects: %w", err)
	}
	out := make([]ingest.Reject, len(wire))
	for i, r := range wire {
		out[i] = ingest.Reject{Pos: ingest.Position{Source: r.Source, File: r.File, Offset: r.Offset}, Reason: r.Reason, Length: r.Length,
			Sample: string(r.Sample[:min(len(r.Sample), ingest.SampleBytes)])}
	}
	return out, nil
}

// Beat implements Out.
func (o *Topics) Beat(ctx context.Context, b Beat) error {
	value, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("beat: %w", err)
	}
	return o.Tell(ctx, KindBeat, Key{b.Task, b.Partition}.String(), value)
}

// Partials implements Out: one message for each partition of level two, the empty
// ones included, since they say which seconds are closed.
func (o *Topics) Partials(ctx context.Context, partition int, offset int64, list []detect.Partials) error {
	from, upto := []byte(strconv.Itoa(partition)), []byte(strconv.FormatInt(offset, 10))
	for i := range list {
		m := bus.Message{Value: list[i].Append(nil), Headers: []bus.Header{{Key: HeaderFrom, Value: from}, {Key: HeaderUpto, Value: upto}}}
		if err := o.send(ctx, TopicPartials, i, m); err != nil {
			return err
		}
	}
	return nil
}

// Foreign implements Out.
func (o *Topics) Foreign(ctx context.Context, m *bus.Message, why error) error {
	reason := fmt.Sprintf("%s, partition %d, offset %d: %v", m.Topic, m.Partition, m.Offset, why)
	headers := append([]bus.Header{{Key: HeaderReason, Value: []byte(reason)}}, m.Headers...)
	return o.send(ctx, TopicRejected, 0, bus.Message{Key: m.Key, Value: m.Value, Headers: headers})
}
