package syslog

import (
	"context"
	"sync"
	"time"
)

// reportEvery is how often what was lost is said.
const reportEvery = time.Minute

// report says once a minute, and at the end, what was lost since.
func (r *Receiver) report(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	var said counts
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		said = r.say(said)
	}
}

// counts are what report compares.
type counts struct{ dropped, overflow, rejected, refused int64 }

func (r *Receiver) say(before counts) counts {
	now := counts{r.dropped.Load(), r.overflow.Load(), r.rejected.Load(), r.refused.Load()}
	log := r.cfg.Log
	if n := now.overflow - before.overflow; n > 0 {
		log.Warn("syslog: UDP messages were lost because the kernel's buffer was full", "messages", n, "read_buffer", r.cfg.ReadBuffer,
			"hint", "raise read_buffer and net.core.rmem_max, or let the gateway send over TCP or a unix socket")
	}
	if n := now.dropped - before.dropped; n > 0 {
		log.Warn("syslog: messages were lost because the spool took none", "messages", n,
			"hint", "the spool is full or its disk fails, see its messages; over TCP the sender would wait")
	}
	if n := now.rejected - before.rejected; n > 0 {
		log.Warn("syslog: messages were rejected", "messages", n, "last", r.troubles.last(),
			"hint", "longer than max_message, or sent by an address that is not under allow")
	}
	if n := now.refused - before.refused; n > 0 {
		log.Info("syslog: senders were held back or refused", "times", n, "last", r.troubles.last())
	}
	return now
}

// troubles keeps the last thing that was wrong with a sender, for the report:
// one of them is enough to find the others.
type troubles struct {
	mu   sync.Mutex
	text string
}

func (t *troubles) note(text string) {
	t.mu.Lock()
	t.text = text
	t.mu.Unlock()
}

func (t *troubles) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text
}
