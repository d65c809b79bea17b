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
	detect.Register("rate-identity", detect.Spec{
		Doc:     "a consumer, key, session or account sends far more requests than it ever did, from however many addresses",
		Family:  detect.Rate,
		Tags:    []string{"owasp:api4:2023", "attack:T1499.002", "attack:T1078", "oat:015"},
		Needs:   "a consumer, API key, token, session or user in the log; time",
		Fields:  []ingest.Fields{ingest.FieldUser | ingest.FieldConsumer | ingest.FieldKey | ingest.FieldToken | ingest.FieldSession},
		State:   "about 200 bytes for each identity, 32 for each ten seconds of the last two minutes, and three lines while it calls",
		Evasion: "stays silent below limit for an identity in its first ten minutes with traffic, below least requests a minute, and for what grows by less than factor times its peak",
		By:      detect.ByIdentity,
		Concern: detect.Any,
		Config:  func() any { return new(RateIdentityConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &rateIdentity{env: env, cfg: cfg.(*RateIdentityConfig)}
			env.Shape("ident2")
			r.state = detect.NewSparse(env, func(s *caller, k *window.Codec) {
				for i := range s.ticks { // nothing is saved with its secrets
					s.ticks[i].pick.Redact(env.Redact)
				}
				s.code(k)
			})
			return r, nil
		},
	})
}

// RateIdentityConfig is the "rate-identity" section of the config file.
type RateIdentityConfig struct {
	Limit   int     `yaml:"limit" default:"1500" doc:"requests of a minute that an identity with less than ten minutes of history may send: 25 a second, more than rate-client allows one address"`
	Least   int     `yaml:"least" default:"300" doc:"requests of a minute below which nothing is found: five a second"`
	Factor  float64 `yaml:"factor" default:"4" doc:"times its peak so far, and eight deviations above its mean, from which it is low: batches of a job are its peak"`
	Extreme float64 `yaml:"extreme" default:"8" doc:"times its peak from which it is medium"`
}

// Check implements validation for the config loader.
func (c *RateIdentityConfig) Check(report func(key, message string)) {
	if c.Limit < c.Least {
		report("limit", "must not be below least")
	}
	if c.Least < 10 {
		report("least", "must be at least 10")
	}
	if c.Factor < 1.5 {
		report("factor", "must be at least 1.5")
	}
	if c.Extreme < c.Factor {
		report("extreme", "must not be below factor")
	}
}

// caller is what is kept of one identity. Its mean and deviation are moving averages
// over the minutes in which it called, its peak fades by half in about a week of them.
type caller struct {
	ticks   []tick // sorted by time
	minutes int64
	mean    float64
	square  float64
	peak    float64
	last    int64 // second of the last traffic that was closed
	done    int64
	now     episode
	times   float64
}

type tick struct {
	at, n int64
	pick  detect.Pick
}

type rateIdentity struct {
	env   *detect.Env
	cfg   *RateIdentityConfig
	state *detect.Sparse[caller]
}

// Observe implements detect.Rule: single requests are not needed.
func (r *rateIdentity) Observe(*ingest.Event, detect.Slot) {}

// Use implements detect.User.
func (r *rateIdentity) Use(u *detect.Use, slot detect.Slot) {
	s := r.state.At(slot)
	i := len(s.ticks)
	for i > 0 && s.ticks[i-1].at > u.Bucket {
		i--
	}
	if i == 0 || s.ticks[i-1].at != u.Bucket {
		s.ticks = slices.Insert(s.ticks, i, tick{at: u.Bucket})
		i++
		r.env.Wake(slot, u.Bucket+detect.LoadSeconds-1)
		r.env.Wake(slot, u.Bucket-u.Bucket%60+59)
	}
	s.ticks[i-1].n += u.N
	s.ticks[i-1].pick.Merge(&u.Pick)
}

