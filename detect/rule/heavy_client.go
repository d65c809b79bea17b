package rule

import (
	"encoding/binary"
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
		State:   "about 100 bytes and 40 for each half minute that is open, for clients with a request in such a second; figures are of one second in eight",
		Evasion: "stays silent for requests that differ, which scraping, bola-client and rate-client see, below both limits, and for health checks",
		Concern: detect.Any,
		Config:  func() any { return new(HeavyClientConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &heavyClient{env: env, cfg: cfg.(*HeavyClientConfig)}
			env.Shape("heavy2")
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
	if c.Fast < 80 {
		report("fast", "must be at least 80: one second in eight is counted")
	}
	if c.Hour < c.Fast {
		report("hour", "must not be below fast")
	}
	if c.PeopleCap < 1 {
		report("people_cap", "must be at least 1")
	}
}

const (
	heavyTick   = 30  // seconds
	heavyCells  = 8   // 2 to the 3rd: paths fall into so many, by their hash
	heavySample = 8   // one second in so many is counted
	heavySecs   = 3   // distinct ones that half a minute has at least, and must show
	heavySame   = 0.8 // share of the fullest cell from which it is the same thing
)

// repeats is what is kept of one client.
type repeats struct {
	open []repeat // half minutes that are not closed
	hour repeat   // clock hour
	now  episode
	over float64 // most times a limit, in the window
}

// repeat are requests of a time by the cell of their path.
type repeat struct {
	at    int64 // first second
	n     int64
	secs  uint32 // bitmap of the seconds that were counted
	cells [heavyCells]uint32
}

type heavyClient struct {
	env   *detect.Env
	cfg   *HeavyClientConfig
	state *detect.Sparse[repeats]
}

// Observe implements detect.Rule.
func (r *heavyClient) Observe(ev *ingest.Event, slot detect.Slot) {
	sec := ev.Time / 1e9
	at := sec - sec%heavyTick
	if (sec-at)%heavySample != r.phase(ev, at) || ev.Kind == ingest.RouteHealth {
		return
	}
	s := r.state.At(slot)
	i := slices.IndexFunc(s.open, func(x repeat) bool { return x.at == at })
	if i < 0 {
		i = len(s.open)
		s.open = append(s.open, repeat{at: at})
		r.env.Wake(slot, at+heavyTick-1)
	}
	x := &s.open[i]
	x.n++
	x.secs |= 1 << (sec - at)
	x.cells[hashTarget(ev.Target)*0x9e3779b97f4a7c15>>61]++ // the upper bits depend on all of the path
}

// phase says which seconds of a half minute are counted of a client: one in eight, the
// same whatever file its lines are in, and others in each half minute, by the
// installation's secret: nobody can ask in the seconds between.
func (r *heavyClient) phase(ev *ingest.Event, at int64) int64 {
	b := ev.Client.As16()
	if ev.Client.Is6() && !ev.Client.Is4In6() {
		clear(b[8:]) // one client has a whole /64
	}
	h := r.env.Seed() ^ uint64(at)*0x9e3779b97f4a7c15
	for i := 0; i < len(b); i += 8 {
		h = (h ^ binary.BigEndian.Uint64(b[i:])) * 0xd6e8feb86659fd93
		h ^= h >> 32
	}
	return int64(h % heavySample)
}

// Explain implements detect.Explainer.
func (r *heavyClient) Explain(ev *ingest.Event) (bool, string) {
	return ev.Kind != ingest.RouteHealth, fmt.Sprintf("one request; a finding from %d for the same thing within 30s or %d within an hour, for each person", r.cfg.Fast, r.cfg.Hour)
}

// same is about how many requests were for the same thing, 0 if they were for many.
func (x *repeat) same() int64 {
	if most := slices.Max(x.cells[:]); float64(most) >= heavySame*float64(x.n) {
		return int64(most) * heavySample
	}
	return 0
}

// Close implements detect.Rule.
func (r *heavyClient) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil {
		return
	}
	if hour := sec - sec%3600; s.hour.at != hour {
		if len(s.open) == 0 {
			r.state.Drop(slot)
			return
		}
		s.hour = repeat{at: hour}
	}
	i := slices.IndexFunc(s.open, func(x repeat) bool { return x.at+heavyTick-1 == sec })
	if i < 0 {
		return
	}
	x := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	if s.hour.n == 0 {
		r.env.Wake(slot, s.hour.at+3600)
	}
	s.hour.n += x.n
	for c := range x.cells {
		s.hour.cells[c] += x.cells[c]
	}
	r.judge(s, &x, slot, sec)
}

func (r *heavyClient) judge(s *repeats, x *repeat, slot detect.Slot, sec int64) {
	fast, hour := x.same(), s.hour.same()
	if bits.OnesCount32(x.secs) < heavySecs {
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
		s.now, s.over = episode{start: start, fired: sec, first: x.at, standing: known}, 0
	}
	s.over = max(s.over, times)
	s.now.last, s.now.count = sec, s.now.count+x.n*heavySample
	f := s.now.finding()
	f.Severity, f.Confidence = detect.Medium, surer(0.75, 0.9, s.over, 4)
	f.Why = fmt.Sprintf("about %d requests for the same thing in half a minute, %d in this hour: %.1f times what a person needs", fast, hour, s.over)
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
	n := k.Len(len(s.open))
	if k.Reading() {
		s.open = make([]repeat, n)
	}
	for i := range s.open {
		s.open[i].code(k)
	}
	s.hour.code(k)
	s.now.code(k)
	k.F64(&s.over)
}
