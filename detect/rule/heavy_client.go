package rule

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("heavy-client", detect.Spec{
		Doc:     "one client asks for the same thing again and again: faster than anybody needs for half a minute, or more often than anybody needs for an hour",
		Family:  detect.Rate,
		Tags:    []string{"owasp:api4:2023", "attack:T1499.002", "oat:015"},
		Needs:   "client address, path, time",
		Fields:  []ingest.Fields{},
		Helps:   ingest.FieldTarget,
		State:   "about 300 bytes for clients that sent eight requests, for an hour, and a line in 64 as evidence",
		Evasion: "stays silent for requests that differ, which scraping, bola-client and rate-client see, below both limits, and for health checks",
		Concern: detect.Any | detect.Held,
		Config:  func() any { return new(HeavyClientConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			env.Shape("heavy4")
			r := &heavyClient{env: env, cfg: cfg.(*HeavyClientConfig), lines: newKeeper(env)}
			r.state = detect.NewSparse(env, (*repeats).code).Ordinary()
			return r, nil
		},
	})
}

// HeavyClientConfig is the "heavy-client" section of the config file.
type HeavyClientConfig struct {
	Fast      int `yaml:"fast" default:"180" doc:"requests for the same thing by one person within half a minute that make a finding: six a second; pages poll every second at most, as the Retry-After of RFC 9110 counts"`
	Hour      int `yaml:"hour" default:"5400" doc:"requests for the same thing by one person within an hour that make a finding: three in two seconds all the time"`
	PeopleCap int `yaml:"people_cap" default:"20" doc:"limits are multiplied by the number of people known behind the client, at most by so many"`
}

// Check implements validation for the config loader.
func (c *HeavyClientConfig) Check(report func(key, message string)) {
	if c.Fast < 40 {
		report("fast", "must be at least 40: a page may ask for so much")
	}
	if c.Hour < c.Fast {
		report("hour", "must not be below fast")
	}
	if c.PeopleCap < 1 {
		report("people_cap", "must be at least 1")
	}
}

const (
	heavyTick = 30  // seconds
	heavySecs = 20  // distinct ones of a half minute that must have a request
	heavySame = 0.8 // share of the fullest cell from which it is the same thing
)

// repeats is what is kept of one client.
type repeats struct {
	half repeat // the latest half minute
	hour repeat // the latest clock hour
	most favourite
	now  episode
	over float64 // most times a limit, in the window
}

// repeat are requests of a time by the cell of their path.
type repeat struct {
	at    int64 // first second
	n     int64
	secs  uint32 // bitmap of the seconds of a half minute
	cells [detect.RequestCells]uint32
}

func (x *repeat) add(r *detect.Request) {
	x.n++
	x.secs |= 1 << (r.Sec % heavyTick)
	x.cells[r.Cell()]++
}

type heavyClient struct {
	env   *detect.Env
	cfg   *HeavyClientConfig
	state *detect.Sparse[repeats]
	lines *keeper
}

// Observe implements detect.Rule: it samples lines, requests are looked at in Digest.
func (r *heavyClient) Observe(ev *ingest.Event, slot detect.Slot) {
	if ev.Kind != ingest.RouteHealth {
		r.lines.pick(ev, slot, 6)
	}
}

// Digest implements detect.Digester.
func (r *heavyClient) Digest(list []detect.Request, slot detect.Slot, upto int64) bool {
	last := int64(list[len(list)-1].Sec)
	if hour := last - last%3600; hour+3600 <= upto { // all of them are of hours that are over
		r.state.Drop(slot)
		return false
	}
	s := r.state.At(slot)
	for i := range list {
		x := &list[i]
		if x.Flags&detect.RequestHealth != 0 {
			continue
		}
		sec := int64(x.Sec)
		if hour := sec - sec%3600; s.hour.at != hour {
			s.hour, s.most = repeat{at: hour}, favourite{}
			r.env.Wake(slot, hour+3600)
		}
		if at := sec - sec%heavyTick; s.half.at != at {
			s.half = repeat{at: at}
		}
		s.half.add(x)
		s.hour.add(x)
		s.most.add(x)
	}
	near := s.most.near(s.hour.n)
	if end := s.most.tick + detect.HeldTick - 1; near && end >= upto {
		r.env.Wake(slot, end)
	}
	if s.half.n+detect.HeldMost < int64(r.cfg.Fast) && s.hour.n+detect.HeldMost < int64(r.cfg.Hour) {
		return near
	}
	if end := s.half.at + heavyTick - 1; end >= upto {
		r.env.Wake(slot, end)
	}
	return true
}

// Explain implements detect.Explainer.
func (r *heavyClient) Explain(ev *ingest.Event) (bool, string) {
	return ev.Kind != ingest.RouteHealth, fmt.Sprintf("one request; a finding from %d for the same thing within 30s or %d within an hour, for each person", r.cfg.Fast, r.cfg.Hour)
}

// same is how many requests were for the same thing, 0 if they were for many.
func (x *repeat) same() int64 {
	if most := slices.Max(x.cells[:]); float64(most) >= heavySame*float64(x.n) {
		return int64(most)
	}
	return 0
}

// Close implements detect.Rule.
func (r *heavyClient) Close(slot detect.Slot, sec int64) {
	defer r.lines.forget(slot, sec)
	s := r.state.Get(slot)
	switch {
	case s == nil:
	case s.hour.at+3600 <= sec:
		r.state.Drop(slot)
	default:
		if h, tells := s.most.hit(s.hour.n, sec); tells {
			r.env.Hit(slot, h)
		}
		if s.half.at+heavyTick-1 == sec {
			r.judge(s, slot, sec)
		}
	}
}

func (r *heavyClient) judge(s *repeats, slot detect.Slot, sec int64) {
	fast, hour := s.half.same(), s.hour.same()
	if bits.OnesCount32(s.half.secs) < heavySecs {
		fast = 0 // a burst
	}
	if fast < int64(r.cfg.Fast) && hour < int64(r.cfg.Hour) {
		return
	}
	known := r.env.Standing(slot, sec)
	people := float64(widened(1, r.cfg.PeopleCap, known))
	times := max(float64(fast)/float64(r.cfg.Fast), float64(hour)/float64(r.cfg.Hour)) / people
	if times < 1 {
		return
	}
	if start := detect.WindowOf(sec); s.now.start != start {
		s.now, s.over = episode{start: start, fired: sec, first: s.half.at, shown: s.half.at * 1e9, standing: known}, 0
	}
	s.over = max(s.over, times)
	if s.now.last != sec {
		s.now.last, s.now.count = sec, s.now.count+s.half.n
	}
	r.lines.show(&s.now, slot, sec)
	f := s.now.finding()
	f.Severity, f.Confidence = detect.Medium, surer(0.75, 0.9, s.over, 4)
	f.Why = fmt.Sprintf("%d requests for the same thing in half a minute, %d in this hour: %.1f times what a person needs", fast, hour, s.over)
	r.env.Report(slot, f)
}

func (x *repeat) code(k *window.Codec) {
	k.I64(&x.at)
	k.I64(&x.n)
	k.U32(&x.secs)
	for i := range x.cells {
		k.U32(&x.cells[i])
	}
}

func (s *repeats) code(k *window.Codec) {
	s.half.code(k)
	s.hour.code(k)
	s.most.code(k)
	s.now.code(k)
	k.F64(&s.over)
}
