package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("bfla-client", detect.Spec{
		Doc:     "one client is refused at many administrative functions; one that then lets it in raises it",
		Family:  detect.API,
		Version: 2,
		Tags:    []string{"owasp:api5:2023", "attack:T1190", "attack:T1087"},
		Needs:   "client address, method, path, status",
		Fields:  []ingest.Fields{ingest.FieldStatus, ingest.FieldTarget},
		Helps:   ingest.FieldMethod,
		State:   "about 250 bytes, 40 for each distinct function (64 a span at most) and up to 8 lines, only for clients that asked for an administrative route",
		Evasion: "stays silent for functions whose path has no name known from administration (detect/probe/data/functions.txt), for a first try that succeeds, and below points per span; low for a client that used one before, unless it is refused at six times as many, and with twice the points",
		Concern: detect.Any,
		Config:  func() any { return new(BFLAClientConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*BFLAClientConfig)
			r := &bflaClient{tries: newTries(env, fmt.Sprintf("bfla1/%s", c.Span), c.Span), limit: uint32(c.Points)}
			r.judge = r.weighed
			return r, nil
		},
	})
}

// BFLAClientConfig is the "bfla-client" section of the config file.
type BFLAClientConfig struct {
	Points int           `yaml:"points" default:"10" doc:"points within span that make a finding: 2 for a distinct administrative function (method and route) that was forbidden (403, 405), 1 for one that is hidden (404); 401 does not count, since a session that ended looks so everywhere. Five functions are a guess: no public data set has honest role errors"`
	Span   time.Duration `yaml:"span" default:"6h" doc:"span within which functions add up, in event time"`
}

// Check implements validation for the config loader.
func (c *BFLAClientConfig) Check(report func(key, message string)) {
	if c.Points < 4 {
		report("points", "must be at least 4: two functions that a person may not use are an ordinary day")
	}
	checkHorizon(c.Span, report)
}

// bflaFew times as many functions as it used before must refuse a client, and twice the
// points, to tell it from somebody who may use some of them (reasoning, not measured).
const bflaFew = 6

type bflaClient struct {
	*tries
	limit uint32
}

// Observe implements detect.Rule.
func (r *bflaClient) Observe(ev *ingest.Event, slot detect.Slot) {
	if !r.env.Administrative(ev) {
		return
	}
	thing := hashText(ev.Method) ^ hashText(ev.Route)>>1
	switch {
	case ev.Status >= 200 && ev.Status < 300:
		r.win(ev, slot, thing)
	case ev.Status == 403 || ev.Status == 405:
		r.try(ev, slot, thing, 2, func() string { return fmt.Sprintf("administrative function, refused with %d", ev.Status) })
	case ev.Status == 404:
		r.try(ev, slot, thing, 1, func() string { return "administrative function, hidden or not there" })
	}
}

// Explain implements detect.Explainer.
func (r *bflaClient) Explain(ev *ingest.Event) (bool, string) {
	if !r.env.Administrative(ev) {
		return false, "the route has no name known from administration"
	}
	counts := ev.Status == 403 || ev.Status == 404 || ev.Status == 405
	return counts, fmt.Sprintf("an administrative route, answered %d; a finding from %d points within %s", ev.Status, r.limit, time.Duration(r.horizon)*time.Second)
}

func (r *bflaClient) weighed(t tally, _ detect.Standing) verdict {
	v := verdict{
		fires: t.points >= r.limit, severity: detect.Medium, confidence: surer(0.7, 0.9, float64(t.points)/float64(r.limit), 4),
		why: fmt.Sprintf("refused at %d administrative functions, %d points; %d make a finding", t.things, t.points, r.limit),
	}
	switch {
	case t.before > 0 && t.points >= 2*r.limit && t.things >= bflaFew*t.before: // it began with one that happens to be open
		v.why += fmt.Sprintf("; it had used %d before", t.before)
	case t.before > 0: // it is somebody's who may use some of them
		v.severity, v.confidence = detect.Low, 0.4
		v.why += fmt.Sprintf("; it had used %d before", t.before)
	case t.after > 0:
		v.severity, v.confidence = detect.High, 0.9
		v.why += fmt.Sprintf("; then %d let it in", t.after)
	}
	return v
}
