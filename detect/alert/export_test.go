package alert

import (
	"context"
	"time"
)

// Start is what Run does first.
func (e *Engine) Start(ctx context.Context) error { return e.load(ctx) }

// Step does what Run does each second, and sends what is due then.
func (e *Engine) Step(ctx context.Context, now time.Time) error {
	if err := e.step(ctx, now); err != nil {
		return err
	}
	for _, ch := range e.channels {
		for {
			sent, err := e.send(ctx, ch, now)
			if err != nil {
				return err
			}
			if !sent {
				break
			}
		}
	}
	return nil
}

// Redacted is redacted.
func Redacted(s string) string { return redacted(s) }

// Holds is holds.
func (q *QuietConfig) Holds(t time.Time, severity string) bool {
	return q.holds(t, (&Config{MinSeverity: severity}).minSeverity())
}

// FeedMost is feedMost.
const FeedMost = feedMost
