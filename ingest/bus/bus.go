// Package bus is the log between the stages: topics with partitions, ordered
// within a partition, delivered at least once, with an explicit commit.
//
// The memory implementation serves one process and loses nothing while that
// lives: a full partition blocks its producers, nothing is dropped. What a crash
// takes with it is read again by the source, from the mark that was saved with
// the state (ingest.Mark).
package bus

import (
	"context"
	"errors"
)

// Bus connects the stages. All methods may be called concurrently.
type Bus interface {
	// Publish appends m to its topic: to the partition of its key, or to the
	// partitions in turn where Key is nil. It returns once the bus answers for the
	// message, and blocks while the partition is full, until ctx ends. After nil the
	// bus owns Value, Headers and Free; after an error the caller still does, and
	// the message was not published.
	Publish(ctx context.Context, m Message) error
	// Subscribe joins a consumer group on one topic. Each group gets every message
	// that was published after its first subscription; within a group each partition
	// is read by one Reader at a time. When a Reader comes or goes, partitions move,
	// and what was not committed is delivered again.
	Subscribe(ctx context.Context, topic, group string) (Reader, error)
	// Close ends all calls that block with ErrClosed. It is idempotent.
	Close() error
}

// Reader is one member of a consumer group. Fetch and Commit may be called by
// different goroutines; two Fetches at once share the messages.
type Reader interface {
	// Fetch returns the next message, in order within its partition. Its bytes may
	// be read until it is committed, and never written to: other groups see them too.
	Fetch(ctx context.Context) (*Message, error)
	// Commit says that these messages, and all before them in their partitions, are
	// dealt with. Their bytes may be gone afterwards. In memory commit early, as soon
	// as nothing refers to the bytes: what is not committed fills the bus.
	Commit(ctx context.Context, messages ...*Message) error
	// Close leaves the group. What was fetched and not committed is delivered again
	// to the others, or to the next that subscribes.
	Close() error
}

// Header is one entry of a message's ordered headers. Keys may repeat.
type Header struct {
	Key   string
	Value []byte
}

// Message is one entry of a topic.
type Message struct {
	Topic   string
	Key     []byte // chooses the partition; nil: any
	Value   []byte
	Headers []Header

	Partition int   // set by the bus
	Offset    int64 // within the partition, set by the bus

	// Free gives Value back to its owner; nil is fine. A bus that keeps Value calls
	// it once, when every group has committed the message or, for what nobody has
	// fetched, when it is closed; one that copies calls it before Publish returns.
	Free func()
}

// Header returns the value of the first header with that key, nil where there is
// none.
func (m *Message) Header(key string) []byte {
	for i := range m.Headers {
		if m.Headers[i].Key == key {
			return m.Headers[i].Value
		}
	}
	return nil
}

// Errors that callers tell apart.
var (
	// ErrClosed is returned by every call on a bus or a Reader that was closed.
	ErrClosed = errors.New("bus: closed")
	// ErrNotAssigned is returned by Commit for a partition that moved to another
	// Reader; that one gets the messages again.
	ErrNotAssigned = errors.New("bus: the partition belongs to another reader of the group now; its messages are delivered there again")
)
