package output

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/source/spool"
)

// Lines keeps the lines of the log for an output, on the disk, until they are sent: as
// they came, since reading and inspecting them again is what takes time. Bounded by its
// settings; when it is full batches are left out, and counted: detection does not wait.
type Lines struct {
	name    string
	spool   *spool.Spool
	leftOut atomic.Int64 // lines
	failed  atomic.Pointer[string]

	mu   sync.Mutex
	sent ends      // of what was noted
	read []readEnd // what was read and not noted, in order; bounded by what the output reads ahead
}

// kept is a batch as it stands in the spool, on one line.
type kept struct {
	Headers []bus.Header
	Value   []byte
}

// lineMost is how long a batch is in the spool, at the most.
const lineMost = 16 << 20

// OpenLines opens the spool in a folder, for this process alone.
func OpenLines(dir string, most int64, log *slog.Logger) (*Lines, error) {
	s, err := spool.Open(spool.Config{Dir: dir, Name: filepath.Base(dir), MaxBytes: most, Segment: min(16<<20, most/4), MaxLine: lineMost, Sync: time.Second, Log: log})
	if err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	return &Lines{name: filepath.Base(dir), spool: s}, nil
}

// Close forces everything to the disk.
func (l *Lines) Close() error { return l.spool.Close() }

// Keep takes a batch on its way to detection. It does not keep its bytes.
func (l *Lines) Keep(b *ingest.Batch) {
	if len(b.Data) == 0 {
		return
	}
	c := *b
	c.Free = nil
	m, err := bus.FromBatch("", &c)
	var line []byte
	if err == nil {
		line, err = json.Marshal(kept{m.Headers, m.Value})
	}
	if err == nil {
		err = l.spool.Append(append(line, '\n'))
	}
	if err == nil {
		l.failed.Store(nil)
		return
	}
	l.leftOut.Add(int64(b.Lines()))
	text := err.Error()
	l.failed.Store(&text)
}

// LeftOut is how many lines there was no room for, and why; "" = there is room now.
func (l *Lines) LeftOut() (lines int64, why string) {
	if p := l.failed.Load(); p != nil {
		why = *p
	}
	return l.leftOut.Load(), why
}

// Waiting is how many bytes were not read again.
func (l *Lines) Waiting() int64 { return l.spool.Health().Lag }

// Restore returns the place in what Sent returned, and takes the rest of it up.
func (l *Lines) Restore(note string) (place string, err error) {
	place, rest, _ := strings.Cut(note, " ")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent, l.read = nil, nil
	if rest == "" {
		return place, nil
	}
	if err := json.Unmarshal([]byte(rest), &l.sent); err != nil {
		return "", fmt.Errorf("output: how far logs were sent cannot be read: %w", err)
	}
	return place, nil
}

// Note is a place with how far each log was sent there, in one line.
func (l *Lines) Note(place string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for ; n < len(l.read) && l.read[n].place <= place; n++ {
		l.sent.put(l.read[n].end)
	}
	l.read = l.read[n:]
	text, _ := json.Marshal(l.sent) // names and numbers always marshal
	return place + " " + string(text)
}

// Sent lets go of what lies before a place.
func (l *Lines) Sent(place string) {
	if m, err := l.mark(place); err == nil && m.File > 0 {
		l.spool.Saved(m)
	}
}

// Read gives the documents of the lines behind a place to each. A place is the number of
// a file of the spool and where in it, in hexadecimal, so that the order of names is that
// of places. Lines that are in the spool twice, since we were killed before it was saved
// that they were taken in, are given once.
func (l *Lines) Read(ctx context.Context, from string, convert func(*bus.Message) ([]elastic.Doc, error), each func(Piece) error) error {
	mark, err := l.mark(from)
	if err != nil {
		return err
	}
	l.mu.Lock()
	seen := slices.Clone(l.sent)
	l.mu.Unlock()
	return l.spool.Run(ctx, []ingest.Mark{mark}, func(ctx context.Context, b *ingest.Batch) error {
		defer b.Release()
		at := b.Offset
		for data := b.Data; len(data) > 0; {
			end := bytes.IndexByte(data, '\n') + 1
			line := data[:end]
			data, at = data[end:], at+int64(end)
			p := Piece{Next: fmt.Sprintf("%016x-%08x", b.File, at)}
			if m, reached, err := unkept(line, seen); err == nil {
				seen.put(reached)
				l.mu.Lock()
				l.read = append(l.read, readEnd{p.Next, reached})
				l.mu.Unlock()
				// What is wrong with a line is told where detection reads it.
				p.Docs, _ = convert(&m)
			}
			if err := each(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// unkept is a batch of the spool without what was seen before, and where it ends.
func unkept(line []byte, seen ends) (m bus.Message, reached end, err error) {
	var k kept
	if err := json.Unmarshal(line, &k); err != nil {
		return m, reached, err
	}
	m = bus.Message{Headers: k.Headers, Value: k.Value}
	b, err := bus.ToBatch(&m)
	if err != nil {
		return m, reached, err
	}
	reached = end{b.Source, b.File, b.End()}
	if before := seen.of(b.Source, b.File); b.Offset < before {
		b.SkipTo(before)
		m, err = bus.FromBatch("", &b)
	}
	return m, reached, err
}

// end is how far a file of a source reaches.
type end struct {
	Source string
	File   uint64
	End    int64
}

// readEnd is how far one reaches at a place.
type readEnd struct {
	place string
	end   end
}

// ends are the files that were read last.
type ends []end

// endsMost bounds them: of a file before them, lines may come twice.
const endsMost = 256

func (l ends) of(source string, file uint64) int64 {
	for _, e := range l {
		if e.Source == source && e.File == file {
			return e.End
		}
	}
	return 0
}

func (l *ends) put(e end) {
	list := *l
	if i := slices.IndexFunc(list, func(o end) bool { return o.Source == e.Source && o.File == e.File }); i >= 0 {
		e.End = max(e.End, list[i].End)
		list = slices.Delete(list, i, i+1)
	}
	list = append(list, e)
	*l = list[max(0, len(list)-endsMost):]
}

func (l *Lines) mark(place string) (ingest.Mark, error) {
	m := ingest.Mark{Source: l.name}
	if place == "" {
		return m, nil
	}
	file, offset, _ := strings.Cut(place, "-")
	var err, err2 error
	m.File, err = strconv.ParseUint(file, 16, 64)
	m.Offset, err2 = strconv.ParseInt(offset, 16, 64)
	if err = errors.Join(err, err2); err != nil {
		return m, fmt.Errorf("output: %.64q is no place in a spool: %w", place, err)
	}
	return m, nil
}
