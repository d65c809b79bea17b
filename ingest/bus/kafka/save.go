package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/portcullis/portcullis/ingest/bus"
)

// Task saves the snapshots of one task; for one goroutine at a time.
type Task struct {
	store     *Store
	task      string
	partition int

	epoch int64 // highest known: of a load, then ours
	ours  bool  // epoch is ours
	seq   int64
	refs  map[string]blobRef // of the newest head that was acknowledged or loaded
	keys  map[string]bool    // of all records that are, or may be, in the topic
}

// Save writes a snapshot: meta, the blobs in changed (nil: gone), and as they were
// all others. It returns nil when all in-sync replicas have it; after an error the
// snapshot is the one before, or, where the answer was lost, this one.
//
// epoch is the owner's. It must be greater than that of the load, and grows with
// each owner: a save of a lower epoch never counts again once one of a higher is
// there.
//
// own asks whether the task is still ours, as Generation.Commit does, which brokers
// answer out of a replicated log. Only when it says so, with this head in place,
// records that no head needs are deleted: an owner that comes later then loads this
// head or a newer one, so that nothing is taken from it, however late the deletion
// arrives. nil: nobody else can own it.
func (t *Task) Save(ctx context.Context, epoch int64, meta []byte, changed map[string][]byte, own func(context.Context) error) error {
	if epoch < t.epoch || epoch == t.epoch && !t.ours || epoch < 1 {
		return fmt.Errorf("kafka: save %s: epoch %d is not above %d, which an owner used before", t.task, epoch, t.epoch)
	}
	if epoch > t.epoch {
		t.epoch, t.ours, t.seq = epoch, true, 0
	}
	t.seq++
	refs := maps.Clone(t.refs)
	send := maps.Clone(changed)
	if send == nil {
		send = map[string][]byte{}
	}
	for name := range send {
		if err := checkName("blob", name); err != nil {
			return err
		}
	}
	send[metaBlob] = append([]byte{}, meta...)
	for name, blob := range send {
		if blob == nil {
			delete(refs, name)
			continue
		}
		refs[name] = blobRef{Name: name, Epoch: t.epoch, Seq: t.seq, Size: len(blob), SHA256: sum(blob)}
	}
	h := head{Version: headVersion, Epoch: t.epoch, Seq: t.seq}
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		h.Blobs = append(h.Blobs, refs[name])
	}
	table, err := json.Marshal(h)
	if err == nil && len(table) > maxHead {
		err = fmt.Errorf("%d blobs are too many for one head of %d bytes", len(h.Blobs), maxHead)
	}
	if err == nil {
		err = t.write(ctx, t.pieces(refs, send))
	}
	if err == nil {
		err = t.write(ctx, []bus.Message{t.record(headKey(t.task, t.epoch), table)})
	}
	if err != nil {
		return fmt.Errorf("kafka: save %s: %w", t.task, err)
	}
	t.refs = refs
	if own != nil && own(ctx) != nil {
		return nil // what is not needed is deleted after another save
	}
	return t.clean(ctx, &h)
}

// pieces are the records of the blobs to be sent.
func (t *Task) pieces(refs map[string]blobRef, send map[string][]byte) (out []bus.Message) {
	for _, name := range slices.Sorted(maps.Keys(send)) {
		ref, blob := refs[name], send[name]
		if blob == nil {
			continue
		}
		for c := range ref.chunks() {
			out = append(out, t.record(ref.key(t.task, c), blob[c*chunkBytes:min(len(blob), (c+1)*chunkBytes)]))
		}
	}
	return out
}

// record makes a message and notes that it may be in the topic from now on.
func (t *Task) record(key string, value []byte) bus.Message {
	t.keys[key] = true
	return bus.Message{Key: []byte(key), Value: value}
}

// write sends records and waits until all are there.
func (t *Task) write(ctx context.Context, records []bus.Message) error {
	ends := make(chan error, len(records))
	for _, m := range records {
		if err := t.store.producer.Send(ctx, State, t.partition, m, func(_ int64, err error) { ends <- err }); err != nil {
			return err
		}
	}
	for range records {
		select {
		case err := <-ends:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// clean deletes the records that the newest head does not need.
func (t *Task) clean(ctx context.Context, h *head) error {
	needed := h.keys(t.task)
	needed[headKey(t.task, h.Epoch)] = true
	var gone []bus.Message
	for _, key := range slices.Sorted(maps.Keys(t.keys)) {
		if !needed[key] {
			gone = append(gone, bus.Message{Key: []byte(key)})
		}
	}
	if err := t.write(ctx, gone); err != nil {
		return nil //nolint:nilerr // the snapshot is saved; they are deleted after another save
	}
	for _, m := range gone {
		delete(t.keys, string(m.Key))
	}
	return nil
}

// Forget deletes the snapshot of a task, damaged or not: its next owner begins
// anew. Nobody may own it meanwhile.
func (s *Store) Forget(ctx context.Context, task string, partition int) error {
	if err := checkName("task", task); err != nil {
		return err
	}
	l, err := s.scan(ctx, task, partition)
	if err != nil {
		return fmt.Errorf("kafka: forget %s: %w", task, err)
	}
	var gone []bus.Message
	for key := range l.keys { // heads first: without its head nothing counts
		if l.keys[key].head {
			gone = slices.Insert(gone, 0, bus.Message{Key: []byte(key)})
		} else {
			gone = append(gone, bus.Message{Key: []byte(key)})
		}
	}
	if err := (&Task{store: s, partition: partition}).write(ctx, gone); err != nil {
		return fmt.Errorf("kafka: forget %s: %w", task, err)
	}
	return nil
}
