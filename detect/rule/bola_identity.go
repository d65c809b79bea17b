package rule

import (
	"fmt"
	"math"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("bola-identity", detect.Spec{
		Doc:     "a consumer or key walks through the object ids of a route, or is refused at many of them, from however many addresses",
		Family:  detect.API,
		Tags:    []string{"owasp:api1:2023", "attack:T1213", "attack:T1078", "oat:011"},
		Needs:   "a consumer, API key or token in the log; path with ids; status",
		Fields:  []ingest.Fields{ingest.FieldUser | ingest.FieldConsumer | ingest.FieldKey | ingest.FieldToken | ingest.FieldSession, ingest.FieldTarget},
		Helps:   ingest.FieldStatus,
		State:   "about 200 bytes for each route of a consumer or key in half a day (4 at most), and as much for each in the last ten seconds; five lines of a route with a quarter of ids",
		Evasion: "stays silent below ids in half a day, for steps wider than 2, for one visit far away from the walk, and where many callers share the key",
		By:      detect.ByIdentity,
		Concern: detect.Any,
		Config:  func() any { return new(BOLAIdentityConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &bolaIdentity{env: env, cfg: cfg.(*BOLAIdentityConfig)}
			env.Shape("bolaident3")
			r.state = detect.NewSparse(env, func(s *holder, k *window.Codec) {
				s.redact(env) // nothing is saved with its secrets
				s.code(k)
			})
			return r, nil
		},
	})
}

// BOLAIdentityConfig is the "bola-identity" section of the config file.
type BOLAIdentityConfig struct {
	IDs     int     `yaml:"ids" default:"40" doc:"different ids of a route within half a day, from which a walk or guessing is found (one more block than bola-client, since the count is an estimate to 9 %)"`
	Dense   float64 `yaml:"dense" default:"0.45" doc:"share of the ids between the least and the greatest that makes a walk: every second, by an estimate, and each asked for less often than chance would"`
	Clients int     `yaml:"clients" default:"15" doc:"addresses from which one key asks for twice ids and more, three each, from which it is a fleet with a stolen key: more machines than a partner has, by guess"`
	Refused float64 `yaml:"refused" default:"0.3" doc:"share of client errors that makes guessing"`
}

// Check implements validation for the config loader.
func (c *BOLAIdentityConfig) Check(report func(key, message string)) {
	if c.IDs < 20 {
		report("ids", "must be at least 20")
	}
	if c.Clients < 3 {
		report("clients", "must be at least 3")
	}
	if c.Dense <= 0 || c.Dense > 1 {
		report("dense", "must be above 0 and at most 1")
	}
	if c.Refused <= 0 || c.Refused > 1 {
		report("refused", "must be above 0 and at most 1")
	}
}

// holder is what is kept of one consumer or key.
type holder struct {
	open []reach // buckets that are not closed
	all  []reach // of this half day, by the hash of the route
	now  episode
	done int64
	grav uint8 // severity of the finding
}

// reach are the objects of one route that were asked for from at on.
type reach struct {
	at        int64
	route     string
	n, bad    int64
	ids       window.Crowd
	low, high uint64
	from      window.Mins // clients
	pick      detect.Pick
	lines     []window.Sample // picked since there were many ids
	path      progress
}

// reachLines is the share of the ids that make a finding from which lines are kept.
const reachLines = 4

const holderRoutes = 4

type bolaIdentity struct {
	env   *detect.Env
	cfg   *BOLAIdentityConfig
	state *detect.Sparse[holder]
}

// Observe implements detect.Rule: single requests are not needed.
func (r *bolaIdentity) Observe(*ingest.Event, detect.Slot) {}

// Use implements detect.User.
func (r *bolaIdentity) Use(u *detect.Use, slot detect.Slot) {
	if kind := r.env.Subject(slot).Kind; u.IDs == (window.Crowd{}) || kind != "consumer" && kind != "key" {
		return
	}
	s := r.state.At(slot)
	i := slices.IndexFunc(s.open, func(x reach) bool { return x.at == u.Bucket && x.route == u.Route })
	if i < 0 {
		i = len(s.open)
		s.open = append(s.open, reach{at: u.Bucket, route: u.Route})
		r.env.Wake(slot, u.Bucket+detect.LoadSeconds-1)
	}
	x := reach{n: u.N, bad: u.S4xx, ids: u.IDs, low: u.Low, high: u.High, pick: u.Pick}
	b := u.Client.As16()
	x.from.Add(hashText(string(b[:])))
	s.open[i].add(&x)
}

func (x *reach) add(y *reach) {
	x.n += y.n
	x.bad += y.bad
	x.ids.Merge(&y.ids)
	x.from.Merge(&y.from)
	x.pick.Merge(&y.pick)
	if y.high > 0 {
		if x.high == 0 || y.low < x.low {
			x.low = y.low
		}
		x.high = max(x.high, y.high)
	}
}

// Close implements detect.Rule.
func (r *bolaIdentity) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil || sec <= s.done {
		return
	}
	half := sec / walkHalf * walkHalf
	s.all = slices.DeleteFunc(s.all, func(x reach) bool { return x.at != half })
	if s.take(sec, half, int64(r.cfg.IDs)/reachLines) {
		s.done = sec
		r.look(s, slot, sec)
	}
	if len(s.open) == 0 && len(s.all) == 0 {
		r.state.Drop(slot)
	}
}

