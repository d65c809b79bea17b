// Package task runs one part of the detection: it reads one partition of a topic,
// keeps the state of the clients or of the wider subjects that belong there, hands on
// what was found, and saves its state together with the offset that it covers.
//
// Loss policy: a snapshot is saved only after everything that the messages before it
// led to has been acknowledged. After a crash, or when the partition passes to
// another process, the task begins behind the last snapshot and does the rest again;
// ids, and the marks of what was seen, make that harmless.
package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// Saved is a snapshot as it was stored.
type Saved struct {
	Epoch int64
	Found bool // whether there is one
	Meta  []byte
	Blobs map[string][]byte
}

// States keeps snapshots.
type States interface {
	Load(ctx context.Context, task string, partition int) (Saver, Saved, error)
}

// Saver saves the snapshots of one task. Save replaces the blobs that are named (nil
// deletes) and the meta at once: a crash leaves the one before or this one. A save of
// a lower epoch than that of another owner has no effect. own tells whether the task
// is still this process's.
type Saver interface {
	Save(ctx context.Context, epoch int64, meta []byte, changed map[string][]byte, own func(context.Context) error) error
}

// Owner is by what right a process has a task: the epoch grows with each, and Check
// fails where the right is gone. So does Note, which also notes for others from where
// a task goes on; where it is nil, Check does for it.
type Owner struct {
	Epoch int64
	Check func(context.Context) error
	Note  func(ctx context.Context, k Key, next int64) error
}

func (o *Owner) note(ctx context.Context, k Key, next int64) error {
	if o.Note == nil {
		return o.Check(ctx)
	}
	return o.Note(ctx, k, next)
}

// Out takes what a task gives. Its methods may be called by several goroutines; they
// block while too much waits, and only order what one goroutine sends.
type Out interface {
	Findings(ctx context.Context, list []detect.Finding) error
	Rollups(ctx context.Context, list []detect.Rollup) error
	Rejects(ctx context.Context, list []ingest.Reject) error
	Beat(ctx context.Context, b Beat) error
	// Partials hands on what the message at offset led to, for level two.
	Partials(ctx context.Context, partition int, offset int64, list []detect.Partials) error
	// Foreign takes a message that nobody here can read.
	Foreign(ctx context.Context, m *bus.Message, why error) error
	// Flush waits until all that was handed over is durable.
	Flush(ctx context.Context) error
}

// Input reads a partition from an offset on, until ctx ends or each returns an error.
// The end is the offset behind the last message that is there. Messages that were
// deleted before they could be read are told by gap.
type Input interface {
	Read(ctx context.Context, from int64, each func(m *bus.Message, end int64) error, gap func(from, to int64)) error
}

// Beat is how a task is doing.
type Beat struct {
	Task      string             `json:"task"`
	Partition int                `json:"partition"`
	Epoch     int64              `json:"epoch"`
	Offset    int64              `json:"offset"`  // of the last message taken in
	Waiting   int64              `json:"waiting"` // messages behind it
	Newest    int64              `json:"newest"`  // event time, Unix seconds
	Closed    int64              `json:"closed"`
	Clients   int                `json:"clients"`
	Evicted   int64              `json:"evicted"`
	Findings  int                `json:"findings"`
	Bytes     int64              `json:"bytes"`
	Lost      int64              `json:"lost"`    // messages that were deleted before they were read
	Foreign   int64              `json:"foreign"` // messages that could not be read
	Rows      []ingest.LedgerRow `json:"rows,omitempty"`
	Trouble   string             `json:"trouble,omitempty"`
}

// part is what is done with the messages: level one or level two.
type part interface {
	// feed takes in a message; an error says that it is none of ours.
	feed(ctx context.Context, m *bus.Message) error
	// findings returns those that changed, and hands on what else waits; with all also
	// what is held back for a moment.
	findings(ctx context.Context, all bool) ([]detect.Finding, error)
	snapshot() (detect.Snapshot, any)
	restore(meta []byte, blobs map[string][]byte) error
	beat(b *Beat)
	close()
}

// Task is one part on its partition.
type Task struct {
	Name      string
	Partition int
	In        Input
	States    States
	Out       Out
	Every     time.Duration // between snapshots
	Now       func() time.Time
	Log       *slog.Logger

	make  func() (part, error)
	part  part
	keep  Saver
	owner atomic.Pointer[Owner]

	next    int64 // offset to read next
	end     int64
	lost    int64
	foreign int64
	trouble string
	dirty   bool
	saving  bool
	saved   chan error
	due     time.Time
	began   time.Time
}

// head is the meta of a snapshot.
type head struct {
	Version int    `json:"version"`
	Next    int64  `json:"next"` // offset to read next
	Lost    int64  `json:"lost,omitempty"`
	Foreign int64  `json:"foreign,omitempty"`
	Part    []byte `json:"part"` // of level one or two
}

const headVersion = 1

// Own gives the task a newer right: its partition was given to this process anew.
func (t *Task) Own(o Owner) {
	for {
		was := t.owner.Load()
		if was != nil {
			o.Epoch = max(o.Epoch, was.Epoch)
		}
		if t.owner.CompareAndSwap(was, &o) {
			return
		}
	}
}

