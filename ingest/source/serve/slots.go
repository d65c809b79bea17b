package serve

import (
	"context"
	"time"
)

// slotWait is how long a request waits for others to end before it is told to
// come again.
const slotWait = 5 * time.Second

// Slots bound how many requests are read at once.
type Slots chan struct{}

// NewSlots makes n of them.
func NewSlots(n int) Slots { return make(Slots, n) }

// Take waits up to five seconds for a slot; false means that there was none.
func (s Slots) Take(ctx context.Context) bool {
	select {
	case s <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(slotWait)
	defer t.Stop()
	select {
	case s <- struct{}{}:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// Free gives a slot back.
func (s Slots) Free() { <-s }
