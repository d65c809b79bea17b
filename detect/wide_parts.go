package detect

import (
	"fmt"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/portcullis/portcullis/detect/window"
)

// Wide is level two by itself, or a part of it: it merges the partials of engines
// that forward, and closes a second when all of them have. Feed, Findings, Snapshot
// and Restore belong to one goroutine; Stats may be called from any.
type Wide struct {
	wide  *wide
	in    opened // of one Feed; its memory serves the next
	names names
	stats atomic.Pointer[Stats]
}

// NewWide makes a level two for so many engines of level one (not of parts of level
// two: those do not know of each other). It needs no decoder and no workers. Lines
// arrive without their secrets.
func NewWide(cfg Config, parts int) (*Wide, error) {
	if parts < 1 {
		return nil, fmt.Errorf("detect: level two over %d engines", parts)
	}
	cfg.Redact = strings.Clone
	cfg.Workers, cfg.Forward = 1, false
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	w, err := newWide(&cfg, parts)
	if err != nil {
		return nil, fmt.Errorf("detect: %w", err)
	}
	part := &Wide{wide: w, names: names{}}
	part.measure()
	return part, nil
}

// Feed takes in the partials of one engine, numbered from 0. Those of each engine
// come in order, each once. After an error nothing of them was taken in. Nothing of them
// is kept: what they were parsed from may be used again.
func (w *Wide) Feed(from int, p *Partials) error {
	if from < 0 || from >= len(w.wide.closedBy) {
		return fmt.Errorf("detect: partials of engine %d, level two is over %d: restart it with the new number of partitions", from, len(w.wide.closedBy))
	}
	defer w.in.clear()
	if err := w.open(p); err != nil {
		return err
	}
	w.wide.mu.Lock()
	for i := range w.in.excerpts {
		x := &w.in.excerpts[i]
		w.wide.levels[x.whose.by].observe(&x.excerpt, &x.whose)
	}
	for i := range w.in.loads {
		w.wide.load(w.in.loads[i].key, &w.in.loads[i].l)
	}
	for i := range w.in.uses {
		w.wide.use(&w.in.uses[i])
	}
	w.in.lapses.each(w.wide.lapse)
	w.in.hits.each(w.wide.hit)
	w.wide.mu.Unlock()
	w.wide.close(from, p.Closed)
	return nil
}

// opened are partials whose payloads could be read.
type opened struct {
	excerpts []owned
	loads    []loaded
	uses     []used
	lapses   lapses
	hits     hits
}

// owned is an excerpt for one subject.
type owned struct {
	whose party
	excerpt
}

// loaded is a Load for one subject.
type loaded struct {
	key loadKey
	l   Load
}

// clear forgets what was read, and keeps the memory for excerpts and loads, of which most
// are.
func (o *opened) clear() {
	clear(o.excerpts)
	clear(o.loads)
	o.excerpts, o.loads, o.uses, o.lapses, o.hits = o.excerpts[:0], o.loads[:0], nil, nil, nil
	if cap(o.excerpts) > mostOpened {
		o.excerpts = nil
	}
	if cap(o.loads) > mostOpened {
		o.loads = nil
	}
}

// mostOpened bounds the excerpts, and the loads, for which memory is kept.
const mostOpened = 8 << 10

// names are texts that are kept and come again and again, once each.
type names map[string]string

// mostNames bounds them: of sources and routes there are not more but by mistake.
const mostNames = 8 << 10

func (n names) of(s string) string {
	own, known := n[s]
	if !known {
		own = strings.Clone(s)
		if len(n) < mostNames {
			n[own] = own
		}
	}
	return own
}

// open reads the payloads. The texts of excerpts are borrowed, as an event's are; only
// its route and the name of its source may be kept as they are.
func (w *Wide) open(p *Partials) error {
	w.in.lapses, w.in.hits = lapses{}, hits{}
	for i := range p.List {
		if err := w.openOne(&p.List[i]); err != nil {
			return fmt.Errorf("detect: partial %d of %d: %w", i, len(p.List), err)
		}
	}
	return nil
}

