package enforcetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

// Faults puts faults between an enforcer and a gateway. The same seed gives the
// same faults.
type Faults struct {
	enforce.Gateway

	mu   sync.Mutex
	rng  *rand.Rand
	fail float64       // probability that an Apply is refused
	late float64       // probability that it is slow
	slow time.Duration // how slow
	hit  int
}

// NewFaults wraps a gateway; it passes everything on until Set is called.
func NewFaults(gw enforce.Gateway, seed uint64) *Faults {
	return &Faults{Gateway: gw, rng: rand.New(rand.NewPCG(seed, seed))}
}

// Set makes Apply fail with one probability and take a while with another.
func (f *Faults) Set(fail, late float64, slow time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.late, f.slow = fail, late, slow
}

// Hit is how many calls met a fault.
func (f *Faults) Hit() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

// Apply implements enforce.Gateway.
func (f *Faults) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	fail, wait := f.draw()
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return enforce.Applied{}, ctx.Err()
		case <-timer.C:
		}
	}
	if fail {
		return enforce.Applied{}, fmt.Errorf("%s: injected fault: configuration refused", f.Name())
	}
	return f.Gateway.Apply(ctx, want)
}

// Holds implements enforce.Holder.
func (f *Faults) Holds(t enforce.Target, a enforce.Action) error {
	return enforce.Holds(f.Gateway, t, a)
}

func (f *Faults) draw() (fail bool, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail = f.rng.Float64() < f.fail
	if f.rng.Float64() < f.late {
		wait = f.slow
	}
	if fail || wait > 0 {
		f.hit++
	}
	return fail, wait
}
