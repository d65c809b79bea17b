package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("impossible-travel", detect.Spec{
		Doc:     "an account, key or session is used in two countries within half an hour, in one of them with a program that is new to it: impossible travel",
		Family:  detect.Credential,
		Tags:    []string{"owasp:api2:2023", "attack:T1078", "attack:T1550.001"},
		Needs:   "the user name, key or session of requests that get in, client address, user agent; countries (enrich.country)",
		Fields:  []ingest.Fields{ingest.FieldUser | ingest.FieldKey | ingest.FieldToken | ingest.FieldSession, ingest.FieldAgent, ingest.FieldCountry},
		State:   "per identity with a country: 180 bytes, and 72 for each of the last 16 places it was used from",
		Evasion: "silent for somebody in the same country, or who imitates the owner's user agent; it knows countries, not distances, so neighbouring countries count like distant ones; key-shared and account-place need no countries",
		By:      detect.ByIdentity,
		Concern: detect.Any,
		Config:  func() any { return new(ImpossibleTravelConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &impossibleTravel{env: env, cfg: cfg.(*ImpossibleTravelConfig)}
			env.Shape("places2")
			r.state = detect.NewSparse(env, (*whereabouts).code)
			return r, nil
		},
	})
}

// ImpossibleTravelConfig is the "impossible-travel" section of the config file.
type ImpossibleTravelConfig struct {
	Span     time.Duration `yaml:"span" default:"30m" doc:"time within which nobody gets from one country to another, customs of airports included; neighbours by road may"`
	Settle   time.Duration `yaml:"settle" default:"15m" doc:"how long it must have been in use"`
	Uses     int           `yaml:"uses" default:"6" doc:"requests that it must have made by then; where only logins name the account, that many logins"`
	Meetings int           `yaml:"meetings" default:"2" doc:"times that both countries must have been used by turns within an hour, for a high finding: a traveller does not come back, and a phone abroad keeps its program (reasoning, not measured)"`
}

// Check implements validation for the config loader.
func (c *ImpossibleTravelConfig) Check(report func(key, message string)) {
	if c.Settle < time.Minute {
		report("settle", "must be at least 1m")
	}
	if c.Uses < 1 {
		report("uses", "must be at least 1")
	}
	if c.Span < time.Minute || c.Span > time.Hour {
		report("span", "must be between 1m and 1h")
	}
	if c.Meetings < 1 {
		report("meetings", "must be at least 1")
	}
}

type impossibleTravel struct {
	env   *detect.Env
	cfg   *ImpossibleTravelConfig
	state *detect.Sparse[whereabouts]
}

// Observe implements detect.Rule: what it needs comes by Use.
func (r *impossibleTravel) Observe(*ingest.Event, detect.Slot) {}

// Use implements detect.User.
func (r *impossibleTravel) Use(u *detect.Use, slot detect.Slot) {
	if u.Country != ([2]byte{}) && r.env.Subject(slot).Kind != "consumer" {
		r.state.At(slot).use(r.env, u, slot)
	}
}

// Explain implements detect.Explainer.
func (r *impossibleTravel) Explain(ev *ingest.Event) (bool, string) {
	if ev.Country == ([2]byte{}) {
		return false, "the country of the client is not known: set enrich.country to a database"
	}
	return true, "a country where it is used; a finding if another was within the hour, with another program"
}

// Close implements detect.Rule.
func (r *impossibleTravel) Close(slot detect.Slot, sec int64) {
	w := r.state.Get(slot)
	if w == nil {
		return
	}
	if w.close(r.env, slot, sec, func(sec int64, p *stop, known *place) { r.take(w, slot, sec, p, known) }) {
		r.state.Drop(slot)
	}
}

func abroad(strange, other *place) bool { return strange.country != other.country }

func (r *impossibleTravel) take(w *whereabouts, slot detect.Slot, sec int64, p *stop, known *place) {
	if known.fresh(p) && w.settled(sec, int64(r.cfg.Settle/time.Second), int64(r.cfg.Uses)) && w.strange(known, sec) && w.leapt(known, sec, int64(r.cfg.Span/time.Second)) {
		known.odd = uint32(sec)
		r.report(w, slot, sec, known, p)
	}
	if met := w.meet(p, known, sec, abroad); met != nil && int(met.met) >= r.cfg.Meetings {
		r.report(w, slot, sec, met, p)
	}
}

// leapt reports whether another country was in use shortly before a place was new.
func (w *whereabouts) leapt(p *place, sec, span int64) bool {
	for i := range w.places {
		if q := &w.places[i]; abroad(p, q) && sec-int64(q.last) < span {
			return true
		}
	}
	return false
}

func (r *impossibleTravel) report(w *whereabouts, slot detect.Slot, sec int64, p *place, s *stop) {
	e := w.fire(sec, int64(p.first), s)
	e.level = max(e.level, int64(p.met))
	w.list(p)
	f := e.finding()
	f.Severity, f.Confidence = detect.Medium, 0.7
	if int(e.level) >= r.cfg.Meetings {
		f.Severity, f.Confidence = detect.High, 0.85
	}
	f.Members = w.members()
	f.Why = fmt.Sprintf("used in %.2q with a program that is new to it, within %s of a use in another country; %d times by turns since", p.country[:], newSpan(int64(r.cfg.Span/time.Second)), e.level)
	r.env.Report(slot, f)
}