// newer makes the epoch greater than any that is stored. That is for who starts anew
// within a generation, and for a group that counts from one again; a process that has
// lost the task must not get ahead of its owner so, and is refused.
func (t *Task) newer(ctx context.Context, stored int64) error {
	if o := t.owner.Load(); stored >= o.Epoch {
		if err := o.Check(ctx); err != nil {
			return fmt.Errorf("its state is of epoch %d, which may be that of another owner: %w", stored, err)
		}
	}
	for {
		was := t.owner.Load()
		o := *was
		o.Epoch = max(o.Epoch, stored+1)
		if t.owner.CompareAndSwap(was, &o) {
			return nil
		}
	}
}

const (
	flushEvery = 100 * time.Millisecond // findings are handed on
	beatEvery  = time.Second
	ahead      = 1 // messages that are read and wait
	lastSave   = 5 * time.Second
)

// Run works until ctx ends, then saves once more. Its error is one that another start
// may mend.
func (t *Task) Run(ctx context.Context) error {
	if err := t.load(ctx); err != nil {
		return err
	}
	defer t.part.close()
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	saving, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	messages, ended := make(chan fetched, ahead), make(chan error, 1)
	go func() { ended <- t.read(working, messages) }()
	err := t.loop(working, saving, messages)
	var waits error
	if errors.Is(err, detect.ErrNewer) { // the message changed nothing: what came before it is saved, and not done again with each start
		waits, err = err, nil
	}
	torn := err != nil // the state may have given away what nobody has got: only the last snapshot counts
	err = ignoreEnd(ctx, err)
	cancel()
	for range messages { // the reader closes it
	}
	if readErr := <-ended; readErr != nil && !errors.Is(readErr, context.Canceled) {
		err = errors.Join(err, readErr)
	}
	if t.saving { // a snapshot has only what changed since the one before: none follows one that failed
		stop := time.AfterFunc(lastSave, giveUp)
		defer stop.Stop()
		err = errors.Join(err, <-t.saved)
	}
	if err == nil && !torn && t.dirty {
		last, stop := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
		defer stop()
		err = t.save(last)
	}
	return t.named(errors.Join(waits, err))
}

func (t *Task) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("task %s/%d: %w", t.Name, t.Partition, err)
}

// fetched is a message, or a gap.
type fetched struct {
	m        *bus.Message // nil: the messages from..to were deleted
	end      int64
	from, to int64
}

func (t *Task) read(ctx context.Context, messages chan<- fetched) error {
	defer close(messages)
	put := func(f fetched) error {
		select {
		case messages <- f:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return t.In.Read(ctx, t.next, func(m *bus.Message, end int64) error {
		return put(fetched{m: m, end: end})
	}, func(from, to int64) {
		_ = put(fetched{from: from, to: to}) // fails where ctx ended: it is told again then
		t.Log.Error("messages were deleted before they were read: their lines are lost; raise the retention of the topic, or add detectors",
			"task", t.Name, "partition", t.Partition, "from", from, "to", to)
	})
}

// load makes the part as of the last snapshot.
func (t *Task) load(ctx context.Context) error {
	keep, s, err := t.States.Load(ctx, t.Name, t.Partition)
	if err != nil {
		return t.named(err)
	}
	t.keep = keep
	if err := t.newer(ctx, s.Epoch); err != nil {
		return t.named(err)
	}
	if t.part, err = t.make(); err != nil {
		return t.named(err)
	}
	t.saved = make(chan error, 1)
	if err := t.restore(&s); err != nil {
		t.part.close()
		return t.named(err)
	}
	return nil
}

func (t *Task) restore(s *Saved) error {
	if !s.Found {
		return nil
	}
	var h head
	if err := unmarshalHead(s.Meta, &h); err != nil {
		return err
	}
	t.next, t.lost, t.foreign = h.Next, h.Lost, h.Foreign
	return t.part.restore(h.Part, s.Blobs)
}

// loop works until ctx ends. Its error may say no more than that; it then came in
// the middle of something. saving is the context of snapshots, which do not end so.
func (t *Task) loop(ctx, saving context.Context, messages <-chan fetched) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var flushed, beaten time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case f, more := <-messages:
			if !more {
				return nil // what the reader says is the reason
			}
			if err := t.feed(ctx, f); err != nil {
				return err
			}
		case err := <-t.saved:
			if err := t.settled(err); err != nil {
				return err
			}
		case <-tick.C:
		}
		now := t.Now()
		if now.Sub(flushed) >= flushEvery {
			flushed = now
			if err := t.flush(ctx, false); err != nil {
				return err
			}
		}
		if now.Sub(beaten) >= beatEvery {
			beaten = now
			if err := t.Out.Beat(ctx, t.Beat()); err != nil {
				return ignoreEnd(ctx, err) // it takes nothing out of the state
			}
		}
		if t.dirty && !t.saving && now.After(t.due) {
			if err := t.begin(ctx, saving, now); err != nil {
				return err
			}
		}
	}
}

func (t *Task) flush(ctx context.Context, all bool) error {
	list, err := t.part.findings(ctx, all)
	if err != nil {
		return err
	}
	return t.Out.Findings(ctx, list)
}

// ignoreEnd makes nothing of an error that is only the end.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
