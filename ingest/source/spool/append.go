package spool

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// groupSize is how much concurrent appends put into one write; what is larger
// than loneSize is written by itself, without a copy.
const (
	groupSize = 1 << 20
	loneSize  = 128 << 10
)

// group is what is written at once: the lines of all who appended while the
// group before was being written.
type group struct {
	buf  []byte
	lone bool // buf belongs to the caller
	refs int  // appends that wait for it; with mu
	done bool // with writing
	err  error
}

// Append stores whole lines, each ended by '\n', all or none of them. When it
// returns nil they survive a kill. It does not keep lines. ErrFull in the error's
// chain says that there is no room now; any other error is the disk's, or says
// that these lines can never be stored.
//
// Concurrent appends share one write: whoever comes first to the file writes for
// all who wait.
func (s *Spool) Append(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	if lines[len(lines)-1] != '\n' {
		return errors.New("spool: the last line has no end")
	}
	g, err := s.join(lines)
	if err != nil {
		return err
	}
	s.writing.Lock()
	if !g.done {
		s.commit(g)
	}
	err = g.err
	s.writing.Unlock()
	s.leave(g)
	return err
}

// join reserves the room and puts lines into a group.
func (s *Spool) join(lines []byte) (*group, error) {
	n := int64(len(lines))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errClosed
	case n > s.cfg.MaxBytes-s.cfg.Segment:
		return nil, fmt.Errorf("spool: %d bytes at once never fit into max_bytes %d: raise it, or send less at once", n, s.cfg.MaxBytes)
	case s.total+s.reserved+n > s.cfg.MaxBytes:
		if !s.full {
			s.full = true
			s.cfg.Log.Warn("spool: full, senders must wait", "source", s.cfg.Name, "dir", s.cfg.Dir,
				"max_bytes", s.cfg.MaxBytes, "unread", s.unread, "hint", "the pipeline does not keep up or is held back; max_bytes makes the spool larger")
		}
		return nil, ErrFull
	}
	s.reserved += n
	if n >= loneSize {
		return &group{buf: lines, lone: true, refs: 1}, nil
	}
	g := s.gather
	if g == nil || len(g.buf)+len(lines) > groupSize {
		g = s.newGroup()
		s.gather = g
	}
	g.buf = append(g.buf, lines...)
	g.refs++
	return g, nil
}

func (s *Spool) newGroup() *group {
	if g, ok := s.groups.Get().(*group); ok {
		return g
	}
	return &group{}
}

// leave gives a group back once nobody looks at it.
func (s *Spool) leave(g *group) {
	s.mu.Lock()
	g.refs--
	last := g.refs == 0
	s.mu.Unlock()
	if last && !g.lone {
		*g = group{buf: g.buf[:0]}
		s.groups.Put(g)
	}
}

// commit writes a group. The caller holds writing.
func (s *Spool) commit(g *group) {
	s.mu.Lock()
	if s.gather == g {
		s.gather = nil
	}
	s.mu.Unlock()
	g.err = s.store(g.buf)
	g.done = true
	n := int64(len(g.buf))
	s.mu.Lock()
	s.reserved -= n
	if g.err == nil {
		s.segments[len(s.segments)-1].size += n
		s.total += n
		s.unread += n
		s.dirty = true
	}
	s.mu.Unlock()
	if g.err == nil {
		s.well()
		signal(s.wake)
	}
}

// store puts b behind what the growing segment holds, or into a new one. What is
// written in part is taken back. The caller holds writing, so that nobody else
// changes file and segments, but deletes old ones.
func (s *Spool) store(b []byte) error {
	if s.ended {
		return errClosed
	}
	off, err := s.place(int64(len(b)))
	if err == nil {
		if _, err = s.pwrite(s.file, b, off); err == nil && s.cfg.Sync == 0 {
			err = s.fsync(s.file)
		}
		if err != nil && s.file.Truncate(off) != nil {
			s.seal() // nothing may stand behind the torn end; readers know where it begins
		}
	}
	if err == nil {
		return nil
	}
	err = diskError(err)
	s.say(err)
	return err
}

// place returns the offset at which n bytes go into file.
func (s *Spool) place(n int64) (int64, error) {
	if s.file != nil {
		s.mu.Lock()
		size := s.segments[len(s.segments)-1].size
		s.mu.Unlock()
		if size == 0 || size+n <= s.cfg.Segment {
			return size, nil
		}
		s.seal()
	}
	return 0, s.begin()
}

// begin makes the next segment, which then grows.
func (s *Spool) begin() error {
	s.mu.Lock()
	num := s.next
	s.mu.Unlock()
	f, err := os.OpenFile(s.path(num), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil && s.cfg.Sync == 0 {
		if err = s.syncDir(); err != nil {
			err = errors.Join(err, f.Close(), os.Remove(s.path(num)))
		}
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return err // the same number is tried again, so that a gap means a loss
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = max(s.next, num+1)
	if err != nil {
		return err
	}
	s.file, s.fresh = f, true
	s.segments = append(s.segments, segment{num: num})
	return nil
}

// seal ends the growing segment. The syncer closes it, after it is on the disk.
func (s *Spool) seal() {
	s.mu.Lock()
	old := s.file
	s.file, s.dirty = nil, false
	if s.cfg.Sync > 0 {
		s.unsynced = append(s.unsynced, old)
	}
	s.mu.Unlock()
	if s.cfg.Sync == 0 {
		old.Close() // all of it is on the disk already
		return
	}
	signal(s.kick)
}

// diskError says in words what the disk refused.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &diskFull{err}
	}
	return fmt.Errorf("spool: %w; %s", err, hint(err))
}

// diskFull is an ErrFull that tells why.
type diskFull struct{ err error }

func (e *diskFull) Error() string {
	return "spool: the disk is full: " + e.err.Error() + "; " + hint(e.err)
}
func (e *diskFull) Unwrap() []error { return []error{ErrFull, e.err} }

// hint adds what the operator can do about an error of the file system.
func hint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space, or lower max_bytes so that the spool is full before the disk is; it goes on by itself"
	case errors.Is(err, os.ErrPermission), errors.Is(err, syscall.EROFS):
		return "let the user of this process write to the folder"
	}
	return "is the disk well? senders are told to wait, and it is tried again"
}

// signal leaves one token in c.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
