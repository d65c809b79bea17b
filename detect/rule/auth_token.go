package rule

import (
	"fmt"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("auth-token", detect.Spec{
		Doc:     "one client is refused grants by a token endpoint again and again, or for several OAuth clients: guessing of client secrets, codes or refresh tokens",
		Family:  detect.Credential,
		Tags:    []string{"owasp:api2:2023", "attack:T1110", "attack:T1528", "oat:007"},
		Needs:   "client address, status, path of the token endpoint; the OAuth client it was asked for (nginx: $remote_user with Basic authentication) tells enumeration",
		Fields:  []ingest.Fields{ingest.FieldStatus, ingest.FieldTarget},
		Helps:   ingest.FieldUser,
		State:   "about 150 bytes for a client with one refused grant in a day, up to 2 kB for one that never stops, and up to 3 lines",
		Evasion: "silent below its limits; a refresh token that is used twice stands in the body of the request, which a log does not have: what shows is that the grant is refused; key-shared sees a token that is used in two places",
		Concern: detect.Credentials,
		Config:  func() any { return new(AuthTokenConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &authToken{env: env, cfg: cfg.(*AuthTokenConfig)}
			env.Shape("spray1")
			r.state = detect.NewSparse(env, func(s *spray, k *window.Codec) { s.code(env, k) })
			return r, nil
		},
	})
}

// AuthTokenConfig is the "auth-token" section of the config file.
type AuthTokenConfig struct {
	Hour      int     `yaml:"hour" default:"30" doc:"refused grants of one client within an hour that make a finding; an app with an old refresh token asks again a few times and then shows its login"`
	Clients   int     `yaml:"clients" default:"5" doc:"OAuth clients that were refused to one address within a day that make a finding (RFC 6749 section 10.10 asks to prevent guessing; an address has one or two of them)"`
	Share     float64 `yaml:"share" default:"0.75" doc:"share of its grants that must be refused"`
	PerPerson int     `yaml:"per_person" default:"2" doc:"refusals more that are tolerated for each person known behind the client, for shared addresses"`
	PeopleCap int     `yaml:"people_cap" default:"20" doc:"people that count for that at most"`
}

// Check implements validation for the config loader.
func (c *AuthTokenConfig) Check(report func(key, message string)) {
	if c.Hour < 5 {
		report("hour", "must be at least 5")
	}
	if c.Clients < 2 || c.Clients > sprayAccounts {
		report("clients", fmt.Sprintf("must be between 2 and %d", sprayAccounts))
	}
	if c.PerPerson < 0 || c.PeopleCap < 0 {
		report("per_person", "must not be negative, nor people_cap")
	}
	checkShare(c.Share, report)
}

type authToken struct {
	env   *detect.Env
	cfg   *AuthTokenConfig
	state *detect.Sparse[spray]
}

// Observe implements detect.Rule.
func (r *authToken) Observe(ev *ingest.Event, slot detect.Slot) {
	if kind, ok := kindOf(ev); ok && ev.Kind == ingest.RouteToken {
		r.state.At(slot).observe(r.env, ev, slot, kind, grantNote)
	}
}

func grantNote(ev *ingest.Event) string { return fmt.Sprintf("grant refused with %d", ev.Status) }

// Explain implements detect.Explainer.
func (r *authToken) Explain(ev *ingest.Event) (bool, string) {
	kind, ok := kindOf(ev)
	if !ok || ev.Kind != ingest.RouteToken || kind == triesAccepted {
		return false, "no grant was refused"
	}
	return true, fmt.Sprintf("%s; a finding from %d in an hour, or for %d OAuth clients in a day", grantNote(ev), r.cfg.Hour, r.cfg.Clients)
}

// Close implements detect.Rule.
func (r *authToken) Close(slot detect.Slot, sec int64) {
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

func (r *authToken) take(x *spray, slot detect.Slot, sec int64, t *moment) {
	x.note(sec, t)
	if t.n[triesRefused] == 0 {
		return
	}
	more := int(int64(r.cfg.PerPerson) * min(r.env.Standing(slot, sec).People, int64(r.cfg.PeopleCap)))
	n, first := x.past.Sum(sec - hour)
	times := float64(n[triesRefused]) / float64(r.cfg.Hour+more)
	if share(n) < r.cfg.Share {
		times = 0
	}
	clients := 0
	for _, a := range x.accounts {
		if !a.in && int64(a.last) > sec-day {
			clients++
		}
	}
	if many, _ := x.past.Sum(sec - day); share(many) >= r.cfg.Share {
		if y := float64(clients) / float64(r.cfg.Clients); y >= 1 && y > times {
			times, n = y, many
			_, first = x.past.Sum(sec - day)
		}
	}
	if x.fire(r.env, slot, sec, t, times >= 1, int64(n[triesRefused]), first) {
		x.now.times, x.now.level = max(x.now.times, times), max(x.now.level, int64(clients))
		r.env.Report(slot, r.judge(x.now))
	}
}

func (r *authToken) judge(e *episode) detect.Finding {
	f := e.finding()
	f.Severity = detect.Medium
	if e.times >= 3 || e.level >= int64(2*r.cfg.Clients) {
		f.Severity = detect.High
	}
	f.Confidence = surer(0.75, 0.95, e.times, 4)
	f.Why = fmt.Sprintf("%d refused grants since %s, and hardly one that works", e.count, detect.FormatTime(e.first*1e9))
	if e.level >= int64(r.cfg.Clients) {
		f.Why += fmt.Sprintf("; %d OAuth clients were tried", e.level)
	}
	return f
}
