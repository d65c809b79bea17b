package rule

import (
	"fmt"
	"slices"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("cost-client", detect.Spec{
		Doc:     "one client costs far more than a person does: bytes sent to it, time that the service worked for it",
		Family:  detect.Rate,
		Tags:    []string{"owasp:api4:2023", "attack:T1499.003", "oat:015"},
		Needs:   "client address, bytes sent; request time (nginx: $request_time) for the time; path, by which films and sound do not count",
		Fields:  []ingest.Fields{ingest.FieldBytesOut | ingest.FieldDuration},
		Helps:   ingest.FieldBytesOut | ingest.FieldDuration | ingest.FieldTarget,
		State:   "about 300 bytes, 24 for each ten seconds of the span and up to 8 lines, only for clients with a large or slow answer in the span, and 32 for each five minutes of an hour with an answer of a megabyte",
		Evasion: "stays silent below all limits, for many small and quick requests, which rate-client counts, for costs that are not logged, and for what costs by the hour but rests for ten minutes of it, as jobs do, or is a film or sound",
		Concern: detect.Any,
		Config:  func() any { return new(CostClientConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &costClient{env: env, cfg: cfg.(*CostClientConfig)}
			r.span = newSpan(int64(r.cfg.Span / time.Second))
			env.Shape("cost2")
			r.state = detect.NewSparse(env, (*costs).code).Ordinary()
			return r, nil
		},
	})
}

// CostClientConfig is the "cost-client" section of the config file.
type CostClientConfig struct {
	Megabytes int           `yaml:"megabytes" default:"400" doc:"megabytes sent within span to one person, in ten or more answers of at least 128 kB, that make a finding: 27 Mbit/s all the time, more than a film in 4K (15 to 25 Mbit/s by what streaming services ask for)"`
	Busy      time.Duration `yaml:"busy" default:"3m" doc:"time that the service works for one person within span, in ten or more answers that take at least 250 ms, that makes a finding: one and a half workers all the time, where a job that waits for each answer keeps one"`
	Span      time.Duration `yaml:"span" default:"2m" doc:"sliding span, in event time"`
	Hourly    int           `yaml:"hourly" default:"400" doc:"megabytes sent within an hour to one person, in answers of a megabyte or more and without a pause of ten minutes, that make a finding; films and sound do not count. As much in an hour as is too much in two minutes: people read for hours, but not megabytes at a time (reasoning, not measured)"`
	PeopleCap int           `yaml:"people_cap" default:"20" doc:"limits are multiplied by the number of people known behind the client, at most by so many"`
}

// Check implements validation for the config loader.
func (c *CostClientConfig) Check(report func(key, message string)) {
	if c.Megabytes < 1 {
		report("megabytes", "must be at least 1")
	}
	if c.Hourly < 1 {
		report("hourly", "must be at least 1")
	}
	if c.Busy < time.Second {
		report("busy", "must be at least 1s")
	}
	if c.PeopleCap < 1 {
		report("people_cap", "must be at least 1")
	}
	checkSpan(c.Span, report)
}

// What is smaller and quicker is no cost of its own.
const (
	costBytes = 128 << 10
	costNanos = 250e6
	costTick  = 10 // seconds
)

// costs are those of one client, by ticks.
type costs struct {
	burst
	ticks []cost // sorted by time
	worst float64
	hour  costHour
}

type cost struct{ at, bytes, nanos int64 }

// at returns the tick of a second, and whether it is new.
func (s *costs) at(sec int64) (c *cost, fresh bool) {
	at := sec - sec%costTick
	i := len(s.ticks)
	for i > 0 && s.ticks[i-1].at > at {
		i--
	}
	if i > 0 && s.ticks[i-1].at == at {
		return &s.ticks[i-1], false
	}
	s.ticks = slices.Insert(s.ticks, i, cost{at: at})
	return &s.ticks[i], true
}

type costClient struct {
	env   *detect.Env
	cfg   *CostClientConfig
	span  span
	state *detect.Sparse[costs]
}

// Observe implements detect.Rule.
func (r *costClient) Observe(ev *ingest.Event, slot detect.Slot) {
	if ev.BytesOut < costBytes && ev.Duration < costNanos {
		return
	}
	s := r.state.At(slot)
	sec := ev.Time / 1e9
	s.offend(r.env, ev, slot, r.span, 1, func() string {
		return fmt.Sprintf("%d bytes, %s", ev.BytesOut, time.Duration(ev.Duration).Round(time.Millisecond))
	})
	c, fresh := s.at(sec)
	if fresh {
		r.env.Wake(slot, c.at+costTick-1)
	}
	if ev.BytesOut >= costBytes {
		c.bytes += ev.BytesOut
	}
	if ev.Duration >= costNanos {
		c.nanos += ev.Duration
	}
	if cell, fresh := s.hour.add(ev); fresh {
		r.env.Wake(slot, cell+costCell-1)
		r.env.Wake(slot, cell+costCell+hour)
	}
}

// Explain implements detect.Explainer.
func (r *costClient) Explain(ev *ingest.Event) (bool, string) {
	return ev.BytesOut >= costBytes || ev.Duration >= costNanos, fmt.Sprintf("%d bytes in %s; a finding from %d MB or %s of work within %s",
		ev.BytesOut, time.Duration(ev.Duration), r.cfg.Megabytes, r.cfg.Busy, r.cfg.Span)
}

// times is how many times its limits the span that ends with sec is at, the greater of both.
func (r *costClient) times(s *costs, slot detect.Slot, sec int64) float64 {
	var sum cost
	for _, c := range s.ticks {
		if c.at+costTick-1 <= sec && c.at > sec-r.span.secs {
			sum.bytes += c.bytes
			sum.nanos += c.nanos
		}
	}
	if n, _, _ := s.sum(sec, r.span); n < 10 {
		return 0
	}
	times := max(float64(sum.bytes)/1e6/float64(r.cfg.Megabytes), float64(sum.nanos)/float64(r.cfg.Busy))
	return times / float64(widened(1, r.cfg.PeopleCap, r.env.Standing(slot, sec)))
}

// Close implements detect.Rule.
func (r *costClient) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil {
		return
	}
	if s.now.start != detect.WindowOf(sec) {
		s.worst, s.hour.worst, s.hour.named = 0, 0, false
	}
	changed := s.close(r.env, slot, sec, r.span, false)
	if sec%costTick == costTick-1 {
		if times := r.times(s, slot, sec); times >= 1 && times > s.worst {
			s.take(r.env, slot, sec, r.span, true)
			s.worst, changed = times, true
		}
	}
	if sec%costCell == costCell-1 && r.hourly(s, slot, sec) {
		changed = true
	}
	if changed {
		r.env.Report(slot, r.judge(s))
	}
	n := 0
	for n < len(s.ticks) && s.ticks[n].at <= sec-r.span.secs-costTick {
		n++
	}
	s.ticks = append(s.ticks[:0], s.ticks[n:]...)
	s.hour.forget(sec)
	if s.forget(sec, r.span) && len(s.ticks) == 0 && len(s.hour.cells) == 0 {
		r.state.Drop(slot)
	}
}

