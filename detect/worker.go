package detect

import (
	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/ingest"
)

// worker owns some of the shards and everything that a goroutine of its own
// needs. It is not safe for concurrent use.
type worker struct {
	cfg       *Config
	rules     []RuleConfig
	live      []Rule // made of them
	envs      []*Env
	digester  []bool // by rule
	digesters []Digester
	sh        *shard         // the one at work
	shards    [Shards]*shard // nil where another worker owns it
	next      [Shards]int64  // earliest wake of each
	closed    int64          // last second that was closed
	granule   int64
	perShard  int
	watch     *watchSet
	evicted   int64

	inspector *inspect.Inspector // nil until the first client comes, like prober
	prober    *prober
	parts     inspect.Parts // that the first pass did not clear
	verdict   inspect.Verdict
	inspected bool
	probed    Probe

	counted  tallies
	upper    upper
	out      excerpt              // on its way to level two
	known    Standing             // of the client of the excerpt at hand, at level two
	attempt  Attack               // what the inspection found in it, likewise
	wants    Concern              // of which events level two wants an excerpt
	byNeed   [2 * Leaking][]uint8 // which rules want an event with these concerns, Lapsing left out
	byLapse  []uint8              // which want one for Lapsing
	byLate   []uint8
	inspect  bool // whether some rule asks for Suspicious
	probe    bool // whether some rule asks for Probing
	leaks    bool // whether some rule asks for Leaking
	holds    bool // whether some rule asks for Held
	request  Request
	held     []Request // of one client, while they are digested
	lapsing  bool      // whether some rule asks for Lapsing
	touch    []toucher // what every request reads
	digested []toucher // what every look at a client reads
	read     uint64    // keeps fetch from being optimised away
	meter    *meter    // nil: nothing is timed
	number   int
	by       By
	workers  int
}

func newWorker(cfg *Config, by By, number, workers int, upper upper) (*worker, error) {
	w := &worker{
		cfg: cfg, number: number, workers: workers, upper: upper, by: by,
		granule:  max(60, 2*cfg.LateSeconds),
		perShard: max(minPerShard, cfg.MaxClients/Shards),
		watch:    &watchSet{},
		counted:  tallies{cfg: cfg},
	}
	if by != ByClient {
		w.perShard = max(minPerShard*minPerShard, cfg.MaxClients/10) // all in one shard
	}
	w.choose(cfg.Rules)
	for i := range w.next {
		w.next[i] = 1<<63 - 1
	}
	for i, r := range w.rules {
		for need := range w.byNeed {
			if Concern(need)&r.Spec.Concern != 0 {
				w.byNeed[need] = append(w.byNeed[need], uint8(i))
			}
		}
		if r.Spec.Concern&Lapsing != 0 {
			w.byLapse = append(w.byLapse, uint8(i))
		}
		if r.Spec.Late {
			w.byLate = append(w.byLate, uint8(i))
		}
		w.inspect = w.inspect || r.Spec.Concern&Suspicious != 0
		w.leaks = w.leaks || r.Spec.Concern&Leaking != 0
		w.holds = w.holds || r.Spec.Concern&Held != 0
		w.lapsing = w.lapsing || r.Spec.Concern&Lapsing != 0
		w.probe = w.probe || r.Spec.Concern&Probing != 0
	}
	w.inspect = w.inspect || w.wants&Suspicious != 0
	w.probe = w.probe || w.wants&Probing != 0
	w.leaks = w.leaks || w.wants&Leaking != 0
	err := w.enliven() // whatever is wrong with the settings shows now
	if by == ByClient {
		w.live, w.envs, w.digester, w.digesters, w.touch, w.digested = nil, nil, nil, nil, nil, nil // until the first client comes
	}
	return w, err
}

// enliven makes the rules. There is one of each for all shards: what a request needs of
// them then stays in the processor's caches.
func (w *worker) enliven() error {
	for i, r := range w.rules {
		env := &Env{w: w, rule: uint8(i), name: r.Name, spec: r.Spec}
		rule, err := r.Spec.New(env, r.Config)
		if err != nil {
			return err
		}
		w.envs, w.live = append(w.envs, env), append(w.live, rule)
		d, digests := rule.(Digester)
		if w.digester = append(w.digester, digests); digests {
			w.digesters = append(w.digesters, d)
		}
		for _, st := range env.state {
			if st.dense() {
				w.touch = append(w.touch, st)
			}
			if digests {
				w.digested = append(w.digested, st)
			}
		}
	}
	return nil
}

// choose takes the rules that keep their state by what this worker does, and notes
// what the others want of its events.
func (w *worker) choose(rules []RuleConfig) {
	for _, r := range rules {
		if r.serves(w.by) {
			w.rules = append(w.rules, r)
		}
		for by := ByClient + 1; by < manyBy && w.by == ByClient; by++ {
			if !r.serves(by) {
				continue
			}
			w.wants |= r.Spec.Concern &^ (Any | Lapsing)
			if r.Spec.Concern&Lapsing != 0 {
				w.lapsing, w.counted.lapses = true, lapses{}
			}
			switch by {
			case ByRoute, ByGlobal:
				w.counted.answers = w.counted.answers || r.Spec.Concern&Suspicious != 0
				if r.Spec.Concern&Hits != 0 && w.counted.hits == nil {
					w.counted.hits = hits{}
				}
			case ByASN:
				w.counted.asns, w.counted.asn = true, map[uint32]*tally{}
			case ByIdentity:
				w.counted.uses = newUses(w.cfg)
			case ByNetwork:
				w.counted.nets = w.counted.nets || r.Spec.Concern&Any != 0
			}
		}
	}
}

