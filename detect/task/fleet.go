package task

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Key names a task.
type Key struct {
	Name      string // of the level: what it reads
	Partition int
}

// String is the key in logs.
func (k Key) String() string { return fmt.Sprintf("%s/%d", k.Name, k.Partition) }

// Fleet runs the tasks that this process has been given. A task that stays with the
// process goes on when others move; while it is not known yet who has it next, it goes
// on too: what two owners do at once is the same, and the later one's state counts.
type Fleet struct {
	Make func(Key) (*Task, error)
	Log  *slog.Logger

	mu      sync.Mutex
	running map[Key]*running
}

type running struct {
	task   *Task
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	right  Owner
	why    string // why it does not work; "" = it does
}

// again is how long a task that failed pauses before it starts anew.
const again = time.Second

// Assign makes the tasks of this process those that are named, by that right. It
// returns when those that it has no more have saved their state. ctx is that of the
// process, not that of the assignment.
func (f *Fleet) Assign(ctx context.Context, right Owner, want []Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running == nil {
		f.running = map[Key]*running{}
	}
	var gone []*running
	for k, r := range f.running {
		if !slices.Contains(want, k) {
			r.cancel()
			gone = append(gone, r)
			delete(f.running, k)
		}
	}
	for _, r := range gone {
		<-r.done
	}
	for _, k := range want {
		if r := f.running[k]; r != nil {
			r.own(right)
			continue
		}
		f.running[k] = f.start(ctx, k, right)
	}
}

func (r *running) own(right Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.right = right
	if r.task != nil {
		r.task.Own(right)
	}
}

func (f *Fleet) start(ctx context.Context, k Key, right Owner) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, done: make(chan struct{}), right: right}
	go func() {
		defer close(r.done)
		for ctx.Err() == nil {
			err := f.once(ctx, k, r)
			if err == nil {
				return
			}
			r.say(err.Error())
			if ctx.Err() != nil {
				f.Log.Warn("the last state of a part of the detection could not be saved; whoever has it next begins at the snapshot before", "task", k.String(), "error", err)
				return
			}
			f.Log.Error("a part of the detection stopped and is started anew from its last snapshot", "task", k.String(), "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
		}
	}()
	return r
}

func (f *Fleet) once(ctx context.Context, k Key, r *running) error {
	t, err := f.Make(k)
	if err != nil {
		return err
	}
	r.mu.Lock()
	t.Own(r.right)
	r.task = t
	r.mu.Unlock()
	r.say("")
	return t.Run(ctx)
}

func (r *running) say(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = why
}

// Stop ends all tasks and waits until they have saved.
func (f *Fleet) Stop() {
	f.Assign(context.Background(), Owner{}, nil)
}

// Keys lists the tasks of this process, and Trouble why some do not work.
func (f *Fleet) Keys() []Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Key, 0, len(f.running))
	for k := range f.running {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Key) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return a.Partition - b.Partition
	})
	return out
}

// Trouble says why tasks do not work.
func (f *Fleet) Trouble() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for k, r := range f.running {
		r.mu.Lock()
		if r.why != "" {
			out = append(out, "task "+k.String()+": "+r.why)
		}
		r.mu.Unlock()
	}
	slices.Sort(out)
	return out
}
