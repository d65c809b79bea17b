package bus

import (
	"context"
	"slices"
)

// reader is a member of a group of the memory bus. Its fields are guarded by the
// lock of the bus.
type reader struct {
	bus    *Memory
	topic  *topic
	group  *group
	name   string // of the topic
	turn   int    // partition to look at first, so that none starves
	closed bool
}

// Fetch implements Reader.
func (r *reader) Fetch(ctx context.Context) (*Message, error) {
	r.bus.mu.Lock()
	defer r.bus.mu.Unlock()
	for {
		if r.closed || r.bus.closed {
			return nil, ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m := r.next(); m != nil {
			return m, nil
		}
		r.bus.block(ctx, r.group.news.wait())
	}
}

// next takes a message of a partition that this reader owns.
func (r *reader) next() *Message {
	n := len(r.topic.parts)
	for k := range n {
		i := (r.turn + k) % n
		p := &r.topic.parts[i]
		at := r.group.cursor[i]
		if r.group.owner[i] != r || at >= p.base+int64(len(p.log)) {
			continue
		}
		m := p.log[at-p.base]
		m.Free = nil // the bus frees, not the reader
		r.group.cursor[i] = at + 1
		p.fetched = max(p.fetched, at+1)
		r.turn = i + 1
		return &m
	}
	return nil
}

// Commit implements Reader. It checks all messages before it commits any.
func (r *reader) Commit(ctx context.Context, messages ...*Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	free, err := r.commit(messages)
	for _, f := range free {
		f()
	}
	return err
}

func (r *reader) commit(messages []*Message) (free []func(), err error) {
	r.bus.mu.Lock()
	defer r.bus.mu.Unlock()
	if r.closed || r.bus.closed {
		return nil, ErrClosed
	}
	g := r.group
	for _, m := range messages {
		if m.Topic != r.name || m.Partition < 0 || m.Partition >= len(g.owner) || g.owner[m.Partition] != r {
			return nil, ErrNotAssigned
		}
	}
	for _, m := range messages {
		i := m.Partition
		end := r.topic.parts[i].base + int64(len(r.topic.parts[i].log))
		if to := min(m.Offset+1, end); to > g.committed[i] {
			g.committed[i] = to
			g.cursor[i] = max(g.cursor[i], to)
			free = append(free, r.topic.trim(i)...)
		}
	}
	return free, nil
}

// Close implements Reader.
func (r *reader) Close() error {
	r.bus.mu.Lock()
	defer r.bus.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.group.members = slices.DeleteFunc(r.group.members, func(m *reader) bool { return m == r })
	r.group.assign()
	return nil
}
