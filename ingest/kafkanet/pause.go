package kafkanet

import (
	"context"
	"math/rand/v2"
	"time"
)

// Pause is the wait between attempts: it doubles up to Last, and is spread so that
// many clients do not come at once.
type Pause struct{ First, Last, now time.Duration }

// NewPause returns the pauses between attempts to reach a broker.
func NewPause() *Pause { return &Pause{First: 100 * time.Millisecond, Last: 5 * time.Second} }

// Reset begins with the first again, after a success.
func (p *Pause) Reset() { p.now = 0 }

// Next is how long to wait now.
func (p *Pause) Next() time.Duration {
	d := max(p.now, p.First)
	p.now = min(2*d, p.Last)
	return d/2 + rand.N(d/2)
}

// Sleep waits and says whether ctx is still on.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
