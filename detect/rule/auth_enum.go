package rule

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("auth-enum", detect.Spec{
		Doc:     "one client asks for many accounts whether they exist, by the different answers of login, password reset or sign-up",
		Family:  detect.Credential,
		Tags:    []string{"owasp:api2:2023", "attack:T1087", "attack:T1589", "oat:007", "oat:019"},
		Needs:   "client address, status, path; the size of the answer tells answers with one status apart",
		Fields:  []ingest.Fields{ingest.FieldStatus, ingest.FieldTarget},
		Helps:   ingest.FieldBytesOut,
		State:   "about 130 bytes for a client with one such answer in a day, up to 2 kB for one that never stops, and up to 3 lines",
		Evasion: "silent below its limits per client; a login that answers 401 to all is counted by auth-burst and auth-slow only; what differs in time or in the body at the same size cannot be seen in a log",
		Concern: detect.Credentials,
		Config:  func() any { return new(AuthEnumConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &authEnum{env: env, cfg: cfg.(*AuthEnumConfig)}
			env.Shape("enum1")
			r.state = detect.NewSparse(env, func(s *enumeration, k *window.Codec) { s.code(env, k) })
			return r, nil
		},
	})
}

// AuthEnumConfig is the "auth-enum" section of the config file.
type AuthEnumConfig struct {
	Hour      int     `yaml:"hour" default:"20" doc:"answers within an hour to one client that tell whether an account exists, that make a finding (reasoning, not measured: a person asks for one reset, and tries a few names for a new account)"`
	Day       int     `yaml:"day" default:"40" doc:"the same within a day"`
	Share     float64 `yaml:"share" default:"0.75" doc:"their share of what the client sends to such routes; logins that work and accounts that are made are the rest"`
	PerPerson int     `yaml:"per_person" default:"2" doc:"answers more that are tolerated for each person known behind the client, for shared addresses"`
	PeopleCap int     `yaml:"people_cap" default:"20" doc:"people that count for that at most"`
}

// Check implements validation for the config loader.
func (c *AuthEnumConfig) Check(report func(key, message string)) {
	if c.Hour < 5 || c.Day < c.Hour {
		report("hour", "must be at least 5, and day at least hour")
	}
	if c.PerPerson < 0 || c.PeopleCap < 0 {
		report("per_person", "must not be negative, nor people_cap")
	}
	checkShare(c.Share, report)
}

// enumeration is the state of one client.
type enumeration struct {
	record
	marks [2]uint64 // how answers differed: statuses and sizes
}

func (s *enumeration) code(env *detect.Env, k *window.Codec) {
	s.record.code(env, k)
	k.U64(&s.marks[0])
	k.U64(&s.marks[1])
}

// tells reports whether an answer says something of an account: made or sent, no such
// account, taken, gone, locked. Of a login only what it answers besides a success and
// what it answers to a wrong password tells. kind is triesElsewhere for answers that
// routes also give who sees every account alike.
func tells(ev *ingest.Event) (kind int, ok bool) {
	switch ev.Kind {
	case ingest.RouteReset:
		switch ev.Status {
		case 200, 202, 204:
			return triesElsewhere, writes(ev.Method) || strings.IndexByte(ev.Target, '?') >= 0
		case 400, 403, 404, 409, 410, 422, 423:
			return triesRefused, true
		}
	case ingest.RouteLogin:
		switch ev.Status {
		case 404, 409, 410, 423:
			return triesRefused, writes(ev.Method)
		}
	}
	return 0, false
}

type authEnum struct {
	env   *detect.Env
	cfg   *AuthEnumConfig
	state *detect.Sparse[enumeration]
}

