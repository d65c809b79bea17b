package main

import (
	"log/slog"
	"os"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/source"
	"github.com/portcullis/portcullis/ingest/source/backfill"
)

// replayFile is one log of a replay, or several that follow each other in time.
type replayFile interface {
	ingest.Source
	// Name is the source's name in positions.
	Name() string
	// Done and Size are bytes, for the progress bar.
	Done() (done, size int64)
	Close()
}

// archive is one file.
type archive struct {
	*source.Archive
	path string
}

func (a *archive) Name() string             { return a.path }
func (a *archive) Done() (done, size int64) { return a.Progress(), a.Size() }

// rotation is a folder or a glob of rotated files, or one file of which only a span
// of time is wanted.
type rotation struct {
	*backfill.Source
	path string
}

func (r *rotation) Name() string { return r.path }
func (r *rotation) Close()       {}
func (r *rotation) Done() (done, size int64) {
	s := r.Stats()
	return s.Bytes, s.Total
}

// openAll opens logs that are read whole.
func openAll(paths []string) ([]replayFile, error) {
	var files []replayFile
	for _, p := range paths {
		a, err := source.OpenArchive(p)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, &archive{a, p})
	}
	return files, nil
}

// open opens the logs of a replay.
func (c *ReplayCmd) open(log *slog.Logger) ([]replayFile, error) {
	var files []replayFile
	for _, p := range c.Files {
		f, err := c.openOne(p, log)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (c *ReplayCmd) openOne(path string, log *slog.Logger) (replayFile, error) {
	info, err := os.Stat(path)
	folder := err == nil && info.IsDir()
	glob := err != nil && strings.ContainsAny(path, "*?[")
	if path == "-" || !folder && !glob && c.Since == "" && c.Until == "" {
		one, err := openAll([]string{path})
		if err != nil {
			return nil, err
		}
		return one[0], nil
	}
	b, err := backfill.New(backfill.Config{Name: path, Paths: []string{path}, Since: c.Since, Until: c.Until,
		TimeOf: timeReader(c.Format), Now: now, Log: log})
	if err != nil {
		return nil, usageError{err: err, command: "portcullis replay"}
	}
	return &rotation{b, path}, nil
}

// timeReader reads the times of lines, of a format that may still be found.
func timeReader(spec string) func([]byte) (int64, bool) {
	var parser ingest.Parser
	f, err := format.Open(spec)
	return func(line []byte) (int64, bool) {
		if parser == nil {
			found := f
			if found.Auto {
				found, _, err = f.Find(line)
			}
			if err != nil || found.New == nil {
				return 0, false
			}
			parser = found.New()
		}
		var ev ingest.Event
		r := parser.Parse(line, &ev)
		parser.Reset()
		return ev.Time, r == ingest.OK && ev.Time != 0
	}
}

func closeAll(files []replayFile) {
	for _, f := range files {
		f.Close()
	}
}

func total(files []replayFile) int64 {
	var n int64
	for _, f := range files {
		_, size := f.Done()
		n += size
	}
	return n
}

func done(files []replayFile) int64 {
	var n int64
	for _, f := range files {
		read, _ := f.Done()
		n += read
	}
	return n
}
