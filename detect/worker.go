package detect

import (
	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/ingest"
)

// worker owns some of the shards and everything that a goroutine of its own
// needs. It is not safe for concurrent use.
type worker struct {
	cfg      *Config
	rules    []RuleConfig
	shards   [Shards]*shard // nil where another worker owns it
	next     [Shards]int64  // earliest wake of each
	closed   int64          // last second that was closed
	granule  int64
	perShard int
	watch    *watchSet
	evicted  int64

	inspector *inspect.Inspector
	prober    *prober
	parts     inspect.Parts // that the first pass did not clear
	verdict   inspect.Verdict
	inspected bool
	probed    Probe

	routes  routeTally
	wide    *wide
	byNeed  [256][]uint8 // which rules want an event with these concerns
	byLate  []uint8
	inspect bool // whether some rule asks for Suspicious
	probe   bool // whether some rule asks for Probing
	number  int
}

func newWorker(cfg *Config, by By, number, workers int, wide *wide) (*worker, error) {
	w := &worker{
		cfg: cfg, number: number, wide: wide,
		granule:   max(60, 2*cfg.LateSeconds),
		perShard:  max(minPerShard, cfg.MaxClients/Shards),
		watch:     &watchSet{},
		inspector: inspect.New(cfg.Inspect),
		prober:    newProber(),
	}
	if by != ByClient {
		w.perShard = max(minPerShard*minPerShard, cfg.MaxClients/10) // all in one shard
	}
	for _, r := range cfg.Rules {
		if r.Spec.By == by {
			w.rules = append(w.rules, r)
		}
	}
	for i := range w.next {
		w.next[i] = 1<<63 - 1
	}
	for i, r := range w.rules {
		for need := range w.byNeed {
			if Concern(need)&r.Spec.Concern != 0 {
				w.byNeed[need] = append(w.byNeed[need], uint8(i))
			}
		}
		if r.Spec.Late {
			w.byLate = append(w.byLate, uint8(i))
		}
		w.inspect = w.inspect || r.Spec.Concern&Suspicious != 0
		w.probe = w.probe || r.Spec.Concern&Probing != 0
	}
	for i := number; i < Shards; i += workers {
		sh, err := newShard(w, i)
		if err != nil {
			return nil, err
		}
		w.shards[i] = sh
	}
	return w, nil
}

func (w *worker) emit(f Finding) {
	if w.cfg.Emit != nil && w.cfg.Live {
		w.cfg.Emit(f)
	}
}

// id is a new finding's. Where addresses are hidden it must not be made of one:
// whoever has the id, the rule and the window could try them all.
func (w *worker) id(rule string, s Subject, window int64) string {
	if w.cfg.Hide != nil {
		s.Value = w.cfg.Hide(s.Value)
	}
	return FindingID(rule, s, window)
}

// observe takes in one event. h is the hash of its client's key; t how it stands
// to the late bound.
func (w *worker) observe(ev *ingest.Event, k key, h uint64, t timing) {
	sec := ev.Time / 1e9
	if t != onTime {
		w.belated(ev, k, h)
		return
	}
	sh := w.shards[h>>56]
	sh.touched = true
	s := sh.slot(k, h, sec)
	c := &sh.clients[s]
	w.probed = w.prober.look(ev)
	if c.flags&flagWatched != 0 && w.sighted(ev) {
		w.routes.add(ev, sec, denied)
		return // our own answer is not the client's offence
	}
	if ev.Status < 400 && ev.Status >= 100 {
		c.praise(sec, w.granule, w.probed.Who)
	}
	need := w.concerns(ev)
	if need != Any && c.heat < 254 {
		c.heat++
	}
	kind := answered
	if need&Refused != 0 {
		kind = refused
		w.wide.account(ev, sec)
	}
	w.routes.add(ev, sec, kind)
	w.inspected = false
	for _, r := range w.byNeed[need] {
		sh.rules[r].Observe(ev, s)
	}
}

// belated handles events outside the late bound: they count for no window, but
// their payload is still inspected, at the earliest second that is open.
func (w *worker) belated(ev *ingest.Event, k key, h uint64) {
	w.routes.add(ev, w.closed+1, answered)
	if !w.inspect || w.closed == 0 {
		return
	}
	if w.parts = w.inspector.Parts(ev); w.parts == 0 {
		return
	}
	sh := w.shards[h>>56]
	sh.touched = true
	s := sh.slot(k, h, w.closed+1)
	if sh.clients[s].flags&flagWatched != 0 && w.sighted(ev) {
		return
	}
	ev.Time = (w.closed + 1) * 1e9
	w.probed, w.inspected = w.prober.look(ev), false
	for _, r := range w.byLate {
		sh.rules[r].Observe(ev, s)
	}
}

func (w *worker) concerns(ev *ingest.Event) Concern {
	need := Any
	if ev.Status >= 400 && ev.Status < 500 {
		need |= ClientError
		if ev.Status == 401 || ev.Kind.TakesCredentials() && refuses(ev.Status) {
			need |= Refused
		}
	}
	if w.probe && (w.probed.Path != nil || w.probed.Agent != nil) {
		need |= Probing
	}
	if w.inspect {
		if w.parts = w.inspector.Parts(ev); w.parts != 0 {
			need |= Suspicious
		}
	}
	return need
}

// refuses tells the statuses with which login and token routes turn credentials
// down: RFC 6749 section 5.2 answers 400, others 403 or 422. 429 is a throttle.
func refuses(status uint16) bool {
	return status == 400 || status == 403 || status == 422
}

// closeTo evaluates every second up to and including sec.
func (w *worker) closeTo(sec int64) {
	if sec <= w.closed {
		return
	}
	for i := w.number; i < Shards; i++ {
		if w.next[i] <= sec && w.shards[i] != nil {
			w.shards[i].close(sec)
			w.next[i] = w.shards[i].agenda.next()
		}
	}
	w.closed = sec
	w.routes.flush(w.wide)
	w.wide.close(w.number, sec)
}