// Close implements detect.Rule.
func (r *rateIdentity) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil || sec%detect.LoadSeconds != detect.LoadSeconds-1 || sec <= s.done {
		return
	}
	s.done = sec
	n, here := int64(0), int64(0)
	for _, t := range s.ticks {
		if t.at+detect.LoadSeconds-1 <= sec && t.at > sec-60 {
			n += t.n
		}
		if t.at+detect.LoadSeconds-1 == sec {
			here = t.n
		}
	}
	if here > 0 {
		if s.last != 0 && sec-s.last >= r.env.IdleBound() {
			*s = caller{ticks: s.ticks, done: sec}
		}
		s.last = sec
		r.judge(s, slot, sec, n, here)
	}
	if sec%60 == 59 && n > 0 {
		s.learn(float64(n), r.cfg.Factor)
	}
	s.ticks = slices.DeleteFunc(s.ticks, func(t tick) bool { return t.at <= sec-60 })
	for i := 0; i < len(s.ticks) && s.ticks[i].at <= sec-loadShown; i++ {
		s.ticks[i].pick = detect.Pick{}
	}
}

// learn takes in a minute. What is beyond all experience teaches little at a time.
func (s *caller) learn(n, factor float64) {
	if s.minutes >= 10 && n > factor*s.peak {
		n = s.peak * 1.02
	}
	s.minutes++
	weight := 1 / float64(min(s.minutes, 60))
	s.mean += (n - s.mean) * weight
	s.square += (n*n - s.square) * weight
	s.peak = max(s.peak*0.9999, n)
}

func (r *rateIdentity) judge(s *caller, slot detect.Slot, sec, n, here int64) {
	x := float64(n)
	times := x / max(1, s.peak)
	deviation := max(math.Sqrt(max(0, s.square-s.mean*s.mean)), math.Sqrt(s.mean))
	start := detect.WindowOf(sec)
	young := s.minutes < 10
	if young {
		if times = x / float64(r.cfg.Limit); times < 1 {
			return
		}
	} else if n < int64(r.cfg.Least) || times < r.cfg.Factor || x < s.mean+8*deviation {
		return
	}
	if s.now.start != start {
		s.now, s.times = episode{start: start, fired: sec, first: sec - 59, count: n - here, shown: (sec + 1 - loadShown) * 1e9}, 0
	}
	for i := range s.ticks {
		if t := &s.ticks[i]; t.at+detect.LoadSeconds-1 <= sec && t.at*1e9 >= s.now.shown {
			s.now.pick(r.env, &t.pick.Sample)
		}
	}
	s.now.shown = (sec + 1) * 1e9
	s.now.count += here
	s.now.last, s.times = sec, max(s.times, times)
	f := s.now.finding()
	f.Severity, f.Confidence = detect.Low, surer(0.5, 0.7, times, r.cfg.Extreme)
	if s.times >= r.cfg.Extreme {
		f.Severity, f.Confidence = detect.Medium, surer(0.75, 0.9, s.times/r.cfg.Extreme, 4)
	}
	if young {
		f.Severity, f.Confidence = detect.Medium, surer(0.7, 0.85, s.times, 4)
		f.Why = fmt.Sprintf("%d requests in a minute by somebody of whom less than ten minutes are known; the limit is %d", n, r.cfg.Limit)
		r.env.Report(slot, f)
		return
	}
	f.Why = fmt.Sprintf("%.1f times its busiest minute so far, which had %d requests, on average %d", s.times, int(s.peak), int(s.mean))
	r.env.Report(slot, f)
}

func (s *caller) code(k *window.Codec) {
	n := k.Len(len(s.ticks))
	if k.Reading() {
		s.ticks = make([]tick, n)
	}
	for i := range s.ticks {
		k.I64(&s.ticks[i].at)
		k.I64(&s.ticks[i].n)
		s.ticks[i].pick.Code(k)
	}
	for _, p := range []*int64{&s.minutes, &s.last, &s.done} {
		k.I64(p)
	}
	for _, p := range []*float64{&s.mean, &s.square, &s.peak, &s.times} {
		k.F64(p)
	}
	s.now.code(k)
}
