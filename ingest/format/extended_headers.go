package format

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// extHeaders are the "#Fields:" lines of one source. Its parsers share them, since each
// sees only some of the source's batches, and after a restart none may see the line
// at all that stands at the file's beginning. Safe for concurrent use.
type extHeaders struct {
	mu      sync.Mutex
	seen    []*extLayout // distinct, the oldest first
	initial *extLayout   // until the first is seen
	state   atomic.Pointer[extState]
}

// extState is what is known, for readers; it is never written.
type extState struct {
	only    *extLayout         // if there is but one
	byCount map[int]*extLayout // else what all layouts of so many columns agree on
}

// maxExtHeaders bounds the layouts remembered of a source.
const maxExtHeaders = 32

func newExtHeaders(initial *extLayout) *extHeaders {
	h := &extHeaders{initial: initial}
	h.state.Store(&extState{only: initial})
	return h
}

// see remembers a "#Fields:" line and returns its layout, or nil if it asks for too much.
func (h *extHeaders) see(d *extDialect, names string) *extLayout {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, _ := d.layout(names) // without c-ip its lines are refused as having no client
	if l == nil || len(l.columns) == 0 {
		return nil
	}
	for _, s := range h.seen {
		if s.names == l.names {
			return s
		}
	}
	if len(h.seen) == maxExtHeaders {
		h.seen = h.seen[1:]
	}
	h.seen = append(h.seen[:len(h.seen):len(h.seen)], l)
	h.publish()
	return l
}

// publish makes the state for readers.
func (h *extHeaders) publish() {
	if len(h.seen) == 1 {
		h.state.Store(&extState{only: h.seen[0]})
		return
	}
	s := &extState{byCount: map[int]*extLayout{}}
	for _, l := range h.seen {
		s.byCount[len(l.columns)] = agreed(s.byCount[len(l.columns)], l)
	}
	h.state.Store(s)
}

// agreed keeps the columns that two layouts of the same width have in the same place.
func agreed(a, b *extLayout) *extLayout {
	if a == nil {
		return b
	}
	out := &extLayout{names: a.names, least: a.least, columns: make([]extColumn, len(a.columns))}
	for i := range a.columns {
		if a.columns[i] == b.columns[i] {
			out.columns[i] = a.columns[i]
		}
	}
	out.ask()
	return out
}

// layoutOf returns the layout of a line that no "#Fields:" line of its batch precedes.
// Where the source had several, the number of columns decides.
func (h *extHeaders) layoutOf(line []byte, sep byte) *extLayout {
	s := h.state.Load()
	if s.only != nil || s.byCount == nil {
		return s.only
	}
	n := bytes.Count(line, []byte{sep}) + 1
	if l := s.byCount[n]; l != nil || len(line) == 0 || line[len(line)-1] != sep {
		return l
	}
	return s.byCount[n-1]
}
