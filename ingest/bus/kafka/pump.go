package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/initproducerid"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// maxBatch is how many messages go in one request at most.
const maxBatch = 10_000

// forGood are the errors that a repeat meets again.
var forGood = []error{
	kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge, kafkago.InvalidRecord,
	kafkago.InvalidTimestamp, kafkago.UnsupportedForMessageFormat, kafkago.PolicyViolation,
}

// forgotten are the answers of a broker that does not know our sequence: its
// record of us expired, or the partition was made anew.
var forgotten = []error{
	kafkago.OutOfOrderSequenceNumber, kafkago.UnknownProducerId,
	kafkago.InvalidProducerEpoch, kafkago.InvalidProducerIDMapping,
}

// pump sends what is queued for one partition. Its goroutine alone uses what is
// not shared.
type pump struct {
	*Producer
	at    kafkanet.Place
	queue *queue[entry]

	sent  atomic.Int64 // put, or about to be
	ended atomic.Int64 // met their end
	moved signal       // when ended grew

	encoder encoder
	who     producer
	known   bool // who is
	corrupt int  // times in a row that a batch arrived broken
}

func newPump(p *Producer, at kafkanet.Place) *pump {
	return &pump{
		Producer: p, at: at, queue: newQueue[entry](p.client.cfg.QueueBytes),
		encoder: encoder{packer: p.client.packer},
	}
}

// run sends until ctx ends, and then tells the senders of the rest.
func (q *pump) run(ctx context.Context) {
	for {
		batch := q.queue.take(ctx, q.client.cfg.BatchBytes, maxBatch)
		if len(batch) == 0 {
			break
		}
		if ctx.Err() != nil {
			q.give(batch, bus.ErrClosed)
			continue
		}
		q.send(ctx, batch)
	}
	q.queue.close()
	for rest := q.queue.take(context.Background(), 1<<62, 1<<30); len(rest) > 0; rest = q.queue.take(context.Background(), 1<<62, 1<<30) {
		q.give(rest, bus.ErrClosed)
	}
}

// give tells the senders of messages that they failed.
func (q *pump) give(batch []entry, err error) {
	for i := range batch {
		batch[i].end(-1, err)
	}
	q.finish(len(batch))
}

func (q *pump) finish(n int) {
	q.ended.Add(int64(n))
	q.moved.wake()
}

