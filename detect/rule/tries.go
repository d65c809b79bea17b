package rule

import (
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// tries is what the detectors share that count the distinct odd things that a client
// tried within hours: paths, methods, functions. Something that it then got raises it.
type tries struct {
	env     *detect.Env
	span    span  // requests and evidence are kept that long
	horizon int64 // and distinct things that long, in seconds
	state   *detect.Sparse[tried]
	hasty   bool // may fire early: no later request can make it less grave
	judge   func(tally, detect.Standing) verdict
}

// tried is what is kept of one client.
type tried struct {
	burst
	things window.Distinct // by their weights
	wins   window.Distinct // what it got
	best   tally           // of the present window
}

// tally is what a client's tries add up to.
type tally struct {
	things, points, heaviest uint32
	before, after            uint32 // what it got before and after the first of them
}

// verdict is what a detector makes of a tally; silent below info is said by fires.
type verdict struct {
	fires      bool
	severity   detect.Severity
	confidence float64
	why        string
}

func (t *tried) code(k *window.Codec) {
	t.burst.code(k)
	t.things.Code(k)
	t.wins.Code(k)
	for _, p := range []*uint32{&t.best.things, &t.best.points, &t.best.heaviest, &t.best.before, &t.best.after} {
		k.U32(p)
	}
}

func newTries(env *detect.Env, shape string, horizon time.Duration) *tries {
	r := &tries{env: env, span: newSpan(600), horizon: int64(horizon / time.Second)}
	env.Shape(shape)
	r.state = detect.NewSparse(env, (*tried).code)
	return r
}

func checkHorizon(h time.Duration, report func(key, message string)) {
	if h < 10*time.Minute || h > 24*time.Hour {
		report("span", "must be between 10m and 24h")
	}
}

// try takes in a request that is odd. thing tells what is tried from other things.
func (r *tries) try(ev *ingest.Event, slot detect.Slot, thing uint64, weight uint32, note func() string) {
	s := r.state.At(slot)
	sec := ev.Time / 1e9
	thing = thing<<4 ^ thing>>60 ^ uint64(weight) // one thing has one weight, whichever request came first
	fresh := s.things.Add(sec, thing, weight, r.horizon)
	if fresh {
		r.env.Wake(slot, sec+2*r.horizon)
	}
	s.offend(r.env, ev, slot, r.span, weight, note)
	if !fresh || !r.hasty || !r.env.Live() {
		return
	}
	t := s.tally(sec, r.horizon)
	if s.now.start == detect.WindowOf(sec) {
		t = t.over(s.best)
	}
	if v := r.judge(t, r.env.Standing(slot, sec)); v.fires && s.now.earlier(r.env, sec, int64(v.severity)+1) {
		e := s.preview(r.env, slot, sec, r.span)
		r.env.Early(slot, v.finding(&e))
	}
}

// win takes in a request that got what others of its kind are refused.
func (r *tries) win(ev *ingest.Event, slot detect.Slot, thing uint64) {
	sec := ev.Time / 1e9
	if r.state.At(slot).wins.Add(sec, thing, 1, r.horizon) {
		r.env.Wake(slot, sec)
		r.env.Wake(slot, sec+2*r.horizon)
	}
}

// tally adds up the horizon that ends with sec.
func (t *tried) tally(sec, horizon int64) tally {
	from := sec - horizon
	n, points := t.things.Sum(from, sec)
	out := tally{things: n, points: points, heaviest: t.things.Max(from, sec)}
	if n == 0 {
		return out
	}
	first := t.things.First(from, sec)
	out.before, _ = t.wins.Sum(from, first-1)
	out.after, _ = t.wins.Sum(first-1, sec)
	return out
}

// over is the greater of two in every regard: what a client tried in a window stays so.
func (t tally) over(o tally) tally {
	return tally{max(t.things, o.things), max(t.points, o.points), max(t.heaviest, o.heaviest), max(t.before, o.before), max(t.after, o.after)}
}

// Close implements detect.Rule.
func (r *tries) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil {
		return
	}
	won, _ := s.wins.Sum(sec-1, sec)
	if s.cells.At(sec).Count > 0 || won > 0 {
		r.settle(s, slot, sec)
	}
	s.things.Forget(sec-r.horizon, r.horizon)
	s.wins.Forget(sec-r.horizon, r.horizon)
	if s.forget(sec, r.span) && s.things.Empty() && s.wins.Empty() {
		r.state.Drop(slot)
	}
}

func (r *tries) settle(s *tried, slot detect.Slot, sec int64) {
	t := s.tally(sec, r.horizon)
	if s.now.start == detect.WindowOf(sec) {
		t = t.over(s.best)
	}
	v := r.judge(t, r.env.Standing(slot, sec))
	if s.take(r.env, slot, sec, r.span, v.fires) {
		s.best = t
		r.env.Report(slot, v.finding(&s.now))
	}
}

func (v *verdict) finding(e *episode) detect.Finding {
	f := e.finding()
	f.Severity, f.Confidence, f.Why = v.severity, v.confidence, v.why
	return f
}
