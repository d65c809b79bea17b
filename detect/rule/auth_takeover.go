package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("auth-takeover", detect.Spec{
		Doc:     "a login or grant that works after a run of refused ones by the same client: a guess was right",
		Family:  detect.Credential,
		Version: 2,
		Tags:    []string{"owasp:api2:2023", "attack:T1110", "attack:T1078", "oat:007", "oat:008"},
		Needs:   "client address, status, path, method; a login that fails must not be answered like one that works",
		Fields:  []ingest.Fields{ingest.FieldStatus, ingest.FieldTarget},
		Helps:   ingest.FieldMethod,
		State:   "about 110 bytes for a client with one refusal in a week, up to 2 kB for one that never stops, and up to 3 lines",
		Evasion: "silent where fewer than run tries came before, or busy times as many by who sends twice as many other requests that work, where more than one in four of the client's logins works, where it asks for a new password before run tries are made, which its owner reads, and where the right guess comes from another client than the wrong ones: auth-account-slow sees that where accounts are named",
		Concern: detect.Credentials,
		Config:  func() any { return new(AuthTakeoverConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &authTakeover{env: env, cfg: cfg.(*AuthTakeoverConfig)}
			env.Shape("streak2")
			r.state = detect.NewSparse(env, func(s *streak, k *window.Codec) { s.code(env, k) })
			return r, nil
		},
	})
}

// AuthTakeoverConfig is the "auth-takeover" section of the config file.
type AuthTakeoverConfig struct {
	Run       int           `yaml:"run" default:"8" doc:"refusals in a row before a login that works makes a finding; people who remember give up or ask for a new password before"`
	Span      time.Duration `yaml:"span" default:"10m" doc:"a row ends when nothing is tried for so long, or for eight times its mean pause up to an hour, in event time: who gave up and comes back later begins anew"`
	Visits    int           `yaml:"visits" default:"8" doc:"different hours of a week with refusals and no login that worked, after which one that works makes a finding"`
	Share     float64       `yaml:"share" default:"0.75" doc:"share of the client's tries that must have been refused; a shared address with hundreds of people has well under half (reasoning, not measured)"`
	PerPerson int           `yaml:"per_person" default:"2" doc:"refusals more that are tolerated for each person known behind the client, for shared addresses"`
	PeopleCap int           `yaml:"people_cap" default:"20" doc:"people that count for that at most"`
	Busy      int           `yaml:"busy" default:"3" doc:"so many times as long a row is needed for clients that do twice as much else, and well, as they are refused: some people forget their password every time and browse all the same"`
}

// Check implements validation for the config loader.
func (c *AuthTakeoverConfig) Check(report func(key, message string)) {
	if c.Run < 5 {
		report("run", "must be at least 5: people try a few passwords before they remember")
	}
	if c.Span < time.Minute || c.Span > 24*time.Hour {
		report("span", "must be between 1m and 24h")
	}
	if c.Visits < 3 {
		report("visits", "must be at least 3")
	}
	if c.PerPerson < 0 || c.PeopleCap < 0 {
		report("per_person", "must not be negative, nor people_cap")
	}
	checkShare(c.Share, report)
	checkBusy(c.Busy, report)
}

// streak is what is kept of a client.
type streak struct {
	record
	row   uint32 // refusals since it last got in
	from  int64  // seconds of the first and the last of them
	to    int64
	asked window.Cells // when a new password was asked for
}

const (
	streakPaced = 4    // refusals of a row from which its pace is known
	streakAsked = hour // for so long it is known when a new password was asked for
	streakPause = 8    // so many times its mean pause may be the longest; of a thousand that come by chance, one is seven times the mean
)

func (s *streak) code(env *detect.Env, k *window.Codec) {
	s.record.code(env, k)
	k.U32(&s.row)
	k.I64(&s.from)
	k.I64(&s.to)
	s.asked.Code(k)
}

// pause is how long nothing may be tried within the row: longer than span where it never was
// in a hurry, as a tool that waits by chance between tries.
func (s *streak) pause(span int64) int64 {
	if s.row < streakPaced {
		return span
	}
	return max(span, min(hour, streakPause*(s.to-s.from)/int64(s.row-1)))
}

// add takes the refusals of a second into the row.
func (s *streak) add(sec, span int64, n uint32) {
	if s.row > 0 && sec-s.to > s.pause(span) {
		s.row = 0
	}
	if n == 0 {
		return
	}
	if s.row == 0 {
		s.from = sec
	}
	s.row, s.to = s.row+n, sec
}

// authTakeover judges a login that works by what its client did before.
type authTakeover struct {
	env   *detect.Env
	cfg   *AuthTakeoverConfig
	state *detect.Sparse[streak]
}

