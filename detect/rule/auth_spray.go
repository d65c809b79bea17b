package rule

import (
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("auth-spray", detect.Spec{
		Doc:     "one client is refused for many accounts and gets into hardly any: password spraying, or stuffing of stolen pairs",
		Family:  detect.Credential,
		Tags:    []string{"owasp:api2:2023", "attack:T1110.003", "attack:T1110.004", "oat:008"},
		Needs:   "the user name that was refused (nginx: $remote_user, or a consumer's name), client address, status",
		Fields:  []ingest.Fields{ingest.FieldStatus, ingest.FieldUser},
		Helps:   ingest.FieldTarget,
		State:   "about 150 bytes for a client with one refused account in a day, 16 more for each, 64 of them at most, and up to 3 lines",
		Evasion: "blind where the log has no user name: auth-burst and auth-slow count the tries there; silent below accounts, and spread over clients, which auth-network and auth-route see",
		Concern: detect.Credentials,
		Config:  func() any { return new(AuthSprayConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &authSpray{env: env, cfg: cfg.(*AuthSprayConfig)}
			env.Shape("spray1")
			r.state = detect.NewSparse(env, func(s *spray, k *window.Codec) { s.code(env, k) })
			return r, nil
		},
	})
}

// AuthSprayConfig is the "auth-spray" section of the config file.
type AuthSprayConfig struct {
	Hour      int     `yaml:"hour" default:"8" doc:"accounts for which one client was refused and never let in, within an hour, that make a finding: more than a household or a shared device has (reasoning, not measured)"`
	Day       int     `yaml:"day" default:"16" doc:"the same within a day"`
	Share     float64 `yaml:"share" default:"0.75" doc:"share of the client's tries that must be refused; a shared address with hundreds of people has well under half (reasoning, not measured)"`
	PerPerson int     `yaml:"per_person" default:"1" doc:"accounts more that are tolerated for each person known behind the client, for shared addresses"`
	PeopleCap int     `yaml:"people_cap" default:"20" doc:"people that count for that at most"`
}

// Check implements validation for the config loader.
func (c *AuthSprayConfig) Check(report func(key, message string)) {
	if c.Hour < 3 || c.Day < c.Hour || c.Day > sprayAccounts {
		report("hour", fmt.Sprintf("must be at least 3, and day at least hour and at most %d", sprayAccounts))
	}
	if c.PerPerson < 0 || c.PeopleCap < 0 {
		report("per_person", "must not be negative, nor people_cap")
	}
	checkShare(c.Share, report)
}

// sprayAccounts bounds the accounts that are kept of a client: the latest.
const sprayAccounts = 64

// spray is the state of one client.
type spray struct {
	record
	accounts []sprayed // in the order in which they were first tried
}

type sprayed struct {
	hash uint64
	last uint32 // second of the latest try
	in   bool   // it was let in
}

func (s *spray) code(env *detect.Env, k *window.Codec) {
	s.record.code(env, k)
	n := k.Len(len(s.accounts))
	if k.Reading() {
		s.accounts = make([]sprayed, n)
	}
	for i := range s.accounts {
		a := &s.accounts[i]
		k.U64(&a.hash)
		k.U32(&a.last)
		k.Bool(&a.in)
	}
}

type authSpray struct {
	env   *detect.Env
	cfg   *AuthSprayConfig
	state *detect.Sparse[spray]
}

// Observe implements detect.Rule.
func (r *authSpray) Observe(ev *ingest.Event, slot detect.Slot) {
	if kind, ok := kindOf(ev); ok && ev.User != "" {
		r.state.At(slot).observe(r.env, ev, slot, kind, refusalNote)
	}
}

// Explain implements detect.Explainer.
func (r *authSpray) Explain(ev *ingest.Event) (bool, string) {
	if _, ok := kindOf(ev); !ok || ev.User == "" {
		return false, "no answer to somebody's credentials, or the line does not say whose"
	}
	return true, fmt.Sprintf("account %.80q; a finding from %d refused accounts in an hour or %d in a day", ev.User, r.cfg.Hour, r.cfg.Day)
}

// Close implements detect.Rule.
func (r *authSpray) Close(slot detect.Slot, sec int64) {
	x := r.state.Get(slot)
	if x == nil {
		return
	}
	if x.close(r.env, slot, sec, day, func(sec int64, t *moment) { r.take(x, slot, sec, t) }) {
		r.state.Drop(slot)
	} else if x.past.Empty() {
		x.accounts = nil
	}
}

func (r *authSpray) take(x *spray, slot detect.Slot, sec int64, t *moment) {
	x.note(sec, t)
	if t.n[triesRefused]+t.n[triesElsewhere] == 0 {
		return
	}
	times, accounts := r.weigh(x, slot, sec)
	n, first := x.past.Sum(sec - day)
	if x.fire(r.env, slot, sec, t, times >= 1, int64(n[triesRefused]+n[triesElsewhere]), first) {
		x.now.times, x.now.level = max(x.now.times, times), max(x.now.level, int64(accounts))
		r.env.Report(slot, r.judge(x.now))
	}
}

// note takes the accounts of a second in.
func (x *spray) note(sec int64, t *moment) {
	for _, g := range t.accounts {
		i := slices.IndexFunc(x.accounts, func(a sprayed) bool { return a.hash == g.hash })
		if i < 0 {
			if len(x.accounts) == sprayAccounts {
				x.accounts = slices.Delete(x.accounts, 0, 1)
			}
			i = len(x.accounts)
			x.accounts = append(x.accounts, sprayed{hash: g.hash})
		}
		a := &x.accounts[i]
		a.last, a.in = uint32(sec), a.in || g.n[triesAccepted] > 0
	}
}

// weigh says how many times the limit of accounts is reached, and with how many.
func (r *authSpray) weigh(x *spray, slot detect.Slot, sec int64) (times float64, accounts int) {
	more := r.cfg.PerPerson * int(min(r.env.Standing(slot, sec).People, int64(r.cfg.PeopleCap)))
	for _, h := range [...]struct {
		span  int64
		limit int
	}{{hour, r.cfg.Hour}, {day, r.cfg.Day}} {
		count := 0
		for _, a := range x.accounts {
			if !a.in && int64(a.last) > sec-h.span {
				count++
			}
		}
		n, _ := x.past.Sum(sec - h.span)
		n[triesRefused] += n[triesElsewhere]
		if y := float64(count) / float64(h.limit+more); y >= 1 && y > times && share(n) >= r.cfg.Share {
			times, accounts = y, count
		}
	}
	return times, accounts
}

func (r *authSpray) judge(e *episode) detect.Finding {
	f := e.finding()
	f.Severity = detect.Medium
	if e.times >= 2 {
		f.Severity = detect.High
	}
	f.Confidence = surer(0.8, 0.97, e.times, 3)
	f.Why = fmt.Sprintf("refused %d times for at least %d accounts since %s, and hardly ever let in", e.count, e.level, detect.FormatTime(e.first*1e9))
	return f
}
