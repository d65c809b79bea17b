package elastic

import (
	"log/slog"
	"sync"
	"time"
)

// Health is how writing goes.
type Health struct {
	Error     string    // why documents wait, and what to mend; "" = none do
	Since     time.Time // of the error
	PerSecond float64   // documents settled a second, over the last ten
	Written   int64     // created or brought up to date
	Existing  int64     // were there before, or are older than what is there
	Rejected  int64     // refused for good
	Retried   int64     // single documents that were sent again
	BulkBytes int       // size of a request, as it is now
}

// rateSpan is how many seconds PerSecond looks back.
const rateSpan = 10

// health gathers what Health reports. Trouble is logged when it begins, changes and
// ends, not for each retry.
type health struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	h      Health
	counts [rateSpan + 1]struct{ sec, docs int64 }
}

func newHealth(log *slog.Logger, now func() time.Time) *health { return &health{log: log, now: now} }

// Health returns how writing goes; it never waits for the cluster.
func (s *Store) Health() Health {
	h := s.meet.read()
	h.BulkBytes = s.size.now()
	return h
}

func (m *health) read() Health {
	m.mu.Lock()
	defer m.mu.Unlock()
	sec, sum := m.now().Unix(), int64(0)
	for _, c := range m.counts {
		if c.sec < sec && c.sec >= sec-rateSpan { // whole seconds only
			sum += c.docs
		}
	}
	h := m.h
	h.PerSecond = float64(sum) / rateSpan
	return h
}

// trouble notes why documents wait. kind is what is compared: texts that differ
// only in an index or a document are one trouble.
func (m *health) trouble(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := err.Error()
	if m.h.Error == "" {
		m.h.Since = m.now()
		m.log.Warn("elastic: documents wait", "error", text)
	}
	m.h.Error = text
}

// fine notes that a request went well.
func (m *health) fine() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.h.Error == "" {
		return
	}
	m.log.Info("elastic: documents are written again", "after", m.now().Sub(m.h.Since).Round(time.Millisecond), "error", m.h.Error)
	m.h.Error, m.h.Since = "", time.Time{}
}

func (m *health) count(written, existing, rejected, retried int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.h.Written += int64(written)
	m.h.Existing += int64(existing)
	m.h.Rejected += int64(rejected)
	m.h.Retried += int64(retried)
	sec := m.now().Unix()
	c := &m.counts[sec%int64(len(m.counts))]
	if c.sec != sec {
		c.sec, c.docs = sec, 0
	}
	c.docs += int64(written + existing + rejected)
}
