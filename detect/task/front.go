package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/collect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// Front is level one of one partition: the clients whose shards belong to it.
const Front = "front"

// foreignError says that a message is none of ours.
type foreignError struct{ error }

func isForeign(err error) bool {
	var f foreignError
	return errors.As(err, &f)
}

// FrontConfig is what level one needs beside its engine.
type FrontConfig struct {
	Engine    func(emit func(detect.Finding), saw func(detect.Sighting)) (*detect.Engine, error)
	Wide      int                                                   // partitions of level two
	Identity  string                                                // fingerprint of how clients are told, a slash, and how they are spread; "" = not compared
	Sightings func(ctx context.Context, s []detect.Sightings) error // hands on requests of watched subjects
	Watch     func(watch func([]detect.Watch)) (stop func())        // tells the watch list now and when it changes
}

// NewFront makes the task of level one of a partition.
func NewFront(t *Task, cfg FrontConfig) *Task {
	t.Name = Front

	t.make = func() (part, error) {
		f := &front{task: t, cfg: cfg, seen: map[place]int64{}}
		f.calm = detect.NewCoalescer(sightingsEach, func(s detect.Sightings) { f.sighted = append(f.sighted, s) })
		var err error
		if f.engine, err = cfg.Engine(func(x detect.Finding) { f.early = append(f.early, x) }, func(s detect.Sighting) { f.calm.Saw(s) }); err != nil {
			return nil, err
		}
		f.stop = cfg.Watch(f.watch)
		return f, nil
	}
	return t
}

// sightingsEach is how many requests of a watched subject are told one by one each
// second; the others are told as a number.
const sightingsEach = 5

// watch takes the list of those that are watched.
func (f *front) watch(list []detect.Watch) {
	f.calm.Watch(list)
	f.engine.Watch(list)
}

// place is a file of a source.
type place struct {
	Source string `json:"source"`
	File   uint64 `json:"file"`
}

// maxPlaces bounds the files whose offsets are remembered; beyond it those are
// forgotten that were read the longest ago. A repeat comes within seconds.
const maxPlaces = 4096

type front struct {
	task    *Task
	cfg     FrontConfig
	engine  *detect.Engine
	stop    func()
	seen    map[place]int64 // behind the last line that was taken in
	order   []place         // of seen, the longest untouched first
	early   []detect.Finding
	calm    *detect.Coalescer // of what is sighted
	calmed  time.Time         // when it last let out what it held
	sighted []detect.Sightings
	odd     string // an identity that is not ours
	oddFrom string // the source whose lines have it
}

// frontMeta is what the engine's blobs do not hold.
type frontMeta struct {
	Seen   []placeAt          `json:"seen"`
	Ledger []ingest.LedgerRow `json:"ledger"`
}

type placeAt struct {
	place
	At int64 `json:"at"`
}

func (f *front) feed(ctx context.Context, m *bus.Message) error {
	if idle := m.Header(collect.HeaderIdle); idle != nil {
		sec, err := strconv.ParseInt(string(idle), 10, 64)
		if err != nil {
			return foreignError{fmt.Errorf("header %s: %w", collect.HeaderIdle, err)}
		}
		f.engine.Advance(sec)
		return f.handOn(ctx, m)
	}
	b, err := bus.ToBatch(m)
	if err != nil {
		return foreignError{err}
	}
	b.Free = m.Free // the engine gives the lines back when it has taken them in
	f.compare(b.Source, string(m.Header(collect.HeaderIdentity)))
	if key := (place{b.Source, b.File}); len(b.Data) > 0 || len(b.Rejects) > 0 {
		end := b.End()
		if at, known := f.seen[key]; known {
			b.SkipTo(at) // what is there already: the collector sent it again
		}
		f.note(key, max(end, f.seen[key]))
	}
	f.engine.Feed(&b)
	return f.handOn(ctx, m)
}

