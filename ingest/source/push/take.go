package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/portcullis/portcullis/ingest/source/spool"
)

// intake is where lines go; spool.Intake is one.
type intake interface {
	Append(lines []byte) error
}

// Bounds of what one request costs beside its memory.
const (
	maxErrors = 20       // wrong records named in an answer; all are counted
	chunkSize = 64 << 10 // bytes read at once
	keepSize  = 1 << 20  // a larger buffer is not kept for the next request
	sampleCap = 80       // bytes of a wrong record that are logged
	fullPause = 100 * time.Millisecond
	patience  = 10 * time.Second // for room, where a part of a request is stored already
)

// RecordError says what was wrong with a record, by its index in the request.
type RecordError struct {
	Index int64  `json:"index"`
	Error string `json:"error"`
}

// tally is how far a request came.
type tally struct {
	accepted, rejected int64
	next               int64 // index of the first record not dealt with
}

// request collects the records of one request and stores them. It implements
// taker.
type request struct {
	to      intake
	wait    func() bool // pauses a moment; false: the sender is gone
	maxLine int
	memory  int

	buf    []byte // whole lines, then the record under way
	start  int    // where that begins
	over   bool   // it is longer than maxLine
	cr     bool   // its newest byte was a carriage return
	now    tally  // with what is in buf
	stored tally  // what is in the spool
	errs   []RecordError
	sample []byte // beginning of the first wrong record
}

// add implements taker. What comes after maxLine bytes of a record is dropped,
// but for the sample.
func (q *request) add(piece []byte) {
	if q.over {
		return
	}
	if len(q.buf)-q.start+len(piece) > q.maxLine {
		q.over = true
		piece = piece[:min(len(piece), max(0, sampleCap-(len(q.buf)-q.start)))]
	}
	if len(piece) == 0 {
		return
	}
	at := len(q.buf)
	q.cr = piece[len(piece)-1] == '\r'
	q.buf = append(q.buf, piece...)
	blankLineEnds(q.buf[at:])
}

// blankLineEnds makes blanks of line ends, in place.
func blankLineEnds(p []byte) {
	for _, c := range [...]byte{'\n', '\r'} {
		for at := 0; ; at++ {
			i := bytes.IndexByte(p[at:], c)
			if i < 0 {
				break
			}
			at += i
			p[at] = ' '
		}
	}
}

// end implements taker.
func (q *request) end(why string) error {
	if q.over {
		why = fmt.Sprintf("is longer than %d bytes (max_line)", q.maxLine)
	}
	cr := q.cr
	q.over, q.cr = false, false
	if why != "" {
		q.reject(why)
		return nil
	}
	if cr { // lines may end as on Windows
		q.buf = q.buf[:len(q.buf)-1]
	}
	q.buf = append(q.buf, '\n')
	q.start = len(q.buf)
	q.now.accepted++
	q.now.next++
	if len(q.buf) >= q.memory {
		return q.store()
	}
	return nil
}

// reject drops the record under way and remembers why.
func (q *request) reject(why string) {
	record := q.buf[q.start:]
	if q.sample == nil {
		q.sample = bytes.Clone(record[:min(len(record), sampleCap)])
	}
	if len(q.errs) < maxErrors {
		q.errs = append(q.errs, RecordError{q.now.next, why})
	}
	q.buf = q.buf[:q.start]
	q.now.rejected++
	q.now.next++
}

// store appends what is whole to the spool. A full spool is waited for only where
// a part of the request is in it already, for its sender would send that twice.
func (q *request) store() error {
	if q.start == 0 {
		q.stored = q.now
		return nil
	}
	var began time.Time
	for {
		err := q.to.Append(q.buf[:q.start])
		if err == nil {
			q.stored = q.now
			q.buf = append(q.buf[:0], q.buf[q.start:]...)
			q.start = 0
			return nil
		}
		if began.IsZero() {
			began = time.Now()
		}
		if !errors.Is(err, spool.ErrFull) || q.stored.accepted == 0 || time.Since(began) > patience || !q.wait() {
			return &storeError{err}
		}
	}
}

// pause waits a moment; false means that ctx ended.
func pause(ctx context.Context) bool {
	t := time.NewTimer(fullPause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// storeError is what the spool said, as opposed to what the body was like.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// chunks are the read buffers; lines hold the records of a request.
var (
	chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}
	lines  = sync.Pool{New: func() any { return new([]byte) }}
)

// read takes the whole body. Where it fails before a part was stored, nothing of
// it is.
func (q *request) read(body io.Reader, m mode) error {
	chunk := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(chunk)
	hold := lines.Get().(*[]byte)
	q.buf = (*hold)[:0]
	defer func() {
		if cap(q.buf) <= keepSize {
			*hold = q.buf
			lines.Put(hold)
		}
		q.buf = nil
	}()
	s := &splitter{mode: m, to: q}
	fed := false
	for {
		n, err := fill(body, chunk[:], fed)
		p := chunk[:n]
		if !fed {
			fed = true
			p = bytes.TrimPrefix(p, []byte("\xef\xbb\xbf")) // a byte order mark, from Windows
			if m == modeSniff {
				s.mode = sniff(p)
			}
		}
		if e := s.feed(p); e != nil {
			return e
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := s.finish(); err != nil {
		return err
	}
	return q.store()
}

// fill reads; the first time at least what sniffing needs.
func fill(r io.Reader, p []byte, fed bool) (int, error) {
	if fed {
		return r.Read(p)
	}
	n, err := io.ReadAtLeast(r, p, 512)
	if err == io.ErrUnexpectedEOF && n > 0 {
		// Fewer bytes than that, or a body that was cut: the next read tells.
		return n, nil
	}
	return n, err
}
