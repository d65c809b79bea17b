package enforce

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/portcullis/portcullis/detect"
)

// memory is what Run knows. Everything that must last is in the ledger: when a
// write fails, memory is thrown away and read anew, so that both never differ.
type memory struct {
	loaded    bool
	open      map[string]*Decision
	bySubject map[detect.Subject][]string // ids of open decisions
	records   *lru.Cache[detect.Subject, *Record]
	allows    []Allow
	panics    string  // "" = off
	recent    []int64 // when the policy put decisions in force, within the last minute
	live      int     // decisions in force
	good      int64   // successful requests of the shared subjects in force
	derived           // what is kept of the open decisions

	gen      uint64             // of the newest push
	since    map[string]uint64  // decision id → first push that held it
	leaving  map[string]uint64  // over, but not yet off the gateways → first push without it; 0 = none yet
	left     []string           // those that a step found to be over
	early    map[string]Holding // what the log said before every gateway had answered
	gateways []GatewayHealth
	dirty    bool // the gateways should hold something else than the newest push
	urgent   bool // and a person waits for it

	backlog  []detect.Finding // stored findings that are still to be judged
	askSince int64            // the store is asked for findings since then,
	askUntil time.Time        // until then: what has just been found may not be stored yet

	watched []detect.Watch
	linger  map[detect.Subject]lingering
	said    map[string]string // what was logged last, by topic, so that it is said once
}

// lingering is a watch on a subject that was let go: for a moment the log still
// shows our own denials, which must not count against it.
type lingering struct {
	watch detect.Watch
	until time.Time
}

// lingerFor covers a reload, the log's whole seconds and the pipeline's lag.
const lingerFor = time.Minute

// load reads memory from the ledger.
func (e *Enforcer) load(ctx context.Context, now time.Time) error {
	m := &e.mem
	if err := e.ledger.ready(ctx); err != nil {
		return err
	}
	open, err := e.ledger.inForceAgain(ctx)
	if err != nil {
		return err
	}
	if m.allows, err = e.ledger.allowedAgain(ctx); err != nil {
		return err
	}
	if m.panics, err = e.ledger.meta(ctx, "panic"); err != nil {
		return err
	}
	if m.recent, err = e.ledger.recent(ctx, now.Add(-time.Minute).UnixNano()); err != nil {
		return err
	}
	m.open, m.bySubject = map[string]*Decision{}, map[detect.Subject][]string{}
	m.records.Purge()
	for i := range open {
		m.add(&open[i])
	}
	if m.since == nil {
		m.since, m.leaving, m.early = map[string]uint64{}, map[string]uint64{}, map[string]Holding{}
		m.linger, m.said = map[detect.Subject]lingering{}, map[string]string{}
	}
	if err := e.loadWatched(ctx, now); err != nil {
		return err
	}
	m.deriveAll()
	m.left = nil
	e.tracker.set(m.inForce())
	m.loaded, m.dirty = true, true
	return nil
}

// loadWatched takes over the watch list that detectors follow. Who is on it for
// no decision in force was let go shortly before, by this enforcer or by another.
func (e *Enforcer) loadWatched(ctx context.Context, now time.Time) error {
	if !e.ledger.cluster.follows() {
		return nil
	}
	m := &e.mem
	list, err := e.ledger.watched(ctx)
	if err != nil {
		return err
	}
	m.watched = list
	for _, w := range list {
		if _, known := m.linger[w.Subject]; !known {
			m.linger[w.Subject] = lingering{watch: w, until: now.Add(lingerFor)}
		}
	}
	return nil
}

func (m *memory) add(d *Decision) {
	m.open[d.ID] = d
	if !slices.Contains(m.bySubject[d.Subject], d.ID) {
		m.bySubject[d.Subject] = append(m.bySubject[d.Subject], d.ID)
	}
}

// drop forgets a decision that ended.
func (m *memory) drop(d *Decision) {
	delete(m.open, d.ID)
	delete(m.since, d.ID)
	delete(m.leaving, d.ID)
	delete(m.early, d.ID)
	ids := slices.DeleteFunc(m.bySubject[d.Subject], func(id string) bool { return id == d.ID })
	if len(ids) == 0 {
		delete(m.bySubject, d.Subject)
		return
	}
	m.bySubject[d.Subject] = ids
}

// on returns the open decision on a subject that is in force, and the strongest
// that is only proposed. Either may be nil.
func (m *memory) on(s detect.Subject) (live, proposed *Decision) {
	for _, id := range m.bySubject[s] {
		d := m.open[id]
		switch {
		case d.State.Live():
			if live == nil || stronger(d.Action, live.Action) {
				live = d
			}
		case d.State == Proposed:
			if proposed == nil || stronger(d.Action, proposed.Action) {
				proposed = d
			}
		}
	}
	return live, proposed
}

// count refreshes what the guard's brakes look at. What changes with each decision is
// kept up to date by those who make and end them; all adds it up anew.
func (m *memory) count(now time.Time, all bool) {
	if all {
		m.live, m.good = m.derived.live, m.derived.good
	}
	minute := now.Add(-time.Minute).UnixNano()
	m.recent = slices.DeleteFunc(m.recent, func(at int64) bool { return at <= minute })
}

// inForce returns the decisions that belong on the gateways, by id. They are those in
// memory, which change with it.
func (m *memory) inForce() []*Decision {
	list := make([]*Decision, 0, len(m.open))
	for id, d := range m.open {
		if _, gone := m.leaving[id]; d.State.Live() && !gone {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b *Decision) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// record returns what is remembered of a subject.
func (e *Enforcer) record(ctx context.Context, s detect.Subject) (*Record, error) {
	if r, ok := e.mem.records.Get(s); ok {
		return r, nil
	}
	r, err := e.ledger.record(ctx, s)
	if err != nil {
		return nil, err
	}
	e.mem.records.Add(s, r)
	return r, nil
}

// strangers notes of whom the ledger remembers nothing, so that not each has to be asked
// for: in a flood most are new.
func (e *Enforcer) strangers(ctx context.Context, fs []detect.Finding) error {
	byKind := map[string][]string{}
	for i := range fs {
		s := fs[i].Subject
		if _, known := e.mem.records.Peek(s); !known && !slices.Contains(byKind[s.Kind], s.Value) {
			byKind[s.Kind] = append(byKind[s.Kind], s.Value)
		}
	}
	for kind, values := range byKind {
		if len(values) < 8 {
			continue // asked one by one
		}
		known, err := e.ledger.remembered(ctx, kind, values)
		if err != nil {
			return err
		}
		for _, v := range values {
			if s := (detect.Subject{Kind: kind, Value: v}); !known[v] {
				e.mem.records.Add(s, &Record{Subject: s, fresh: true})
			}
		}
	}
	return nil
}

// say logs a condition once, and once more when its text changes; "" ends it.
func (e *Enforcer) say(topic, text string, args ...any) {
	if e.mem.said == nil {
		e.mem.said = map[string]string{}
	}
	was := e.mem.said[topic]
	if was == text {
		return
	}
	e.mem.said[topic] = text
	if text == "" {
		e.log.Info(topic+": over", "was", was)
		return
	}
	e.log.Warn(fmt.Sprintf("%s: %s", topic, text), args...)
}

// compareWatch orders a watch list, so that an equal one is not sent again.
func compareWatch(a, b detect.Watch) int {
	return cmp.Or(strings.Compare(a.Subject.Value, b.Subject.Value), strings.Compare(a.Subject.Kind, b.Subject.Kind), cmp.Compare(a.Since, b.Since))
}