// flush waits until what was sent before has met its end.
func (q *pump) flush(ctx context.Context) error {
	until := q.sent.Load()
	for {
		moved := q.moved.wait()
		if q.ended.Load() >= until {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// send repeats a batch until the broker has it or refuses it for good. In the
// latter case each message is tried alone, so that only the bad ones are lost.
func (q *pump) send(ctx context.Context, batch []entry) {
	body, err := q.encoder.batch(batch, time.Now())
	if err != nil {
		q.give(batch, err)
		return
	}
	offset, err := q.insist(ctx, body, len(batch))
	switch {
	case err == nil:
		q.count(batch, int64(len(body)))
		for i := range batch {
			batch[i].end(offset+int64(i), nil)
		}
		q.finish(len(batch))
	case errors.Is(err, bus.ErrClosed):
		q.give(batch, err)
	case len(batch) > 1:
		for i := range batch {
			q.send(ctx, batch[i:i+1])
		}
	default:
		m := &batch[0].message
		q.stats.refused.Add(1)
		q.give(batch, &RefusedError{Topic: q.client.Topic(q.at.Topic), Partition: q.at.Partition, Bytes: len(m.Key) + len(m.Value), Err: err})
	}
}

func (q *pump) count(batch []entry, wire int64) {
	sum := int64(0)
	for i := range batch {
		sum += int64(len(batch[i].message.Key) + len(batch[i].message.Value))
	}
	q.stats.messages.Add(int64(len(batch)))
	q.stats.bytes.Add(sum)
	q.stats.wire.Add(wire)
	q.stats.requests.Add(1)
}

// insist sends a batch until it is there. Its error is bus.ErrClosed, or one for
// good.
func (q *pump) insist(ctx context.Context, body []byte, records int) (int64, error) {
	pause := kafkanet.Pause{First: 50 * time.Millisecond, Last: time.Second}
	stamped := false
	for {
		err := q.identify(ctx)
		if err == nil && !stamped {
			stamped = true
			stamp(body, q.who)
		}
		offset := int64(-1)
		if err == nil {
			offset, err = q.attempt(ctx, body)
		}
		if err == nil {
			q.who, q.corrupt = q.who.after(records), 0
			q.trouble.Well(q.at)
			return offset, nil
		}
		q.encoder.lend() // an attempt that was given up may still be read by its connection
		switch {
		case ctx.Err() != nil:
			return -1, bus.ErrClosed
		case refused(err) || q.broken(err):
			q.trouble.Well(q.at)
			return -1, err
		}
		q.stats.retries.Add(1)
		if q.forget(err) {
			body, stamped = bytes.Clone(body), false
		}
		if !starting(err) {
			q.trouble.Say(ctx, q.at, q.client.problem(q.at.Topic, err))
		}
		if !kafkanet.Sleep(ctx, pause.Next()) {
			return -1, bus.ErrClosed
		}
	}
}

// broken says whether a batch arrives broken again and again: then it is not the
// wire. The broker calls an invalid key so as well.
func (q *pump) broken(err error) bool {
	if !errors.Is(err, kafkago.InvalidMessage) {
		q.corrupt = 0
		return false
	}
	q.corrupt++
	return q.corrupt > 3
}

// forget drops an id that the broker does not know any more, and says whether it
// did.
func (q *pump) forget(err error) bool {
	for _, one := range forgotten {
		if errors.Is(err, one) && q.who.id >= 0 {
			q.known = false
			q.client.log.Warn("kafka: the broker forgot our sequence; a message may come twice",
				"topic", q.client.Topic(q.at.Topic), "partition", q.at.Partition, "error", err.Error(),
				"hint", "were records or the topic deleted, or was a broker that was behind made the leader (unclean.leader.election.enable)?")
			return true
		}
	}
	return false
}

// attempt sends a batch once and returns the offset of its first record.
func (q *pump) attempt(ctx context.Context, body []byte) (int64, error) {
	answer, err := q.client.link.Client.RawProduce(ctx, &kafkago.RawProduceRequest{
		Topic: q.client.Topic(q.at.Topic), Partition: q.at.Partition, RequiredAcks: kafkago.RequireAll,
		RawRecords: protocol.RawRecordSet{Reader: bytes.NewReader(body)},
	})
	if err == nil {
		err = answer.Error
	}
	err = q.client.link.Why(ctx, q.client.Topic(q.at.Topic), err)
	if errors.Is(err, kafkago.DuplicateSequenceNumber) { // an earlier attempt made it
		return answer.BaseOffset, nil
	}
	if err != nil {
		return -1, err
	}
	return answer.BaseOffset, nil
}

// identify gets a producer id for the partition, by which the broker drops
// repeats. Brokers before 3.0 want the right IdempotentWrite for it; without that
// a repeat stays.
func (q *pump) identify(ctx context.Context) error {
	if q.known {
		return nil
	}
	who, err := q.client.producerID(ctx)
	if errors.Is(err, kafkago.ClusterAuthorizationFailed) || errors.Is(err, kafkago.UnsupportedVersion) {
		q.client.log.Warn("kafka: the broker gives no producer id; after a lost answer a message may come twice",
			"error", err.Error(), "hint", "allow the user IdempotentWrite on the cluster")
		who, err = producer{id: -1, epoch: -1}, nil
	}
	if err != nil {
		return err
	}
	q.who, q.known = who, true
	return nil
}

// initProducer is the library's request, but sent to any broker: the library asks
// the coordinator of a transaction, and there is none.
type initProducer initproducerid.Request

// ApiKey implements protocol.Message.
func (*initProducer) ApiKey() protocol.ApiKey { return protocol.InitProducerId }

func (c *Client) producerID(ctx context.Context) (producer, error) {
	ctx, cancel := context.WithTimeout(ctx, kafkanet.Patience)
	defer cancel()
	answer, err := c.link.Client.Transport.RoundTrip(ctx, c.link.Client.Addr, &initProducer{TransactionTimeoutMs: 60_000, ProducerID: -1, ProducerEpoch: -1})
	if err != nil {
		return producer{}, err
	}
	got, ok := answer.(*initproducerid.Response)
	if !ok {
		return producer{}, fmt.Errorf("the broker answered the request for a producer id with %T", answer)
	}
	if got.ErrorCode != 0 {
		return producer{}, kafkago.Error(got.ErrorCode)
	}
	return producer{id: got.ProducerID, epoch: got.ProducerEpoch}, nil
}
