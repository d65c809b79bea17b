package kafka

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/portcullis/portcullis/ingest/bus"
)

// Saved is a snapshot as it was loaded.
type Saved struct {
	Epoch int64             // the highest that any owner used; 0 where there was none
	Found bool              // whether anything was saved; without it the rest is empty
	Meta  []byte            // what the offset covers, marks, books: the caller's
	Blobs map[string][]byte // by name
}

// Store keeps snapshots in the state topic.
type Store struct {
	client   *Client
	producer *Producer
}

// Store writes with p, which may serve others as well.
func (c *Client) Store(p *Producer) *Store { return &Store{client: c, producer: p} }

// loading is a pass over a partition. It holds no more than the newest snapshot so
// far and what is newer than it.
type loading struct {
	task  string
	keys  map[string]place  // of all records of the task that are not tombstones
	value map[string][]byte // of chunks that the newest head names, or a newer one may
	head  *head             // the newest
	err   error             // why the newest head cannot be read
	epoch int64             // of the newest head
	high  int64             // of any key
}

// Load reads the newest snapshot of a task from its partition, and returns what
// saves the next ones. The owner loads after the group gave the task to it: what an
// earlier owner wrote before is seen. *CorruptError: it was damaged.
func (s *Store) Load(ctx context.Context, task string, partition int) (*Task, Saved, error) {
	if err := checkName("task", task); err != nil {
		return nil, Saved{}, err
	}
	l, err := s.scan(ctx, task, partition)
	if err != nil {
		return nil, Saved{}, fmt.Errorf("kafka: load %s: %w", task, err)
	}
	t := &Task{store: s, task: task, partition: partition, epoch: l.high, keys: map[string]bool{}, refs: map[string]blobRef{}}
	for key := range l.keys {
		t.keys[key] = true
	}
	saved := Saved{Epoch: l.high, Blobs: map[string][]byte{}}
	if l.epoch >= 0 {
		if saved.Blobs, err = l.assemble(); err != nil {
			return nil, Saved{}, &CorruptError{s.client.Topic(State), partition, task, err}
		}
		saved.Found, saved.Meta = true, saved.Blobs[metaBlob]
		delete(saved.Blobs, metaBlob)
		for _, r := range l.head.Blobs {
			t.refs[r.Name] = r
		}
	}
	return t, saved, nil
}

// scan reads the records of a task. Pieces that were let go of, and that an owner
// went on to name who had loaded an earlier head, are read again: such an owner and
// one of the past were at work at the same time, which is rare.
func (s *Store) scan(ctx context.Context, task string, partition int) (*loading, error) {
	l := &loading{task: task, keys: map[string]place{}, value: map[string][]byte{}, epoch: -1}
	err := s.client.ReadAll(ctx, State, partition, func(m *bus.Message) error {
		l.take(string(m.Key), m.Value)
		return nil
	})
	if err != nil || l.head == nil {
		return l, err
	}
	missing := false
	named := l.head.keys(task)
	for key := range named {
		_, held := l.value[key]
		_, there := l.keys[key]
		missing = missing || there && !held
	}
	if !missing {
		return l, nil
	}
	return l, s.client.ReadAll(ctx, State, partition, func(m *bus.Message) error {
		if key := string(m.Key); named[key] {
			l.value[key] = m.Value
		}
		return nil
	})
}

// take looks at one record of the partition.
func (l *loading) take(key string, value []byte) {
	rest, ours := strings.CutPrefix(key, l.task+"/")
	p, ok := parseKey(rest)
	if !ours || !ok {
		return
	}
	l.high = max(l.high, p.epoch)
	switch {
	case value == nil:
		delete(l.keys, key)
		delete(l.value, key)
		if p.head && p.epoch == l.epoch { // somebody wants it forgotten
			l.epoch, l.head, l.err = -1, nil, nil
		}
		return
	case !p.head && p.epoch >= l.epoch:
		l.value[key] = value
	case p.head && p.epoch >= l.epoch:
		l.epoch = p.epoch
		if l.head, l.err = decodeHead(value); l.err == nil {
			l.evict()
		}
	}
	l.keys[key] = p
}

// evict drops chunks that the newest head does not name, unless they are newer.
func (l *loading) evict() {
	named := l.head.keys(l.task)
	maps.DeleteFunc(l.value, func(key string, _ []byte) bool {
		p := l.keys[key]
		newer := p.epoch > l.head.Epoch || p.epoch == l.head.Epoch && p.seq > l.head.Seq
		return !named[key] && !newer
	})
}

// keys are those of all that a head names.
func (h *head) keys(task string) map[string]bool {
	out := map[string]bool{}
	for i := range h.Blobs {
		for c := range h.Blobs[i].chunks() {
			out[h.Blobs[i].key(task, c)] = true
		}
	}
	return out
}

// assemble puts the blobs of the newest head together.
func (l *loading) assemble() (map[string][]byte, error) {
	if l.err != nil {
		return nil, l.err
	}
	out := map[string][]byte{}
	for i := range l.head.Blobs {
		r := &l.head.Blobs[i]
		blob := make([]byte, 0, min(r.Size, 1<<20))
		for c := range r.chunks() {
			piece, there := l.value[r.key(l.task, c)]
			if !there {
				return nil, fmt.Errorf("piece %d of %d of blob %q, saved at %d.%d, is missing", c+1, r.chunks(), r.Name, r.Epoch, r.Seq)
			}
			blob = append(blob, piece...)
		}
		if len(blob) != r.Size || sum(blob) != r.SHA256 {
			return nil, fmt.Errorf("blob %q, saved at %d.%d, has %d bytes that do not match its checksum (it was saved with %d)", r.Name, r.Epoch, r.Seq, len(blob), r.Size)
		}
		out[r.Name] = blob
	}
	return out, nil
}
