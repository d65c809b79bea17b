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
	cfg    *Config
	wants  [manyBy]Concern // of which events some rule wants an excerpt
	closed int64
	told   int64 // the closed second that was last handed over
	now    sums  // to be handed over
	held   sums  // from a saved state, to be handed over when a second closes
	list   []Partial
	shown  map[shownKey]*shown
	buf    []byte // for one payload
}

// sums are what was counted.
type sums struct {
	loads  loads
	uses   usage
	lapses lapses
	hits   hits
}

func newSums() sums { return sums{loads{}, usage{}, lapses{}, hits{}} }

// take adds what was counted. Lines leave the process from here: without their secrets.
func (s *sums) take(t *tallies) {
	t.loads(func(k loadKey, l *Load) {
		l.Pick.Redact(t.cfg.Redact)
		s.loads.add(k, l)
	})
	if t.uses != nil {
		for k, x := range t.uses.list {
			x.u.Pick.Redact(t.cfg.Redact)
			s.uses.add(k, x)
		}
	}
	t.lapses.each(s.lapses.merge)
	t.hits.each(s.hits.add)
}

func (s *sums) add(from *sums) {
	for k, l := range from.loads {
		s.loads.add(k, l)
	}
	for k, x := range from.uses {
		s.uses.add(k, &x)
	}
	from.lapses.each(s.lapses.merge)
	from.hits.each(s.hits.add)
}

func (s *sums) clear() {
	clear(s.loads)
	clear(s.uses)
	clear(s.lapses)
	clear(s.hits)
}

// shownKey tells apart what some detector may want of a subject and another not.
type shownKey struct {
	who  key
	need Concern
}

// shown are the lines of one kind, subject and second that were handed over with this
// batch: the earliest of them, as window.Samples orders lines.
type shown struct {
	sec  int64
	list [window.SamplesPerBucket]window.Sample // without text; Time 0 is none
}

func newForwarder(cfg *Config) *forwarder {
	f := &forwarder{cfg: cfg, now: newSums(), held: newSums(), shown: map[shownKey]*shown{}}
	for _, r := range cfg.Rules {
		for by := range manyBy {
			if r.serves(by) {
				f.wants[by] |= r.Spec.Concern &^ (Any | Lapsing)
			}
		}
	}
	return f
}

// excerpt implements upper. The line is left out where lines of the same kind, subject
// and second stand before it that fill any bucket of evidence it could be in. It is
// redacted once for all whom it is about, and also where a collector did that before: its
// seals become what people see, the cap may have left half of one, and a topic may still
// hold lines of before the collector was told to.
func (f *forwarder) excerpt(x *excerpt) {
	line, redacted := x.ev.Line, false
	for by := ByClient + 1; by < manyBy; by++ {
		if x.need&f.wants[by] == 0 {
			continue
		}
		by.parties(&x.ev, x.in(), func(p *party) {
			out := *x
			out.ev.Line = ""
			if x.need&Suspicious != 0 || f.shows(&x.ev, shownKey{p.k, x.need}) { // which attacks are evidence the route's norm tells
				if !redacted {
					line, redacted = capLine(f.cfg.Redact(capLine(line))), true
				}
				out.ev.Line = line
			}
			f.put(ExcerptPartial, p.part(f.cfg.Seed), func(w *window.Codec) {
				codeParty(w, p)
				out.code(w)
			})
		})
	}
}

// codeParty passes whom a partial is about.
func codeParty(k *window.Codec, p *party) {
	by, s := uint8(p.by), Subject{}
	if !k.Reading() {
		s = p.subject()
	}
	k.U8(&by)
	codeSubject(&s, k)
	k.U64(&p.k.hi)
	if k.Reading() {
		if p.by = By(by); p.by <= ByClient || p.by >= manyBy {
			k.Fail()
		}
		p.kind, p.value, p.k.lo = s.Kind, s.Value, uint64(by)
	}
}

// shows notes a line where it is among the earliest of its kind, subject and second.
func (f *forwarder) shows(ev *ingest.Event, k shownKey) bool {
	sec := ev.Time / 1e9
	s := f.shown[k]
	if s == nil {
		s = &shown{sec: sec}
		f.shown[k] = s
	} else if s.sec != sec {
		*s = shown{sec: sec}
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

// gathered implements upper.
func (f *forwarder) gathered(t *tallies) { f.now.take(t) }

// close implements upper.
func (f *forwarder) close(_ int, sec int64) {
	f.closed = sec
	f.now.add(&f.held)
	f.held.clear()
}

// take returns what is to be handed over, nil if there is nothing.
func (f *forwarder) take(seed uint64) *Partials {
	if len(f.now.loads) == 0 && len(f.now.uses) == 0 && len(f.now.lapses) == 0 && len(f.now.hits) == 0 && len(f.list) == 0 && f.closed == f.told {
		return nil
	}
	for _, k := range f.now.loads.keys() {
		whose := k.party()
		f.put(LoadPartial, whose.part(seed), func(w *window.Codec) { codeLoad(w, &k, f.now.loads[k]) })
	}
	for _, k := range f.now.uses.keys() {
		x := f.now.uses[k]
		f.put(UsePartial, k.who.hash(seed), func(w *window.Codec) { codeUse(w, &x) })
	}
	f.now.lapses.each(func(route string, l *Lapse) {
		whose := named(ByRoute, "route", route)
		f.put(LapsePartial, whose.part(seed), func(w *window.Codec) { codeLapse(w, &route, l) })
	})
	f.now.hits.each(func(h *Hit) { f.put(HitPartial, 0, h.Code) })
	p := &Partials{Closed: f.closed, List: f.list}
	f.now.clear()
	clear(f.shown)
	f.list, f.told = make([]Partial, 0, len(f.list)), f.closed
	return p
}

// put adds a partial whose payload code writes.
func (f *forwarder) put(kind PartialKind, hash uint64, code func(*window.Codec)) {
	w := window.NewWriter(f.buf[:0])
	code(w)
	f.buf = w.Bytes()
	f.list = append(f.list, Partial{Kind: kind, Hash: hash, Payload: string(f.buf)})
}

// code saves or restores. counted, when saving, is what is not yet handed over.
func (f *forwarder) code(k *window.Codec, counted *tallies) *window.Codec {
	k.I64(&f.told)
	sum := newSums()
	if !k.Reading() {
		sum.add(&f.now)
		sum.add(&f.held)
		sum.take(counted)
	}
	sum.loads.code(k)
	sum.uses.code(k)
	sum.lapses.code(k)
	sum.hits.code(k)
	if k.Reading() {
		f.held.add(&sum)
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
	f := e.forward
	if f == nil {
		return nil
	}
	if f.closed != f.told { // what was counted has to be there before seconds close
		e.workers[0].counted.flush(f)
	}
	return f.take(e.cfg.Seed)
}
