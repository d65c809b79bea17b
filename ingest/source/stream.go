package source

import (
	"context"

	"github.com/portcullis/portcullis/ingest"
)

// outFunc takes a batch, as in ingest.Source.
type outFunc = func(context.Context, *ingest.Batch) error

// stream hands out what is read once from the beginning to the end: standard
// input and archives. Offsets are those of the uncompressed bytes.
type stream struct {
	name  string // of the source
	path  string // empty for what has none
	dev   uint64
	ino   uint64
	split *splitter
	head  []byte       // the first bytes, up to headBytes
	lag   func() int64 // nil: not known
}

// fed takes in the n bytes that were read to split.space.
func (s *stream) fed(ctx context.Context, n int, out outFunc) error {
	s.split.fed(n)
	if room := headBytes - len(s.head); room > 0 {
		fresh := s.split.buf[len(s.split.buf)-n:]
		s.head = append(s.head, fresh[:min(n, room)]...)
	}
	return s.deliver(ctx, false, out)
}

// deliver hands out what is whole; final also a last line without newline.
func (s *stream) deliver(ctx context.Context, final bool, out outFunc) error {
	id := fileID(s.head, final)
	if id == 0 {
		return nil
	}
	for {
		r, ok := s.split.take(final)
		if !ok {
			return nil
		}
		for i := range r.rejects {
			r.rejects[i].Pos.Source, r.rejects[i].Pos.File = s.name, id
		}
		b := &ingest.Batch{
			Source: s.name, File: id, Offset: r.off, Data: r.data, Rejects: r.rejects,
			Mark: s.mark(id, s.split.resume()), Free: r.free,
		}
		if s.lag != nil {
			b.Lag = s.lag()
		}
		if err := out(ctx, b); err != nil {
			return err
		}
	}
}

func (s *stream) mark(id uint64, off int64) ingest.Mark {
	taken := s.head[:min(int64(len(s.head)), off)]
	m := ingest.Mark{
		Source: s.name, Path: s.path, File: id, Offset: off,
		Device: s.dev, Inode: s.ino, PrintLen: int64(len(taken)),
	}
	if len(taken) > 0 {
		m.Print = digest(taken)
	}
	return m
}
