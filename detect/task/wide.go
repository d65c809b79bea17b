package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest/bus"
)

// Wide is level two of one partition: accounts, and the traffic of routes.
const Wide = "wide"

// The headers of a message of partials.
const (
	HeaderFrom = "from" // the partition of level one, decimal
	HeaderUpto = "upto" // the offset of the message there that led to it, decimal
)

// NewWide makes the task of level two of a partition.
func NewWide(t *Task, open func(emit func(detect.Finding)) (*detect.Wide, error)) *Task {
	t.Name = Wide

	t.make = func() (part, error) {
		w := &wide{task: t, seen: map[int]int64{}}
		var err error
		w.wide, err = open(func(x detect.Finding) { w.early = append(w.early, x) })
		return w, err
	}
	return t
}

type wide struct {
	task  *Task
	wide  *detect.Wide
	seen  map[int]int64 // by partition of level one: the last offset that was taken in
	early []detect.Finding
}

func (w *wide) feed(ctx context.Context, m *bus.Message) error {
	from, err := strconv.Atoi(string(m.Header(HeaderFrom)))
	if err != nil || from < 0 {
		return foreignError{fmt.Errorf("header %s: %.40q", HeaderFrom, m.Header(HeaderFrom))}
	}
	upto, err := strconv.ParseInt(string(m.Header(HeaderUpto)), 10, 64)
	if err != nil {
		return foreignError{fmt.Errorf("header %s: %w", HeaderUpto, err)}
	}
	if at, known := w.seen[from]; known && upto <= at {
		return nil // a repeat
	}
	p, err := detect.ParsePartials(m.Value)
	if err == nil {
		err = w.wide.Feed(from, p)
	}
	if errors.Is(err, detect.ErrNewer) {
		return fmt.Errorf("message %d: %w", m.Offset, err) // it waits in the topic
	}
	if err != nil {
		return foreignError{err}
	}
	if m.Free != nil {
		m.Free() // nothing of it was kept
	}
	w.seen[from] = upto
	if len(w.early) == 0 {
		return nil
	}
	list := w.early
	w.early = nil
	return w.task.Out.Findings(ctx, list)
}

func (w *wide) findings(context.Context, bool) ([]detect.Finding, error) {
	return w.wide.Findings(), nil
}

func (w *wide) snapshot() (detect.Snapshot, any) { return w.wide.Snapshot(), w.seen }

func (w *wide) restore(meta []byte, blobs map[string][]byte) error {
	if err := json.Unmarshal(meta, &w.seen); err != nil {
		return fmt.Errorf("saved state: %w", err)
	}
	return w.wide.Restore(detect.Snapshot{Blobs: blobs})
}

func (w *wide) beat(b *Beat) {
	w.wide.Publish()
	s := w.wide.Stats()
	b.Newest, b.Closed, b.Clients, b.Evicted, b.Findings, b.Bytes = s.Newest, s.Closed, s.Clients, s.Evicted, s.Findings, s.Bytes
}

func (w *wide) close() {}
