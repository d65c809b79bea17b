package rule

import (
	"fmt"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("bola-client", detect.Spec{
		Doc:     "one client walks through neighbouring object ids of a route, each about once, fast or over hours",
		Family:  detect.API,
		Tags:    []string{"owasp:api1:2023", "owasp:api6:2023", "attack:T1190", "attack:T1213", "oat:011"},
		Needs:   "client address, path with numeric ids; status tells guessing from reading",
		State:   "32 bytes and 24 for each request of clients that asked for objects by number; from 12 on, 8 for each block of 16 ids (32 at most) on each of at most 8 routes in half a day; the line of one id in 32 as evidence",
		Evasion: "stays silent for ids that are no numbers (bola-fanout sees those that are refused), for steps wider than 3, below ids in half a day, and for walks hidden among more visits of other objects",
		Concern: detect.Any,
		Config:  func() any { return new(BOLAClientConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &bolaClient{env: env, cfg: cfg.(*BOLAClientConfig), span: newSpan(600)}
			env.Shape("walk1")
			r.state = detect.NewSparse(env, (*walker).code).Ordinary()
			r.lines = detect.NewSparse(env, func(s *window.Samples, k *window.Codec) {
				if !k.Reading() {
					s.Rewrite(env.Redact) // nothing is saved with its secrets
				}
				s.Code(k)
			}).Ordinary()
			return r, nil
		},
	})
}

// BOLAClientConfig is the "bola-client" section of the config file.
type BOLAClientConfig struct {
	IDs     int     `yaml:"ids" default:"30" doc:"neighbouring ids of a route within half a day that make a finding: 13 of 16 neighbours, or every second or third of them, each asked for 1.3 times at most on average (chance visits that are so dense have asked for each more than twice)"`
	Refused float64 `yaml:"refused" default:"0.1" doc:"share of client errors among them from which it is guessing, and high"`
}

// Check implements validation for the config loader.
func (c *BOLAClientConfig) Check(report func(key, message string)) {
	if c.IDs < 2*window.BlockIDs-6 {
		report("ids", "must be at least 26: two blocks of neighbours")
	}
	if c.Refused <= 0 || c.Refused > 1 {
		report("refused", "must be above 0 and at most 1")
	}
}

type bolaClient struct {
	env   *detect.Env
	cfg   *BOLAClientConfig
	span  span
	state *detect.Sparse[walker]
	lines *detect.Sparse[window.Samples]
}

// Observe implements detect.Rule.
func (r *bolaClient) Observe(ev *ingest.Event, slot detect.Slot) {
	if ev.RouteID == 0 || ev.Crawler == ingest.CrawlerVerified {
		return
	}
	text := r.env.Object(ev)
	id, ok := objectNumber(text)
	if !ok {
		return
	}
	w := r.state.At(slot)
	x := step{id: id, sec: uint32(ev.Time / 1e9), route: uint32(hashText(ev.Route) >> 16)}
	if ev.Status >= 400 && ev.Status < 500 {
		x.flags |= stepBad
	}
	if ev.Class == ingest.AgentCrawler {
		x.flags |= stepCrawl
	}
	w.steps = append(w.steps, x)
	if id%32 == 0 {
		r.keep(ev, slot)
	}
	if end := x.end(); w.isHot(x.sec/walkHalf) && w.woke != end {
		w.woke = end
		r.env.Wake(slot, int64(end))
	}
	if n := uint32(len(w.steps)); n >= walkPending && n >= w.next {
		w.fold(r.env.Closed())
		r.warm(w, slot)
	}
}

// warm asks for the seconds in which there may be a walk, once there may be one: fold
// looks again before twice as many steps are in.
func (r *bolaClient) warm(w *walker, slot detect.Slot) {
	for i := range w.steps {
		half := w.steps[i].sec / walkHalf
		if w.isHot(half) || w.asked(half) < r.cfg.IDs/2 {
			continue
		}
		w.hot[half%2] = half
		for _, x := range w.steps {
			if x.sec/walkHalf == half {
				r.env.Wake(slot, int64(x.end()))
			}
		}
	}
}

// keep samples a line as evidence, as it is: most are forgotten unseen.
func (r *bolaClient) keep(ev *ingest.Event, slot detect.Slot) {
	lines := r.lines.At(slot)
	if lines.Wants(ev.Time, ev.Pos, r.span.bucket) {
		lines.Add(r.env.RawSample(ev), r.span.bucket)
		r.env.Wake(slot, ev.Time/1e9+2*r.span.secs)
	}
}

// objectNumber reads a decimal id.
func objectNumber(s string) (uint64, bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	n := uint64(0)
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	return n, true
}

// Explain implements detect.Explainer.
func (r *bolaClient) Explain(ev *ingest.Event) (bool, string) {
	if _, ok := objectNumber(r.env.Object(ev)); !ok || ev.RouteID == 0 {
		return false, "the path names no object by number"
	}
	return true, fmt.Sprintf("one object; looked at every ten seconds; a finding from %d neighbours, each asked for about once", r.cfg.IDs)
}

// Close implements detect.Rule.
func (r *bolaClient) Close(slot detect.Slot, sec int64) {
	if lines := r.lines.Get(slot); lines != nil {
		defer func() {
			if lines.Forget((sec-r.span.secs)*1e9, r.span.bucket); lines.Empty() {
				r.lines.Drop(slot)
			}
		}()
	}
	w := r.state.Get(slot)
	if w == nil || !w.isHot(uint32(sec/walkHalf)) || sec%walkTick != walkTick-1 {
		return
	}
	w.fold(sec)
	best, ids := (*walk)(nil), int64(0)
	for i := range w.more.cells {
		c := &w.more.cells[i]
		if c.half != uint32(sec/walkHalf) || int64(c.last) <= sec-walkTick {
			continue
		}
		if n := c.ids.Walked(walkMost); n >= int64(r.cfg.IDs) && n*2 >= c.ids.Distinct() && n > ids {
			best, ids = c, n
		}
	}
	if best != nil {
		r.env.Report(slot, r.judge(w.more, best, ids, slot, sec))
	}
}

func (r *bolaClient) judge(s *strolls, c *walk, ids int64, slot detect.Slot, sec int64) detect.Finding {
	if start := detect.WindowOf(sec); s.now.start != start {
		s.now = episode{start: start, fired: int64(c.last), first: int64(c.first), shown: max(int64(c.first), sec-r.span.secs) * 1e9, standing: r.env.Standing(slot, sec)}
		s.worst = 0
	}
	s.now.last, s.now.count = max(s.now.last, int64(c.last)), max(s.now.count, int64(c.n))
	if lines := r.lines.Get(slot); lines != nil {
		have := len(s.now.evidence)
		s.now.show(lines, sec)
		for i := have; i < len(s.now.evidence); i++ {
			s.now.evidence[i].Line = r.env.Redact(s.now.evidence[i].Line)
		}
	}
	f := s.now.finding()
	share := float64(c.bad) / float64(c.n)
	severity := detect.Medium
	f.Confidence = surer(0.75, 0.92, float64(ids)/float64(r.cfg.IDs), 4)
	switch {
	case share >= r.cfg.Refused:
		severity = detect.High
	case c.crawl*2 > c.n: // it reads what anybody may read, under a name that anybody may write
		severity = detect.Low
	}
	s.worst = max(s.worst, uint8(severity))
	f.Severity = detect.Severity(s.worst)
	f.Why = fmt.Sprintf("about %d neighbouring ids of one route, each asked for about once, among %d requests for its objects since %s; %d %% were client errors",
		ids, c.n, clock(int64(c.first)), int(share*100+0.5))
	return f
}
