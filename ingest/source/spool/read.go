package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

const (
	blockSize = 256 << 10 // read at once
	smallSize = 16 << 10  // up to here a batch has a buffer of its own size: a trickle must not pin blocks
)

// outFunc takes a batch, as in ingest.Source.
type outFunc = func(context.Context, *ingest.Batch) error

var errRunning = errors.New("spool: it is being read already: one Run at a time")

// Run implements ingest.Source: it hands out what lies behind from, then what is
// appended, until ctx ends. Without a mark it begins with the oldest segment.
func (s *Spool) Run(ctx context.Context, from []ingest.Mark, out func(context.Context, *ingest.Batch) error) error {
	if !s.running.CompareAndSwap(false, true) {
		return errRunning
	}
	defer s.running.Store(false)
	return s.read(ctx, s.resume(from), out)
}

// resume finds the place behind the marks, lets go of what lies before it, and
// sees to it that later segments get higher numbers.
func (s *Spool) resume(from []ingest.Mark) ingest.Mark {
	var best ingest.Mark
	for _, m := range from {
		if m.Source == s.cfg.Name && (m.File > best.File || m.File == best.File && m.Offset > best.Offset) {
			best = m
		}
	}
	s.mu.Lock()
	s.next = max(s.next, best.File+1)
	var gap bool
	if best.File > 0 && len(s.segments) > 0 {
		gap = s.segments[0].num > best.File+1
	}
	s.unread = 0
	for _, seg := range s.segments {
		if seg.num > best.File {
			s.unread += seg.size
		} else if seg.num == best.File {
			s.unread += max(seg.size-best.Offset, 0)
		}
	}
	s.mu.Unlock()
	if gap {
		s.gone(0, "segments behind the saved position are missing", "hint", "was the saved state older than the spool? the lines had been taken in after that state was saved")
	}
	if best.File > 0 {
		s.Saved(best)
	}
	return best
}

// gone counts what was appended and cannot be read any more.
func (s *Spool) gone(n int64, what string, more ...any) {
	s.losses.Add(1)
	s.lost.Add(n)
	s.cfg.Log.Error("spool: "+what, append([]any{"source", s.cfg.Name, "dir", s.cfg.Dir, "bytes", n}, more...)...)
}

// reader is one Run.
type reader struct {
	s   *Spool
	num uint64 // of f
	off int64
	f   *os.File // nil: not open yet
}

func (s *Spool) read(ctx context.Context, at ingest.Mark, out outFunc) error {
	r := &reader{s: s, num: at.File, off: at.Offset}
	defer r.close()
	for ctx.Err() == nil {
		seg, ok := s.after(r.num, r.off)
		if !ok {
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
			continue
		}
		if seg.num != r.num {
			r.close()
			r.num, r.off = seg.num, 0
		}
		b, err := r.batch(seg.size)
		if err != nil {
			r.failed(ctx, seg, err)
			continue
		}
		b.Lag = s.handed(r.off - b.Mark.Offset)
		r.off = b.Mark.Offset
		if err := out(ctx, b); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// after returns the first segment that holds something behind a position.
func (s *Spool) after(num uint64, off int64) (segment, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.segments {
		if seg.num > num && seg.size > 0 || seg.num == num && seg.size > off {
			return seg, true
		}
	}
	return segment{}, false
}

// handed takes bytes off what is unread and returns the rest. A negative number
// is what was read.
func (s *Spool) handed(n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unread = max(s.unread+n, 0)
	return s.unread
}

// failed waits before the next attempt, and gives up what is not there any more.
func (r *reader) failed(ctx context.Context, seg segment, err error) {
	r.close()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, io.EOF) {
		r.s.gone(seg.size-r.off, "a segment was deleted or cut by somebody else: its unread lines are lost", "segment", r.s.path(seg.num))
		r.s.handed(r.off - seg.size)
		r.off = seg.size
		return
	}
	r.s.say(diskError(err))
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (r *reader) close() {
	if r.f != nil {
		r.f.Close() // it was only read
		r.f = nil
	}
}

// batch reads whole lines from off; size is where the segment ends, behind a
// line. An over-long line makes a batch of its own, which holds its Reject.
func (r *reader) batch(size int64) (*ingest.Batch, error) {
	longest := int64(r.s.cfg.MaxLine)
	left := size - r.off
	for n := min(left, blockSize); ; n = min(left, longest+1) {
		buf, free := r.buffer(n)
		if err := r.fill(buf, r.off); err != nil {
			return nil, err
		}
		if whole := wholeLines(buf, r.s.cfg.MaxLine); whole > 0 {
			b := r.empty(r.off + int64(whole))
			b.Data, b.Free = buf[:whole:whole], free
			return b, nil
		}
		if n > longest {
			return r.overlong(buf, size)
		}
	}
}

// empty is a batch at off without lines, whose mark is at end.
func (r *reader) empty(end int64) *ingest.Batch {
	return &ingest.Batch{
		Source: r.s.cfg.Name, File: r.num, Offset: r.off,
		Mark: ingest.Mark{Source: r.s.cfg.Name, File: r.num, Offset: end},
	}
}

// fill reads all of buf.
func (r *reader) fill(buf []byte, off int64) error {
	if r.f == nil {
		f, err := os.Open(r.s.path(r.num))
		if err != nil {
			return err
		}
		r.f = f
	}
	_, err := r.f.ReadAt(buf, off)
	return err
}

// overlong passes over the line that buf begins, and rejects it.
func (r *reader) overlong(buf []byte, size int64) (*ingest.Batch, error) {
	reject := ingest.Reject{
		Pos:    ingest.Position{Source: r.s.cfg.Name, File: r.num, Offset: r.off},
		Reason: ingest.TooLong,
		Sample: string(buf[:min(len(buf), ingest.SampleBytes)]),
	}
	at := r.off
	end := bytes.IndexByte(buf, '\n')
	for end < 0 {
		at += int64(len(buf))
		buf = buf[:min(int64(len(buf)), size-at)] // never empty: a segment ends behind a line
		if err := r.fill(buf, at); err != nil {
			return nil, err
		}
		end = bytes.IndexByte(buf, '\n')
	}
	at += int64(end)
	reject.Length = at - r.off
	b := r.empty(at + 1)
	b.Offset = at + 1
	b.Rejects = []ingest.Reject{reject}
	return b, nil
}

// buffer returns n bytes and how to give them back.
func (r *reader) buffer(n int64) ([]byte, func()) {
	if n <= smallSize || n > blockSize {
		return make([]byte, n), nil
	}
	p, ok := r.s.blocks.Get().(*[]byte)
	if !ok {
		b := make([]byte, blockSize)
		p = &b
	}
	return (*p)[:n], func() { r.s.blocks.Put(p) }
}

// wholeLines returns the end of the last whole line of buf such that no line
// before it is longer than longest.
func wholeLines(buf []byte, longest int) int {
	if len(buf) <= longest {
		return bytes.LastIndexByte(buf, '\n') + 1
	}
	from := 0
	for {
		end := bytes.IndexByte(buf[from:min(len(buf), from+longest+1)], '\n')
		if end < 0 {
			return from
		}
		from += end + 1
	}
}