// Observe implements detect.Rule.
func (r *authTakeover) Observe(ev *ingest.Event, slot detect.Slot) {
	kind, ok := kindOf(ev)
	switch {
	case ev.Kind == ingest.RouteReset && ev.Status >= 200 && ev.Status < 300 && writes(ev.Method):
		sec := ev.Time / 1e9
		if r.state.At(slot).asked.Add(sec, 1, 1) {
			r.env.Wake(slot, sec+streakAsked)
		}
		return
	case !ok || kind == triesElsewhere:
		return
	}
	t := r.state.At(slot).observe(r.env, ev, slot, kind, refusalNote)
	if kind == triesAccepted {
		keepEarliest(r.env, ev, &t.accepted, acceptedNote)
	}
}

// Explain implements detect.Explainer.
func (r *authTakeover) Explain(ev *ingest.Event) (bool, string) {
	kind, ok := kindOf(ev)
	switch {
	case !ok || kind == triesElsewhere:
		return false, "neither a login nor a grant that was answered"
	case kind == triesAccepted:
		return true, fmt.Sprintf("accepted; a finding where %d or more were refused within %s before", r.cfg.Run, newSpan(int64(r.cfg.Span/time.Second)))
	}
	return true, fmt.Sprintf("%s; a finding if one is accepted after %d of them", refusalNote(ev), r.cfg.Run)
}

// Close implements detect.Rule.
func (r *authTakeover) Close(slot detect.Slot, sec int64) {
	x := r.state.Get(slot)
	if x == nil {
		return
	}
	over := x.close(r.env, slot, sec, week, func(sec int64, t *moment) { r.take(x, slot, sec, t) })
	if x.asked.Forget(sec - streakAsked); over && x.asked.Empty() {
		r.state.Drop(slot)
	} else if x.past.Empty() {
		x.row, x.from, x.to = 0, 0, 0
	}
}

// take judges a second. Refusals of the second itself are taken to have come before. Who
// asked for a new password begins anew: that is what people do who forgot theirs.
func (r *authTakeover) take(x *streak, slot detect.Slot, sec int64, t *moment) {
	if n, _, _ := x.asked.Sum(x.to-1, sec); n > 0 {
		x.row = 0
	}
	x.add(sec, int64(r.cfg.Span/time.Second), t.n[triesRefused])
	if t.n[triesAccepted] > 0 {
		r.accepted(x, slot, sec, t)
		x.row = 0
	}
}

func (r *authTakeover) accepted(x *streak, slot detect.Slot, sec int64, t *moment) {
	s := r.env.Standing(slot, sec)
	times, run, first := r.weigh(x, s, sec, t.n[triesAccepted])
	start := detect.WindowOf(sec)
	if times < 1 {
		return
	}
	if x.now == nil || x.now.start != start {
		x.now = &episode{start: start, fired: sec, first: first, standing: s}
		for i := range x.lines {
			x.now.evidence = append(x.now.evidence, shown(r.env, &x.lines[i]))
		}
	}
	e := x.now
	e.count += int64(t.n[triesAccepted])
	e.last, e.times, e.level = sec, max(e.times, times), max(e.level, int64(run))
	if len(e.evidence) < detect.MaxEvidence {
		e.evidence = append(e.evidence, shown(r.env, &t.accepted))
	}
	r.env.Report(slot, r.judge(e))
}

// weigh says how many times the run that makes a finding came before, and how long it
// was. now is what was accepted in the second itself.
func (r *authTakeover) weigh(x *streak, s detect.Standing, sec int64, now uint32) (times float64, run uint32, first int64) {
	limit := uint32(r.cfg.Run) + uint32(int64(r.cfg.PerPerson)*min(s.People, int64(r.cfg.PeopleCap)))
	if x.busy(s, sec) {
		limit *= uint32(r.cfg.Busy)
	}
	if n, _ := x.past.Sum(min(sec-int64(r.cfg.Span/time.Second), x.from-1)); x.row >= limit && share(n) >= r.cfg.Share {
		return float64(x.row) / float64(limit), x.row, x.from
	}
	n, first := x.past.Sum(sec - week)
	hours := x.past.Hours(sec - week)
	if hours >= r.cfg.Visits && n[triesAccepted] == now && share(n) >= r.cfg.Share && s.Successes <= 2*int64(n[triesRefused]) {
		return float64(hours) / float64(r.cfg.Visits), n[triesRefused], first
	}
	return 0, 0, 0
}

func (r *authTakeover) judge(e *episode) detect.Finding {
	f := e.finding()
	f.Severity = detect.High
	if e.times >= 2 {
		f.Severity = detect.Critical
	}
	f.Confidence = surer(0.85, 0.97, e.times, 3)
	f.Why = fmt.Sprintf("%d logins accepted after %d refused ones since %s, in a row", e.count, e.level,
		detect.FormatTime(e.first*1e9))
	return f
}
