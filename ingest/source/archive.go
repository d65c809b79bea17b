package source

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/portcullis/portcullis/ingest"
)

// archiveBlock is how much of an archive is read at once; see BenchmarkArchive.
const archiveBlock = 512 << 10

// archiveLine is the longest line of an archive, as the default of a live file.
const archiveLine = 1 << 20

// Archive reads one finished log from its beginning, or from a mark, to its end:
// plain or compressed by gzip, zstd, xz or bzip2 (also several archives behind each
// other), told by content and not by name. It implements ingest.Source, with the
// path as the name of the source.
type Archive struct {
	path string
	f    *os.File
	size int64
	read atomic.Int64
	s    *stream
}

var _ ingest.Source = (*Archive)(nil)

// OpenArchive opens a log for Run, which closes it; "-" is standard input.
func OpenArchive(path string) (*Archive, error) {
	if path == "-" {
		return &Archive{path: path, f: os.Stdin}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	fi, err := f.Stat()
	if err != nil || fi.IsDir() {
		f.Close()
		return nil, fmt.Errorf("source: %s: %w", path, cmp.Or(err, errors.New("is a directory: name the log files in it")))
	}
	a := &Archive{path: path, f: f}
	if fi.Mode().IsRegular() {
		a.size = fi.Size()
	}
	return a, nil
}

// Close gives up an archive that is not to be run. After Run it does nothing.
func (a *Archive) Close() {
	if a.path != "-" {
		a.f.Close() // read only: nothing to lose
	}
}

// Size is how many bytes Progress will reach, 0 where that is not known.
func (a *Archive) Size() int64 { return a.size }

// Progress is how many bytes of the file, as it is stored, were read so far. It
// may be called at any time by any goroutine.
func (a *Archive) Progress() int64 { return a.read.Load() }

// Read counts what Run reads from the file.
func (a *Archive) Read(p []byte) (int, error) {
	n, err := a.f.Read(p)
	a.read.Add(int64(n))
	return n, err
}

// Run implements ingest.Source. It ends with nil at the end of the file. Where a
// compressed file is cut off or damaged, all that could be read was handed out
// before the error is returned.
func (a *Archive) Run(ctx context.Context, from []ingest.Mark, out func(context.Context, *ingest.Batch) error) error {
	defer a.Close()
	if a.path == "-" { // a terminal or a pipe may block for ever: read beside ctx
		return NewStdin(&lazyReader{open: a.open}, a.path).Run(ctx, from, out)
	}
	s := &stream{name: a.path, path: a.path, split: newSplitter(archiveBlock, archiveLine)}
	a.s = s
	if fi, err := a.f.Stat(); err == nil {
		s.dev, s.ino = inode(fi)
	}
	if a.size > 0 {
		s.lag = func() int64 { return max(a.size-a.read.Load(), 0) }
	}
	r, err := a.open()
	if err != nil {
		return a.fail(err)
	}
	if err := s.skip(r, from); err != nil {
		return a.fail(err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(s.split.space())
		if n > 0 {
			if err := s.fed(ctx, n, out); err != nil {
				return err
			}
		}
		if err != nil {
			if err := s.deliver(ctx, true, out); err != nil {
				return err
			}
			return a.fail(gzEnd(err))
		}
	}
}

// Mark is where to resume behind off, an offset behind a line of the batch that
// Run has just handed out: for receivers that pass on a part of it. It must only be
// called from there.
func (a *Archive) Mark(b *ingest.Batch, off int64) ingest.Mark { return a.s.mark(b.File, off) }

// Identify returns the identity in positions (ingest.Position.File) of a log whose
// uncompressed content begins with head: at least 1 KiB, or all of it.
func Identify(head []byte) uint64 { return fileID(head[:min(len(head), headBytes)], true) }

// open looks at the first bytes. A plain file is read without another buffer.
func (a *Archive) open() (io.Reader, error) {
	head := make([]byte, headLen)
	n, err := io.ReadFull(a, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	head = head[:n]
	p := packingOf(head)
	if p == nil {
		return &plainReader{head: head, rest: a}, nil
	}
	return p.reader(bufio.NewReaderSize(io.MultiReader(bytes.NewReader(head), a), archiveBlock))
}

// plainReader gives the bytes that were looked at, then the file itself.
type plainReader struct {
	head []byte
	rest io.Reader
}

func (r *plainReader) Read(p []byte) (int, error) {
	if len(r.head) == 0 {
		return r.rest.Read(p)
	}
	n := copy(p, r.head)
	r.head = r.head[n:]
	more, err := r.rest.Read(p[n:])
	return n + more, err
}

// lazyReader opens at the first Read, which may block.
type lazyReader struct {
	open func() (io.Reader, error)
	r    io.Reader
}

func (l *lazyReader) Read(p []byte) (n int, err error) {
	if l.r == nil {
		if l.r, err = l.open(); err != nil {
			return 0, err
		}
	}
	n, err = l.r.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errGzCut
	}
	return n, err
}

// errOther is a mark that belongs to something else under the same name.
var errOther = errors.New("the saved position is of another file: replay it into a new state, or give the file another name")

// skip goes on behind the mark of this source, if there is one.
func (s *stream) skip(r io.Reader, from []ingest.Mark) error {
	var last ingest.Mark
	for _, m := range from {
		if m.Source == s.name && m.Offset > last.Offset {
			last = m
		}
	}
	if last.Offset == 0 {
		return nil
	}
	s.head = make([]byte, min(last.Offset, headBytes))
	if _, err := io.ReadFull(r, s.head); err != nil {
		return errors.Join(errOther, gzEnd(err))
	}
	if last.PrintLen < 0 || last.PrintLen > int64(len(s.head)) || digest(s.head[:last.PrintLen]) != last.Print {
		return errOther
	}
	if _, err := io.CopyN(io.Discard, r, last.Offset-int64(len(s.head))); err != nil {
		return errors.Join(errOther, gzEnd(err))
	}
	s.split.reset(last.Offset)
	return nil
}

// fail says which file it was.
func (a *Archive) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("source: %s: %w", a.path, err)
}
