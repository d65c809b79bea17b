package task_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/detecttest"
	_ "github.com/portcullis/portcullis/detect/rule" // registers the detectors
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest/bus"
)

// topic is one partition of a topic.
type topic struct {
	mu    sync.Mutex
	list  []*bus.Message
	first int64         // those before it are deleted
	news  chan struct{} // closed with the next message
}

func (k *topic) add(m bus.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m.Offset = int64(len(k.list))
	k.list = append(k.list, &m)
	if k.news != nil {
		close(k.news)
		k.news = nil
	}
}

// Read implements task.Input.
func (k *topic) Read(ctx context.Context, from int64, each func(m *bus.Message, end int64) error, gap func(from, to int64)) error {
	for {
		k.mu.Lock()
		first, end := k.first, int64(len(k.list))
		if from >= max(end, first) {
			if k.news == nil {
				k.news = make(chan struct{})
			}
			news := k.news
			k.mu.Unlock()
			select {
			case <-news:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if from < first {
			k.mu.Unlock()
			gap(from, first)
			from = first
			continue
		}
		m := k.list[from]
		k.mu.Unlock()
		if err := each(m, end); err != nil {
			return err
		}
		from++
	}
}

func (k *topic) all() []*bus.Message {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*bus.Message(nil), k.list...)
}

// shelf has the snapshots of one task, as the state topic has them.
type shelf struct {
	mu    sync.Mutex
	saved task.Saved
	saves int
}

// handle is an owner's view of a shelf.
type handle struct {
	p     *process
	shelf *shelf
	blobs map[string][]byte
}

var errDead, errFlaky = errors.New("the process is dead"), errors.New("the broker does not answer")

// Save implements task.Saver: the head counts, and that of a lower epoch does not.
func (h *handle) Save(ctx context.Context, epoch int64, meta []byte, changed map[string][]byte, own func(context.Context) error) error {
	blobs := maps.Clone(h.blobs)
	if blobs == nil {
		blobs = map[string][]byte{}
	}
	for name, b := range changed {
		if b == nil {
			delete(blobs, name)
			continue
		}
		blobs[name] = b
	}
	if err := h.p.pause(ctx, 300); err != nil {
		return err
	}
	fate := h.p.chance(20)
	if fate == 0 {
		return errFlaky // torn: the head was not written
	}
	h.shelf.mu.Lock()
	if epoch >= h.shelf.saved.Epoch {
		h.shelf.saved = task.Saved{Epoch: epoch, Found: true, Meta: meta, Blobs: blobs}
		h.shelf.saves++
	}
	h.shelf.mu.Unlock()
	if fate == 1 {
		return errFlaky // the answer was lost
	}
	h.blobs = blobs
	_ = own(ctx)
	return nil
}

// sent is a message that is not in its topic yet.
type sent struct {
	to   *topic
	m    bus.Message
	done func(error)
}

// process is one that runs tasks. Its sender keeps the order.
type process struct {
	w      *world
	fleet  *task.Fleet
	topics *task.Topics
	out    task.Out // topics, or something before them

	made     map[string]int // tasks, by key
	watching int            // parts that hear of the watch list

	mu      sync.Mutex
	rand    *rand.Rand
	dead    bool
	waiting []sent
}

// chance draws a number below n. A world that is calm gets none below 2.
func (p *process) chance(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w.calm.Load() {
		return n
	}
	return p.rand.IntN(n)
}

// pause takes a while, at most so many milliseconds.
func (p *process) pause(ctx context.Context, most int) error {
	wait := time.Duration(p.chance(most)) * time.Millisecond
	if p.w.calm.Load() {
		wait = time.Millisecond
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return errDead
	}
	return nil
}

// Send implements task.Sender.
func (p *process) Send(ctx context.Context, name string, partition int, m bus.Message, done func(error)) error {
	if p.chance(30) == 0 {
		if err := p.pause(ctx, 400); err != nil { // the queue is full
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return errDead
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.Topic = name
	p.waiting = append(p.waiting, sent{p.w.topic(name, partition), m, done})
	if p.w.calm.Load() || p.rand.IntN(3) == 0 {
		p.deliver(len(p.waiting))
	}
	return nil
}

// deliver puts the first n messages that wait into their topics. The caller holds mu.
func (p *process) deliver(n int) {
	for _, s := range p.waiting[:n] {
		s.to.add(s.m)
		s.done(nil)
	}
	p.waiting = p.waiting[n:]
}

// Flush implements task.Sender.
func (p *process) Flush(ctx context.Context) error {
	if err := p.pause(ctx, 700); err != nil {
		return err
	}
	if p.chance(20) == 0 {
		return errFlaky
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deliver(len(p.waiting))
	return nil
}

// kill ends a process at once: of what waits some is lost, and nothing is saved.
func (p *process) kill() {
	p.mu.Lock()
	p.dead = true
	p.deliver(p.rand.IntN(len(p.waiting) + 1))
	p.mu.Unlock()
	p.fleet.Stop()
}

// world is the topics, and settings of what works on them.
type world struct {
	t      testing.TB
	log    detecttest.Numbered
	parts  int // of level one
	wide   int // of level two
	every  time.Duration
	calm   flag // nothing fails or takes time any more
	logged slog.Handler
	watch  []detect.Watch

	mu     sync.Mutex
	topics map[topicKey]*topic
	shelfs map[topicKey]*shelf
	epoch  int64
}

type topicKey struct {
	name      string
	partition int
}

type flag struct {
	mu sync.Mutex
	on bool
}

func (f *flag) Load() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.on }
func (f *flag) set()       { f.mu.Lock(); defer f.mu.Unlock(); f.on = true }

func newWorld(t testing.TB, log detecttest.Log, parts, wide int) *world {
	return &world{t: t, log: detecttest.Numbered{Log: log}, parts: parts, wide: wide, every: 300 * time.Millisecond, logged: slog.DiscardHandler,
		topics: map[topicKey]*topic{}, shelfs: map[topicKey]*shelf{}}
}

func (w *world) topic(name string, partition int) *topic {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := topicKey{name, partition}
	if w.topics[k] == nil {
		w.topics[k] = &topic{}
	}
	return w.topics[k]
}

func (w *world) shelf(name string, partition int) *shelf {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := topicKey{name, partition}
	if w.shelfs[k] == nil {
		w.shelfs[k] = &shelf{}
	}
	return w.shelfs[k]
}

// Load implements task.States.
func (p *process) Load(ctx context.Context, name string, partition int) (task.Saver, task.Saved, error) {
	if err := p.pause(ctx, 200); err != nil {
		return nil, task.Saved{}, err
	}
	s := p.w.shelf(name, partition)
	s.mu.Lock()
	defer s.mu.Unlock()
	return &handle{p, s, maps.Clone(s.saved.Blobs)}, s.saved, nil
}

// start starts a process without tasks.
func (w *world) start(seed uint64) *process {
	p := &process{w: w, made: map[string]int{}, rand: rand.New(rand.NewPCG(seed, 2))}
	p.topics = &task.Topics{Sender: p, FindingParts: 3, Refused: func(string, error) { panic("nothing is refused here") }}
	p.out = p.topics
	p.fleet = &task.Fleet{Make: p.make, Log: slog.New(w.logged)}
	return p
}

func (p *process) make(k task.Key) (*task.Task, error) {
	w := p.w
	p.mu.Lock()
	p.made[k.String()]++
	p.mu.Unlock()
	t := &task.Task{Partition: k.Partition, States: p, Out: p.out, Every: w.every, Now: time.Now, Log: slog.New(w.logged)}
	cfg := detecttest.Config(w.t, detecttest.Setup{Late: 30, Live: true, Workers: 1}, w.log)
	if k.Name == task.Wide {
		t.In = w.topic(task.TopicPartials, k.Partition)
		return task.NewWide(t, func(emit func(detect.Finding)) (*detect.Wide, error) {
			cfg.Emit = emit
			return detect.NewWide(cfg, w.parts)
		}), nil
	}
	t.In = w.topic(task.TopicAccess, k.Partition)
	return task.NewFront(t, task.FrontConfig{
		Engine: func(emit func(detect.Finding), saw func(detect.Sighting)) (*detect.Engine, error) {
			cfg.Emit, cfg.Saw, cfg.Forward = emit, saw, true
			return detect.New(cfg)
		},
		Wide: w.wide, Identity: "ours", Sightings: p.topics.Sightings,
		Watch: func(watch func([]detect.Watch)) func() {
			watch(w.watch)
			p.watched(1)
			return func() { p.watched(-1) }
		},
	}), nil
}

func (p *process) watched(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watching += n
}

// keys are all tasks there are.
func (w *world) keys() (list []task.Key) {
	for p := range w.parts {
		list = append(list, task.Key{Name: task.Front, Partition: p})
	}
	for p := range w.wide {
		list = append(list, task.Key{Name: task.Wide, Partition: p})
	}
	return list
}

// assign gives tasks to a process by a new right.
func (w *world) assign(p *process, keys []task.Key) {
	w.mu.Lock()
	w.epoch++
	mine := w.epoch
	epoch := mine << 20 // as cmd has it: a task that starts anew counts on within its generation
	w.mu.Unlock()
	p.fleet.Assign(context.Background(), task.Owner{Epoch: epoch, Check: func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if mine != w.epoch {
			return errors.New("the generation is over")
		}
		return nil
	}}, keys)
}

// wait lets time pass.
func wait(d time.Duration) { <-time.After(d) }
