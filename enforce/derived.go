package enforce

import (
	"container/heap"
	"maps"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/detect"
)

// derived is what memory holds of its open decisions besides them, so that a step costs
// what it changes, and not what is in force. It is as of the last step that was written:
// level brings it up to date.
type derived struct {
	was    map[string]summed
	states map[State]int       // open decisions by state
	live   int                 // of them in force
	good   int64               // successful requests of the shared subjects in force
	waits  map[string]struct{} // decisions that settle looks at each time, whatever their time
	over   map[string]struct{} // decisions whose time is over, and those for which it was
	due    dueHeap             // of the others, when that is
	roster roster

	unwatched bool // the watch list was not made since
}

// summed is a decision as it was counted.
type summed struct {
	state   State
	good    int64
	expires int64
}

// due is when a decision is over. One that ended or was extended meanwhile stays in the
// heap until then.
type due struct {
	at int64
	id string
}

type dueHeap []due

// Len implements heap.Interface.
func (h dueHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }

// Swap implements heap.Interface.
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(due)) }

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// deriveAll begins anew from the open decisions.
func (m *memory) deriveAll() {
	m.derived = derived{was: make(map[string]summed, len(m.open)), states: map[State]int{}, waits: map[string]struct{}{}, over: map[string]struct{}{}}
	m.roster.forget(m.open)
	m.unwatched = true
	m.level(slices.Collect(maps.Keys(m.open)))
}

// level takes in the decisions with these ids as they stand now.
func (m *memory) level(ids []string) {
	m.unwatched = m.unwatched || len(ids) > 0
	for _, id := range ids {
		was, known := m.was[id]
		m.sum(was, -1)
		d := m.open[id]
		if was.state.Live() || d != nil && d.State.Live() {
			m.roster.changed[id] = struct{}{}
		}
		if d == nil {
			delete(m.was, id)
			delete(m.waits, id)
			delete(m.over, id)
			continue
		}
		is := summed{state: d.State, good: shared(detect.Standing{Successes: d.Good, People: d.People}), expires: d.Expires}
		m.was[id] = is
		m.sum(is, 1)
		if waiting(d) {
			m.waits[id] = struct{}{}
		} else {
			delete(m.waits, id)
		}
		if !known || was.expires != is.expires {
			heap.Push(&m.due, due{d.Expires, id})
		}
	}
	if len(m.due) > 2*len(m.open)+1024 {
		m.due = m.due[:0]
		for id, d := range m.open {
			m.due = append(m.due, due{d.Expires, id})
		}
		heap.Init(&m.due)
	}
}

// waiting tells the decisions that something else than time may bring on.
func waiting(d *Decision) bool {
	return d.State == Approved || d.State == Proposed && d.Code == CodeLag
}

func (m *memory) sum(s summed, n int) {
	if s.state == "" {
		return
	}
	if m.states[s.state] += n; m.states[s.state] == 0 {
		delete(m.states, s.state)
	}
	if s.state.Live() {
		m.derived.live += n
		m.derived.good += int64(n) * s.good
	}
}

// unsettled returns the open decisions that wait for something or whose time is over, those
// of a batch that is not yet written among them, by id, so that a run can be repeated.
func (m *memory) unsettled(b *batch, now int64) []*Decision {
	for len(m.due) > 0 && m.due[0].at <= now {
		m.over[heap.Pop(&m.due).(due).id] = struct{}{}
	}
	ids := make(map[string]*Decision, len(m.waits)+len(m.over)+len(b.decisions))
	take := func(id string) {
		if d := m.open[id]; d != nil && (d.Expires <= now || waiting(d)) {
			ids[id] = d
		}
	}
	for id := range m.waits {
		take(id)
	}
	for id := range m.over {
		d := m.open[id]
		if d != nil && d.Expires > now { // it was extended, or the clock went back
			heap.Push(&m.due, due{d.Expires, id})
		}
		if d == nil || d.Expires > now {
			delete(m.over, id)
		}
		take(id)
	}
	for id := range b.decisions {
		take(id)
	}
	return slices.SortedFunc(maps.Values(ids), func(a, b *Decision) int { return strings.Compare(a.ID, b.ID) })
}

// enforced is the decision with an id where it belongs on the gateways, else nil.
func (m *memory) enforced(id string) *Decision {
	if d := m.open[id]; d != nil && d.State.Live() {
		if _, gone := m.leaving[id]; !gone {
			return d
		}
	}
	return nil
}

// pending returns the wanted entries, and notes which push is the first with, or without, a
// decision.
func (m *memory) pending(spare string) []Entry {
	for id := range m.roster.changed {
		if m.enforced(id) != nil && m.since[id] == 0 {
			m.since[id] = m.gen
		}
	}
	for id, gen := range m.leaving {
		if gen == 0 {
			m.leaving[id] = m.gen
		}
	}
	return m.roster.next(m.enforced, spare)
}

// changed tells everybody who keeps something of the open decisions which of them a
// batch changed, once it is written.
func (e *Enforcer) changed(b *batch) {
	m := &e.mem
	ids := slices.AppendSeq(m.left, maps.Keys(b.decisions))
	m.left = nil
	m.level(ids)
	e.tracker.level(ids, m.enforced)
}
