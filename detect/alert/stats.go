package alert

import (
	"fmt"

	"github.com/portcullis/portcullis/detect"
)

// Stats are the figures of an Engine, since it was made.
type Stats struct {
	Open      [detect.Critical + 1]int // open alerts, by severity
	Opened    int64
	Resolved  int64
	Old       int64 // findings that were too old to make an alert
	Muted     int64 // notices that a silence or an inhibition took back
	Held      int64 // notices that a rate limit or quiet hours held back
	GivenUp   int64 // notices that a channel did not take for too long
	Templates int64 // notices that a template could not be made of
	Missed    int64 // times that findings were left to the store
	Channels  []ChannelStats
}

// ChannelStats are the figures of one channel.
type ChannelStats struct {
	Name    string
	Type    string
	Sent    map[Kind]int64
	Waiting int
	Fails   int    // in a row
	Error   string // of the last try; "" = it works
}

// Stats returns the figures of now.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	for _, a := range e.open {
		s.Open[min(int(a.Severity), len(s.Open)-1)]++
	}
	e.feed.mu.Lock()
	s.Missed = e.feed.times
	e.feed.mu.Unlock()
	for _, ch := range e.channels {
		c := ChannelStats{Name: ch.name, Type: ch.cfg.Type, Sent: map[Kind]int64{}, Waiting: len(e.waiting(ch.name)), Fails: ch.fails, Error: ch.why}
		for k, n := range ch.byKind {
			c.Sent[k] = n
		}
		s.Channels = append(s.Channels, c)
	}
	return s
}

// Trouble is what an operator should know, in words.
func (s *Stats) Trouble(add func(what, why string)) {
	for _, c := range s.Channels {
		if c.Error != "" {
			add("alerts to "+c.Name, fmt.Sprintf("%s (%d waiting, tried until it works)", c.Error, c.Waiting))
		}
	}
}
