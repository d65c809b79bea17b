package enforce

import (
	"context"
	"fmt"
	"time"
)

// The verbs of notes: what people did that is no affair of the enforcer.
const (
	VerbBacktest       = "backtest"        // Arg: what was asked; Result: the job's id
	VerbCancelBacktest = "cancel-backtest" // Arg: the job's id
)

// Note writes down what somebody did, with its result, among the commands: it is done
// already, and no enforcer looks at it. In an installation of several processes it stays
// in this one's ledger.
func (l *Ledger) Note(ctx context.Context, c Command) error {
	if c.Verb != VerbBacktest && c.Verb != VerbCancelBacktest {
		return fmt.Errorf("enforce: no note %s", quoted(c.Verb))
	}
	if c.At == 0 {
		c.At = time.Now().UnixNano()
	}
	if c.UID == "" {
		c.UID = newUID()
	}
	_, err := l.w.ExecContext(ctx, `INSERT INTO commands (uid, at, who, verb, arg, why, dur, result, done) VALUES (?,?,?,?,?,?,0,?,1)
		ON CONFLICT (uid) WHERE uid <> '' DO NOTHING`,
		c.UID, c.At, clean(c.Who), c.Verb, l.hidden(clean(c.Arg)), l.hidden(clean(c.Why)), clean(c.Result))
	if err != nil {
		return fmt.Errorf("enforce: write a note: %w", err)
	}
	return nil
}
