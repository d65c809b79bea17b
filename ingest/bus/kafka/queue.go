package kafka

import (
	"context"
	"sync"

	"github.com/portcullis/portcullis/ingest/bus"
)

// queue is a bounded queue in order: many may put, one takes. Beyond its limit of
// bytes put blocks; a single larger item is let in alone.
type queue[T any] struct {
	limit int64

	mu     sync.Mutex
	items  []T
	sizes  []int64
	bytes  int64
	closed bool
	news   chan struct{} // holds a token where something came, or it was closed
	room   signal        // when something was taken
}

func newQueue[T any](limit int64) *queue[T] {
	return &queue[T]{limit: limit, news: make(chan struct{}, 1)}
}

// put appends an item. It blocks while the queue is full, until ctx ends or the
// queue is closed.
func (q *queue[T]) put(ctx context.Context, item T, size int64) error {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return bus.ErrClosed
		}
		if err := ctx.Err(); err != nil {
			q.mu.Unlock()
			return err
		}
		if len(q.items) == 0 || q.bytes+size <= q.limit {
			q.items, q.sizes = append(q.items, item), append(q.sizes, size)
			q.bytes += size
			q.mu.Unlock()
			q.wake()
			return nil
		}
		room := q.room.wait()
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
	}
}

func (q *queue[T]) wake() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}

// take waits for items and returns those in front, up to so many bytes and so many
// items, but at least one. What it returns is empty where ctx ended, or the queue
// is closed and empty.
func (q *queue[T]) take(ctx context.Context, bytes int64, items int) []T {
	for {
		q.mu.Lock()
		if n := q.front(bytes, items); n > 0 {
			out := append([]T(nil), q.items[:n]...)
			clear(q.items[:n]) // what was taken is not held
			for _, size := range q.sizes[:n] {
				q.bytes -= size
			}
			q.items, q.sizes = q.items[n:], q.sizes[n:]
			q.mu.Unlock()
			q.room.wake()
			return out
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return nil
		}
		select {
		case <-q.news:
		case <-ctx.Done():
			return nil
		}
	}
}

// front counts what take may have.
func (q *queue[T]) front(bytes int64, items int) (n int) {
	for sum := int64(0); n < len(q.items) && n < items; n++ {
		if sum += q.sizes[n]; n > 0 && sum > bytes {
			break
		}
	}
	return n
}

// close ends put; what is in the queue can still be taken.
func (q *queue[T]) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.room.wake()
	q.wake()
}

// fill is how full the queue is.
func (q *queue[T]) fill() (items int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.bytes
}

// signal wakes all that wait for a change.
type signal struct {
	mu sync.Mutex
	c  chan struct{}
}

// wait returns what is closed at the next change.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

func (s *signal) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}
