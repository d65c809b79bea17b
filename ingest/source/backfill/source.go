package backfill

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"sync/atomic"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source"
)

// Source reads logs of a span of time. It implements ingest.Source; one Run at a
// time.
type Source struct {
	cfg   Config
	in    span
	stats counters
}

var _ ingest.Source = (*Source)(nil)

// New checks the settings. The paths are looked at by Run.
func New(cfg Config) (*Source, error) {
	var errs []error
	cfg.Check(func(key, message string) { errs = append(errs, errors.New("backfill: "+key+": "+message)) })
	if cfg.TimeOf == nil {
		errs = append(errs, errors.New("backfill: nothing reads the times of lines: set TimeOf"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	cfg = cfg.withDefaults()
	now := cfg.Now()
	since, err := Instant(cfg.Since, now, math.MinInt64)
	until, err2 := Instant(cfg.Until, now, math.MaxInt64)
	return &Source{cfg: cfg, in: span{since, until}}, errors.Join(err, err2)
}

// counters are written by Run and read by anyone.
type counters struct {
	files, done, outside, lines, damaged, bytes, total atomic.Int64
	reading                                            atomic.Pointer[source.Archive]
	err                                                atomic.Pointer[string]
}

// Stats is how far a back-fill has come.
type Stats struct {
	Files        int64 // to be read
	FilesDone    int64 // of them
	FilesSkipped int64 // outside the span, not read
	LinesSkipped int64 // outside the span, in files that were read
	Damaged      int64 // files that could not be read, or not to their end
	Bytes        int64 // read so far, as stored
	Total        int64 // bytes of Files
}

// Stats may be called at any time by any goroutine.
func (s *Source) Stats() Stats {
	out := Stats{
		Files: s.stats.files.Load(), FilesDone: s.stats.done.Load(), FilesSkipped: s.stats.outside.Load(),
		LinesSkipped: s.stats.lines.Load(), Damaged: s.stats.damaged.Load(), Bytes: s.stats.bytes.Load(), Total: s.stats.total.Load(),
	}
	if a := s.stats.reading.Load(); a != nil {
		out.Bytes += min(a.Progress(), a.Size())
	}
	return out
}

// Health may be called at any time by any goroutine. A damaged file is a loss; the
// last one is named.
func (s *Source) Health() source.Health {
	st := s.Stats()
	h := source.Health{Lag: max(st.Total-st.Bytes, 0), Losses: st.Damaged}
	if e := s.stats.err.Load(); e != nil {
		h.Error = *e
	}
	return h
}

// Run implements ingest.Source. It ends with nil when all files are read; damaged
// files do not end it. Where there is nothing to read at all it says so.
func (s *Source) Run(ctx context.Context, from []ingest.Mark, out func(context.Context, *ingest.Batch) error) error {
	for _, c := range []*atomic.Int64{&s.stats.files, &s.stats.done, &s.stats.outside, &s.stats.lines, &s.stats.damaged, &s.stats.bytes, &s.stats.total} {
		c.Store(0)
	}
	files, err := s.look(ctx)
	if err != nil {
		return err
	}
	at, mark := s.resume(files, from)
	for i, f := range files {
		if f.outside {
			continue
		}
		if i >= at {
			var begin []ingest.Mark
			if i == at && mark.Offset > 0 {
				mark.Source = f.path // as the archive calls itself
				begin = append(begin, mark)
			}
			if err := s.read(ctx, f, begin, out); err != nil {
				return err
			}
		}
		s.stats.bytes.Add(f.size)
		s.stats.done.Add(1)
	}
	return nil
}

// look lists the files in order, those outside the span too.
func (s *Source) look(ctx context.Context) ([]*file, error) {
	names, errs := expand(s.cfg.Paths)
	for _, err := range errs {
		if err != nil {
			s.failed("a path cannot be read", err)
		}
	}
	var files []*file
	for _, name := range withoutCopies(names) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, err := probe(name, s.cfg.TimeOf)
		if err != nil {
			s.failed("a file cannot be read", err)
		} else if f.size > 0 {
			files = append(files, f)
		}
	}
	if len(names) == 0 {
		return nil, errors.Join(append([]error{errors.New("backfill: paths: no file to read")}, errs...)...)
	}
	choose(files, s.in)
	for _, f := range files {
		if f.outside {
			s.stats.outside.Add(1)
		} else {
			s.stats.files.Add(1)
			s.stats.total.Add(f.size)
		}
	}
	return files, nil
}

// failed counts and says what cannot be read; the rest goes on.
func (s *Source) failed(what string, err error) {
	text := err.Error()
	s.stats.err.Store(&text)
	s.stats.damaged.Add(1)
	s.cfg.Log.Error("backfill: "+what, "source", s.cfg.Name, "error", text, "hint", "the others are read; mend it and read it by itself")
}

// resume finds where to go on: the index of the file and the mark in it. A file
// is known by its beginning, so that it may have been renamed or packed meanwhile.
func (s *Source) resume(files []*file, from []ingest.Mark) (int, ingest.Mark) {
	for _, m := range from {
		if m.Source != s.cfg.Name {
			continue
		}
		found := -1
		for i, f := range files {
			if f.is(m) && (found < 0 || f.path == m.Path) {
				found = i
			}
		}
		if found >= 0 {
			return found, m
		}
		s.cfg.Log.Warn("backfill: the file of the saved position is not among those to be read: all are read from their beginning",
			"source", s.cfg.Name, "file", m.Path, "hint", "was it deleted, or since or until changed?")
	}
	return 0, ingest.Mark{}
}

// is says whether a mark was made in this file.
func (f *file) is(m ingest.Mark) bool {
	if f.id != m.File || m.PrintLen < 0 || m.PrintLen > int64(len(f.head)) {
		return false
	}
	sum := sha256.Sum256(f.head[:m.PrintLen])
	return m.PrintLen == 0 || max(binary.LittleEndian.Uint64(sum[:]), 1) == m.Print
}

// outError marks an error of the receiver, which ends Run.
type outError struct{ err error }

// Error implements error.
func (e *outError) Error() string { return e.err.Error() }

// read hands out one file. Its damage is said and counted.
func (s *Source) read(ctx context.Context, f *file, from []ingest.Mark, out func(context.Context, *ingest.Batch) error) error {
	a, err := source.OpenArchive(f.path)
	if err != nil {
		s.failed("a file cannot be read", err)
		return nil
	}
	s.stats.reading.Store(a)
	defer s.stats.reading.Store(nil)
	p := &filter{Source: s, a: a, out: func(ctx context.Context, b *ingest.Batch) error {
		if err := out(ctx, b); err != nil {
			return &outError{err}
		}
		return nil
	}}
	err = a.Run(ctx, from, p.pass)
	var stop *outError
	switch {
	case errors.As(err, &stop):
		return stop.err
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		s.failed("a file is damaged: what could be read of it was", err)
	}
	return nil
}