// take adds up the bucket that ends with sec and reports whether there is one. From least
// ids on it keeps lines.
func (s *holder) take(sec, half, least int64) bool {
	kept, took := s.open[:0], false
	for _, x := range s.open {
		if x.at+detect.LoadSeconds-1 != sec {
			kept = append(kept, x)
			continue
		}
		took = true
		i := slices.IndexFunc(s.all, func(y reach) bool { return y.route == x.route })
		if i < 0 {
			i = len(s.all)
			s.all = append(s.all, reach{at: half, route: x.route})
		}
		all, pick := &s.all[i], x.pick.Sample
		x.pick = detect.Pick{}
		all.path.step(&x, all)
		if all.add(&x); pick.Time != 0 && len(all.lines) < detect.MaxEvidence && all.ids.Estimate() >= least {
			all.lines = append(all.lines, pick)
		}
	}
	s.open = kept
	slices.SortFunc(s.all, func(a, b reach) int {
		if x, y := hashText(a.route), hashText(b.route); x != y && x < y {
			return -1
		}
		return 1
	})
	s.all = s.all[:min(len(s.all), holderRoutes)]
	return took
}

// look reports the worst of the routes.
func (r *bolaIdentity) look(s *holder, slot detect.Slot, sec int64) {
	var worst *reach
	severity, why := detect.Info, ""
	for i := range s.all {
		x := &s.all[i]
		if sev, text := r.weigh(x); sev > severity {
			worst, severity, why = x, sev, text
		}
	}
	if worst == nil {
		return
	}
	if start := detect.WindowOf(sec); s.now.start != start {
		s.now, s.grav = episode{start: start, fired: sec, first: worst.at}, 0
		r.env.Wake(slot, worst.at+2*walkHalf)
	}
	s.now.last, s.now.count, s.grav = sec, worst.n, max(s.grav, uint8(severity))
	f := s.now.finding()
	for i := range worst.lines {
		f.Evidence[i] = shown(r.env, &worst.lines[i])
	}
	f.Severity, f.Confidence, f.Why, f.Route = detect.Severity(s.grav), 0.8, why, worst.route
	r.env.Report(slot, f)
}

func (r *bolaIdentity) weigh(x *reach) (detect.Severity, string) {
	ids := x.ids.Estimate()
	if ids < int64(r.cfg.IDs) {
		return detect.Info, ""
	}
	refused := float64(x.bad) >= r.cfg.Refused*float64(x.n) && x.bad >= int64(r.cfg.IDs)/2
	width := float64(x.high - x.low + 1)
	dense := min(0.99, float64(ids)/width)
	chance := -math.Log(1-dense) / dense // requests for each, if they were by chance
	walk := x.high > 0 && dense >= r.cfg.Dense && float64(x.n) <= min((1+chance)/2, 1.3)*float64(ids) && x.path.inOrder(ids)
	clients := x.from.Count()
	spread := clients >= int64(r.cfg.Clients) && ids >= 3*clients && ids >= 2*int64(r.cfg.IDs)
	switch {
	case walk && refused:
		return detect.High, fmt.Sprintf("about %d of the %d ids in a row of one route, each asked for about once; %d refused", ids, int64(width), x.bad)
	case walk:
		return detect.Medium, fmt.Sprintf("about %d of the %d ids in a row of one route, each asked for about once", ids, int64(width))
	case refused:
		return detect.Medium, fmt.Sprintf("about %d ids of one route asked for with %d requests; %d refused", ids, x.n, x.bad)
	}
	if spread {
		return detect.Medium, fmt.Sprintf("about %d different ids of one route asked for from %d addresses", ids, clients)
	}
	return detect.Info, ""
}

func (s *holder) redact(env *detect.Env) {
	for i := range s.open {
		s.open[i].pick.Redact(env.Redact)
	}
	for i := range s.all {
		redactLines(env, s.all[i].lines)
	}
}

func (s *holder) code(k *window.Codec) {
	for _, list := range []*[]reach{&s.open, &s.all} {
		n := k.Len(len(*list))
		if k.Reading() {
			*list = make([]reach, n)
		}
		for i := range *list {
			x := &(*list)[i]
			k.I64(&x.at)
			k.String(&x.route)
			k.I64(&x.n)
			k.I64(&x.bad)
			x.ids.Code(k)
			k.U64(&x.low)
			k.U64(&x.high)
			x.from.Code(k)
			x.pick.Code(k)
			codeLines(k, &x.lines)
			x.path.code(k)
		}
	}
	s.now.code(k)
	k.I64(&s.done)
	k.U8(&s.grav)
}
