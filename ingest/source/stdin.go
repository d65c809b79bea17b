package source

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// stdinBlock is read at once: what a pipe holds by default on Linux.
const stdinBlock = 64 << 10

// Stdin reads a stream that cannot be read again, such as the output of another
// program. What was in flight at a crash is lost: there is nothing to resume
// from, and marks are ignored. Use a file where that matters.
type Stdin struct {
	r    io.Reader
	name string
}

var _ ingest.Source = (*Stdin)(nil)

// NewStdin reads r, which is run once, under the name of the source.
func NewStdin(r io.Reader, name string) *Stdin { return &Stdin{r: r, name: name} }

// chunk is one read.
type chunk struct {
	data []byte
	err  error
}

// Run implements ingest.Source. It ends with nil at the end of the stream. A
// last line without newline is handed out as well.
//
// When ctx ends in the middle of a read, the read is interrupted by a deadline,
// or by closing r; a blocking file (a terminal, or a pipe that the shell opened)
// knows neither, and its goroutine then stays until the next byte or the end of
// the process.
func (s *Stdin) Run(ctx context.Context, _ []ingest.Mark, out func(context.Context, *ingest.Batch) error) error {
	reads, ended := make(chan chunk), make(chan struct{})
	inner, cancel := context.WithCancel(ctx)
	go func() {
		defer close(ended)
		s.pump(inner, reads)
	}()
	err := s.take(inner, reads, out)
	cancel()
	if err == nil || s.interrupt() {
		<-ended
	}
	return err
}

// pump sends reads until the stream or ctx ends. Two buffers take turns: one is
// read to while the other is worked on.
func (s *Stdin) pump(ctx context.Context, reads chan<- chunk) {
	bufs := [2][]byte{make([]byte, stdinBlock), make([]byte, stdinBlock)}
	for i := 0; ; i++ {
		n, err := s.r.Read(bufs[i%2])
		select {
		case reads <- chunk{bufs[i%2][:n], err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (s *Stdin) take(ctx context.Context, reads <-chan chunk, out outFunc) error {
	st := &stream{name: s.name, split: newSplitter(stdinBlock, archiveLine)}
	for {
		var c chunk
		select {
		case c = <-reads:
		case <-ctx.Done():
			return ctx.Err()
		}
		for len(c.data) > 0 {
			n := copy(st.split.space(), c.data)
			c.data = c.data[n:]
			if err := st.fed(ctx, n, out); err != nil {
				return err
			}
		}
		if c.err == nil {
			continue
		}
		if err := st.deliver(ctx, true, out); err != nil {
			return err
		}
		if c.err != io.EOF {
			return fmt.Errorf("source: %s: %w", s.name, c.err)
		}
		return nil
	}
}

// interrupt ends a read that blocks, and says whether it could.
func (s *Stdin) interrupt() bool {
	if d, ok := s.r.(interface{ SetReadDeadline(time.Time) error }); ok && d.SetReadDeadline(time.Unix(1, 0)) == nil {
		return true
	}
	if _, file := s.r.(*os.File); file {
		return false
	}
	c, ok := s.r.(io.Closer)
	return ok && c.Close() == nil
}
