package rule

import (
	"fmt"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("auth-account-slow", detect.Spec{
		Doc:     "refused credentials for one account from several clients over an hour, a day or a week, and a login from a place unknown to the account while that goes on: somebody guesses it, or has guessed it",
		Family:  detect.Credential,
		Tags:    []string{"owasp:api2:2023", "attack:T1110.001", "attack:T1078", "oat:007"},
		Needs:   "the user name of refused and accepted logins (nginx: $remote_user, or a consumer's name), client address, status",
		Fields:  []ingest.Fields{ingest.FieldUser, ingest.FieldStatus},
		Helps:   ingest.FieldTarget,
		State:   "per account that was refused within a week: about 150 bytes, 48 and an entry of an index for each of 64 clients, up to 2 kB of counts and 4 lines",
		Evasion: "blind where the log has no user name; silent below its limits, and where all tries come from fewer than clients addresses, which auth-slow counts",
		By:      detect.ByAccount,
		Concern: detect.Credentials,
		Config:  func() any { return new(AuthAccountSlowConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &accountSlow{env: env, cfg: cfg.(*AuthAccountSlowConfig)}
			env.Shape("target2")
			r.state = detect.NewSparse(env, func(a *target, k *window.Codec) { a.code(env, k) })
			return r, nil
		},
	})
}

// AuthAccountSlowConfig is the "auth-account-slow" section of the config file.
type AuthAccountSlowConfig struct {
	Hour    int `yaml:"hour" default:"15" doc:"refusals for one account within an hour, by clients that never get into it, that make a finding (reasoning, not measured)"`
	Day     int `yaml:"day" default:"25" doc:"the same within a day; NIST SP 800-63B-4 allows at most 100 in a row before the account is locked"`
	Week    int `yaml:"week" default:"40" doc:"the same within a week"`
	Clients int `yaml:"clients" default:"5" doc:"distinct clients that must have taken part: a forgetful owner has a phone, a computer and a few networks"`
}

// Check implements validation for the config loader.
func (c *AuthAccountSlowConfig) Check(report func(key, message string)) {
	if c.Hour < 2 || c.Day < c.Hour || c.Week < c.Day {
		report("hour", "must be at least 2, day at least hour, week at least day")
	}
	if c.Clients < 2 {
		report("clients", "must be at least 2")
	}
}

// target is the state of one account.
type target struct {
	open    inbox[fleetSecond]
	past    window.Aging
	clients roster
	friends []who // clients that got in without having been refused much
	lines   []window.Sample
	now     *episode
	expires int64
}

const (
	targetClients = 64
	targetFriends = 8
)

func (a *target) code(env *detect.Env, k *window.Codec) {
	if !k.Reading() { // nothing is saved with its secrets
		redactSeconds(env, a.open.waiting())
		redactLines(env, a.lines)
	}
	a.open.code(k, (*fleetSecond).code)
	a.past.Code(k)
	a.clients.code(k)
	n := k.Len(len(a.friends))
	if k.Reading() {
		a.friends = make([]who, n)
	}
	for i := range a.friends {
		a.friends[i].code(k)
	}
	codeLines(k, &a.lines)
	codeEpisode(k, &a.now)
	k.I64(&a.expires)
}

type accountSlow struct {
	env   *detect.Env
	cfg   *AuthAccountSlowConfig
	state *detect.Sparse[target]
}

// Observe implements detect.Rule; slot is the account.
func (r *accountSlow) Observe(ev *ingest.Event, slot detect.Slot) {
	kind, ok := kindOf(ev)
	if !ok {
		return
	}
	sec := ev.Time / 1e9
	s, fresh := r.state.At(slot).open.at(sec)
	if fresh {
		r.env.Wake(slot, sec)
	}
	s.add(r.env, ev, kind)
}

// Explain implements detect.Explainer.
func (r *accountSlow) Explain(ev *ingest.Event) (bool, string) {
	kind, ok := kindOf(ev)
	switch {
	case !ok:
		return false, "neither refused nor accepted"
	case kind == triesAccepted:
		return true, fmt.Sprintf("accepted for account %.80q; a finding if the client is new to it while others guess it", ev.User)
	}
	return true, fmt.Sprintf("%s, for account %.80q; a finding from %d in an hour by %d clients", refusalNote(ev), ev.User, r.cfg.Hour, r.cfg.Clients)
}

// Close implements detect.Rule.
func (r *accountSlow) Close(slot detect.Slot, sec int64) {
	a := r.state.Get(slot)
	if a == nil {
		return
	}
	a.open.take(sec, func(sec int64, s *fleetSecond) { r.take(a, slot, sec, s) })
	newest := a.past.Newest()
	if newest+week <= sec {
		*a, newest = target{open: a.open}, 0
	}
	switch {
	case newest == 0 && a.open.empty():
		r.state.Drop(slot)
	case newest != 0 && a.expires <= sec:
		a.expires = newest + week
		r.env.Wake(slot, a.expires)
	}
}

func (r *accountSlow) take(a *target, slot detect.Slot, sec int64, s *fleetSecond) {
	n := s.sum()
	if n[triesRefused] == 0 && a.past.Empty() {
		return
	}
	a.past.Add(sec, n)
	var stranger *attempt
	for i := range s.list {
		t := &s.list[i]
		m := a.clients.take(sec, t, targetClients)
		if t.accepted > 0 && a.strange(t.who, m) && stranger == nil {
			stranger = t
		}
	}
	if s.line.Time != 0 {
		a.lines = keepLatest(a.lines, s.line)
	}
	times, v := r.weigh(a, sec)
	if stranger != nil && times >= 1 {
		times, v.taken = max(times, 1), stranger.who.subject().Value
	}
	if stranger == nil && n[triesRefused] == 0 || !a.fire(r.env, sec, s, times >= 1, v) {
		return
	}
	a.now.times, a.now.level = max(a.now.times, times), max(a.now.level, int64(v.clients))
	if v.taken != "" {
		a.now.shown, a.now.told = 1, sec
	}
	r.env.Report(slot, r.judge(a, v))
}

// strange reports whether a client that got in is none that the account is used from,
// and makes it one.
func (a *target) strange(w who, m *member) bool {
	if m != nil && m.refused > 0 {
		return m.refused >= m.accepted && !a.friend(w)
	}
	if a.friend(w) {
		return false
	}
	if len(a.friends) == targetFriends {
		a.friends = a.friends[:copy(a.friends, a.friends[1:])]
	}
	a.friends = append(a.friends, w)
	return true
}

func (a *target) friend(w who) bool {
	for _, f := range a.friends {
		if f == w {
			return true
		}
	}
	return false
}

// siege is what is done to an account.
type siege struct {
	clients int // that were refused and never let in
	tries   int64
	first   int64
	taken   string // who got in all the same
}

// weigh says how many times a limit is reached, by clients that never get in.
func (r *accountSlow) weigh(a *target, sec int64) (float64, siege) {
	var worst siege
	times := 0.0
	for _, h := range [...]struct {
		span  int64
		limit int
	}{{hour, r.cfg.Hour}, {day, r.cfg.Day}, {week, r.cfg.Week}} {
		n, first := a.past.Sum(sec - h.span)
		v := siege{first: first, tries: int64(n[triesRefused])}
		own := uint32(0)
		for i := range a.clients.list {
			m := &a.clients.list[i]
			switch {
			case !m.luckless():
				own += m.refused
			case int64(m.last) > sec-h.span:
				v.clients++
			}
		}
		v.tries -= int64(min(own, n[triesRefused]))
		if y := float64(v.tries) / float64(h.limit); y > times && v.clients >= r.cfg.Clients {
			times, worst = y, v
		}
	}
	return times, worst
}

// fire takes a second into the finding of its window.
func (a *target) fire(env *detect.Env, sec int64, s *fleetSecond, fires bool, v siege) bool {
	start := detect.WindowOf(sec)
	switch n := s.sum(); {
	case a.now != nil && a.now.start == start:
		a.now.count += int64(n[triesRefused])
		if s.line.Time != 0 && len(a.now.evidence) < detect.MaxEvidence {
			a.now.evidence = append(a.now.evidence, shown(env, &s.line))
		}
	case fires:
		a.now = &episode{start: start, fired: sec, first: v.first, count: v.tries}
		for i := range a.lines {
			a.now.evidence = append(a.now.evidence, shown(env, &a.lines[i]))
		}
	default:
		return false
	}
	a.now.last = sec
	return true
}

func (r *accountSlow) judge(a *target, v siege) detect.Finding {
	e := a.now
	f := e.finding()
	f.Severity = detect.Medium
	if e.times >= 3 {
		f.Severity = detect.High
	}
	f.Confidence = surer(0.7, 0.92, e.times, 4)
	f.Why = fmt.Sprintf("%d refused credentials for this account since %s, by %d clients that never got in", e.count, detect.FormatTime(e.first*1e9), e.level)
	if e.shown != 0 {
		f.Severity, f.Confidence = detect.Critical, max(f.Confidence, 0.85)
		f.Why += fmt.Sprintf("; at %s a client got in that the account was not used from before", detect.FormatTime(e.told*1e9))
	}
	var members []detect.Member
	for i := range a.clients.list {
		if m := &a.clients.list[i]; m.luckless() && !m.settled() {
			members = append(members, detect.Member{Subject: m.who.subject(), Score: 0.9, Count: int64(m.refused)})
		}
	}
	f.Members = detect.PackMembers(members)
	return f
}
