package rule

import (
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("limit", detect.Spec{
		Doc:     "more requests than a limit that you set lets pass, counted by the generic cell rate algorithm over the seconds of the log",
		Family:  detect.Rate,
		Tags:    []string{"owasp:api4:2023", "attack:T1499.002", "oat:015"},
		Needs:   "time, and what its limits count by: the client address, a consumer, key, session or user, enrich.asn for autonomous systems",
		Fields:  []ingest.Fields{},
		State:   "about 100 bytes for whoever a limit counts, and 40 and a line for each second (ten seconds for others than clients) that is not closed; nothing without limits",
		Evasion: "sees nothing without limits; a log that tells whole seconds lets the requests of a second stand wherever in it they would pass, and all but clients are counted in ten seconds, so that bursts shorter than that pass as if they were spread over it",
		Concern: detect.Any,
		Serves: func(cfg any, by detect.By) bool {
			return slices.ContainsFunc(cfg.(*LimitConfig).Limits, func(l Limit) bool { return limitLevels[l.Per] == by })
		},
		Config: func() any { return new(LimitConfig) },
		New:    func(env *detect.Env, cfg any) (detect.Rule, error) { return newLimits(env, cfg.(*LimitConfig)), nil },
	})
}

// metered is what is kept of whoever is counted.
type metered struct {
	open  []meterSpan // that are not closed
	due   []int64     // by limit: when the next request would be due
	count []int64     // by limit: requests in the spans of the window that went beyond it
	over  []int64     // by limit: those of them that were over
	woke  int64       // second for which a look was asked for
	now   episode
}

// meterSpan are the requests of a second, or of ten.
type meterSpan struct {
	at   int64   // first second
	n    []int64 // by limit
	pick detect.Pick
}

// limits counts at one level: those limits that count by what its slots stand for.
type limits struct {
	env   *detect.Env
	high  float64
	list  []Limit
	paces []window.Pace
	width int64 // seconds of a span
	gate  uint  // one line in 2 to the that may be evidence
	state *detect.Sparse[metered]
}

func newLimits(env *detect.Env, cfg *LimitConfig) *limits {
	r := &limits{env: env, high: cfg.HighFactor, width: detect.LoadSeconds, gate: 3}
	if env.By() == detect.ByClient {
		r.width = 1
	}
	shape := ""
	for _, l := range cfg.Limits {
		if limitLevels[l.Per] != env.By() {
			continue
		}
		p := l.pace()
		r.list, r.paces = append(r.list, l), append(r.paces, p)
		shape += fmt.Sprintf("/%q %q %q %s %v", l.Name, l.Route, l.Method, l.Per, p)
		if p.Quota() < 64 { // few are enough, and a line in eight might be none
			r.gate = 0
		}
	}
	env.Shape(fmt.Sprintf("limit1/%x", hashText(shape))) // other limits begin anew
	r.state = detect.NewSparse(env, func(s *metered, k *window.Codec) {
		for i := range s.open { // nothing is saved with its secrets
			s.open[i].pick.Redact(env.Redact)
		}
		s.code(k)
	})
	if env.By() == detect.ByClient {
		r.state.Ordinary()
	}
	return r
}

// Explain implements detect.Explainer.
func (r *limits) Explain(ev *ingest.Event) (bool, string) {
	for i := range r.list {
		if r.fits(i, ev.Route, ev.Method) {
			return true, fmt.Sprintf("one request for limit %s, which lets %s pass", r.list[i].Name, &r.list[i])
		}
	}
	return false, "no limit by " + r.env.By().String() + " is for this route and method"
}

func (r *limits) fits(i int, route, method string) bool {
	l := &r.list[i]
	return (l.Route == "" || l.Route == route) && (l.Method == "" || l.Method == method)
}

// Observe implements detect.Rule, for clients.
func (r *limits) Observe(ev *ingest.Event, slot detect.Slot) {
	var x *meterSpan
	for i := range r.list {
		if r.fits(i, ev.Route, ev.Method) {
			if x == nil {
				x = r.span(slot, ev.Time/1e9)
			}
			x.n[i]++
		}
	}
	if x == nil {
		return
	}
	rank, asked := detect.Rank(r.env.Seed(), &ev.Pos, r.gate)
	if (asked || r.gate == 0) && !x.pick.Before(rank, ev.Time, &ev.Pos) {
		x.pick = detect.Pick{Rank: rank, Sample: r.env.RawSample(ev)}
	}
}

// Use implements detect.User, for consumers, keys, sessions and accounts.
func (r *limits) Use(u *detect.Use, slot detect.Slot) {
	kind := r.env.Subject(slot).Kind
	r.add(slot, u.Bucket, u.N, &u.Pick, func(i int) bool { return r.list[i].Per == kind && r.fits(i, u.Route, "") })
}