func (r *costClient) judge(s *costs) detect.Finding {
	f := s.now.finding()
	f.Severity, f.Confidence = detect.Medium, surer(0.7, 0.9, max(s.worst, s.hour.worst), 4)
	if s.worst >= 4 {
		f.Severity = detect.High
	}
	if s.worst == 0 {
		if s.hour.named {
			f.Severity = detect.Low // somebody who is known, and can be asked
		}
		f.Why = fmt.Sprintf("%.1f times the %d MB that one person may be sent in an hour, in answers of a megabyte or more and without a pause", s.hour.worst, r.cfg.Hourly)
		return f
	}
	f.Why = fmt.Sprintf("%.1f times what one person may cost in %s (%d MB, %s of work), in %d large or slow answers", s.worst, r.cfg.Span, r.cfg.Megabytes, r.cfg.Busy, s.now.count)
	return f
}

func (s *costs) code(k *window.Codec) {
	s.burst.code(k)
	n := k.Len(len(s.ticks))
	if k.Reading() {
		s.ticks = make([]cost, n)
	}
	for i := range s.ticks {
		k.I64(&s.ticks[i].at)
		k.I64(&s.ticks[i].bytes)
		k.I64(&s.ticks[i].nanos)
	}
	k.F64(&s.worst)
	s.hour.code(k)
}
