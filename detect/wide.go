package detect

import (
	"strings"
	"sync"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// answer sorts a request for the traffic figures.
type answer uint8

const (
	answered answer = iota
	refused         // credentials refused
	denied          // by our own enforcement
)

// tally is a partial: what one worker saw of one route in one minute. Partials
// are additive, so they may be handed on at any time.
type tally struct {
	route  string
	minute int64
	r      Rollup
}

// routeTally gathers partials by route number between two hand-overs.
type routeTally struct {
	byID []tally
	used []uint32
	full []tally // of an earlier minute, waiting to be handed on
}

// otherRoutes stands for the routes without a number: those that never
// succeeded, and those beyond the bound.
const otherRoutes = "{other}"

func (t *routeTally) add(ev *ingest.Event, sec int64, kind answer) {
	id := ev.RouteID
	for int(id) >= len(t.byID) {
		t.byID = append(t.byID, make([]tally, 64)...)
	}
	x := &t.byID[id]
	minute := sec - sec%60
	if x.minute != minute || x.r.Requests == 0 {
		if x.r.Requests != 0 {
			t.full = append(t.full, *x)
		} else {
			t.used = append(t.used, id)
		}
		*x = tally{route: ev.Route, minute: minute}
		if id == 0 {
			x.route = otherRoutes // many share it
		}
		x.r.Minute = minute
	}
	x.r.Requests++
	switch ev.Status / 100 {
	case 2:
		x.r.S2xx++
	case 3:
		x.r.S3xx++
	case 4:
		x.r.S4xx++
	case 5:
		x.r.S5xx++
	}
	switch kind {
	case refused:
		x.r.Refused++
	case denied:
		x.r.Denied++
	}
	x.r.BytesOut += ev.BytesOut
	x.r.Nanos += ev.Duration
}

// flush hands the partials on.
func (t *routeTally) flush(up upper) {
	if len(t.used) == 0 {
		return
	}
	up.tallies(t)
	for _, id := range t.used {
		t.byID[id] = tally{}
	}
	clear(t.full)
	t.used, t.full = t.used[:0], t.full[:0]
}

// each calls use for every partial.
func (t *routeTally) each(use func(*tally)) {
	for _, id := range t.used {
		use(&t.byID[id])
	}
	for i := range t.full {
		use(&t.full[i])
	}
}

// upper is what the workers of level one hand to subjects wider than a client. In
// one process it is level two itself, which several workers call at once.
type upper interface {
	account(ev *ingest.Event, sec int64)
	tallies(t *routeTally)
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
	accounts *worker // one shard whose slots are accounts
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
	var err error
	if w.accounts, err = newWorker(cfg, ByAccount, Shards-1, Shards, w); err != nil {
		return nil, err
	}
	sh, err := newShard(w.accounts, Shards-1)
	if err != nil {
		return nil, err
	}
	w.accounts.shards[Shards-1] = sh
	sh.names = &Sparse[string]{env: &Env{w: w.accounts, sh: sh}, each: func(s *string, k *window.Codec) { k.String(s) }}
	return w, nil
}

// account takes a refused request to the account it names, whichever worker saw it.
func (w *wide) account(ev *ingest.Event, sec int64) {
	if ev.User == "" || len(w.accounts.rules) == 0 {
		return
	}
	name, k := accountOf(ev)
	w.mu.Lock()
	defer w.mu.Unlock()
	sh := w.accounts.shards[Shards-1]
	sh.touched = true
	s := sh.slot(k, k.hash(w.cfg.Seed), sec)
	if n := sh.names.At(s); *n == "" {
		*n = strings.Clone(name)
	}
	for _, r := range w.accounts.byNeed[Any|ClientError|Refused] {
		sh.rules[r].Observe(ev, s)
	}
}

// accountOf is the account that a request names, and by what it is found.
func accountOf(ev *ingest.Event) (string, key) {
	name := ev.User
	if len(name) > maxAccountName {
		name = name[:maxAccountName]
	}
	return name, key{hi: stableHash(name), lo: 1}
}

// maxAccountName caps an account name, which the client writes.
const maxAccountName = 128

func (w *wide) tallies(t *routeTally) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.each(func(x *tally) { x.rows(w.merge) })
}

// rows calls use for what a partial adds to: all traffic, and its route.
func (t *tally) rows(use func(rollupKey, *Rollup)) {
	if t.r.Requests == 0 {
		return
	}
	use(rollupKey{t.minute, ""}, &t.r)
	if t.route != "" {
		use(rollupKey{t.minute, t.route}, &t.r)
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

func addRollup(to, from *Rollup) {
	to.Requests += from.Requests
	to.S2xx += from.S2xx
	to.S3xx += from.S3xx
	to.S4xx += from.S4xx
	to.S5xx += from.S5xx
	to.Refused += from.Refused
	to.Denied += from.Denied
	to.BytesOut += from.BytesOut
	to.Nanos += from.Nanos
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
		w.accounts.shards[Shards-1].close(least)
		w.accounts.closed = least
	}
}

// findings appends the findings that changed.
func (w *wide) findings(list []Finding) []Finding {
	return w.accounts.shards[Shards-1].findings.collect(list)
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

func (w *wide) code(k *window.Codec) {
	k.I64(&w.closed)
	n := k.Len(len(w.rollups))
	if !k.Reading() {
		for key, s := range w.rollups {
			codeRollup(k, &key, &s.r)
		}
	} else {
		for ; n > 0 && k.Err() == nil; n-- {
			var key rollupKey
			s := &rollupState{}
			codeRollup(k, &key, &s.r)
			s.r.Minute, s.r.Route = key.minute, key.route
			w.rollups[key] = s
		}
	}
}

func codeRollup(k *window.Codec, key *rollupKey, r *Rollup) {
	k.I64(&key.minute)
	k.String(&key.route)
	for _, p := range []*int64{&r.Requests, &r.S2xx, &r.S3xx, &r.S4xx, &r.S5xx, &r.Refused, &r.Denied, &r.BytesOut, &r.Nanos} {
		k.I64(p)
	}
}
