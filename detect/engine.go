package detect

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/portcullis/portcullis/ingest"
)

// Engine takes in batches of lines and finds. Feed, Advance, Finish, Snapshot
// and Restore belong to one goroutine; Watch and Stats may be called from any.
// With one worker everything happens in the caller's goroutine.
type Engine struct {
	cfg      *Config
	workers  []*worker
	wide     *wide      // nil where level two is elsewhere
	forward  *forwarder // then, what waits to be sent there
	mark     watermark
	books    books
	marks    map[string]ingest.Mark
	watch    atomic.Pointer[watchSet]
	stats    atomic.Pointer[Stats]
	rows     atomic.Pointer[[]ingest.LedgerRow] // the books as of the last look
	seen     *watchSet                          // the watch list that the workers have
	decoder  Decoder                            // of the inline path
	ahead    ahead                              // likewise
	restored bool                               // a state was loaded
	pool     *pool                              // nil with one worker
}

// Stats are figures for status and metrics.
type Stats struct {
	Clients  int   // tracked now
	Evicted  int64 // forgotten because the table was full
	Findings int   // whose window is not over
	Newest   int64 // newest event time, Unix seconds
	Closed   int64 // last closed second
	Bytes    int64 // of tables and detector state, estimated
}

// New makes an engine and starts its goroutines, if it has more than one worker.
func New(cfg Config) (*Engine, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if cfg.NewDecoder == nil {
		return nil, fmt.Errorf("detect: engine: no decoder")
	}
	e := &Engine{cfg: &cfg, mark: watermark{bound: cfg.LateSeconds}, books: newBooks(cfg.Redact), marks: map[string]ingest.Mark{}}
	upper, err := e.upper()
	if err != nil {
		return nil, fmt.Errorf("detect: %w", err)
	}
	for i := range cfg.Workers {
		w, err := newWorker(&cfg, ByClient, i, cfg.Workers, upper)
		if err != nil {
			return nil, fmt.Errorf("detect: %w", err)
		}
		w.meter = newMeter(cfg.Costs, 0, w, nil)
		if i == 0 && w.meter != nil {
			w.meter.wide = e.wide
		}
		e.workers = append(e.workers, w)
	}
	e.seen = &watchSet{}
	e.watch.Store(e.seen)
	e.stats.Store(&Stats{})
	decoders := make([]Decoder, cfg.Workers)
	for i := range decoders {
		if decoders[i], err = cfg.NewDecoder(); err != nil {
			return nil, fmt.Errorf("detect: %w", err)
		}
	}
	e.decoder = decoders[0]
	if cfg.Workers > 1 {
		e.pool = startPool(e, decoders)
	}
	return e, nil
}

// upper makes what level one hands on to: level two, or what is sent there.
func (e *Engine) upper() (upper, error) {
	if e.cfg.Forward {
		e.forward = newForwarder(e.cfg)
		return e.forward, nil
	}
	var err error
	e.wide, err = newWide(e.cfg, e.cfg.Workers)
	return e.wide, err
}

// Feed takes in a batch and releases it. Batches of one source come in order.
func (e *Engine) Feed(b *ingest.Batch) {
	e.rewatch()
	if b.Source != "" || len(b.Data) > 0 {
		e.marks[b.Source] = b.Mark
	}
	if e.pool != nil {
		e.pool.feed(b)
	} else {
		e.inline(b)
	}
}

// earliest is the earliest time in the stream's first batch, which is decoded
// twice for it.
func (e *Engine) earliest(b *ingest.Batch) int64 {
	l := least{remarks: b.Remarks, bound: e.mark.bound}
	e.decoder.Decode(b, l.see, func(ingest.Reject) {})
	return l.sec
}

// ceiling is the latest event time to be believed, 0 if there is no clock.
func (e *Engine) ceiling() int64 {
	if e.cfg.Now == nil {
		return 0
	}
	return e.cfg.Now() + FutureSlack
}

