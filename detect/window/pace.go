package window

import (
	"math"
	"time"
)

// Pace is a rate for the generic cell rate algorithm: all that is remembered of a
// subject is when its next request would be due at the steady rate (ITU-T I.371, the
// virtual scheduling algorithm).
type Pace struct {
	Every int64 // nanoseconds between two requests at the rate
	slack int64 // how much earlier than due one may come
}

// NewPace makes one of a rate in requests a second, and of how many above it pass at once.
func NewPace(rate float64, burst int) Pace {
	every := max(int64(float64(time.Second)/rate), 1)
	// A burst of years is no limit; the product must not overflow.
	return Pace{Every: every, slack: every * min(int64(burst), math.MaxInt64/4/every)}
}

// Quota is how many requests pass at once from rest.
func (p Pace) Quota() int64 { return p.slack/p.Every + 1 }

// Window is in how many seconds the whole quota comes back, rounded up.
func (p Pace) Window() int64 {
	return (p.Every*p.Quota() + int64(time.Second) - 1) / int64(time.Second)
}

// Next takes n requests at a moment, given when the next one is due. due is
// unchanged where they may not pass.
func (p Pace) Next(due, now, n int64) (after int64, ok bool) {
	if n > p.Quota() { // never passes, and must not overflow
		return due, false
	}
	start := max(due, now)
	after = start + p.Every*n
	if after-p.Every-now > p.slack {
		return due, false
	}
	return after, true
}

// Left is how many more requests would pass now, and wait how long until there is
// one more.
func (p Pace) Left(due, now int64) (left int64, wait time.Duration) {
	ahead := due - now // of the steady rate
	if ahead <= 0 {
		return p.Quota(), 0
	}
	if ahead > p.slack {
		return 0, time.Duration(ahead - p.slack)
	}
	left = (p.slack-ahead)/p.Every + 1
	wait = time.Duration((ahead-1)%p.Every + 1)
	return left, wait
}

// Over takes n requests of which only the span of time is known in which they came, from
// inclusive to exclusive, and says how many of them are over the limit wherever in the
// span each came: those that pass are as many as could. Spans are taken in in their order.
func (p Pace) Over(due, from, to, n int64) (after, over int64) {
	start := max(due, from)
	room := to - 1 + p.slack - start // until the last of them may be due
	if room < 0 {
		return due, n
	}
	passed := min(n, room/p.Every+1)
	return start + passed*p.Every, n - passed
}
