package output

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

// Stats is how an output goes.
type Stats struct {
	Error    string    // why documents wait; "" = none do
	Since    time.Time // of the error
	Sent     map[elastic.Kind]int64
	Rejected int64  // refused for good
	Reason   string // of the last one
	Retried  int64  // documents that were sent again
}

// Stats returns the latest figures.
func (o *Output) Stats() Stats { return o.meet.read() }

// meter gathers what Stats reports. Trouble is logged when it begins and ends, not for
// each retry.
type meter struct {
	log *slog.Logger

	mu    sync.Mutex
	sent  map[elastic.Kind]int64
	stats Stats
}

func (m *meter) read() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Sent = maps.Clone(m.sent)
	return s
}

// delivered counts documents that arrived, which ends a trouble.
func (m *meter) delivered(docs []elastic.Doc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range docs {
		m.sent[docs[i].Kind]++
	}
	if m.stats.Error != "" {
		m.log.Info("the output takes documents again", "after", time.Since(m.stats.Since).Round(time.Millisecond))
		m.stats.Error, m.stats.Since = "", time.Time{}
	}
}

func (m *meter) failed(err error, docs int) {
	m.mu.Lock()
	m.stats.Retried += int64(docs)
	m.mu.Unlock()
	m.trouble(err)
}

func (m *meter) trouble(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stats.Error == "" {
		m.stats.Since = time.Now()
		m.log.Warn("the output does not take documents; it is tried until it works, and they wait", "error", err)
	}
	m.stats.Error = err.Error()
}

func (m *meter) rejected(d elastic.Doc, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stats.Rejected == 0 {
		m.log.Warn("the output refuses a document for good; it is kept with the rejected ones", "kind", string(d.Kind), "id", d.ID, "reason", why)
	}
	m.stats.Rejected++
	m.stats.Reason = why.Error()
}

// Trouble tells what an operator should know.
func (s *Stats) Trouble(name string, add func(what, why string)) {
	if s.Error != "" {
		add("output "+name, fmt.Sprintf("documents wait since %s: %s", s.Since.UTC().Format(time.RFC3339), s.Error))
	}
	if s.Rejected > 0 {
		add("output "+name, fmt.Sprintf("%d documents were refused for good and are kept with the rejected ones; the last because: %s", s.Rejected, s.Reason))
	}
}
