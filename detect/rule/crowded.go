package rule

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// crowd is the state of one route, autonomous system or the whole.
type crowd struct {
	load
	swarm
	creep   creep
	regular hitters
	kinds   agentShares // of ordinary requests, one of every bucket
	now     episode
	worst   verdict
	members string
	errors  int64 // server errors since the alarm began
	total   int64 // requests since then
	done    int64 // the last second that was closed
	last    int64 // the last bucket with traffic
}

// crowded is what the detectors of routes, autonomous systems and all traffic share.
type crowded struct {
	env   *detect.Env
	cfg   crowdedLimits
	what  crowdedBy
	state *detect.Sparse[crowd]
	sums  map[int64]int64 // all traffic of closed buckets, which can be computed again
	met   int64           // second up to which newcomers were compared
}

// crowdedLimits are its settings, as RateRouteConfig describes them.
type crowdedLimits struct {
	Least   int
	Factor  float64
	Risk    float64
	Errors  float64
	Extreme float64
}

// crowdedBy says whose norms they are, and what by itself tells an attack there.
type crowdedBy uint8

const (
	crowdedByRoute  crowdedBy = iota // people go to many routes: who goes to one is lonely
	crowdedByASN                     // a client has one: nobody is lonely
	crowdedByGlobal                  // there is nothing else to compare it with
)

func newCrowded(env *detect.Env, shape string, cfg crowdedLimits, what crowdedBy) *crowded {
	r := &crowded{env: env, cfg: cfg, what: what, sums: map[int64]int64{}}
	env.Shape(shape)
	r.state = detect.NewSparse(env, func(s *crowd, k *window.Codec) {
		for i := range s.buckets { // nothing is saved with its secrets
			s.buckets[i].pick.Redact(env.Redact)
		}
		s.code(k)
	})
	return r
}

// Observe implements detect.Rule. Only routes look at newcomers.
func (r *crowded) Observe(ev *ingest.Event, slot detect.Slot) { r.state.At(slot).see(ev, r.env.Redact) }

// Load implements detect.Loader.
func (r *crowded) Load(x *detect.Load, slot detect.Slot) {
	if r.state.At(slot).add(x) {
		end := x.Bucket + detect.LoadSeconds - 1
		r.env.Wake(slot, end)
		minute := x.Bucket - x.Bucket%60
		r.env.Wake(slot, minute+59)
		if r.what == crowdedByRoute { // then it shows who of its newcomers is lonely
			r.env.Wake(slot, minute+119)
		}
	}
}

// Hit implements detect.Hitter.
func (r *crowded) Hit(h *detect.Hit, slot detect.Slot) {
	if r.state.At(slot).regular.hit(h) {
		r.env.Wake(slot, h.At)
	}
}

// Close implements detect.Rule.
func (r *crowded) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil || sec%detect.LoadSeconds != detect.LoadSeconds-1 || sec <= s.done {
		return
	}
	s.done = sec
	s.wakeUp(sec, r.env.IdleBound())
	if r.what == crowdedByRoute && (sec%60 == 59 || s.alarming(sec)) {
		r.meet(sec)
	}
	s.fold(sec, s.since(sec))
	s.regular.fold(sec)
	if v := r.judge(s, sec); v.fires {
		r.raise(s, slot, sec, v)
	}
	if sec%60 == 59 {
		if r.what == crowdedByRoute {
			r.creeps(s, slot, sec)
		}
		alarm := max(s.alarm, s.creep.alarm) >= sec/60-1
		s.regular.learn(sec, alarm)
		if !alarm {
			s.swarm.learn(sec)
		}
		s.load.learn(sec, r.all(sec), r.cfg.Risk, s.creep.alarm >= sec/60)
	}
	s.acquaint(sec)
	s.forget(sec)
}

// wakeUp forgets everything but what is open where the last traffic was too long ago.
func (s *crowd) wakeUp(sec, idle int64) {
	at := sec - detect.LoadSeconds + 1
	if !slices.ContainsFunc(s.buckets, func(b bucket) bool { return b.at == at }) {
		return
	}
	if s.last != 0 && at-s.last >= idle {
		*s = crowd{load: load{buckets: s.buckets}, swarm: swarm{hits: s.hits}, regular: hitters{open: s.regular.open}, done: s.done}
		s.forget(sec)
	}
	s.last = at
}

