package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/kafkanet"
)

// The library hands out the records of an answer one by one, through a stream that it
// decompresses, and copies each. Here an answer is read whole, and the records of a
// batch are handed out where they were decompressed: a third of what a detector's
// reading costs. https://kafka.apache.org/protocol#The_Messages_Fetch

// fetchVersion is that of Kafka 2.1, the first to know zstd.
const fetchVersion = 10

// mostAnswer bounds what is asked for at once where an answer of the usual size held
// nothing new.
const mostAnswer = 64 << 20

// wire is a connection to the broker that serves a partition.
type wire struct {
	conn  net.Conn
	topic string // in full
	id    int32
	asked int32 // number of the last request
	size  int64 // bytes to ask for; 0: as usual
}

// answer is what a broker said of one partition.
type answer struct {
	end     int64  // behind the partition's last record
	batches []byte // the last one may be cut off
}

// ask asks for records from an offset on. The answer is read into buf.
func (w *wire) ask(from int64, buf []byte) (a answer, _ []byte, err error) {
	if err := w.conn.SetDeadline(time.Now().Add(fetchWait + kafkanet.Patience)); err != nil {
		return a, buf, err
	}
	w.asked++
	size := int32(max(w.size, fetchBytes))
	err = protocol.WriteRequest(w.conn, fetchVersion, w.asked, kafkanet.ClientID, &fetch.Request{
		ReplicaID: -1, MaxWaitTime: int32(fetchWait.Milliseconds()), MinBytes: 1, MaxBytes: size, SessionEpoch: -1,
		Topics: []fetch.RequestTopic{{Topic: w.topic, Partitions: []fetch.RequestPartition{{
			Partition: w.id, CurrentLeaderEpoch: -1, FetchOffset: from, LogStartOffset: -1, PartitionMaxBytes: size}}}},
	})
	if err != nil {
		return a, buf, err
	}
	var head [8]byte
	if _, err := io.ReadFull(w.conn, head[:]); err != nil {
		return a, buf, err
	}
	length, number := int64(binary.BigEndian.Uint32(head[:])), int32(binary.BigEndian.Uint32(head[4:]))
	if number != w.asked || length < 4 || length > 2*mostAnswer {
		return a, buf, fmt.Errorf("an answer of %d bytes to request %d came, not to %d (is that a Kafka broker?)", length, number, w.asked)
	}
	buf = slices.Grow(buf[:0], int(length-4))[:length-4]
	if _, err := io.ReadFull(w.conn, buf); err != nil {
		return a, buf, err
	}
	a, err = readAnswer(buf)
	return a, buf, err
}

// errShort is an answer, or a batch of records, that ends too early.
var errShort = errors.New("what the broker sent ends too early")

// readAnswer reads an answer about one partition.
func readAnswer(b []byte) (a answer, err error) {
	r := cutter{b: b}
	r.int32() // throttle time
	failed := int16(r.uint16())
	r.int32() // session
	topics := r.int32()
	if failed == 0 && topics == 1 {
		r.bytes(int(r.uint16())) // topic
		if n := r.int32(); n != 1 {
			return a, fmt.Errorf("the broker answered about %d partitions, not about one", n)
		}
		r.int32() // partition
		failed = int16(r.uint16())
		a.end = r.int64()
		r.int64()                                   // last stable offset
		r.int64()                                   // log start offset
		r.bytes(16 * int(max(0, r.int32())))        // aborted transactions
		a.batches = r.bytes(int(max(0, r.int32()))) // -1: none
	}
	switch {
	case r.short:
		return a, errShort
	case failed != 0:
		return a, kafkago.Error(failed)
	case topics != 1:
		return a, fmt.Errorf("the broker answered about %d topics, not about one", topics)
	}
	return a, nil
}

// fetch takes in one answer, and hands its records out. It returns the offset to go on
// from, also with an error, and the end of the partition.
func (f *fetcher) fetch(ctx context.Context, w *wire) (place, end int64, err error) {
	buf := f.answers.get()
	defer func() { f.answers.put(buf) }()
	var a answer
	if a, buf, err = w.ask(f.next, buf); err != nil {
		return f.next, f.next, err
	}
	place, err = f.take(ctx, a.batches, f.next, a.end)
	switch {
	case place > f.next:
		w.size = 0
	case err == nil && a.end > place: // an answer too small
		w.size = min(2*max(w.size, fetchBytes), mostAnswer)
	}
	return place, a.end, err
}

// take hands out the records of a row of batches from an offset on, and returns the
// one to go on from.
func (f *fetcher) take(ctx context.Context, batches []byte, from, end int64) (int64, error) {
	for len(batches) > 0 {
		h, rest, err := readBatch(batches)
		if err != nil || h.records == nil { // or the rest of it did not fit into the answer
			return from, err
		}
		if h.last >= from && h.count > 0 && !h.control {
			if from, err = f.records(ctx, &h, from, end); err != nil {
				return from, err
			}
		}
		from, batches = max(from, h.last+1), rest // also where its last records were compacted away
	}
	return from, nil
}

// records hands out the records of a batch from an offset on, and returns the one behind
// the last that was.
func (f *fetcher) records(ctx context.Context, h *batchHead, from, end int64) (int64, error) {
	buf, err := f.unpacker.unpack(f.spare.get(), h.code, h.records)
	if err != nil {
		return from, fmt.Errorf("the records from offset %d on cannot be decompressed: %w", h.base, err)
	}
	shared := &lent{b: buf, to: f.spare}
	shared.left.Store(int32(h.count))
	r := cutter{b: buf}
	for range h.count {
		m := &bus.Message{Topic: f.topic, Partition: f.partition, Free: shared.free}
		if m.Offset = h.base + r.record(m); r.short {
			return from, fmt.Errorf("the records from offset %d on: %w", h.base, errShort)
		}
		if m.Offset < from {
			m.Free()
			continue
		}
		from = m.Offset + 1
		if err := f.queue.put(ctx, arrival{m, max(end, from)}, sizeOf(m)); err != nil { // brokers say the end first, then read
			return m.Offset, err
		}
	}
	return from, nil
}

// lent is memory that the messages of a batch share. It is used again once all of
// them are given back; a message that its receiver keeps keeps all of it.
type lent struct {
	left atomic.Int32
	b    []byte
	to   *spare
}

func (l *lent) free() {
	if l.left.Add(-1) == 0 {
		l.to.put(l.b)
	}
}

// spare keeps memory that was given back, as long as the garbage collector lets it.
type spare struct{ pool sync.Pool }

func (s *spare) get() []byte {
	if b, ok := s.pool.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

func (s *spare) put(b []byte) {
	if cap(b) > 0 && cap(b) <= mostSpare {
		s.pool.Put(&b)
	}
}
