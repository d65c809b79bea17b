package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("account-place", detect.Spec{
		Doc:     "an account with a settled use is used from a network and with a program that are both new to it: a new device, or somebody else",
		Family:  detect.Credential,
		Tags:    []string{"owasp:api2:2023", "attack:T1078"},
		Needs:   "the user name of requests that get in (nginx: $remote_user, or a consumer's name), client address, user agent; autonomous systems (enrich.asn) keep it quiet where a provider changes addresses",
		Fields:  []ingest.Fields{ingest.FieldUser, ingest.FieldAgent},
		Helps:   ingest.FieldASN,
		State:   "per account in use: 180 bytes, and 72 for each of the last 16 places it was used from",
		Evasion: "silent for somebody who comes from a network of the owner or imitates its user agent, and until settle has passed; by itself never more than low: impossible-travel and auth-account-slow tell more",
		By:      detect.ByIdentity,
		Concern: detect.Any,
		Config:  func() any { return new(AccountPlaceConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &accountPlace{env: env, cfg: cfg.(*AccountPlaceConfig)}
			env.Shape("places2")
			r.state = detect.NewSparse(env, (*whereabouts).code)
			return r, nil
		},
	})
}

// AccountPlaceConfig is the "account-place" section of the config file.
type AccountPlaceConfig struct {
	Settle time.Duration `yaml:"settle" default:"4h" doc:"how long an account must have been in use before a place can be new to it"`
	Uses   int           `yaml:"uses" default:"6" doc:"requests that it must have made by then; where only logins name the account, that many logins"`
}

// Check implements validation for the config loader.
func (c *AccountPlaceConfig) Check(report func(key, message string)) {
	if c.Settle < time.Minute {
		report("settle", "must be at least 1m")
	}
	if c.Uses < 1 {
		report("uses", "must be at least 1")
	}
}

type accountPlace struct {
	env   *detect.Env
	cfg   *AccountPlaceConfig
	state *detect.Sparse[whereabouts]
}

// Observe implements detect.Rule: what it needs comes by Use.
func (r *accountPlace) Observe(*ingest.Event, detect.Slot) {}

// Use implements detect.User.
func (r *accountPlace) Use(u *detect.Use, slot detect.Slot) {
	if r.env.Subject(slot).Kind == "account" {
		r.state.At(slot).use(r.env, u, slot)
	}
}

// Explain implements detect.Explainer.
func (r *accountPlace) Explain(ev *ingest.Event) (bool, string) {
	if ev.User == "" {
		return false, "the line names no account"
	}
	return true, fmt.Sprintf("a place where account %.80q is used; said if network and program are new to it", ev.User)
}

// Close implements detect.Rule.
func (r *accountPlace) Close(slot detect.Slot, sec int64) {
	w := r.state.Get(slot)
	if w == nil {
		return
	}
	if w.close(r.env, slot, sec, func(sec int64, p *stop, known *place) { r.take(w, slot, sec, p, known) }) {
		r.state.Drop(slot)
	}
}

func (r *accountPlace) take(w *whereabouts, slot detect.Slot, sec int64, p *stop, known *place) {
	if !known.fresh(p) || !w.settled(sec, int64(r.cfg.Settle/time.Second), int64(r.cfg.Uses)) || !w.strange(known, sec) {
		return
	}
	known.odd = uint32(sec)
	e := w.fire(sec, int64(p.first), p)
	w.list(known)
	f := e.finding()
	f.Severity, f.Confidence = detect.Low, 0.5
	f.Members = w.members()
	f.Why = fmt.Sprintf("used from a network and with a program that are both new to the account, after %d requests from %d places since %s",
		w.n, len(w.places)-1, detect.FormatTime(int64(w.first)*1e9))
	r.env.Report(slot, f)
}
