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
		Fields:  []ingest.Fields{ingest.FieldTarget},
		Helps:   ingest.FieldStatus,
		State:   "about 200 bytes and 8 for each block of 16 ids (32 at most) on each of at most 8 routes in half a day, for clients that sent eight requests and asked for objects by number; the line of one id in 16 as evidence",
		Evasion: "stays silent for ids that are no numbers (bola-fanout sees those that are refused), for steps wider than 3, below ids in half a day, and for walks hidden among more visits of other objects",
		Concern: detect.Any | detect.Held,
		Config:  func() any { return new(BOLAClientConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			env.Shape("walk3")
			r := &bolaClient{env: env, cfg: cfg.(*BOLAClientConfig), lines: newKeeper(env)}
			r.state = detect.NewSparse(env, (*strolls).code).Ordinary()
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
	state *detect.Sparse[strolls]
	lines *keeper
}

// walks reports whether a request asks for an object by number, and may be a walk.
func walks(x *detect.Request) bool {
	return x.Flags&(detect.RequestNumber|detect.RequestProven) == detect.RequestNumber
}

// Observe implements detect.Rule: it samples lines, requests are looked at in Digest.
func (r *bolaClient) Observe(ev *ingest.Event, slot detect.Slot) {
	if x := r.env.Request(); x.Object%16 == 0 && walks(x) {
		r.lines.keep(ev, slot)
	}
}

// Digest implements detect.Digester.
func (r *bolaClient) Digest(list []detect.Request, slot detect.Slot, upto int64) bool {
	s := r.state.Get(slot)
	for i := range list {
		x := &list[i]
		if !walks(x) || int64(x.Sec/walkHalf)*walkHalf+2*walkHalf <= upto {
			continue
		}
		if s == nil {
			s = r.state.At(slot)
		}
		if c := s.cell(x.Sec/walkHalf, x.Route); c != nil {
			c.add(x)
		}
	}
	if s == nil {
		return false
	}
	if s.forget(uint32(upto / walkHalf)); len(s.cells) == 0 {
		r.state.Drop(slot)
		return false
	}
	return s.near(uint32(upto/walkHalf), int64(r.cfg.IDs))
}

// Explain implements detect.Explainer.
func (r *bolaClient) Explain(ev *ingest.Event) (bool, string) {
	if !walks(r.env.Request()) {
		return false, "the path names no object by number"
	}
	return true, fmt.Sprintf("one object; looked at every ten seconds; a finding from %d neighbours, each asked for about once", r.cfg.IDs)
}

// Close implements detect.Rule.
func (r *bolaClient) Close(slot detect.Slot, sec int64) {
	defer r.lines.forget(slot, sec)
	s := r.state.Get(slot)
	if s == nil || sec%detect.HeldTick != detect.HeldTick-1 {
		return
	}
	best, ids := (*walk)(nil), int64(0)
	for i := range s.cells {
		c := &s.cells[i]
		if c.half != uint32(sec/walkHalf) || int64(c.last) <= sec-detect.HeldTick {
			continue
		}
		if n := c.ids.Walked(walkMost); n >= int64(r.cfg.IDs) && n*2 >= c.ids.Distinct() && n > ids {
			best, ids = c, n
		}
	}
	if best != nil {
		r.env.Report(slot, r.judge(s, best, ids, slot, sec))
	}
}

func (r *bolaClient) judge(s *strolls, c *walk, ids int64, slot detect.Slot, sec int64) detect.Finding {
	if start := detect.WindowOf(sec); s.now.start != start {
		s.now = episode{start: start, fired: int64(c.last), first: int64(c.first), shown: r.lines.from(int64(c.first), sec), standing: r.env.Standing(slot, sec)}
		s.worst = 0
	}
	s.now.last, s.now.count = max(s.now.last, int64(c.last)), max(s.now.count, int64(c.n))
	r.lines.show(&s.now, slot, sec)
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
