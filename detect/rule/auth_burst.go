package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("auth-burst", detect.Spec{
		Doc:     "many refused credentials from one client within a minute: password guessing, credential stuffing or key guessing",
		Family:  detect.Credential,
		Version: 2,
		Tags:    []string{"owasp:api2:2023", "attack:T1110.001", "attack:T1110.004", "oat:007", "oat:008"},
		Needs:   "client address, status, path",
		Fields:  []ingest.Fields{ingest.FieldStatus},
		Helps:   ingest.FieldTarget | ingest.FieldAgent,
		State:   "about 150 bytes and up to 8 lines, only for clients with a refusal in the last minute or a finding in the last hour; 60 bytes for one with a new token in the last minute",
		Evasion: "stays silent below limit per span (one try every 7 s by default), and for fleets that stay below it per address: auth-account covers many clients on one account; a client that changes its agent in successful requests is taken for several people and gets at most per_person times people_cap more; whoever gets a new token granted for each try at a key elsewhere hides the try behind it; refusals answered with 200 cannot be seen in a log",
		Concern: detect.Refused | detect.Credentials,
		Config:  func() any { return new(AuthBurstConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*AuthBurstConfig)
			r := &authBurst{env: env, limit: uint32(c.Limit), perPerson: uint32(c.PerPerson), cap: int64(c.PeopleCap), span: newSpan(int64(c.Span / time.Second))}
			env.Shape("burst2")
			r.state = detect.NewSparse(env, (*burst).code)
			r.renewed = detect.NewSparse(env, (*window.Cells).Code).Ordinary()
			return r, nil
		},
	})
}

// AuthBurstConfig is the "auth-burst" section of the config file.
type AuthBurstConfig struct {
	Limit     int           `yaml:"limit" default:"10" doc:"refusals by one client within span that make a finding (OWASP ASVS 5.0 6.3.1 asks for a limit; CRS and fail2ban ship 5 to 10 in 1 to 10 minutes)"`
	Span      time.Duration `yaml:"span" default:"60s" doc:"sliding span, in event time"`
	PerPerson int           `yaml:"per_person" default:"2" doc:"refusals more that are tolerated for each person known behind the client, for shared addresses"`
	PeopleCap int           `yaml:"people_cap" default:"20" doc:"people that count for that at most: a client can pretend to be many by changing its agent"`
}

// Check implements validation for the config loader.
func (c *AuthBurstConfig) Check(report func(key, message string)) {
	if c.PerPerson < 0 || c.PeopleCap < 0 {
		report("per_person", "must not be negative, nor people_cap")
	}
	if c.Limit < 2 {
		report("limit", "must be at least 2: one refusal is a typing error")
	}
	checkSpan(c.Span, report)
}

func checkSpan(s time.Duration, report func(key, message string)) {
	if s < time.Second || s > 30*time.Minute {
		report("span", "must be between 1s and 30m")
	}
}

// authBurst keeps no clock, so a replay finds what a live run found.
type authBurst struct {
	env       *detect.Env
	limit     uint32
	perPerson uint32
	cap       int64
	span      span
	state     *detect.Sparse[burst]
	renewed   *detect.Sparse[window.Cells] // grants of new tokens, and as their weight the refusals on other than login routes
}

// Observe implements detect.Rule.
func (r *authBurst) Observe(ev *ingest.Event, slot detect.Slot) {
	if !r.renews(ev, slot) {
		return
	}
	b := r.state.At(slot)
	b.offend(r.env, ev, slot, r.span, 1, func() string { return refusalNote(ev) })
	sec := ev.Time / 1e9
	if !r.env.Live() || b.cells.Total() < r.limit {
		return
	}
	allowed := r.allowed(slot, sec)
	if r.guesses(b, slot, sec) < allowed {
		return
	}
	if b.now.earlier(r.env, sec, b.pending(sec, r.span)/int64(allowed)) {
		e := b.preview(r.env, slot, sec, r.span)
		r.env.Early(slot, r.judge(&e))
	}
}

// renews notes what tells apps whose tokens ran out from guessers, and reports whether the
// request was refused.
func (r *authBurst) renews(ev *ingest.Event, slot detect.Slot) bool {
	kind, ok := kindOf(ev)
	n := [2]uint32{1, 0}
	switch {
	case !ok:
		return false
	case kind == triesElsewhere:
		n = [2]uint32{0, 1}
	case kind != triesAccepted || ev.Kind != ingest.RouteToken:
		return kind == triesRefused
	}
	sec := ev.Time / 1e9
	if r.renewed.At(slot).Add(sec, n[0], n[1]) {
		r.env.Wake(slot, sec+r.span.secs)
	}
	return kind == triesElsewhere
}

// guesses is how many refusals of the span that ends with sec count: a token that ran out is
// refused once, and a new one is granted.
func (r *authBurst) guesses(b *burst, slot detect.Slot, sec int64) uint32 {
	_, weight, _ := b.sum(sec, r.span)
	if x := r.renewed.Get(slot); x != nil {
		grants, elsewhere, _ := x.Sum(sec-r.span.secs, sec)
		weight -= min(weight, grants, elsewhere)
	}
	return weight
}

// Explain implements detect.Explainer.
func (r *authBurst) Explain(ev *ingest.Event) (bool, string) {
	if kind, ok := kindOf(ev); !ok || kind == triesAccepted {
		return false, "credentials were not refused"
	}
	return true, fmt.Sprintf("%s; a finding from %d within %s, more where several people share the address", refusalNote(ev), r.limit, r.span)
}

// Close implements detect.Rule.
func (r *authBurst) Close(slot detect.Slot, sec int64) {
	if x := r.renewed.Get(slot); x != nil {
		defer func() {
			if x.Forget(sec - r.span.secs); x.Empty() {
				r.renewed.Drop(slot)
			}
		}()
	}
	b := r.state.Get(slot)
	if b == nil {
		return
	}
	weight := r.guesses(b, slot, sec)
	if b.close(r.env, slot, sec, r.span, weight >= r.limit && weight >= r.allowed(slot, sec)) {
		r.env.Report(slot, r.judge(&b.now))
	}
	if b.forget(sec, r.span) {
		r.state.Drop(slot)
	}
}

// allowed is the limit for a client, wider where people are known behind it.
func (r *authBurst) allowed(slot detect.Slot, sec int64) uint32 {
	return r.widened(r.env.Standing(slot, sec))
}

func (r *authBurst) widened(s detect.Standing) uint32 {
	return r.limit + r.perPerson*uint32(min(s.People, r.cap))
}

func (r *authBurst) judge(e *episode) detect.Finding {
	f := e.finding()
	times := float64(e.count) / float64(r.widened(e.standing))
	f.Severity = detect.Medium
	if times >= 3 {
		f.Severity = detect.High
	}
	f.Confidence = surer(0.75, 0.97, times, 4)
	f.Why = fmt.Sprintf("%d refused credentials since %s; the limit is %d in %ds", e.count,
		time.Unix(e.first, 0).UTC().Format(time.TimeOnly), r.limit, r.span.secs)
	return f
}

func refusalNote(ev *ingest.Event) string {
	return fmt.Sprintf("credentials refused with %d", ev.Status)
}
