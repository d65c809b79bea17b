package enforce

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// push is a whole desired state on its way to a gateway.
type push struct {
	gen  uint64 // grows with every push
	want []Entry
}

// result is what a gateway made of a push.
type result struct {
	gateway int
	gen     uint64
	applied Applied
	took    time.Duration // the gateway's answer, also a refusal
	err     error
}

// pusher brings desired states to one gateway, one at a time. It holds at most
// one that waits: a newer one replaces it, since each is the whole.
type pusher struct {
	index   int
	gw      Gateway
	cfg     PushConfig
	confirm func(ctx context.Context) error // that this enforcer may push now

	mu   sync.Mutex
	next *push
	kick chan struct{} // next was set
	now  chan struct{} // do not wait for the next retry
}

func newPusher(i int, gw Gateway, cfg PushConfig, confirm func(ctx context.Context) error) *pusher {
	return &pusher{index: i, gw: gw, cfg: cfg, confirm: confirm, kick: make(chan struct{}, 1), now: make(chan struct{}, 1)}
}

// give replaces what is to be pushed next.
func (p *pusher) give(next push, urgent bool) {
	p.mu.Lock()
	p.next = &next
	p.mu.Unlock()
	signal(p.kick)
	if urgent {
		signal(p.now)
	}
}

func (p *pusher) take() *push {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.next
	p.next = nil
	return n
}

// run pushes until ctx ends. A failed push is tried again with the newest
// state, after a pause that doubles; half of it is random, so that many
// enforcers do not retry in step.
func (p *pusher) run(ctx context.Context, out chan<- result) {
	var cur *push
	for fails := 0; ctx.Err() == nil; {
		if n := p.take(); n != nil {
			cur = n
		}
		if cur == nil {
			select {
			case <-ctx.Done():
			case <-p.kick:
			}
			continue
		}
		res := p.apply(ctx, cur)
		if res.err == nil {
			cur, fails = nil, 0
		} else {
			fails++
		}
		select {
		case <-ctx.Done():
			return
		case out <- res:
		}
		if res.err != nil {
			p.pause(ctx, fails)
		}
	}
}

func (p *pusher) apply(ctx context.Context, cur *push) result {
	if err := p.confirm(ctx); err != nil {
		return result{gateway: p.index, gen: cur.gen, err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	began := time.Now()
	applied, err := p.gw.Apply(ctx, cur.want)
	return result{gateway: p.index, gen: cur.gen, applied: applied, took: time.Since(began), err: err}
}

func (p *pusher) pause(ctx context.Context, fails int) {
	timer := time.NewTimer(backoff(p.cfg.RetryMin, p.cfg.RetryMax, fails))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-p.now:
	}
}

// backoff is the pause after so many failures: between half of the doubled
// pause and all of it.
func backoff(lowest, highest time.Duration, fails int) time.Duration {
	d := lowest
	for i := 1; i < fails && d < highest; i++ {
		d *= 2
	}
	d = min(d, highest)
	return d/2 + time.Duration(rand.Int64N(int64(d/2)+1))
}

// signal wakes the receiver of a channel of capacity one; a second signal
// before it looks is the same as one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