// Load implements detect.Loader, for networks, autonomous systems, routes and all traffic.
// What our own enforcement denied does not count.
func (r *limits) Load(x *detect.Load, slot detect.Slot) {
	route := ""
	if r.env.By() == detect.ByRoute {
		route = r.env.Subject(slot).Value
	}
	r.add(slot, x.Bucket, x.Requests-x.Denied, &x.Pick, func(i int) bool { return r.fits(i, route, "") })
}

func (r *limits) add(slot detect.Slot, at, n int64, pick *detect.Pick, fits func(int) bool) {
	var x *meterSpan
	for i := range r.list {
		if fits(i) && n > 0 {
			if x == nil {
				x = r.span(slot, at)
			}
			x.n[i] += n
		}
	}
	if x != nil {
		x.pick.Merge(pick)
	}
}

// span finds or makes the span that begins with a second, and asks for its end.
func (r *limits) span(slot detect.Slot, at int64) *meterSpan {
	s := r.state.At(slot)
	if s.due == nil {
		s.due, s.count, s.over = make([]int64, len(r.list)), make([]int64, len(r.list)), make([]int64, len(r.list))
	}
	for i := range s.open {
		if s.open[i].at == at {
			return &s.open[i]
		}
	}
	s.open = append(s.open, meterSpan{at: at, n: make([]int64, len(r.list))})
	r.env.Wake(slot, at+r.width-1)
	return &s.open[len(s.open)-1]
}

// Close implements detect.Rule.
func (r *limits) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil {
		return
	}
	if i := slices.IndexFunc(s.open, func(x meterSpan) bool { return x.at+r.width-1 == sec }); i >= 0 {
		x := s.open[i]
		s.open = slices.Delete(s.open, i, i+1)
		r.meter(s, &x, slot, sec)
	}
	rest := max(r.counts(slices.Max(s.due)), s.now.start/1e9+detect.FindingWindow)
	switch {
	case rest > sec && s.woke <= sec:
		s.woke = rest + 1
		r.env.Wake(slot, s.woke)
	case rest <= sec && len(s.open) == 0: // else what is open asked for its own end
		r.state.Drop(slot)
	}
}

// counts is the last second of the span in which something is due: that span may still
// come, after the second itself is closed, and what is due counts in it.
func (r *limits) counts(due int64) int64 {
	sec := due / 1e9
	return sec - sec%r.width + r.width - 1
}

// meter takes a span in.
func (r *limits) meter(s *metered, x *meterSpan, slot detect.Slot, sec int64) {
	beyond := false
	for i, n := range x.n {
		if n == 0 {
			continue
		}
		var over int64
		if s.due[i], over = r.paces[i].Over(s.due[i], x.at*1e9, (x.at+r.width)*1e9, n); over == 0 {
			continue
		}
		if start := detect.WindowOf(sec); s.now.start != start {
			s.now = episode{start: start, fired: sec, first: x.at}
			if r.env.By() == detect.ByClient {
				s.now.standing = r.env.Standing(slot, sec)
			}
			clear(s.count)
			clear(s.over)
		}
		beyond = true
		s.count[i] += n
		s.over[i] += over
		s.now.count += over
	}
	if !beyond {
		return
	}
	if s.now.last = sec; x.pick.Time != 0 {
		s.now.pick(r.env, &x.pick.Sample)
	}
	r.env.Report(slot, r.judge(s, slot))
}

// judge says by how much the limit was exceeded that was exceeded most.
func (r *limits) judge(s *metered, slot detect.Slot) detect.Finding {
	worst, times := 0, 0.0
	for i := range r.list {
		if t := float64(s.count[i]) / float64(max(1, s.count[i]-s.over[i])); s.over[i] > 0 && t > times {
			worst, times = i, t
		}
	}
	f, l := s.now.finding(), &r.list[worst]
	f.Severity, f.Confidence = detect.Medium, 0.9
	if s.now.times = max(s.now.times, times); s.now.times >= r.high {
		f.Severity = detect.High
	}
	if f.Route = l.Route; r.env.By() == detect.ByRoute {
		f.Route = r.env.Subject(slot).Value
	}
	f.Why = fmt.Sprintf("%d of %d requests since %s are over limit %s, which lets %s pass: %.1f times that", s.over[worst], s.count[worst],
		clock(s.now.first), l.Name, l, times)
	return f
}

func (s *metered) code(k *window.Codec) {
	for _, list := range []*[]int64{&s.due, &s.count, &s.over} {
		codeNumbers(k, list)
	}
	n := k.Len(len(s.open))
	if k.Reading() {
		s.open = make([]meterSpan, n)
	}
	for i := range s.open {
		k.I64(&s.open[i].at)
		codeNumbers(k, &s.open[i].n)
		s.open[i].pick.Code(k)
	}
	k.I64(&s.woke)
	s.now.code(k)
}

func codeNumbers(k *window.Codec, list *[]int64) {
	n := k.Len(len(*list))
	if k.Reading() {
		*list = make([]int64, n)
	}
	for i := range *list {
		k.I64(&(*list)[i])
	}
}
