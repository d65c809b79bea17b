package elastic

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// sizer is the size of requests: halved when the cluster is short of room, grown by
// an eighth with each request that goes well.
type sizer struct {
	mu       sync.Mutex
	cur, max int
}

// sizeMin is where halving ends for a cluster that is busy. One that calls requests
// too large gets smaller ones, down to one document each.
const sizeMin = 16 << 10

func newSizer(most int) *sizer { return &sizer{cur: most, max: most} }

func (s *sizer) now() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur
}

func (s *sizer) shrink(least int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur = max(s.cur/2, min(least, s.cur))
}

func (s *sizer) grow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur = min(s.cur+s.cur/8+1, s.max)
}

// The bounds of a pause between retries.
const (
	pauseFirst = 100 * time.Millisecond
	pauseMost  = 10 * time.Second
)

// pause waits before try n, a random time up to a bound that doubles with each, so
// that many writers do not come back at once.
func pause(ctx context.Context, n int) error {
	bound := pauseMost
	if n < 7 {
		bound = pauseFirst << n
	}
	t := time.NewTimer(bound/2 + rand.N(bound/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
