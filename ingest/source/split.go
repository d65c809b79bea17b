package source

import (
	"bytes"
	"sync"

	"github.com/portcullis/portcullis/ingest"
)

// smallRun is the size up to which a run is copied out of its block: a trickle
// of short batches must not pin a whole block each while they queue.
const smallRun = 16 << 10

// splitter cuts a stream of bytes into runs of whole lines without looking at
// each line. It holds at most max plus one block of bytes; a line over max is
// dropped while it passes and becomes one Reject.
type splitter struct {
	max  int       // longest line, without its newline
	size int       // of a block
	pool sync.Pool // of *[]byte, each of cap size

	buf  []byte // what is not handed out yet
	off  int64  // stream offset of buf[0]
	long *ingest.Reject
}

// run is what take hands out: whole lines, and the over-long ones before them.
type run struct {
	data    []byte
	off     int64
	rejects []ingest.Reject // Pos.Offset only; the source fills in the rest
	free    func()
}

func newSplitter(block, longest int) *splitter {
	return &splitter{max: longest, size: block}
}

// reset forgets what is pending and goes on at off.
func (s *splitter) reset(off int64) {
	s.buf, s.off, s.long = s.buf[:0], off, nil
}

// next is the offset of the byte to be read next.
func (s *splitter) next() int64 { return s.off + int64(len(s.buf)) }

// resume is the offset of the first line not handed out.
func (s *splitter) resume() int64 {
	if s.long != nil {
		return s.long.Pos.Offset
	}
	return s.off
}

// pending says whether bytes of an unfinished line are held.
func (s *splitter) pending() bool { return len(s.buf) > 0 || s.long != nil }

// space returns where to read the next bytes to; fed says how many came.
func (s *splitter) space() []byte {
	if s.buf == nil {
		s.buf = s.get()
	}
	if cap(s.buf)-len(s.buf) < (s.size+3)/4 {
		grown := make([]byte, len(s.buf), 2*cap(s.buf)+s.size)
		copy(grown, s.buf)
		s.put(s.buf)
		s.buf = grown
	}
	return s.buf[len(s.buf):min(cap(s.buf), len(s.buf)+s.size)]
}

func (s *splitter) fed(n int) { s.buf = s.buf[:len(s.buf)+n] }

// take hands out the next run; false means that nothing whole is left. With
// final the stream is over, and a last line without newline is given one.
func (s *splitter) take(final bool) (run, bool) {
	added := 0
	if final && s.pending() && (len(s.buf) == 0 || s.buf[len(s.buf)-1] != '\n') {
		s.buf = append(s.buf, '\n')
		added = 1
	}
	var r run
	from := s.dropLong(&r)
	to := s.wholeLines(from)
	r.off = s.off + int64(from)
	s.off += int64(to)
	if to == len(s.buf) {
		s.off -= int64(added)
	} else if added > 0 {
		s.buf = s.buf[:len(s.buf)-added] // an over-long line is still ahead: next take
	}
	if to-from <= smallRun {
		r.data = bytes.Clone(s.buf[from:to])
		s.buf = s.buf[:copy(s.buf, s.buf[to:])]
	} else {
		whole := s.buf
		r.data = whole[from:to:to]
		r.free = func() { s.put(whole) }
		s.buf = s.get()
		s.buf = append(s.buf, whole[to:]...)
	}
	return r, len(r.data) > 0 || len(r.rejects) > 0
}

// dropLong passes over the over-long lines at the start of buf and returns how
// many bytes they took.
func (s *splitter) dropLong(r *run) int {
	from := 0
	for {
		rest := s.buf[from:]
		if s.long == nil {
			if len(rest) <= s.max || bytes.IndexByte(rest[:s.max+1], '\n') >= 0 {
				return from
			}
			s.long = &ingest.Reject{
				Pos:    ingest.Position{Offset: s.off + int64(from)},
				Reason: ingest.TooLong,
				Sample: string(rest[:min(len(rest), ingest.SampleBytes)]),
			}
		}
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			s.long.Length += int64(len(rest))
			return len(s.buf)
		}
		s.long.Length += int64(end)
		r.rejects = append(r.rejects, *s.long)
		s.long = nil
		from += end + 1
	}
}

// wholeLines returns the end of the last whole line behind from such that no
// over-long line lies between.
func (s *splitter) wholeLines(from int) int {
	if len(s.buf)-from <= s.max {
		return from + bytes.LastIndexByte(s.buf[from:], '\n') + 1
	}
	for {
		rest := s.buf[from:]
		end := bytes.IndexByte(rest[:min(len(rest), s.max+1)], '\n')
		if end < 0 {
			return from
		}
		from += end + 1
	}
}

func (s *splitter) get() []byte {
	if p, ok := s.pool.Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, s.size)
}

// put keeps blocks of the usual size only: one long line must not make all
// later blocks big.
func (s *splitter) put(b []byte) {
	if cap(b) == s.size {
		s.pool.Put(&b)
	}
}
