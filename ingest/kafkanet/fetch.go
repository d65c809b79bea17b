package kafkanet

import (
	"errors"
	"io"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// maxFetch bounds how much is asked for at once where an answer of the usual size
// held nothing new.
const maxFetch = 64 << 20

// Fetch asks for records of one partition; for one goroutine.
type Fetch struct {
	MinBytes int64         // what the broker gathers before it answers, for up to MaxWait
	MaxBytes int64         // of one answer, unless its first record batch is larger
	MaxWait  time.Duration // how long the broker may wait for MinBytes

	size int64 // bytes to ask for; 0: as configured
}

// Once takes in one answer: each record from next on goes to each, with the offset
// behind the partition's last record (end). It returns the offset to go on from,
// also with an error. Both are as they were where an answer came to nothing.
func (f *Fetch) Once(conn *kafkago.Conn, next int64, each func(m *kafkago.Message, end int64) error) (place, end int64, err error) {
	if err := conn.SetDeadline(time.Now().Add(f.MaxWait + Patience)); err != nil {
		return next, next, err
	}
	if _, err := conn.Seek(next, kafkago.SeekAbsolute|kafkago.SeekDontCheck); err != nil {
		return next, next, err
	}
	size := max(f.size, f.MaxBytes)
	answer := conn.ReadBatchWith(kafkago.ReadBatchConfig{MinBytes: int(f.MinBytes), MaxBytes: int(size), MaxWait: f.MaxWait})
	place, end = next, next
	if err = answer.Err(); err == nil {
		end = answer.HighWaterMark()
		place, err = take(conn, answer, next, end, each)
		if behind := answer.Offset(); errors.Is(err, io.EOF) && behind > place {
			place = behind // the rest of it was compacted away
		}
	}
	answer.Close() // its error is the one we have
	if errors.Is(err, io.EOF) || errors.Is(err, kafkago.RequestTimedOut) {
		err = nil
	}
	switch {
	case place > next:
		f.size = 0
	case err == nil && end > place: // compacted away, or an answer too small
		f.size = min(2*size, maxFetch)
	}
	return place, end, err
}

// take hands out the records of an answer; its error is never nil.
func take(conn *kafkago.Conn, answer *kafkago.Batch, next, end int64, each func(m *kafkago.Message, end int64) error) (int64, error) {
	for {
		m, err := answer.ReadMessage()
		if err != nil {
			return next, err
		}
		if m.Offset < next {
			continue
		}
		if err := each(&m, end); err != nil {
			return next, err
		}
		next = m.Offset + 1
		// The receiver may have kept us waiting: the rest of the answer gets its time.
		if err := conn.SetReadDeadline(time.Now().Add(Patience)); err != nil {
			return next, err
		}
	}
}

// Offsets asks for the first offset that a partition still has, and for the one
// behind its last.
func Offsets(conn *kafkago.Conn) (first, end int64, err error) {
	if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		return 0, 0, err
	}
	return conn.ReadOffsets()
}

// ControlRecord says whether a record is the marker that ends a transaction, which
// kafka-go hands out like any other. Its key is a version (0) and a type (0 abort,
// 1 commit), each of two bytes; its value begins with a version as well and has at
// least six bytes: https://kafka.apache.org/documentation/#controlbatch. No line
// of a log looks like that.
func ControlRecord(m *kafkago.Message) bool {
	k, v := m.Key, m.Value
	return len(k) == 4 && k[0] == 0 && k[1] == 0 && k[2] == 0 && k[3] <= 1 && len(v) >= 6 && v[0] == 0 && v[1] <= 1
}
