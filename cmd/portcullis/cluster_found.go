package main

import (
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/task"
)

// foundDelays are how long the latest findings took from the line in the log with
// which they fired to this process. The log's seconds are whole, so it is good to one.
type foundDelays struct {
	mu   sync.Mutex
	ring [256]time.Duration
	n    int
	seen map[string]bool // ids that were measured; emptied when it is full
}

// freshFinding is how old a finding may be to be measured: older ones come from a
// log or a topic that is being caught up with.
const freshFinding = 5 * time.Minute

func (d *foundDelays) see(f *detect.Finding, at time.Time) {
	delay := at.Sub(time.Unix(0, f.FiredAt))
	if delay < 0 || delay > freshFinding {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen[f.ID] {
		return
	}
	if d.seen == nil || len(d.seen) >= 4096 {
		d.seen = map[string]bool{}
	}
	d.seen[f.ID] = true
	d.ring[d.n%len(d.ring)] = delay
	d.n++
}

func (d *foundDelays) latency() task.Latency {
	d.mu.Lock()
	list := append([]time.Duration(nil), d.ring[:min(d.n, len(d.ring))]...)
	d.mu.Unlock()
	return quantiles(list)
}
