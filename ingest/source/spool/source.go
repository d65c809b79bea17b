package spool

import (
	"context"
	"errors"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source"
)

// Intake takes what a receiver got.
type Intake interface {
	// Append stores whole lines, each ended by '\n', all or none of them; when it
	// returns nil they survive a kill. It does not keep lines, and may be called by
	// any number of goroutines. ErrFull: there is no room, tell the sender to wait;
	// any other error is the disk's.
	Append(lines []byte) error
}

// Receiver gets lines from the network.
type Receiver interface {
	// Serve listens until ctx ends and appends what comes to in. It returns nil after
	// ctx ended, else why it cannot listen any more.
	Serve(ctx context.Context, in Intake) error
	// Stats may be called at any time by any goroutine.
	Stats() Stats
}

// Stats of a receiver since its start.
type Stats struct {
	Received int64 // records taken into the spool
	Dropped  int64 // records lost: nobody could wait (UDP)
	Refused  int64 // requests told to come again, or connections held back
	Rejected int64 // records that could not be read at all (framing, decoding)
	Senders  int64 // connections open now
}

// Source is a receiver and its spool as one source: it serves, and reads what
// was received.
type Source struct {
	spool    *Spool
	receiver Receiver
}

var (
	_ ingest.Source = (*Source)(nil)
	_ ingest.Saver  = (*Source)(nil)
	_ ingest.Source = (*Spool)(nil)
	_ ingest.Saver  = (*Spool)(nil)
	_ Intake        = (*Spool)(nil)
)

// NewSource joins a receiver to a spool. Whoever opened the spool closes it,
// after Run has ended.
func NewSource(s *Spool, r Receiver) *Source { return &Source{s, r} }

// Run implements ingest.Source. It ends when ctx does, when out fails, or when
// the receiver cannot listen any more; what the spool holds then stays there.
func (x *Source) Run(ctx context.Context, from []ingest.Mark, out func(context.Context, *ingest.Batch) error) error {
	s := x.spool
	if !s.running.CompareAndSwap(false, true) {
		return errRunning
	}
	defer s.running.Store(false)
	at := s.resume(from) // before anything is appended: it settles the numbers
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		err := x.receiver.Serve(inner, s)
		cancel()
		served <- err
	}()
	err := s.read(inner, at, out)
	cancel()
	if failed := <-served; failed != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return failed
	}
	return err
}

// Saved implements ingest.Saver.
func (x *Source) Saved(m ingest.Mark) { x.spool.Saved(m) }

// Stats are those of the receiver.
func (x *Source) Stats() Stats { return x.receiver.Stats() }

// Health is what the source knows about itself. It may be called at any time by
// any goroutine.
func (x *Source) Health() source.Health {
	h, st := x.spool.Health(), x.receiver.Stats()
	h.Received, h.Dropped, h.Refused = st.Received, st.Dropped, st.Refused
	h.Rejected, h.Senders = st.Rejected, st.Senders
	return h
}

// Health is what the spool knows about itself: Lag is what waits in it.
func (s *Spool) Health() source.Health {
	s.mu.Lock()
	h := source.Health{Lag: s.unread}
	if s.full {
		h.Error = ErrFull.Error()
	}
	s.mu.Unlock()
	h.Losses, h.LostBytes = s.losses.Load(), s.lost.Load()
	if e := s.trouble.Load(); e != nil {
		h.Error = *e
	}
	return h
}
