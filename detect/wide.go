package detect

import (
	"strings"
	"sync"

	"github.com/portcullis/portcullis/detect/window"
)

// upper is what the workers of level one hand to subjects wider than a client. In
// one process it is level two itself, which several workers call at once.
type upper interface {
	excerpt(x *excerpt)
	gathered(t *tallies)
	close(worker int, sec int64)
}

// wide is level two: it merges the partials of all workers for subjects that
// are wider than a client, and closes a second when every worker has.
type wide struct {
	mu       sync.Mutex
	cfg      *Config
	closedBy []int64 // by worker
	closed   int64
	rollups  map[rollupKey]*rollupState
	levels   [manyBy]*level // nil for ByClient
	timed    bool           // see Costs
	since    int64          // lines seen when that began
}

// level is the state of one kind of subject: one shard whose slots are those.
type level struct {
	*worker
	sh      *shard
	wants   Concern  // of which events some rule wants an excerpt
	loaders []Loader // in the order of the rules
	users   []User
	lapsers []Lapser
	hitters []Hitter
	routes  map[uint32]Slot // see routed
}

type rollupKey struct {
	minute int64
	route  string
}

type rollupState struct {
	r     Rollup
	dirty bool
}

func newWide(cfg *Config, workers int) (*wide, error) {
	w := &wide{cfg: cfg, closedBy: make([]int64, workers), rollups: map[rollupKey]*rollupState{}}
	for by := ByClient + 1; by < manyBy; by++ {
		var err error
		if w.levels[by], err = newLevel(cfg, by, w); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// newLevel makes a level. Its one shard has the last number, so that whatever goes
// through all shards finds it at once.
func newLevel(cfg *Config, by By, w *wide) (*level, error) {
	l := &level{}
	var err error
	if l.worker, err = newWorker(cfg, by, Shards-1, Shards, w); err != nil {
		return nil, err
	}
	l.sh = newShard(l.worker, Shards-1)
	l.worker.sh = l.sh
	l.shards[Shards-1] = l.sh
	l.sh.names = &Sparse[Subject]{env: &Env{w: l.worker}, each: codeSubject}
	for i, r := range l.live {
		l.wants |= l.rules[i].Spec.Concern &^ (Any | Lapsing)
		if x, ok := r.(Loader); ok {
			l.loaders = append(l.loaders, x)
		}
		if x, ok := r.(User); ok {
			l.users = append(l.users, x)
		}
		if x, ok := r.(Lapser); ok {
			l.lapsers = append(l.lapsers, x)
		}
		if x, ok := r.(Hitter); ok && l.rules[i].Spec.Concern&Hits != 0 {
			l.hitters = append(l.hitters, x)
		}
	}
	l.meter = newMeter(cfg.Costs, 1, l.worker, l)
	return l, nil
}

func codeSubject(s *Subject, k *window.Codec) {
	k.String(&s.Kind)
	k.String(&s.Value)
}

// slot finds or makes the slot of a subject.
func (l *level) slot(p *party, sec int64) Slot {
	l.sh.touched = true
	s := l.sh.slot(p.k, p.k.hash(l.cfg.Seed), sec)
	if n := l.sh.names.At(s); n.Kind == "" {
		*n = p.subject()
		n.Kind, n.Value = strings.Clone(n.Kind), strings.Clone(n.Value)
	}
	return s
}

// excerpt takes a request to its wider subjects, whichever worker saw it.
func (w *wide) excerpt(x *excerpt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.levels[ByClient+1:] {
		if x.need&l.wants != 0 {
			l.by.parties(&x.ev, x.in(), func(p *party) { l.observe(x, p) })
		}
	}
}

func (l *level) observe(x *excerpt, p *party) {
	s := l.slot(p, x.ev.Time/1e9)
	l.known, l.attempt = x.known, x.attack
	for _, r := range l.byNeed[x.need&^(Any|Lapsing)] {
		l.live[r].Observe(&x.ev, s)
	}
}

// gathered takes in what a worker counted.
func (w *wide) gathered(t *tallies) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.loads(w.load)
	if t.uses != nil {
		for _, x := range t.uses.list {
			w.use(x)
		}
	}
	t.lapses.each(w.lapse)
	t.hits.each(w.hit)
}

// load merges figures, of which minutes are made too, and tells the rules.
func (w *wide) load(k loadKey, l *Load) {
	if k.by == ByRoute || k.by == ByGlobal {
		w.merge(rollupKey{k.bucket - k.bucket%60, k.route}, &l.Rollup)
	}
	level := w.levels[k.by]
	if len(level.loaders) == 0 {
		return
	}
	p := k.party()
	s := level.slot(&p, k.bucket)
	for _, r := range level.loaders {
		r.Load(l, s)
	}
}

func (w *wide) use(x *used) {
	level := w.levels[ByIdentity]
	p := named(ByIdentity, x.subject.Kind, x.subject.Value)
	s := level.slot(&p, x.u.Last)
	for _, r := range level.users {
		r.Use(&x.u, s)
	}
}

func (w *wide) merge(k rollupKey, r *Rollup) {
	s := w.rollups[k]
	if s == nil {
		s = &rollupState{r: Rollup{Minute: k.minute, Route: k.route}}
		w.rollups[k] = s
	}
	s.dirty = true
	addRollup(&s.r, r)
}

// close notes how far a worker has closed, and evaluates what all have.
func (w *wide) close(worker int, sec int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closedBy[worker] = max(sec, w.closedBy[worker])
	least := w.closedBy[worker]
	for _, s := range w.closedBy {
		least = min(least, s)
	}
	if least > w.closed {
		w.closed = least
		for _, l := range w.levels[ByClient+1:] {
			l.sh.close(least)
			l.closed = least
		}
	}
}

// findings appends the findings that changed.
func (w *wide) findings(list []Finding) []Finding {
	for _, l := range w.levels[ByClient+1:] {
		list = l.sh.findings.collect(list)
	}
	return list
}

// collect appends the rollups that changed, whole, and forgets the minutes that
// can change no more.
func (w *wide) collect(out []Rollup) []Rollup {
	for k, s := range w.rollups {
		if s.dirty {
			out = append(out, s.r)
			s.dirty = false
		}
		if k.minute+120 < w.closed {
			delete(w.rollups, k)
		}
	}
	return out
}

// code saves or restores everything.
func (w *wide) code(k *window.Codec) *window.Codec {
	w.mu.Lock()
	defer w.mu.Unlock()
	k.I64(&w.closed)
	w.codeRollups(k)
	for _, l := range w.levels[ByClient+1:] {
		names := ruleNames(l.rules)
		codeNames(k, &names)
		l.sh.code(k, names)
		l.closed = w.closed
		l.next[Shards-1] = l.sh.agenda.next()
	}
	return k
}

func (w *wide) codeRollups(k *window.Codec) {
	n := k.Len(len(w.rollups))
	if !k.Reading() {
		for key, s := range w.rollups {
			codeRollup(k, &key, &s.r)
		}
		return
	}
	for ; n > 0 && k.Err() == nil; n-- {
		var key rollupKey
		s := &rollupState{}
		codeRollup(k, &key, &s.r)
		s.r.Minute, s.r.Route = key.minute, key.route
		w.rollups[key] = s
	}
}

func codeRollup(k *window.Codec, key *rollupKey, r *Rollup) {
	k.I64(&key.minute)
	k.String(&key.route)
	codeFigures(k, r)
}
