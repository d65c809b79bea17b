// Package follow keeps this process's database level with the topics that the
// detectors write: findings, traffic, samples of rejected lines, and how every part
// of the pipeline is doing. The enforcers and the consoles follow.
//
// Loss policy: the offsets are saved after what they cover. What is read twice is
// written over itself, since findings and minutes have ids.
package follow

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/ingest/bus"
)

// Store is what is kept level; *store.DB is one.
type Store interface {
	Save(ctx context.Context, s store.State) error
	Meta(ctx context.Context, key string) (string, error)
	SetMeta(ctx context.Context, key, value string) error
}

// Config is what a Follower is made of.
type Config struct {
	Read       func(ctx context.Context, partition int, from int64, each func(m *bus.Message, end int64) error, gap func(from, to int64)) error
	Partitions int // of the findings topic
	Store      Store
	Finding    func(detect.Finding)   // hears of a finding at once
	Saw        func(detect.Sightings) // hears of requests of a watched subject
	Now        func() time.Time
	Log        *slog.Logger
}

// Follower follows the findings topic.
type Follower struct {
	cfg Config
	in  chan message

	mu        sync.Mutex
	tasks     map[string]task.Beat
	processes map[string]task.Process
	seen      map[string]time.Time // when a beat came, by its key
	behind    []int64              // messages that wait, by partition
	unread    int64                // messages that could not be read
	why       string               // why the database cannot be written; "" = it can
}

type message struct {
	m   *bus.Message
	end int64
}

// offsetsKey is where the offsets are in the store's small values.
const offsetsKey = "followed_findings"

// What is gathered before it is written, at most.
const (
	writeEvery = 100 * time.Millisecond
	writeMost  = 2000
	beatLife   = time.Minute // a beat that is older says nothing any more
)

// New makes a Follower.
func New(cfg Config) *Follower {
	return &Follower{cfg: cfg, in: make(chan message, 256), tasks: map[string]task.Beat{}, processes: map[string]task.Process{},
		seen: map[string]time.Time{}, behind: make([]int64, cfg.Partitions)}
}

// Run follows until ctx ends. It starts one goroutine a partition and joins them.
func (f *Follower) Run(ctx context.Context) error {
	next, err := f.offsets(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, f.cfg.Partitions)
	var readers sync.WaitGroup
	for p := range f.cfg.Partitions {
		readers.Go(func() {
			ended <- f.cfg.Read(ctx, p, next[p], func(m *bus.Message, end int64) error {
				select {
				case f.in <- message{m, end}:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}, func(from, to int64) {
				f.cfg.Log.Warn("findings were deleted from the topic before they were read here: this database lacks them", "partition", p, "from", from, "to", to)
			})
		})
	}
	w := &writer{f: f, next: next}
	err = w.run(ctx, ended)
	cancel()
	readers.Wait()
	return err
}

func (f *Follower) offsets(ctx context.Context) ([]int64, error) {
	next := make([]int64, f.cfg.Partitions)
	text, err := f.cfg.Store.Meta(ctx, offsetsKey)
	if err != nil || text == "" {
		return next, err
	}
	var saved []int64
	if err := json.Unmarshal([]byte(text), &saved); err != nil {
		return nil, fmt.Errorf("follow: saved offsets %.80q: %w", text, err)
	}
	copy(next, saved)
	return next, nil
}

// Beats returns the latest words of the tasks and of the processes; those that have
// said nothing for a minute are forgotten.
func (f *Follower) Beats() ([]task.Beat, []task.Process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var tasks []task.Beat
	var processes []task.Process
	limit := f.cfg.Now().Add(-beatLife)
	for k, b := range f.tasks {
		if f.seen["task "+k].After(limit) {
			tasks = append(tasks, b)
			continue
		}
		delete(f.tasks, k)
		delete(f.seen, "task "+k)
	}
	for k, p := range f.processes {
		if f.seen["process "+k].After(limit) {
			processes = append(processes, p)
			continue
		}
		delete(f.processes, k)
		delete(f.seen, "process "+k)
	}
	return tasks, processes
}

// Health is how following goes.
type Health struct {
	Waiting int64  // messages behind
	Unread  int64  // messages that could not be read
	Error   string // why the database cannot be written; "" = it can
}

// Health returns the latest figures.
func (f *Follower) Health() Health {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := Health{Unread: f.unread, Error: f.why}
	for _, n := range f.behind {
		h.Waiting += n
	}
	return h
}
