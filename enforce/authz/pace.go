package authz

import (
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect/window"
)

// pace is a rate for the generic cell rate algorithm.
type pace = window.Pace

// take is pace.Next on a shared cell, without a lock.
func take(p pace, due *atomic.Int64, now, n int64) (after int64, ok bool) {
	for {
		old := due.Load()
		after, ok = p.Next(old, now, n)
		if !ok || due.CompareAndSwap(old, after) {
			return after, ok
		}
	}
}

// seconds rounds nanoseconds up.
func seconds(ns int64) int64 {
	return (ns + int64(time.Second) - 1) / int64(time.Second)
}
