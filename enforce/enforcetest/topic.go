package enforcetest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/portcullis/portcullis/enforce/journal"
)

// Topic is a decisions topic in memory, with what is awkward about the real one:
// an append may be written and fail all the same, compaction takes away what a
// later record of the key stands for, and deleted keys vanish some time later. It
// may be used from any goroutine.
type Topic struct {
	mu      sync.Mutex
	recs    []journal.Record
	next    int64
	grown   chan struct{} // closed, and made anew, with every append
	appends int
}

// NewTopic returns an empty topic.
func NewTopic() *Topic { return &Topic{grown: make(chan struct{})} }

// Append implements enforce.Journal.
func (t *Topic) Append(ctx context.Context, epoch int64, recs []journal.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range recs {
		if r.Epoch != epoch {
			return errors.New("topic: a record of another epoch than its append")
		}
		r.Offset, r.Value = t.next, slices.Clone(r.Value)
		t.recs = append(t.recs, r)
		t.next++
	}
	t.appends++
	close(t.grown)
	t.grown = make(chan struct{})
	return nil
}

// Read waits for records at or behind an offset and returns at most limit of
// them, with the offset to go on from.
func (t *Topic) Read(ctx context.Context, from int64, limit int) (recs []journal.Record, next int64, err error) {
	for {
		t.mu.Lock()
		i, _ := slices.BinarySearchFunc(t.recs, from, func(r journal.Record, at int64) int { return int(r.Offset - at) })
		recs, next, grown := slices.Clone(t.recs[i:min(i+limit, len(t.recs))]), t.next, t.grown
		t.mu.Unlock()
		if len(recs) == limit {
			next = recs[limit-1].Offset + 1
		}
		if len(recs) > 0 || next > from {
			return recs, next, nil
		}
		select {
		case <-ctx.Done():
			return nil, from, ctx.Err()
		case <-grown:
		}
	}
}

// Compact takes away every record before an offset that has a later one of its
// key before it, too; and those that delete a key, before another offset.
func (t *Topic) Compact(before, deletions int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	newest := map[string]int64{}
	for _, r := range t.recs {
		if r.Offset < before {
			newest[r.Key] = r.Offset
		}
	}
	t.recs = slices.DeleteFunc(t.recs, func(r journal.Record) bool {
		return r.Offset < before && (newest[r.Key] != r.Offset || r.Offset < deletions && r.Value == nil)
	})
}

// End is the offset of the next record, and how many records there are.
func (t *Topic) End() (next int64, records int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next, len(t.recs)
}

// Appends is how often something was appended.
func (t *Topic) Appends() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.appends
}