// inline parses and observes in one go: no more events are stored than are observed together.
func (e *Engine) inline(b *ingest.Batch) {
	w := e.workers[0]
	e.mark.ceiling = e.ceiling()
	w.meter.begin()
	q := e.mark.open(b, func() int64 { return e.earliest(b) })
	p := e.books.page(b)
	before := p.row.Processed
	for i := range b.Rejects {
		p.reject(b.Rejects[i])
	}
	e.decoder.Decode(b, func(ev *ingest.Event) {
		t := q.place(ev)
		p.take(ev, t)
		e.ahead.add(w, ev, t, e.mark.closed())
	}, p.reject)
	e.ahead.flush(w)
	p.close(b, formatOf(e.decoder, b))
	b.Release()
	e.mark.settle()
	w.closeTo(e.mark.closed())
	w.meter.end(int(p.row.Processed - before))
}

// Advance closes the seconds up to sec although no event says so: the caller
// knows that every source is read to its end and has been quiet.
func (e *Engine) Advance(sec int64) {
	e.drain()
	if sec <= e.mark.closed() {
		return
	}
	e.mark.advance(sec)
	e.rewatch()
	for _, w := range e.workers {
		w.closeTo(sec)
	}
}

// Finish closes everything that was fed and returns what changed since the last
// Snapshot. It is for the end of a replay.
func (e *Engine) Finish() Snapshot {
	e.drain()
	if e.mark.newest > 0 {
		e.Advance(e.mark.newest)
		for _, w := range e.workers {
			w.closeTo(e.mark.newest + 2*FindingWindow + e.mark.bound)
		}
	}
	if e.forward != nil {
		e.workers[0].counted.flush(e.forward)
	}
	return e.changes()
}

// Findings waits for the workers and returns the findings that changed since
// they were last returned, by this or by Snapshot.
func (e *Engine) Findings() []Finding {
	e.drain()
	return e.collect()
}

// Close ends the goroutines. The engine cannot be used afterwards.
func (e *Engine) Close() {
	if e.pool != nil {
		e.pool.stop()
		e.pool = nil
	}
}

// Watch replaces the list of watched subjects; it takes effect with the next
// batch.
func (e *Engine) Watch(list []Watch) { e.watch.Store(newWatchSet(list)) }

func (e *Engine) rewatch() {
	ws := e.watch.Load()
	if ws == e.seen {
		return
	}
	e.drain()
	e.seen = ws
	for _, w := range e.workers {
		w.apply(ws)
	}
}

// Books returns the completeness of the sources as of a moment ago. It may be
// called from any goroutine.
func (e *Engine) Books() []ingest.LedgerRow {
	rows := e.rows.Load()
	if rows == nil {
		return nil
	}
	return slices.Clone(*rows)
}

// Publish makes the present figures visible to Stats and Books. It belongs to
// the goroutine of Feed and waits for the workers.
func (e *Engine) Publish() {
	e.drain()
	e.measure()
}

// Stats returns the latest figures.
func (e *Engine) Stats() Stats { return *e.stats.Load() }

// drain waits until the workers have nothing left to do, so that their state
// may be looked at.
func (e *Engine) drain() {
	if e.pool != nil {
		e.pool.drain()
	}
}

func (e *Engine) measure() {
	s := Stats{Newest: e.mark.newest, Closed: e.mark.closed()}
	for _, w := range e.workers {
		s.Evicted += w.evicted
		for _, sh := range w.shards {
			if sh == nil {
				continue
			}
			s.Clients += sh.table.live
			s.Findings += len(sh.findings.open)
			s.Bytes += sh.bytes()
		}
	}
	e.stats.Store(&s)
	rows := e.books.copyRows()
	e.rows.Store(&rows)
}

func (sh *shard) bytes() int64 {
	n := int64(cap(sh.table.entries))*8 + int64(cap(sh.clients))*int64(sizeOf[client]()) + sh.agenda.bytes() + int64(cap(sh.dozing)) + int64(cap(sh.packs.all))*int64(sizeOf[pack]())
	for _, env := range sh.w.envs {
		for _, st := range env.state {
			n += st.bytes(sh.number)
		}
	}
	return n
}

// shard finds a shard by number, whichever worker owns it.
func (e *Engine) shard(n int) *shard { return e.workers[n%len(e.workers)].shards[n] }

// ruleNames lists the names in the order of their numbers.
func ruleNames(rules []RuleConfig) []string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.Name
	}
	return slices.Clip(names)
}
