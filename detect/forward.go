package detect

import (
	"cmp"
	"slices"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// forwarder is what level one has for a level two in another place. What it hands
// over with a batch depends on the state and the batch alone, so that a batch that is
// fed again after a crash gives the same.
//
// It holds what one batch led to: whoever feeds takes it out (see Engine.Partials).
type forwarder struct {
	cfg      *Config
	accounts bool // some detector wants refused requests by account
	closed   int64
	told     int64                // the closed second that was last handed over
	rows     map[rollupKey]Rollup // to be handed over
	held     map[rollupKey]Rollup // from a saved state, to be handed over when a second closes
	list     []Partial
	shown    map[key]*shown
}

// shown are the lines of one account and second that were handed over with this
// batch: the earliest of them, as window.Samples orders lines.
type shown struct {
	sec  int64
	list [window.SamplesPerBucket]window.Sample // without text; Time 0 is none
}

func newForwarder(cfg *Config) *forwarder {
	f := &forwarder{cfg: cfg, rows: map[rollupKey]Rollup{}, held: map[rollupKey]Rollup{}, shown: map[key]*shown{}}
	for _, r := range cfg.Rules {
		f.accounts = f.accounts || r.Spec.By == ByAccount
	}
	return f
}

// account implements upper. The line is left out where lines of the same account
// and second stand before it that fill any bucket of evidence it could be in.
func (f *forwarder) account(ev *ingest.Event, _ int64) {
	if ev.User == "" || !f.accounts {
		return
	}
	x := *ev
	name, k := accountOf(ev)
	x.User, x.Line = name, ""
	if f.wants(ev, k) {
		x.Line = capLine(f.cfg.Redact(capLine(ev.Line)))
	}
	w := window.NewWriter(make([]byte, 0, 128+len(x.Line)))
	codeExcerpt(w, &x)
	f.list = append(f.list, Partial{Kind: AccountPartial, Hash: k.hash(f.cfg.Seed), Payload: string(w.Bytes())})
}

// wants notes a line where it is among the earliest of its account and second.
func (f *forwarder) wants(ev *ingest.Event, k key) bool {
	sec := ev.Time / 1e9
	s := f.shown[k]
	if s == nil || s.sec != sec {
		s = &shown{sec: sec}
		f.shown[k] = s
	}
	last := &s.list[len(s.list)-1]
	if last.Time != 0 && !earlier(ev.Time, ev.Pos, last) {
		return false
	}
	*last = window.Sample{Time: ev.Time, Pos: ev.Pos}
	slices.SortFunc(s.list[:], func(a, b window.Sample) int {
		switch {
		case a.Time == 0 || b.Time == 0:
			return cmp.Compare(b.Time, a.Time) // none is last
		case earlier(a.Time, a.Pos, &b):
			return -1
		}
		return 1
	})
	return true
}

func earlier(t int64, p ingest.Position, than *window.Sample) bool {
	return t < than.Time || t == than.Time && p.Less(than.Pos)
}

// tallies implements upper.
func (f *forwarder) tallies(t *routeTally) {
	t.each(func(x *tally) { x.rows(f.add) })
}

func (f *forwarder) add(k rollupKey, r *Rollup) { addTo(f.rows, k, r) }

func addTo(rows map[rollupKey]Rollup, k rollupKey, r *Rollup) {
	sum := rows[k]
	addRollup(&sum, r)
	rows[k] = sum
}

// close implements upper.
func (f *forwarder) close(_ int, sec int64) {
	f.closed = sec
	for k, r := range f.held {
		f.add(k, &r)
	}
	clear(f.held)
}

// take returns what is to be handed over, nil if there is nothing.
func (f *forwarder) take(seed uint64) *Partials {
	if len(f.rows) == 0 && len(f.list) == 0 && f.closed == f.told {
		return nil
	}
	p := &Partials{Closed: f.closed, List: f.list}
	keys := make([]rollupKey, 0, len(f.rows))
	for k := range f.rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b rollupKey) int {
		return cmp.Or(cmp.Compare(a.minute, b.minute), cmp.Compare(a.route, b.route))
	})
	for _, k := range keys {
		r, w := f.rows[k], window.NewWriter(nil)
		codeRollup(w, &k, &r)
		x := Partial{Kind: TrafficPartial, Payload: string(w.Bytes())}
		if k.route != "" {
			x.Hash = key{hi: stableHash(k.route), lo: 2}.hash(seed)
		}
		p.List = append(p.List, x)
	}
	clear(f.rows)
	clear(f.shown)
	f.list, f.told = nil, f.closed
	return p
}

// codeAll saves or restores. routes, when saving, are the figures that are not yet
// handed over.
func (f *forwarder) codeAll(k *window.Codec, routes *routeTally) *window.Codec {
	k.I64(&f.told)
	rows := map[rollupKey]Rollup{}
	if !k.Reading() {
		for _, m := range []map[rollupKey]Rollup{f.rows, f.held} {
			for key, r := range m {
				addTo(rows, key, &r)
			}
		}
		routes.each(func(x *tally) { x.rows(func(key rollupKey, r *Rollup) { addTo(rows, key, r) }) })
	}
	n := k.Len(len(rows))
	for key, r := range rows {
		codeRollup(k, &key, &r)
	}
	for ; k.Reading() && n > 0 && k.Err() == nil; n-- {
		var key rollupKey
		var r Rollup
		codeRollup(k, &key, &r)
		addTo(f.held, key, &r)
	}
	waiting := Partials{List: f.list}
	waiting.code(k)
	f.list = waiting.List
	return k
}

// Partials returns what the batches since the last call led to for level two, nil
// if there is nothing new. Call it after each Feed and Advance of an engine that
// forwards: it then depends on the state and the batch alone.
func (e *Engine) Partials() *Partials {
	if e.forward == nil {
		return nil
	}
	return e.forward.take(e.cfg.Seed)
}
