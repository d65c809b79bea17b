package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("bola-fanout", detect.Spec{
		Doc:     "one client is refused at many distinct objects of existing routes: it guesses ids",
		Family:  detect.API,
		Tags:    []string{"owasp:api1:2023", "attack:T1190", "attack:T1213", "oat:014"},
		Needs:   "client address, path, status",
		Fields:  []ingest.Fields{ingest.FieldStatus, ingest.FieldTarget},
		State:   "about 250 bytes, 40 for each distinct object (64 a span at most) and up to 8 lines, only for clients that were refused an object",
		Evasion: "stays silent below points per span, for guesses that are right (bola-client sees those in a row), and where they drown in the client's good requests",
		Concern: detect.ClientError,
		Config:  func() any { return new(BOLAFanoutConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*BOLAFanoutConfig)
			r := &bolaFanout{tries: newTries(env, fmt.Sprintf("fan1/%s", c.Span), c.Span), cfg: c}
			r.judge = r.weighed
			return r, nil
		},
	})
}

// BOLAFanoutConfig is the "bola-fanout" section of the config file.
type BOLAFanoutConfig struct {
	Points    int           `yaml:"points" default:"30" doc:"points within span that make a finding: 2 for a distinct object that was forbidden (403), 1 for one that is not there (404, 410). An honest client follows links that exist; thirty dead ones in hours are a guess, since no public data set has them"`
	PerPerson int           `yaml:"per_person" default:"5" doc:"points more that are tolerated for each person known behind the client"`
	Share     float64       `yaml:"share" default:"0.05" doc:"points must be so many for each good request of the last 24 hours: a shared address or a crawler meets dead links too"`
	Span      time.Duration `yaml:"span" default:"6h" doc:"span within which objects add up, in event time"`
}

// Check implements validation for the config loader.
func (c *BOLAFanoutConfig) Check(report func(key, message string)) {
	if c.Points < 10 {
		report("points", "must be at least 10")
	}
	if c.PerPerson < 0 {
		report("per_person", "must not be negative")
	}
	if c.Share < 0 || c.Share > 1 {
		report("share", "must be between 0 and 1")
	}
	checkHorizon(c.Span, report)
}

type bolaFanout struct {
	*tries
	cfg *BOLAFanoutConfig
}

// Observe implements detect.Rule.
func (r *bolaFanout) Observe(ev *ingest.Event, slot detect.Slot) {
	weight := objectRefused(ev.Status)
	if weight == 0 || ev.Crawler == ingest.CrawlerVerified || isAsset(ev.Target) {
		return
	}
	id := r.env.Object(ev)
	if id == "" {
		return
	}
	r.try(ev, slot, hashText(id)^hashText(ev.Route)>>1, weight, func() string { return fmt.Sprintf("object refused with %d", ev.Status) })
}

func objectRefused(status uint16) uint32 {
	switch status {
	case 403:
		return 2
	case 404, 410:
		return 1
	}
	return 0
}

// Explain implements detect.Explainer.
func (r *bolaFanout) Explain(ev *ingest.Event) (bool, string) {
	weight := objectRefused(ev.Status)
	if weight == 0 || r.env.Object(ev) == "" {
		return false, "no object of an existing route was refused"
	}
	return true, fmt.Sprintf("%d points for a refused object; a finding from %d within %s", weight, r.cfg.Points, r.cfg.Span)
}

func (r *bolaFanout) weighed(t tally, known detect.Standing) verdict {
	limit := float64(r.cfg.Points) + float64(r.cfg.PerPerson)*float64(known.People)
	times := float64(t.points) / max(limit, r.cfg.Share*float64(known.Successes))
	v := verdict{
		fires: times >= 1, severity: detect.Medium, confidence: surer(0.7, 0.9, times, 3),
		why: fmt.Sprintf("refused at %d distinct objects, %d points; %d and more where people share the address make a finding", t.things, t.points, r.cfg.Points),
	}
	if times >= 2 {
		v.severity = detect.High
	}
	return v
}