// compare notes a collector that tells clients in another way than we do, and when it
// does no more.
func (f *front) compare(source, identity string) {
	if identity == "" || f.cfg.Identity == "" || f.odd == identity {
		return
	}
	if identity == f.cfg.Identity {
		if source == f.oddFrom {
			f.odd, f.oddFrom = "", ""
		}
		return
	}
	f.odd, f.oddFrom = identity, source
	if f.sameClients(identity) {
		f.task.Log.Error("a collector was not restarted after a rescale: restart it", "source", source)
		return
	}
	f.task.Log.Error("identity settings differ between collector and detector: make them the same", "source", source)
}

// sameClients reports whether an identity tells clients as ours does, and only spreads
// them otherwise.
func (f *front) sameClients(identity string) bool {
	mine, _, _ := strings.Cut(f.cfg.Identity, "/")
	theirs, _, _ := strings.Cut(identity, "/")
	return mine == theirs
}

// handOn gives away what a message led to at once.
func (f *front) handOn(ctx context.Context, m *bus.Message) error {
	p := f.engine.Partials()
	if p != nil {
		if err := f.task.Out.Partials(ctx, f.task.Partition, m.Offset, p.Split(f.cfg.Wide)); err != nil {
			return err
		}
	}
	if len(f.early) > 0 {
		list := f.early
		f.early = nil
		if err := f.task.Out.Findings(ctx, list); err != nil {
			return err
		}
	}
	return f.handOnSeen(ctx)
}

func (f *front) handOnSeen(ctx context.Context) error {
	if len(f.sighted) == 0 {
		return nil
	}
	list := f.sighted
	f.sighted = nil
	return f.cfg.Sightings(ctx, list)
}

// note remembers how far a file was read.
func (f *front) note(key place, end int64) {
	if _, known := f.seen[key]; known {
		for i, k := range f.order {
			if k == key {
				f.order = append(f.order[:i], f.order[i+1:]...)
				break
			}
		}
	} else if len(f.seen) >= maxPlaces {
		delete(f.seen, f.order[0])
		f.order = f.order[1:]
	}
	f.seen[key] = end
	f.order = append(f.order, key)
}

func (f *front) findings(ctx context.Context, all bool) ([]detect.Finding, error) {
	if now := f.task.Now(); all || now.Sub(f.calmed) >= time.Second {
		f.calmed = now
		f.calm.Flush()
	}
	return f.engine.Findings(), f.handOnSeen(ctx)
}

func (f *front) snapshot() (detect.Snapshot, any) {
	s := f.engine.Snapshot()
	meta := frontMeta{Ledger: s.Ledger}
	for _, k := range f.order {
		meta.Seen = append(meta.Seen, placeAt{k, f.seen[k]})
	}
	return s, meta
}

func (f *front) restore(meta []byte, blobs map[string][]byte) error {
	var m frontMeta
	if err := json.Unmarshal(meta, &m); err != nil {
		return fmt.Errorf("saved state: %w", err)
	}
	for _, p := range m.Seen {
		f.note(p.place, p.At)
	}
	return f.engine.Restore(detect.Snapshot{Blobs: blobs, Ledger: m.Ledger})
}

func (f *front) beat(b *Beat) {
	f.engine.Publish()
	s := f.engine.Stats()
	b.Newest, b.Closed, b.Clients, b.Evicted, b.Findings, b.Bytes = s.Newest, s.Closed, s.Clients, s.Evicted, s.Findings, s.Bytes
	b.Rows = f.engine.Books()
	switch {
	case f.odd == "":
	case f.sameClients(f.odd):
		b.Trouble = fmt.Sprintf("the collector of source %.80q spreads clients over other partitions than the detectors: it was not restarted after portcullis kafka rescale; restart it: until then counts of one client are spread", f.oddFrom)
	default:
		b.Trouble = fmt.Sprintf("the collector of source %.80q has other identity settings (trusted proxies, consumer headers or key): counts of one client are spread until they are the same", f.oddFrom)
	}
}

func (f *front) close() {
	f.stop()
	f.engine.Close()
}
