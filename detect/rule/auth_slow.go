package rule

import (
	"fmt"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("auth-slow", detect.Spec{
		Doc:     "refused credentials from one client that go on for an hour, a day or a week, with hardly a login that works: slow guessing or stuffing",
		Family:  detect.Credential,
		Tags:    []string{"owasp:api2:2023", "attack:T1110.001", "attack:T1110.004", "oat:007", "oat:008"},
		Needs:   "client address, status, path; the method tells a login from its form",
		Fields:  []ingest.Fields{ingest.FieldStatus},
		Helps:   ingest.FieldTarget | ingest.FieldAgent | ingest.FieldMethod,
		State:   "about 110 bytes for a client with one refusal in a week, up to 2 kB for one that never stops, and up to 3 lines",
		Evasion: "silent below its limits, busy times those for who sends twice as many other requests that work, and where more than the share of logins works: for a guesser who logs in with an account of his own as often, whom auth-account-slow sees; fleets are seen by auth-network and auth-route",
		Concern: detect.Credentials,
		Config:  func() any { return new(AuthSlowConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &authSlow{env: env, cfg: cfg.(*AuthSlowConfig)}
			env.Shape("record1")
			r.state = detect.NewSparse(env, recordCoder(env))
			return r, nil
		},
	})
}

// AuthSlowConfig is the "auth-slow" section of the config file.
type AuthSlowConfig struct {
	Hour      int     `yaml:"hour" default:"20" doc:"refusals by one client within an hour that make a finding: twice what auth-burst takes in a minute"`
	Day       int     `yaml:"day" default:"30" doc:"refusals within a day; NIST SP 800-63B-4 allows at most 100 in a row for one account"`
	Week      int     `yaml:"week" default:"50" doc:"refusals within a week"`
	Visits    int     `yaml:"visits" default:"5" doc:"different hours, over at least half a day, in which a client was refused and never let in, that make a finding whatever their number: tries 3 to 8 hours apart have as many within two days; who forgot a password asks for a new one by then"`
	Share     float64 `yaml:"share" default:"0.75" doc:"share of tries that must be refused; a shared address with hundreds of people has well under half (reasoning, not measured)"`
	PerPerson int     `yaml:"per_person" default:"2" doc:"refusals more that are tolerated for each person known behind the client, for shared addresses"`
	PeopleCap int     `yaml:"people_cap" default:"20" doc:"people that count for that at most"`
	Busy      int     `yaml:"busy" default:"4" doc:"so many times the refusals are needed for clients that do twice as much else, and well, as they are refused: some people forget their password every time and browse all the same"`
}

// Check implements validation for the config loader.
func (c *AuthSlowConfig) Check(report func(key, message string)) {
	if c.Hour < 2 || c.Day < c.Hour || c.Week < c.Day {
		report("hour", "must be at least 2, day at least hour, week at least day")
	}
	if c.Visits < 3 {
		report("visits", "must be at least 3: two visits without luck are ordinary")
	}
	if c.PerPerson < 0 || c.PeopleCap < 0 {
		report("per_person", "must not be negative, nor people_cap")
	}
	checkShare(c.Share, report)
	checkBusy(c.Busy, report)
}

func checkShare(s float64, report func(key, message string)) {
	if s < 0.5 || s > 1 {
		report("share", "must be between 0.5 and 1")
	}
}

const (
	hour = 3600
	day  = 24 * hour
	week = 7 * day
)

type authSlow struct {
	env   *detect.Env
	cfg   *AuthSlowConfig
	state *detect.Sparse[record]
}

// Observe implements detect.Rule.
func (r *authSlow) Observe(ev *ingest.Event, slot detect.Slot) {
	if kind, ok := kindOf(ev); ok {
		r.state.At(slot).observe(r.env, ev, slot, kind, refusalNote)
	}
}

// Explain implements detect.Explainer.
func (r *authSlow) Explain(ev *ingest.Event) (bool, string) {
	kind, ok := kindOf(ev)
	if !ok || kind == triesAccepted {
		return false, "not refused; a login that works speaks for its client"
	}
	return true, fmt.Sprintf("%s; a finding from %d in an hour, %d in a day, %d in a week, or %d visits without luck, where hardly a login works",
		refusalNote(ev), r.cfg.Hour, r.cfg.Day, r.cfg.Week, r.cfg.Visits)
}

// Close implements detect.Rule.
func (r *authSlow) Close(slot detect.Slot, sec int64) {
	x := r.state.Get(slot)
	if x == nil {
		return
	}
	if x.close(r.env, slot, sec, week, func(sec int64, t *moment) { r.take(x, slot, sec, t) }) {
		r.state.Drop(slot)
	}
}

func (r *authSlow) take(x *record, slot detect.Slot, sec int64, t *moment) {
	if t.n[triesRefused]+t.n[triesElsewhere] == 0 {
		return
	}
	v := r.weigh(x, r.env.Standing(slot, sec), sec)
	if v.level == onlyElsewhere && (x.now == nil || x.now.start != detect.WindowOf(sec)) {
		if x.said != 0 && sec-x.said < day { // a program with an old key goes on for days
			return
		}
		x.said = sec
	}
	if x.fire(r.env, slot, sec, t, v.times > 0, v.count, v.first) {
		if v.times > x.now.times { // the gravest of this window
			x.now.times, x.now.told, x.now.level = v.times, v.span, v.level
		}
		r.env.Report(slot, r.judge(x.now))
	}
}

// excess is how far a client is over one of the limits.
type excess struct {
	times float64 // its limit; 0: not over it
	count int64
	first int64
	span  int64 // seconds looked back
	level int64 // onVisits or onlyElsewhere, where it is not about many tries at a login
}

const (
	onVisits      = 1 // tries hours apart
	onlyElsewhere = 2 // only refusals of routes that take no credentials
)

// weigh finds the limit that a client exceeds most.
func (r *authSlow) weigh(x *record, s detect.Standing, sec int64) excess {
	var worst excess
	more, busy := uint32(int64(r.cfg.PerPerson)*min(s.People, int64(r.cfg.PeopleCap))), uint32(1)
	if x.busy(s, sec) {
		busy = uint32(r.cfg.Busy)
	}
	for _, h := range [...]struct {
		span  int64
		limit uint32
	}{{hour, uint32(r.cfg.Hour)}, {day, uint32(r.cfg.Day)}, {week, uint32(r.cfg.Week)}} {
		span, limit := h.span, h.limit*busy
		n, first := x.past.Sum(sec - span)
		v := excess{span: span, first: first, count: int64(n[triesRefused])}
		switch refused := n[triesRefused]; {
		case refused >= limit+more && share(n) >= r.cfg.Share:
			v.times = float64(refused) / float64(limit+more)
		case n[triesElsewhere] >= limit+more && n[triesAccepted] == 0 && s.Successes < int64(n[triesElsewhere])/4:
			v.times, v.count, v.level = 0.5*float64(n[triesElsewhere])/float64(limit+more), int64(n[triesElsewhere]), onlyElsewhere
		}
		if v.times > worst.times {
			worst = v
		}
	}
	if worst.times < 1 {
		if v := r.visits(x, s, sec); v.times > worst.times {
			return v
		}
	}
	return worst
}

// visits tells a guesser who comes back every few hours from people, who get in
// sometimes and do something then.
func (r *authSlow) visits(x *record, s detect.Standing, sec int64) excess {
	n, first := x.past.Sum(sec - week)
	hours := x.past.Hours(sec - week)
	if hours < r.cfg.Visits || sec-first < day/2 || n[triesAccepted] > 0 || s.Successes > 2*int64(n[triesRefused]) {
		return excess{}
	}
	return excess{times: float64(hours) / float64(r.cfg.Visits), count: int64(n[triesRefused]), first: first, span: week, level: onVisits}
}

// share is the part of the tries that was refused.
func share(n [3]uint32) float64 {
	return float64(n[triesRefused]) / float64(max(1, n[triesRefused]+n[triesAccepted]))
}

func (r *authSlow) judge(e *episode) detect.Finding {
	f := e.finding()
	f.Severity = detect.Medium
	if e.times >= 3 {
		f.Severity = detect.High
	}
	f.Confidence = surer(0.75, 0.95, e.times, 4)
	since := detect.FormatTime(e.first * 1e9)
	switch e.level {
	case onVisits:
		f.Why = fmt.Sprintf("%d refused credentials since %s, in %d hours apart or more, and none accepted", e.count, since, r.cfg.Visits)
	case onlyElsewhere:
		f.Severity, f.Confidence = detect.Low, 0.5
		f.Why = fmt.Sprintf("%d requests with refused credentials since %s, and hardly one that works: keys are guessed, or a program has an old one", e.count, since)
	default:
		f.Why = fmt.Sprintf("%d refused credentials since %s, and hardly a login that works; the limit is %.1f times exceeded over %s",
			e.count, since, e.times, newSpan(e.told))
	}
	return f
}
