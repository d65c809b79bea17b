package rule

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("auth-account", detect.Spec{
		Doc:     "many refused credentials for one account within ten minutes, from several clients: guessing spread over addresses",
		Family:  detect.Credential,
		Tags:    []string{"owasp:api2:2023", "attack:T1110.001", "oat:007"},
		Needs:   "the user name that was refused (nginx: $remote_user), client address, status",
		Fields:  []ingest.Fields{ingest.FieldUser, ingest.FieldStatus},
		Helps:   ingest.FieldTarget,
		State:   "about 200 bytes and up to 8 lines, only for accounts refused in the last ten minutes",
		Evasion: "blind where the log has no user name; silent below limit per span, and for one client alone, which auth-burst covers",
		By:      detect.ByAccount,
		Concern: detect.Refused,
		Config:  func() any { return new(AuthAccountConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*AuthAccountConfig)
			r := &authAccount{env: env, limit: uint32(c.Limit), clients: c.Clients, span: newSpan(int64(c.Span / time.Second))}
			env.Shape(fmt.Sprintf("account1/%d", r.span.secs))
			r.state = detect.NewSparse(env, (*account).code)
			return r, nil
		},
	})
}

// AuthAccountConfig is the "auth-account" section of the config file.
type AuthAccountConfig struct {
	Limit   int           `yaml:"limit" default:"20" doc:"refusals for one account within span that make a finding (NIST SP 800-63B-4 allows at most 100 in a row before the account is locked)"`
	Span    time.Duration `yaml:"span" default:"10m" doc:"sliding span, in event time"`
	Clients int           `yaml:"clients" default:"3" doc:"distinct clients that must have taken part"`
}

// Check implements validation for the config loader.
func (c *AuthAccountConfig) Check(report func(key, message string)) {
	if c.Limit < 2 {
		report("limit", "must be at least 2")
	}
	if c.Clients < 1 {
		report("clients", "must be at least 1")
	}
	checkSpan(c.Span, report)
}

// account is the state of one account: its refusals and who made them.
type account struct {
	burst
	clients window.Distinct
}

func (a *account) code(k *window.Codec) {
	a.burst.code(k)
	a.clients.Code(k)
}

type authAccount struct {
	env     *detect.Env
	limit   uint32
	clients int
	span    span
	state   *detect.Sparse[account]
}

// Observe implements detect.Rule; slot is the account.
func (r *authAccount) Observe(ev *ingest.Event, slot detect.Slot) {
	a := r.state.At(slot)
	sec := ev.Time / 1e9
	b := ev.Client.As16()
	if ev.Client.Is6() && !ev.Client.Is4In6() {
		clear(b[8:]) // one client has a whole /64 to rotate through
	}
	var h uint64
	for _, x := range b {
		h = (bits.RotateLeft64(h, 7) ^ uint64(x)) * 0x9e3779b97f4a7c15
	}
	if a.clients.Add(sec, h, 1, r.span.secs) {
		r.env.Wake(slot, sec+3*r.span.secs)
	}
	a.offend(r.env, ev, slot, r.span, 1, func() string { return refusalNote(ev) })
	if !r.env.Live() || a.cells.Total() < r.limit || !r.fires(a, sec) {
		return
	}
	if a.now.earlier(r.env, sec, a.pending(sec, r.span)/int64(r.limit)) {
		e := a.preview(r.env, slot, sec, r.span)
		r.env.Early(slot, r.judge(&e))
	}
}

func (r *authAccount) fires(a *account, sec int64) bool {
	_, weight, _ := a.sum(sec, r.span)
	if weight < r.limit {
		return false
	}
	n, _ := a.clients.Sum(sec-2*r.span.secs, sec)
	return int(n) >= r.clients
}

// Explain implements detect.Explainer.
func (r *authAccount) Explain(ev *ingest.Event) (bool, string) {
	return true, fmt.Sprintf("%s, for account %.80q; a finding from %d within %s by %d clients", refusalNote(ev), ev.User, r.limit, r.span, r.clients)
}

// Close implements detect.Rule.
func (r *authAccount) Close(slot detect.Slot, sec int64) {
	a := r.state.Get(slot)
	if a == nil {
		return
	}
	if a.close(r.env, slot, sec, r.span, r.fires(a, sec)) {
		r.env.Report(slot, r.judge(&a.now))
	}
	a.clients.Forget(sec-2*r.span.secs, r.span.secs)
	if a.forget(sec, r.span) && a.clients.Empty() {
		r.state.Drop(slot)
	}
}

func (r *authAccount) judge(e *episode) detect.Finding {
	f := e.finding()
	f.Standing = detect.Standing{}
	times := float64(e.count) / float64(r.limit)
	f.Severity = detect.Medium
	if times >= 3 {
		f.Severity = detect.High
	}
	f.Confidence = surer(0.7, 0.9, times, 4)
	f.Why = fmt.Sprintf("%d refused credentials for this account from at least %d clients; the limit is %d in %ds",
		e.count, r.clients, r.limit, r.span.secs)
	return f
}