// shard returns a shard, which is made with its first client: an engine that
// serves few of them pays for few.
func (w *worker) shard(n int) *shard {
	if sh := w.shards[n]; sh != nil {
		return sh
	}
	if w.live == nil {
		w.mustEnliven()
	}
	w.shards[n] = newShard(w, n)
	w.equip()
	return w.shards[n]
}

// mustEnliven makes the rules. What they can refuse, they refused when the worker was
// made.
func (w *worker) mustEnliven() {
	if err := w.enliven(); err != nil {
		panic("detect: a rule refuses settings that it took before: " + err.Error())
	}
}

// equip makes what is needed to look at requests.
func (w *worker) equip() {
	if w.inspector == nil {
		w.inspector, w.prober = inspect.New(w.cfg.Inspect), newProber()
	}
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
	sh := w.shard(int(h >> 56))
	w.sh, sh.touched = sh, true
	s := sh.slot(k, h, sec)
	c := &sh.clients[s]
	w.probed = w.prober.look(ev)
	if w.watches(c) && w.sighted(ev) {
		w.counted.add(ev, sec, h, denied, false)
		return // our own answer is not the client's offence
	}
	if ev.Status < 400 && ev.Status >= 100 {
		c.praise(sec, w.granule, w.probed.Who)
	}
	need := w.concerns(ev)
	if sec-int64(c.since) < w.granule {
		need |= Fresh
	}
	if need&odd != 0 && c.heat < 254 {
		c.heat++
	}
	w.inspected = false
	attack := need&w.wants&Suspicious != 0 && w.attacks(ev)
	w.count(ev, sec, h, k, need, !attack)
	up := need
	if !attack || !telling(ev) {
		up &^= Suspicious // level two is told of attacks whose answer may tell something
	}
	if up&w.wants != 0 {
		w.excerpt(ev, c, up)
	}
	if w.holds {
		w.request = w.prober.request(ev, w.probed.AgentHash)
	}
	w.show(ev, s, need)
	if w.holds {
		sh.hold(s, &w.request)
	}
}

// show hands an event to the rules that want it.
func (w *worker) show(ev *ingest.Event, s Slot, need Concern) {
	for _, r := range w.byNeed[need&^Lapsing] {
		w.live[r].Observe(ev, s)
	}
	if need&Lapsing == 0 {
		return
	}
	for _, r := range w.byLapse {
		if w.rules[r].Spec.Concern&need == Lapsing { // else it was called already
			w.live[r].Observe(ev, s)
		}
	}
}

// excerpt hands a request on to wider subjects. Since when a new client is there may
// still change: that is left out.
func (w *worker) excerpt(ev *ingest.Event, c *client, need Concern) {
	w.out = excerpt{ev: *ev, need: need, known: c.standing(ev.Time/1e9, w.cfg.LateSeconds, w.granule)}
	if need&Fresh != 0 {
		w.out.known.Since = 0
	}
	if need&Suspicious != 0 {
		w.out.attack = w.attack(ev)
	}
	w.upper.excerpt(&w.out)
}

// count adds the request to the figures. usual says that its answer may teach what is.
func (w *worker) count(ev *ingest.Event, sec int64, h uint64, client key, need Concern, usual bool) {
	kind := answered
	if need&Refused != 0 {
		kind = refused
	}
	w.counted.add(ev, sec, h, kind, usual)
	if w.counted.uses != nil {
		w.counted.uses.add(ev, sec, client, w.probed.AgentHash, need)
	}
	if need&Lapsing != 0 && w.counted.lapses != nil {
		w.counted.lapses.take(w, ev, sec, client, h, need)
	}
}

// belated handles events outside the late bound: they count for no window, but
// their payload is still inspected, at the earliest second that is open.
func (w *worker) belated(ev *ingest.Event, k key, h uint64) {
	sec := w.closed + 1
	w.counted.add(ev, sec, h, answered, false)
	if !w.inspect || w.closed == 0 {
		return
	}
	w.equip()
	if w.parts = w.inspector.Parts(ev); w.parts == 0 {
		return
	}
	sh := w.shard(int(h >> 56))
	w.sh, sh.touched = sh, true
	s := sh.slot(k, h, sec)
	if w.watches(&sh.clients[s]) && w.sighted(ev) {
		return
	}
	ev.Time = sec * 1e9
	w.probed, w.inspected = w.prober.look(ev), false
	for _, r := range w.byLate {
		w.live[r].Observe(ev, s)
	}
}

func (w *worker) concerns(ev *ingest.Event) Concern {
	need := Any
	if ev.Kind.TakesCredentials() {
		need |= Credentials
	}
	if ev.Status >= 500 {
		need |= ServerError
	} else if ev.Status >= 400 {
		need |= ClientError
		if ev.Status == 401 || ev.Kind.TakesCredentials() && refuses(ev.Status) {
			need |= Refused | Credentials
		}
	}
	if w.probe && (w.probed.Path != nil || w.probed.Agent != nil) {
		need |= Probing
	}
	if w.leaks && LeakedName(ev.Target) != "" {
		need |= Leaking
	}
	if w.lapsing && lapsing(ev) {
		need |= Lapsing
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
	if !w.cfg.Forward { // else once for a batch, see Engine.Partials
		w.counted.flush(w.upper)
	}
	w.upper.close(w.number, sec)
}
