package authz

import (
	"sync"
	"sync/atomic"
)

// The shape of the table: a subject has waysPerSet places in one set, so that finding
// it, and finding whom to forget, looks at two cache lines.
const (
	cellShards = 64
	waysPerSet = 8
)

// cell is one subject under one standing limit.
type cell struct {
	key uint64 // keyed hash of both; 0 = empty
	due int64
}

// cells is a bounded table of them. A full set forgets the subject that is closest to
// a full quota: with most, one that has it, which changes nothing. What is forgotten
// while its quota was not full is counted.
//
// Two subjects with the same hash share a quota. The hash is keyed with the process's own
// seed, so nobody can bring that about, and by chance it needs 2^32 subjects.
type cells struct {
	shards [cellShards]cellShard
	sets   uint64 // a shard
	lost   atomic.Int64
}

type cellShard struct {
	mu    sync.Mutex
	table []cell
	_     [32]byte // shards on cache lines of their own
}

func newCells(n int) *cells {
	c := &cells{sets: uint64(max(n/cellShards/waysPerSet, 1))}
	for i := range c.shards {
		c.shards[i].table = make([]cell, c.sets*waysPerSet)
	}
	return c
}

// take counts n requests of a subject, and returns when its next one is due.
func (c *cells) take(key uint64, p pace, now, n int64) (due int64, ok bool) {
	if key == 0 {
		key = 1
	}
	s := &c.shards[key%cellShards]
	at := key / cellShards % c.sets * waysPerSet
	s.mu.Lock()
	defer s.mu.Unlock()
	set := s.table[at : at+waysPerSet : at+waysPerSet]
	oldest := 0
	for i := range set {
		if set[i].key == key {
			set[i].due, ok = p.Next(set[i].due, now, n)
			return set[i].due, ok
		}
		if set[i].due < set[oldest].due {
			oldest = i
		}
	}
	due, ok = p.Next(0, now, n)
	if !ok {
		return due, false
	}
	if set[oldest].due > now {
		c.lost.Add(1)
	}
	set[oldest] = cell{key, due}
	return due, true
}
