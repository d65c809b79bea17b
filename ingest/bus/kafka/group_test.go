package kafka_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// owners notes which member works on which partition.
type owners struct {
	mu    sync.Mutex
	of    map[string]string // by partition
	twice []string
	moves int
	last  map[string]string
}

func newOwners() *owners { return &owners{of: map[string]string{}, last: map[string]string{}} }

func (o *owners) on(name string) func(context.Context, *kafka.Generation) {
	return func(ctx context.Context, g *kafka.Generation) {
		var mine []string
		o.mu.Lock()
		for topic, list := range g.Partitions {
			for _, p := range list {
				at := fmt.Sprint(topic, "/", p)
				if other := o.of[at]; other != "" {
					o.twice = append(o.twice, fmt.Sprintf("%s: %s and %s", at, other, name))
				}
				if o.last[at] != "" && o.last[at] != name {
					o.moves++
				}
				o.of[at], o.last[at] = name, name
				mine = append(mine, at)
			}
		}
		o.mu.Unlock()
		<-ctx.Done()
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, at := range mine {
			delete(o.of, at)
		}
	}
}

// counts is how many partitions each member has.
func (o *owners) counts() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[string]int{}
	for _, name := range o.of {
		out[name]++
	}
	return out
}

// spread says whether n partitions are spread over these members evenly.
func (o *owners) spread(n int, members ...string) bool {
	counts := o.counts()
	sum, least, most := 0, n, 0
	for _, m := range members {
		sum += counts[m]
		least, most = min(least, counts[m]), max(most, counts[m])
	}
	return sum == n && len(counts) <= len(members) && most-least <= 2 // one of each topic
}

// member joins until the function it returns is called.
func member(t testing.TB, c *kafka.Client, o *owners, name string) (leave func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Join(ctx, "detect", []string{kafka.Access, kafka.Partials}, o.on(name)) }()
	return func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("Join = %v", err)
		}
	}
}

func TestGroup(t *testing.T) {
	cfg := settings(kafkatest.Need(t))
	cfg.Partitions = 8
	c, _ := ready(t, cfg)
	o := newOwners()
	took := func(what string, from time.Time, is func() bool) {
		t.Helper()
		await(t, what, is)
		t.Logf("%-40s %s", what, time.Since(from).Round(time.Millisecond))
	}
	start := time.Now()
	leaveA := member(t, c, o, "a")
	took("the first member has all", start, func() bool { return o.spread(10, "a") })
	start = time.Now()
	leaveB := member(t, c, o, "b")
	took("a second one has half", start, func() bool { return o.spread(10, "a", "b") })
	if o.moves > 5 {
		t.Errorf("%d partitions moved to make room for one member of two", o.moves)
	}
	start = time.Now()
	leaveC := member(t, c, o, "c")
	took("a third one has its share", start, func() bool { return o.spread(10, "a", "b", "c") })
	if o.moves > 9 {
		t.Errorf("%d partitions moved, 5 of them before the third member", o.moves)
	}
	start = time.Now()
	leaveA()
	took("a left in good order, others have its", start, func() bool { return o.spread(10, "b", "c") })
	leaveB()
	leaveC()
	if len(o.twice) > 0 {
		t.Errorf("two members at once: %v", o.twice)
	}
}

// TestGroupChurn lets members come and go: no partition is worked on by two, and
// in the end all are.
func TestGroupChurn(t *testing.T) {
	cfg := settings(kafkatest.Full(t))
	c, _ := ready(t, cfg)
	o, rng := newOwners(), rand.New(rand.NewPCG(1, 2))
	running := map[string]func(){}
	for round := range 12 {
		if name := fmt.Sprint("m", rng.IntN(5)); running[name] == nil {
			running[name] = member(t, c, o, name)
		} else {
			running[name]()
			delete(running, name)
		}
		if round%3 == 0 && len(running) > 0 { // else the next one comes in the middle of the change
			await(t, "a settled group", func() bool { return o.spread(6, slices.Collect(maps.Keys(running))...) })
		}
	}
	for _, leave := range running {
		leave()
	}
	if len(o.twice) > 0 {
		t.Errorf("two members at once: %v", o.twice)
	}
}
