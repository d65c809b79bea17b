package authz

import (
	"math"
	"sync/atomic"
	"time"
)

// pace is a rate for the generic cell rate algorithm: all that is remembered of a
// subject is when its next request would be due at the steady rate (ITU-T I.371, the
// virtual scheduling algorithm).
type pace struct {
	every int64 // nanoseconds between two requests at the rate
	slack int64 // how much earlier than due one may come
}

func newPace(rate float64, burst int) pace {
	every := max(int64(float64(time.Second)/rate), 1)
	// A burst of years is no limit; the product must not overflow.
	return pace{every: every, slack: every * min(int64(burst), math.MaxInt64/4/every)}
}

// quota is how many requests pass at once from rest.
func (p pace) quota() int64 { return p.slack/p.every + 1 }

// window is in how many seconds the whole quota comes back, rounded up.
func (p pace) window() int64 { return seconds(p.every * p.quota()) }

// next takes n requests at a moment, given when the next one is due. due is
// unchanged where they may not pass.
func (p pace) next(due, now, n int64) (after int64, ok bool) {
	if n > p.quota() { // never passes, and must not overflow
		return due, false
	}
	start := max(due, now)
	after = start + p.every*n
	if after-p.every-now > p.slack {
		return due, false
	}
	return after, true
}

// left is how many more requests would pass now, and wait how long until there is
// one more.
func (p pace) left(due, now int64) (left int64, wait time.Duration) {
	ahead := due - now // of the steady rate
	if ahead <= 0 {
		return p.quota(), 0
	}
	if ahead > p.slack {
		return 0, time.Duration(ahead - p.slack)
	}
	left = (p.slack-ahead)/p.every + 1
	wait = time.Duration((ahead-1)%p.every + 1)
	return left, wait
}

// take is next on a shared cell, without a lock.
func (p pace) take(due *atomic.Int64, now, n int64) (after int64, ok bool) {
	for {
		old := due.Load()
		after, ok = p.next(old, now, n)
		if !ok || due.CompareAndSwap(old, after) {
			return after, ok
		}
	}
}

// seconds rounds nanoseconds up.
func seconds(ns int64) int64 {
	return (ns + int64(time.Second) - 1) / int64(time.Second)
}
