package bus

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"sync"
)

// MemoryConfig bounds the bus of one process.
type MemoryConfig struct {
	Partitions int   `yaml:"partitions" default:"4" doc:"partitions of each topic: how many readers of one group can work at once"`
	Messages   int   `yaml:"messages" default:"256" doc:"messages of one partition that wait or are not committed; beyond that its producers block"`
	Bytes      int64 `yaml:"bytes" default:"67108864" doc:"bytes of one partition that wait or are not committed; 64 MiB is a third of a second at 200 MB/s; a single larger message is let in alone"`
}

// Check reports what is wrong with the settings, by key.
func (c MemoryConfig) Check(report func(key, message string)) {
	if c.Partitions < 0 || c.Partitions > 1024 {
		report("partitions", "must be from 1 to 1024")
	}
	if c.Messages < 0 {
		report("messages", "must not be negative")
	}
	if c.Bytes < 0 {
		report("bytes", "must not be negative")
	}
}

// Memory is the bus within one process. A partition holds what some group has
// not committed yet; when that reaches the bounds, Publish blocks. A topic that
// no group has subscribed to keeps everything and so fills. Groups exist for the
// life of the bus, also without readers. Depth shows how full it is.
//
// One lock serves all: a message is a batch of thousands of lines.
type Memory struct {
	cfg    MemoryConfig
	mu     sync.Mutex
	closed bool
	topics map[string]*topic
}

var _ Bus = (*Memory)(nil)

// NewMemory returns an empty bus; zero settings take their defaults.
func NewMemory(cfg MemoryConfig) *Memory {
	cfg.Partitions = cmp.Or(max(cfg.Partitions, 0), 4)
	cfg.Messages = cmp.Or(max(cfg.Messages, 0), 256)
	cfg.Bytes = cmp.Or(max(cfg.Bytes, 0), 64<<20)
	return &Memory{cfg: cfg, topics: map[string]*topic{}}
}

// topic and what it holds are guarded by Memory.mu.
type topic struct {
	parts  []partition
	groups map[string]*group
	turn   int // for messages without a key
}

// partition is a queue of what is not committed by all groups.
type partition struct {
	base    int64 // offset of log[0]
	log     []Message
	bytes   int64
	fetched int64 // behind the last message that anyone ever fetched
	room    signal
}

// group is where a consumer group stands.
type group struct {
	members   []*reader
	owner     []*reader // by partition; nil without members
	cursor    []int64   // next to fetch, by partition
	committed []int64   // next to deliver after a reader went, by partition
	news      signal
}

// signal wakes all that wait for a change. Guarded by Memory.mu.
type signal struct{ c chan struct{} }

func (s *signal) wait() <-chan struct{} {
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

func (s *signal) wake() {
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}

// topic returns the named topic, which its first use creates.
func (b *Memory) topic(name string) *topic {
	t := b.topics[name]
	if t == nil {
		t = &topic{parts: make([]partition, b.cfg.Partitions), groups: map[string]*group{}}
		b.topics[name] = t
	}
	return t
}

// pick chooses the partition of a message.
func (t *topic) pick(key []byte) int {
	if key == nil {
		t.turn = (t.turn + 1) % len(t.parts)
		return t.turn
	}
	return Spread(key, len(t.parts))
}

// Spread chooses one of n partitions for a key as kafka-go's Hash balancer does
// (FNV-1a), so that a key stays where it was when a bus of another kind takes over.
func Spread(key []byte, n int) int {
	h := fnv.New32a()
	h.Write(key) //nolint:errcheck // never fails
	at := int32(h.Sum32()) % int32(n)
	return int(max(at, -at))
}

// Publish implements Bus.
func (b *Memory) Publish(ctx context.Context, m Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := -1
	for {
		if b.closed {
			return ErrClosed
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		t := b.topic(m.Topic)
		if at < 0 {
			at = t.pick(m.Key)
		}
		p := &t.parts[at]
		if b.fits(p, &m) {
			m.Partition, m.Offset = at, p.base+int64(len(p.log))
			p.log = append(p.log, m)
			p.bytes += int64(len(m.Value))
			for _, g := range t.groups {
				g.news.wake()
			}
			return nil
		}
		b.block(ctx, p.room.wait())
	}
}

func (b *Memory) fits(p *partition, m *Message) bool {
	return len(p.log) == 0 || len(p.log) < b.cfg.Messages && p.bytes+int64(len(m.Value)) <= b.cfg.Bytes
}

// block waits without the lock.
func (b *Memory) block(ctx context.Context, changed <-chan struct{}) {
	b.mu.Unlock()
	defer b.mu.Lock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

// Subscribe implements Bus.
func (b *Memory) Subscribe(ctx context.Context, name, groupName string) (Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	t := b.topic(name)
	g := t.groups[groupName]
	if g == nil {
		n := len(t.parts)
		g = &group{owner: make([]*reader, n), cursor: make([]int64, n), committed: make([]int64, n)}
		for i := range t.parts {
			g.cursor[i], g.committed[i] = t.parts[i].base, t.parts[i].base
		}
		t.groups[groupName] = g
	}
	r := &reader{bus: b, topic: t, group: g, name: name}
	g.members = append(g.members, r)
	g.assign()
	return r, nil
}

// assign spreads the partitions over the members. One that moves starts again
// behind its last commit.
func (g *group) assign() {
	for i := range g.owner {
		var r *reader
		if len(g.members) > 0 {
			r = g.members[i%len(g.members)]
		}
		if r != g.owner[i] {
			g.owner[i], g.cursor[i] = r, g.committed[i]
		}
	}
	g.news.wake()
}

// trim lets go of what every group has committed, and returns what to free.
func (t *topic) trim(i int) []func() {
	p := &t.parts[i]
	least := p.base + int64(len(p.log))
	for _, g := range t.groups {
		least = min(least, g.committed[i])
	}
	n := int(least - p.base)
	if n <= 0 {
		return nil
	}
	free := make([]func(), 0, n)
	for j := range p.log[:n] {
		m := &p.log[j]
		p.bytes -= int64(len(m.Value))
		if m.Free != nil {
			free = append(free, m.Free)
		}
		*m = Message{}
	}
	p.base, p.log = least, p.log[n:]
	p.room.wake()
	return free
}

// Close implements Bus. Messages that a reader holds are left to it; what nobody
// has fetched is freed.
func (b *Memory) Close() error {
	var free []func()
	b.mu.Lock()
	b.closed = true
	for _, t := range b.topics {
		for i := range t.parts {
			p := &t.parts[i]
			for _, m := range p.log {
				if m.Offset >= p.fetched && m.Free != nil {
					free = append(free, m.Free)
				}
			}
			p.log, p.bytes = nil, 0
			p.room.wake()
		}
		for _, g := range t.groups {
			g.news.wake()
		}
	}
	b.mu.Unlock()
	for _, f := range free {
		f()
	}
	return nil
}

// Depth is how full one partition is.
type Depth struct {
	Topic     string
	Partition int
	Messages  int
	Bytes     int64
}

// Depth lists the partitions of all topics, in order.
func (b *Memory) Depth() []Depth {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Depth
	for name, t := range b.topics {
		for i := range t.parts {
			out = append(out, Depth{name, i, len(t.parts[i].log), t.parts[i].bytes})
		}
	}
	slices.SortFunc(out, func(x, y Depth) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
	})
	return out
}
