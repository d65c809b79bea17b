package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("rate-client", detect.Spec{
		Doc:     "one client sends far more requests than a client does: in a burst, or for a minute",
		Family:  detect.Rate,
		Tags:    []string{"owasp:api4:2023", "attack:T1499.002", "oat:015"},
		Needs:   "client address, time",
		Fields:  []ingest.Fields{},
		State:   "48 bytes for every client; evidence, a sample of one line in 128, only for busy ones",
		Evasion: "stays silent below both limits, and for floods spread over addresses; many people behind an address widen its limits, so a flood behind a busy NAT is seen later",
		Concern: detect.Any,
		Config:  func() any { return new(RateClientConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			return newRateClient(env, cfg.(*RateClientConfig))
		},
	})
}

// RateClientConfig is the "rate-client" section of the config file.
type RateClientConfig struct {
	Limit      int           `yaml:"limit" default:"1200" doc:"requests of one client within span that make a finding: 20 a second, twice the 10r/s of the nginx limit_req examples"`
	Span       time.Duration `yaml:"span" default:"60s" doc:"sliding span of limit, in event time"`
	Burst      int           `yaml:"burst" default:"400" doc:"requests of one client within burst_span that make a finding: a page with 100 calls, reloaded four times"`
	BurstSpan  time.Duration `yaml:"burst_span" default:"10s" doc:"sliding span of burst, in event time; counted in buckets of (span + engine.late) / 18 seconds, 5 s by default"`
	PeopleCap  int           `yaml:"people_cap" default:"20" doc:"limits are multiplied by the number of people known behind the client, at most by so many"`
	HighFactor float64       `yaml:"high_factor" default:"4" doc:"so many times a limit is a high finding, and near certain"`
}

// Check implements validation for the config loader.
func (c *RateClientConfig) Check(report func(key, message string)) {
	if c.Limit < 10 {
		report("limit", "must be at least 10")
	}
	if c.Burst < 10 {
		report("burst", "must be at least 10")
	}
	if c.Span < 10*time.Second || c.Span > 10*time.Minute {
		report("span", "must be between 10s and 10m")
	}
	if c.BurstSpan < time.Second || c.BurstSpan > c.Span {
		report("burst_span", "must be between 1s and span")
	}
	if c.PeopleCap < 1 {
		report("people_cap", "must be at least 1")
	}
	if c.HighFactor <= 1 {
		report("high_factor", "must be above 1")
	}
}

// busy is what is kept of clients with sampled lines or near a limit.
type busy struct {
	lines window.Samples
	now   episode
}

func (b *busy) code(k *window.Codec) {
	b.lines.Code(k)
	b.now.code(k)
}

// rateClient counts in buckets of width seconds, chosen so that a ring holds the
// span, the late bound and the bucket being filled.
type rateClient struct {
	env    *detect.Env
	cfg    *RateClientConfig
	width  int64
	long   uint32 // buckets of span
	short  uint32 // buckets of burst_span
	least  uint32 // a ring with less cannot be over any limit
	sample span
	rings  *detect.Dense[window.Ring]
	busy   *detect.Sparse[busy]
}

func newRateClient(env *detect.Env, c *RateClientConfig) (*rateClient, error) {
	r := &rateClient{env: env, cfg: c}
	secs := int64(c.Span / time.Second)
	r.width = (secs + env.LateBound() + window.RingCells - 3) / (window.RingCells - 2)
	r.width = max(1, r.width)
	if time.Duration(r.width)*time.Second > c.BurstSpan {
		return nil, fmt.Errorf("rate-client: with engine.late %ds and span %s, requests are counted in buckets of %ds, which is longer than burst_span %s: shorten late or span, or lengthen burst_span",
			env.LateBound(), c.Span, r.width, c.BurstSpan)
	}
	r.long = uint32((secs + r.width - 1) / r.width)
	r.short = uint32((int64(c.BurstSpan/time.Second) + r.width - 1) / r.width)
	r.least = uint32(min(c.Limit, c.Burst))
	r.sample = newSpan(secs)
	env.Shape(fmt.Sprintf("ring1/%d", r.width))
	r.rings = detect.NewDense(env, (*window.Ring).Code)
	r.busy = detect.NewSparse(env, func(b *busy, k *window.Codec) {
		if !k.Reading() {
			b.lines.Rewrite(env.Redact) // nothing is saved with its secrets
		}
		b.code(k)
	})
	return r, nil
}

// sampled picks one line in 128 by where it stands, so that a replay picks the same.
func sampled(p *ingest.Position) bool {
	h := (uint64(p.Offset) ^ p.File) * 0x9e3779b97f4a7c15
	return h>>57 == 0
}

// Explain implements detect.Explainer.
func (r *rateClient) Explain(*ingest.Event) (bool, string) {
	return true, fmt.Sprintf("one request; a finding from %d within %s or %d within %s, more where several people share the address",
		r.cfg.Burst, r.cfg.BurstSpan, r.cfg.Limit, r.cfg.Span)
}

