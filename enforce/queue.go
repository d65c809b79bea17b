package enforce

import (
	"math"
	"sync"

	"github.com/portcullis/portcullis/detect"
)

// queue holds findings until the enforcer judges them. It is bounded by the
// number of finding ids; a newer copy of a waiting finding takes its place. When
// it is full a further finding is left out, and the moment is kept from which
// the store has to be asked for what was missed (Health.Overflowed counts them).
// So the engine never waits for a gateway or a disk here.
type queue struct {
	mu     sync.Mutex
	limit  int
	items  map[string]detect.Finding
	order  []string
	left   int64 // findings left out since the start
	missed int64 // earliest time among those not asked for again yet; MaxInt64 = none
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, items: map[string]detect.Finding{}, missed: math.MaxInt64}
}

// offer puts a finding in and reports whether there was room.
func (q *queue) offer(f detect.Finding) bool {
	f.Evidence = [detect.MaxEvidence]detect.Evidence{} // not needed to judge, and most of its size
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.items[f.ID]; ok {
		q.items[f.ID] = f
		return true
	}
	if len(q.items) >= q.limit {
		q.left++
		q.missed = min(q.missed, when(&f))
		return false
	}
	q.items[f.ID] = f
	q.order = append(q.order, f.ID)
	return true
}

// take removes up to n findings, in the order they came.
func (q *queue) take(n int) []detect.Finding {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.order))
	out := make([]detect.Finding, n)
	for i, id := range q.order[:n] {
		out[i] = q.items[id]
		delete(q.items, id)
	}
	q.order = q.order[n:]
	if len(q.order) == 0 {
		q.order = nil
	}
	return out
}

// putBack returns findings whose effect could not be written, to the front. It
// may exceed the limit by one batch.
func (q *queue) putBack(fs []detect.Finding) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var front []string
	for _, f := range fs {
		if _, ok := q.items[f.ID]; !ok { // a newer copy may have come meanwhile
			q.items[f.ID] = f
			front = append(front, f.ID)
		}
	}
	q.order = append(front, q.order...)
}

func (q *queue) len() (waiting int, left int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.left
}

// takeMissed returns from when findings were left out, and forgets it.
func (q *queue) takeMissed() (since int64, any bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	since, q.missed = q.missed, math.MaxInt64
	return since, since != math.MaxInt64
}

// miss notes that findings since a moment have to be asked for.
func (q *queue) miss(since int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.missed = min(q.missed, since)
}