// meet finds the newcomers who were seen at several routes.
func (r *crowded) meet(sec int64) {
	if r.met == sec {
		return
	}
	r.met = sec
	first := map[netip.Addr]*crowd{}
	r.state.Each(func(_ detect.Slot, s *crowd) {
		s.fold(sec, s.since(sec))
		for c := range s.who {
			if other := first[c]; other == nil {
				first[c] = s
			} else {
				s.meets(c)
				other.meets(c)
			}
		}
	})
}

// since is the second from which newcomers are kept.
func (s *crowd) since(sec int64) int64 {
	if s.alarm != 0 && sec/60-s.alarm <= hitPause { // it may go on
		return min(s.began-90, sec-180)
	}
	return sec - 180
}

// alarming reports whether the alarms go on: a pause of two minutes ends them.
func (s *crowd) alarming(sec int64) bool { return s.alarm != 0 && sec/60-s.alarm <= 2 }

// all is the traffic of all routes in the minute that ends with sec.
func (r *crowded) all(sec int64) (sum int64) {
	for at := sec - sec%detect.LoadSeconds; at > sec-60; at -= detect.LoadSeconds {
		n, known := r.sums[at]
		if !known {
			r.state.Each(func(_ detect.Slot, s *crowd) {
				for i := range s.buckets {
					if s.buckets[i].at == at {
						n += s.buckets[i].n
					}
				}
			})
			if len(r.sums) > 4*loadKept {
				clear(r.sums)
			}
			r.sums[at] = n
		}
		sum += n
	}
	return sum
}

// judge weighs the minute that ends with sec.
func (r *crowded) judge(s *crowd, sec int64) verdict {
	n, s5xx := s.load.minute(sec)
	if s.norm.Minutes < 5 || n == 0 {
		return verdict{}
	}
	usual, spread := s.norm.Expected(sec / 60)
	x, shared := float64(n), 0.0
	if r.what != crowdedByGlobal {
		odds, _ := s.mixed.Expected(sec / 60)
		shared = odds / 1e6 * float64(max(0, r.all(sec)-n))
	}
	times := x / max(usual, shared, 1)
	volume := n >= int64(r.cfg.Least) && times >= r.cfg.Factor && x >= usual+6*spread && x >= s.norm.Threshold
	strangers := 0
	if r.what == crowdedByRoute {
		if strangers = s.strangers(sec); strangers > 0 {
			r.meet(sec)
			strangers = s.strangers(sec)
		}
	}
	if !volume && strangers == 0 {
		return r.lasts(s, sec)
	}
	return r.weigh(s, sec, times, float64(s5xx)/x, volume, strangers)
}

// strangers is how many lonely newcomers a minute saw, if that is far beyond the usual, also as
// a share of all newcomers. It
// looks at the minute that ended half a minute ago: now it shows who is lonely.
func (s *crowd) strangers(sec int64) int {
	n, all := s.lonely(sec-89, sec-30)
	usual := s.expected(1, 600) / s.expected(1^anybody, 600)
	if n < 60 || float64(n) < 5*s.expected(1, 60) || float64(n) < float64(all)*min(0.6, 3*usual) {
		return 0
	}
	return n
}

// newcomers counts the lonely ones.
func (s *crowd) newcomers(from, to int64) int {
	n, _ := s.lonely(from, to)
	return n
}

// crowdLeast clients in a minute are many: batch jobs of partners have fewer machines. After
// crowdLasts seconds it is no moment's fashion.
const (
	crowdLeast = 30
	crowdLasts = 1800
)

