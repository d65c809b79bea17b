package detect

import (
	"fmt"
	"sync/atomic"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
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
	requests, rows, err := read(p)
	if err != nil {
		return err
	}
	for i := range requests {
		w.wide.account(&requests[i], requests[i].Time/1e9)
	}
	for i := range rows {
		w.wide.merge(rollupKey{rows[i].Minute, rows[i].Route}, &rows[i])
	}
	w.wide.close(from, p.Closed)
	return nil
}

// read opens the payloads.
func read(p *Partials) (requests []ingest.Event, rows []Rollup, err error) {
	for i := range p.List {
		x := &p.List[i]
		k := window.NewReader([]byte(x.Payload))
		switch x.Kind {
		case AccountPartial:
			var ev ingest.Event
			codeExcerpt(k, &ev)
			requests = append(requests, ev)
		case TrafficPartial:
			var key rollupKey
			var r Rollup
			codeRollup(k, &key, &r)
			r.Minute, r.Route = key.minute, key.route
			rows = append(rows, r)
		default:
			return nil, nil, fmt.Errorf("detect: a partial of kind %d, which this version does not know: %w", x.Kind, ErrNewer)
		}
		if k.Done(); k.Err() != nil {
			return nil, nil, fmt.Errorf("detect: partial %d of %d: %w", i, len(p.List), k.Err())
		}
	}
	return requests, rows, nil
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
	w.wide.codeAll(k)
}

// Publish makes the present figures visible to Stats. It belongs to the goroutine
// of Feed.
func (w *Wide) Publish() { w.measure() }

// Stats returns the latest figures; what they call clients are accounts here.
func (w *Wide) Stats() Stats { return *w.stats.Load() }

func (w *Wide) measure() {
	a := w.wide.accounts
	sh := a.shards[Shards-1]
	w.stats.Store(&Stats{Clients: sh.table.live, Evicted: a.evicted, Findings: len(sh.findings.open), Closed: w.wide.closed, Bytes: sh.bytes()})
}
