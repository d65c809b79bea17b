package detect

import (
	"fmt"
	"sync/atomic"

	"github.com/portcullis/portcullis/detect/window"
)

// Wide is level two by itself, or a part of it: it merges the partials of engines
// that forward, and closes a second when all of them have. Feed, Findings, Snapshot
// and Restore belong to one goroutine; Stats may be called from any.
type Wide struct {
	wide  *wide
	stats atomic.Pointer[Stats]
}

// NewWide makes a level two for so many engines of level one (not of parts of level
// two: those do not know of each other). It needs no decoder and no workers. Lines
// arrive without their secrets.
func NewWide(cfg Config, parts int) (*Wide, error) {
	if parts < 1 {
		return nil, fmt.Errorf("detect: level two over %d engines", parts)
	}
	cfg.Redact = func(line string) string { return line } // and are owned
	cfg.Workers, cfg.Forward = 1, false
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	w, err := newWide(&cfg, parts)
	if err != nil {
		return nil, fmt.Errorf("detect: %w", err)
	}
	part := &Wide{wide: w}
	part.measure()
	return part, nil
}

// Feed takes in the partials of one engine, numbered from 0. Those of each engine
// come in order, each once. After an error nothing of them was taken in.
func (w *Wide) Feed(from int, p *Partials) error {
	if from < 0 || from >= len(w.wide.closedBy) {
		return fmt.Errorf("detect: partials of engine %d, level two is over %d: restart it with the new number of partitions", from, len(w.wide.closedBy))
	}
	in, err := read(p)
	if err != nil {
		return err
	}
	w.wide.mu.Lock()
	for i := range in.excerpts {
		x := &in.excerpts[i]
		w.wide.levels[x.whose.by].observe(&x.excerpt, &x.whose)
	}
	for i := range in.loads {
		w.wide.load(in.loads[i].key, &in.loads[i].l)
	}
	for i := range in.uses {
		w.wide.use(&in.uses[i])
	}
	in.lapses.each(w.wide.lapse)
	w.wide.mu.Unlock()
	w.wide.close(from, p.Closed)
	return nil
}

// opened are partials whose payloads could be read.
type opened struct {
	excerpts []struct {
		whose party
		excerpt
	}
	loads []struct {
		key loadKey
		l   Load
	}
	uses   []used
	lapses lapses
}

// read opens the payloads.
func read(p *Partials) (*opened, error) {
	out := &opened{lapses: lapses{}}
	for i := range p.List {
		x := &p.List[i]
		k := window.NewReader([]byte(x.Payload))
		switch x.Kind {
		case ExcerptPartial:
			out.excerpts = append(out.excerpts, struct {
				whose party
				excerpt
			}{})
			e := &out.excerpts[len(out.excerpts)-1]
			codeParty(k, &e.whose)
			e.code(k)
		case LoadPartial:
			out.loads = append(out.loads, struct {
				key loadKey
				l   Load
			}{})
			l := &out.loads[len(out.loads)-1]
			codeLoad(k, &l.key, &l.l)
		case UsePartial:
			out.uses = append(out.uses, used{})
			codeUse(k, &out.uses[len(out.uses)-1])
		case LapsePartial:
			var route string
			var l Lapse
			codeLapse(k, &route, &l)
			if k.Err() == nil {
				out.lapses.merge(route, &l)
			}
		default:
			return nil, fmt.Errorf("detect: a partial of kind %d, which this version does not know: %w", x.Kind, ErrNewer)
		}
		if k.Done(); k.Err() != nil {
			return nil, fmt.Errorf("detect: partial %d of %d: %w", i, len(p.List), k.Err())
		}
	}
	return out, nil
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