func (w *Wide) openOne(x *Partial) error {
	data := unsafe.Slice(unsafe.StringData(x.Payload), len(x.Payload)) // only read
	k := window.NewReader(data)
	switch x.Kind {
	case ExcerptPartial:
		k = window.NewBorrower(data)
		w.in.excerpts = append(w.in.excerpts, owned{})
		e := &w.in.excerpts[len(w.in.excerpts)-1]
		codeParty(k, &e.whose)
		e.code(k)
		e.ev.Route, e.ev.Pos.Source = w.names.of(e.ev.Route), w.names.of(e.ev.Pos.Source)
	case LoadPartial:
		w.in.loads = append(w.in.loads, loaded{})
		l := &w.in.loads[len(w.in.loads)-1]
		codeLoad(k, &l.key, &l.l)
	case UsePartial:
		w.in.uses = append(w.in.uses, used{})
		codeUse(k, &w.in.uses[len(w.in.uses)-1])
	case LapsePartial:
		var route string
		var l Lapse
		codeLapse(k, &route, &l)
		if k.Err() == nil {
			w.in.lapses.merge(route, &l)
		}
	case HitPartial:
		var h Hit
		if h.Code(k); k.Err() == nil {
			w.in.hits.add(&h)
		}
	default:
		return fmt.Errorf("kind %d, which this version does not know: %w", x.Kind, ErrNewer)
	}
	k.Done()
	return k.Err()
}

// Findings returns the findings that changed since they were last returned, by this
// or by Snapshot.
func (w *Wide) Findings() []Finding {
	list := w.wide.findings(nil)
	SortFindings(list)
	return list
}

// Closed is the last second that all engines have closed.
func (w *Wide) Closed() int64 { return w.wide.closed }

// Snapshot cuts, as Engine.Snapshot does. It has findings, rollups and one blob.
func (w *Wide) Snapshot() Snapshot {
	s := Snapshot{Findings: w.Findings(), Rollups: w.wide.collect(nil)}
	k := window.NewWriter(nil)
	w.code(k)
	s.Blobs = map[string][]byte{level2Blob: sealed(k.Bytes())}
	w.measure()
	return s
}

const level2Blob = "level2"

// Restore loads a saved state into a new level two, which may be over more engines
// than the one that saved: seconds then close when the new ones have been heard of.
func (w *Wide) Restore(s Snapshot) error {
	if _, saved := s.Blobs[level2Blob]; !saved {
		return nil
	}
	blob, err := unsealed(s.Blobs, level2Blob)
	if err != nil {
		return err
	}
	version := uint64(0)
	if window.NewReader(blob).U64(&version); version != stateVersion {
		return fmt.Errorf("detect: the saved state has version %d, this program reads %d: move the state away to start afresh", version, stateVersion)
	}
	k := window.NewReader(blob)
	w.code(k)
	if k.Err() != nil {
		return fmt.Errorf("detect: restore level two: %w", k.Err())
	}
	w.measure()
	return nil
}

func (w *Wide) code(k *window.Codec) {
	version := uint64(stateVersion)
	k.U64(&version)
	k.U64(&w.wide.cfg.Seed)
	n := k.Len(len(w.wide.closedBy))
	for i := range n {
		var sec int64
		if i < len(w.wide.closedBy) {
			sec = w.wide.closedBy[i]
		}
		k.I64(&sec)
		if i < len(w.wide.closedBy) {
			w.wide.closedBy[i] = sec
		}
	}
	w.wide.code(k)
}

// Publish makes the present figures visible to Stats. It belongs to the goroutine
// of Feed.
func (w *Wide) Publish() { w.measure() }

// Stats returns the latest figures; what they call clients are wider subjects here.
func (w *Wide) Stats() Stats { return *w.stats.Load() }

func (w *Wide) measure() {
	s := Stats{Closed: w.wide.closed, Bytes: w.wide.bytes()}
	for _, l := range w.wide.levels[ByClient+1:] {
		s.Clients += l.sh.table.live
		s.Evicted += l.evicted
		s.Findings += len(l.sh.findings.open)
	}
	w.stats.Store(&s)
}

func (w *wide) bytes() (n int64) {
	for _, l := range w.levels[ByClient+1:] {
		n += l.sh.bytes() + l.sh.names.bytes(l.sh.number)
	}
	return n
}