// Observe implements detect.Rule.
func (r *rateClient) Observe(ev *ingest.Event, slot detect.Slot) {
	sec := ev.Time / 1e9
	bucket := uint32(sec / r.width)
	ring := r.rings.At(slot)
	n := ring.Add(bucket)
	if sampled(&ev.Pos) {
		r.keep(ev, slot, sec)
	}
	if ring.Total() < r.least {
		return
	}
	switch {
	case ring.Total() == r.least: // it has just got there: all buckets matter again
		for i := ring.Oldest(); i <= ring.Newest(); i++ {
			if ring.At(i) > 0 {
				r.env.Wake(slot, r.end(i))
			}
		}
	case n == 1:
		r.env.Wake(slot, r.end(bucket))
	}
	b := r.busy.At(slot)
	if !r.env.Live() || b.now.early == detect.WindowOf(sec) && b.now.level >= maxLevel && sec-b.now.told < detect.Again {
		return
	}
	if times := r.times(ring, slot, bucket, sec); times >= 1 && b.now.earlier(r.env, sec, int64(times)) {
		e := b.now
		if e.start != detect.WindowOf(sec) {
			e = r.begin(b, ring, slot, bucket, sec)
		}
		e.last = max(e.last, sec)
		r.env.Early(slot, r.judge(&e, times))
	}
}

// keep samples a line as evidence, as it is: most are forgotten unseen, a span
// later.
func (r *rateClient) keep(ev *ingest.Event, slot detect.Slot, sec int64) {
	b := r.busy.At(slot)
	if b.lines.Wants(ev.Time, ev.Pos, r.sample.bucket) {
		b.lines.Add(r.env.RawSample(ev), r.sample.bucket)
		r.env.Wake(slot, sec+r.sample.secs+r.sample.bucket/1e9)
	}
}

// end is the last second of a bucket.
func (r *rateClient) end(bucket uint32) int64 { return int64(bucket+1)*r.width - 1 }

// times is how many times its limits the client is at, the greater of the two.
func (r *rateClient) times(ring *window.Ring, slot detect.Slot, bucket uint32, sec int64) float64 {
	long, _ := ring.Sum(bucket, r.long)
	short, _ := ring.Sum(bucket, r.short)
	times := max(float64(long)/float64(r.cfg.Limit), float64(short)/float64(r.cfg.Burst))
	if times < 1 {
		return times
	}
	people := r.env.Standing(slot, sec).People
	return times / float64(max(1, min(people, int64(r.cfg.PeopleCap))))
}

func (r *rateClient) begin(b *busy, ring *window.Ring, slot detect.Slot, bucket uint32, sec int64) episode {
	n, first := ring.Sum(bucket, r.long)
	e := episode{start: detect.WindowOf(sec), early: b.now.early, level: b.now.level, told: b.now.told, fired: sec, count: int64(n),
		first: int64(first) * r.width, standing: r.env.Standing(slot, sec)}
	e.shown = e.first * 1e9
	e.showRaw(r.env, &b.lines, sec)
	return e
}

// Close implements detect.Rule.
func (r *rateClient) Close(slot detect.Slot, sec int64) {
	b := r.busy.Get(slot)
	if b == nil {
		return
	}
	ring := r.rings.At(slot)
	bucket := uint32(sec / r.width)
	if r.end(bucket) == sec && b.now.last < sec && ring.At(bucket) > 0 {
		if times := r.times(ring, slot, bucket, sec); times >= 1 {
			r.fire(b, ring, slot, bucket, sec, times)
		}
	}
	b.lines.Forget((sec-r.sample.secs)*1e9, r.sample.bucket)
	if ring.Total() < r.least && b.lines.Empty() && b.now.start/1e9+detect.FindingWindow <= sec {
		r.busy.Drop(slot)
	}
}

func (r *rateClient) fire(b *busy, ring *window.Ring, slot detect.Slot, bucket uint32, sec int64, times float64) {
	if b.now.start != detect.WindowOf(sec) {
		b.now = r.begin(b, ring, slot, bucket, sec)
		r.env.Wake(slot, b.now.start/1e9+detect.FindingWindow)
	} else {
		b.now.count += int64(ring.At(bucket))
		b.now.showRaw(r.env, &b.lines, sec)
	}
	b.now.last = sec
	b.now.times = max(b.now.times, times)
	r.env.Report(slot, r.judge(&b.now, b.now.times))
}

func (r *rateClient) judge(e *episode, times float64) detect.Finding {
	f := e.finding()
	f.Severity = detect.Medium
	if times >= r.cfg.HighFactor {
		f.Severity = detect.High
	}
	f.Confidence = surer(0.8, 0.96, times, r.cfg.HighFactor)
	f.Why = fmt.Sprintf("%d requests since %s, %.1f times what is allowed (%d in %s, %d in %s)", e.count,
		time.Unix(e.first, 0).UTC().Format(time.TimeOnly), times, r.cfg.Burst, r.cfg.BurstSpan, r.cfg.Limit, r.cfg.Span)
	return f
}