// Observe implements detect.Rule.
func (r *authEnum) Observe(ev *ingest.Event, slot detect.Slot) {
	if kind, ok := tells(ev); ok {
		t := r.state.At(slot).observe(r.env, ev, slot, kind, answerNote)
		t.marks[0] |= 1 << (ev.Status & 63)
		t.marks[1] |= 1 << (uint64(ev.BytesOut) * 0x9e3779b97f4a7c15 >> 58)
		return
	}
	if kind, ok := kindOf(ev); ok && kind == triesAccepted || ev.Kind == ingest.RouteReset && ev.Status == 201 {
		r.state.At(slot).observe(r.env, ev, slot, triesAccepted, answerNote)
	}
}

func answerNote(ev *ingest.Event) string {
	return fmt.Sprintf("answered with %d and %d bytes", ev.Status, ev.BytesOut)
}

// Explain implements detect.Explainer.
func (r *authEnum) Explain(ev *ingest.Event) (bool, string) {
	if _, ok := tells(ev); !ok {
		return false, "the answer tells nothing of an account"
	}
	return true, fmt.Sprintf("%d tells something of an account; a finding from %d such answers in an hour or %d in a day", ev.Status, r.cfg.Hour, r.cfg.Day)
}

// Close implements detect.Rule.
func (r *authEnum) Close(slot detect.Slot, sec int64) {
	x := r.state.Get(slot)
	if x == nil {
		return
	}
	if x.close(r.env, slot, sec, day, func(sec int64, t *moment) { r.take(x, slot, sec, t) }) {
		r.state.Drop(slot)
	}
}

func (r *authEnum) take(x *enumeration, slot detect.Slot, sec int64, t *moment) {
	if t.n[triesRefused]+t.n[triesElsewhere] == 0 {
		return
	}
	if x.now == nil || x.now.start != detect.WindowOf(sec) {
		x.marks = [2]uint64{} // of this window, or of the second
	}
	x.marks[0], x.marks[1] = x.marks[0]|t.marks[0], x.marks[1]|t.marks[1]
	more := uint32(int64(r.cfg.PerPerson) * min(r.env.Standing(slot, sec).People, int64(r.cfg.PeopleCap)))
	var worst excess
	for _, h := range [...]struct {
		span  int64
		limit uint32
	}{{hour, uint32(r.cfg.Hour)}, {day, uint32(r.cfg.Day)}} {
		n, first := x.past.Sum(sec - h.span)
		told := n[triesRefused] > 0 // somebody was not there, or was already
		n[triesRefused] += n[triesElsewhere]
		if y := float64(n[triesRefused]) / float64(h.limit+more); y >= 1 && y > worst.times && share(n) >= r.cfg.Share {
			worst = excess{times: y, first: first, count: int64(n[triesRefused]), span: h.span}
			if told {
				worst.level = 1
			}
		}
	}
	if x.fire(r.env, slot, sec, t, worst.times >= 1, worst.count, worst.first) {
		x.now.times, x.now.level = max(x.now.times, worst.times), max(x.now.level, worst.level)
		r.env.Report(slot, r.judge(x.now, x.ways()))
	}
}

// ways is in how many ways the answers differ.
func (x *enumeration) ways() int {
	return max(bits.OnesCount64(x.marks[0]), bits.OnesCount64(x.marks[1]))
}

// judge is sure where answers differ in a few ways; all alike, or each of its own size,
// they tell nothing.
func (r *authEnum) judge(e *episode, ways int) detect.Finding {
	f := e.finding()
	since := detect.FormatTime(e.first * 1e9)
	if e.level == 0 && (ways == 1 || ways > 8) {
		f.Severity, f.Confidence = detect.Low, 0.5
		f.Why = fmt.Sprintf("%d requests since %s ask for accounts, but the answers do not tell whether they exist", e.count, since)
		return f
	}
	f.Severity = detect.Medium
	if ways > 1 && e.times >= 2 {
		f.Severity = detect.High
	}
	f.Confidence = surer(0.7, 0.95, e.times, 4)
	f.Why = fmt.Sprintf("%d answers since %s tell whether accounts exist; they differ in %d ways", e.count, since, ways)
	return f
}