// weigh finds words and a severity.
func (r *crowded) weigh(s *crowd, sec int64, times, failing float64, volume bool, strangers int) verdict {
	heads := s.crowd(sec)
	if strangers == 0 && float64(heads) < max(crowdLeast, 3*s.heads) {
		return r.few(s, sec, times)
	}
	v := verdict{fires: true, severity: detect.Low, confidence: surer(0.4, 0.6, times, 20)}
	v.why = fmt.Sprintf("%.1f times the requests that are usual here and now, by about %d clients in a minute", times, heads)
	if strangers > 0 {
		v.why += fmt.Sprintf("; %d of them are new and asked for nothing else", strangers)
	}
	switch {
	case r.what == crowdedByGlobal: // an outage and its retries, a newsletter: nobody can tell by this alone
	case failing >= max(r.cfg.Errors, 5*s.fails):
		v.severity, v.confidence = detect.High, surer(0.8, 0.95, times, 20)
		v.why += fmt.Sprintf("; %d %% of them made the service fail", int(failing*100))
	case r.what == crowdedByRoute && volume && s.alarming(sec) && sec-s.began >= crowdLasts:
		v.severity, v.confidence = detect.Medium, 0.75
		v.why += fmt.Sprintf("; it goes on for %d minutes", (sec-s.began)/60)
	case strangers > 0 && (float64(strangers) >= 10*s.expected(1, 60) || s.alarming(sec) && sec-s.began >= 60):
		v.severity, v.confidence = detect.Medium, 0.75
	case volume && strangers > 0 && times >= r.cfg.Extreme:
		v.severity, v.confidence = detect.Medium, surer(0.7, 0.9, times/r.cfg.Extreme, 4)
	}
	return v
}

// raise takes an alarm in.
func (r *crowded) raise(s *crowd, slot detect.Slot, sec int64, v verdict) {
	if !s.alarming(sec) {
		s.began = sec
		s.total, s.errors = s.load.minute(sec - detect.LoadSeconds)
	}
	s.alarm = sec / 60
	for i := range s.buckets {
		if b := &s.buckets[i]; b.at+detect.LoadSeconds-1 == sec {
			s.total += b.n
			s.errors += b.s5xx
		}
	}
	list, odd := s.swarm.members(s.began-90, sec)
	if odd >= 40 && odd*2 > s.newcomers(s.began-90, sec) && v.severity == detect.Low {
		v.severity, v.confidence = detect.Medium, 0.8
		v.why += fmt.Sprintf("; %d newcomers have agents that are not usual here", odd)
	}
	r.report(s, slot, sec, v, s.began-59, list)
}

// report hands a verdict over, with the worst of its hour. list are newcomers that take part.
func (r *crowded) report(s *crowd, slot detect.Slot, sec int64, v verdict, first int64, list []detect.Member) {
	var regular []detect.Member
	if s.alarming(sec) {
		regular, _ = s.regular.members(s.began-90, sec)
	}
	if start := detect.WindowOf(sec); s.now.start != start {
		s.now = episode{start: start, fired: sec, first: first, shown: (sec + 1 - loadShown) * 1e9}
		s.worst, s.members = verdict{}, ""
		r.env.Wake(slot, start/1e9+detect.FindingWindow)
	}
	if v.severity > s.worst.severity || v.severity == s.worst.severity && v.confidence > s.worst.confidence {
		s.worst = v
	}
	for i := range s.buckets {
		if b := &s.buckets[i]; b.at+detect.LoadSeconds-1 <= sec && b.at*1e9 >= s.now.shown {
			s.now.pick(r.env, &b.pick.Sample)
		}
	}
	s.now.last, s.now.count, s.now.shown = sec, s.total, (sec+1)*1e9
	f := s.worst.finding(&s.now)
	if r.what == crowdedByRoute {
		f.Route = r.env.Subject(slot).Value
	}
	switch {
	case s.worst.severity >= detect.Medium:
		if s.creep.alarm >= sec/60 {
			list = append(list, s.creep.members(s.creep.judged)...)
		}
		s.members = detect.PackMembers(ranked(append(list, regular...)))
	case len(regular) > 0:
		s.members = detect.PackMembers(regular)
	}
	f.Members = s.members
	if r.what == crowdedByRoute && s.worst.severity >= detect.Medium {
		f.Suspects = detect.PackSuspects(s.suspects(f.Route, s.began-90, sec))
	}
	r.env.Report(slot, f)
}

func (s *crowd) code(k *window.Codec) {
	s.load.code(k)
	s.swarm.code(k)
	s.creep.code(k)
	s.regular.code(k)
	s.kinds.code(k)
	s.now.code(k)
	sev := uint8(s.worst.severity)
	k.U8(&sev)
	s.worst.severity = detect.Severity(sev)
	k.F64(&s.worst.confidence)
	k.String(&s.worst.why)
	k.String(&s.members)
	k.I64(&s.errors)
	k.I64(&s.total)
	k.I64(&s.done)
	k.I64(&s.last)
}
