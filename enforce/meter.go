package enforce

import "time"

// Meter hears what an enforcer does, to count it. It is called from Run only, must
// be quick, and keeps nothing that it is given.
type Meter interface {
	// Changed is told of every change of a decision, once it is in the ledger; d is
	// the decision after the last of them that were written together.
	Changed(d Decision, c Change)
	// Pushed is told how long a gateway took to answer; err is why it refused.
	Pushed(gateway string, took time.Duration, err error)
}

type noMeter struct{}

func (noMeter) Changed(Decision, Change)            {}
func (noMeter) Pushed(string, time.Duration, error) {}

// SetMeter has m told of what is done. Call it before Run.
func (e *Enforcer) SetMeter(m Meter) { e.meter = m }

// metered tells what a batch changed, after it was written.
func (e *Enforcer) metered(b *batch) {
	for _, c := range b.changes {
		e.meter.Changed(b.decisions[c.decision], c.Change)
	}
}
