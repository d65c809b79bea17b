package task

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// feed takes in a message. One that is none of ours goes to the rejected topic with
// the reason, and the rest goes on.
func (t *Task) feed(ctx context.Context, f fetched) error {
	if f.m == nil {
		t.skip(f.from, f.to)
		return nil
	}
	t.end = f.end
	if f.m.Offset < t.next {
		return nil // seen: the reader started again further back
	}
	err := t.part.feed(ctx, f.m)
	switch {
	case isForeign(err):
		t.foreign++
		t.trouble = fmt.Sprintf("message %d of partition %d is none that this version can read: %v; it is in the rejected topic", f.m.Offset, t.Partition, err)
		if err := t.Out.Foreign(ctx, f.m, err); err != nil {
			return err
		}
		if t.foreign == 1 {
			t.Log.Warn("foreign message in a topic of ours", "task", t.Name, "partition", t.Partition, "offset", f.m.Offset, "why", err)
		}
	case err != nil:
		return err
	}
	t.next = f.m.Offset + 1
	t.dirty = true
	return nil
}

// skip passes over messages that were deleted before they were read.
func (t *Task) skip(from, to int64) {
	if from = max(from, t.next); from < to {
		t.lost += to - from
		t.next, t.dirty = to, true
	}
}

// begin cuts a snapshot and starts saving it.
func (t *Task) begin(ctx, saving context.Context, now time.Time) error {
	store, err := t.cut(ctx)
	if err != nil {
		return err
	}
	t.saving, t.dirty, t.began = true, false, now
	go func() { t.saved <- store(saving) }()
	return nil
}

// settled takes the outcome of a save.
func (t *Task) settled(err error) error {
	t.saving = false
	t.due = t.Now().Add(max(t.Every, min(10*t.Now().Sub(t.began), time.Minute)))
	return err
}

// save cuts and saves, and waits for it.
func (t *Task) save(ctx context.Context) error {
	store, err := t.cut(ctx)
	if err != nil {
		return err
	}
	return store(ctx)
}

// cut takes a snapshot and hands on what belongs to it. What it returns makes the
// snapshot durable once everything before it is.
func (t *Task) cut(ctx context.Context) (func(context.Context) error, error) {
	if err := t.flush(ctx, true); err != nil {
		return nil, err
	}
	s, own := t.part.snapshot()
	if err := t.handOn(ctx, s); err != nil {
		return nil, err
	}
	part, err := json.Marshal(own)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	meta, err := json.Marshal(head{Version: headVersion, Next: t.next, Lost: t.lost, Foreign: t.foreign, Part: part})
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	next := t.next
	return func(ctx context.Context) error {
		if err := t.Out.Flush(ctx); err != nil {
			return fmt.Errorf("snapshot: what was found is not durable: %w", err)
		}
		o := t.owner.Load()
		return t.keep.Save(ctx, o.Epoch, meta, s.Blobs, func(ctx context.Context) error { return o.note(ctx, Key{t.Name, t.Partition}, next) })
	}, nil
}

func (t *Task) handOn(ctx context.Context, s detect.Snapshot) error {
	if err := t.Out.Findings(ctx, s.Findings); err != nil {
		return err
	}
	if err := t.Out.Rollups(ctx, s.Rollups); err != nil {
		return err
	}
	return t.Out.Rejects(ctx, s.Rejects)
}

// Beat is how the task is doing.
func (t *Task) Beat() Beat {
	b := Beat{Task: t.Name, Partition: t.Partition, Epoch: t.owner.Load().Epoch, Offset: t.next - 1, Waiting: max(0, t.end-t.next),
		Lost: t.lost, Foreign: t.foreign, Trouble: t.trouble}
	t.part.beat(&b)
	return b
}

func unmarshalHead(meta []byte, h *head) error {
	if err := json.Unmarshal(meta, h); err != nil {
		return fmt.Errorf("saved state: %w (delete the state topic to start afresh: what is in windows is then forgotten)", err)
	}
	if h.Version != headVersion {
		return fmt.Errorf("saved state has version %d, this program reads %d: run one version of all detectors", h.Version, headVersion)
	}
	return nil
}
