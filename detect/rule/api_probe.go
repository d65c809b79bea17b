package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("api-probe", detect.Spec{
		Doc:     "one client departs from the API's document in many different ways: methods, parameters and types that nobody described",
		Family:  detect.API,
		Tags:    []string{"owasp:api9:2023", "owasp:api8:2023", "attack:T1595.003", "oat:014"},
		Needs:   "an OpenAPI document (openapi in the settings); client address, method, path, query, status",
		Fields:  []ingest.Fields{ingest.FieldAPI, ingest.FieldTarget, ingest.FieldStatus},
		Helps:   ingest.FieldMethod,
		State:   "about 250 bytes, 40 for each distinct departure (64 a span at most) and up to 8 lines, only for clients that depart from the document",
		Evasion: "silent without a document, below points per span, and for many values of one parameter, which injection looks into; a path that no document has is for scanner and undocumented-route",
		Concern: detect.Lapsing,
		Config:  func() any { return new(APIProbeConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*APIProbeConfig)
			r := &apiProbe{tries: newTries(env, fmt.Sprintf("probe1/%s", c.Span), c.Span), cfg: c}
			r.judge = r.weighed
			return r, nil
		},
	})
}

// APIProbeConfig is the "api-probe" section of the config file.
type APIProbeConfig struct {
	Points  int           `yaml:"points" default:"24" doc:"points within span that make a low finding: 3 for a distinct departure (a method on a route, the name of a parameter) that was refused, 1 for one that was answered, since then the document may be to blame (reasoning: a program with a bug repeats one departure)"`
	Refused int           `yaml:"refused" default:"16" doc:"distinct departures refused within span that make it medium"`
	Span    time.Duration `yaml:"span" default:"1h" doc:"span within which departures add up, in event time"`
}

// Check implements validation for the config loader.
func (c *APIProbeConfig) Check(report func(key, message string)) {
	if c.Points < 6 {
		report("points", "must be at least 6: two mistakes are nothing odd")
	}
	if c.Refused < 2 {
		report("refused", "must be at least 2")
	}
	checkHorizon(c.Span, report)
}

type apiProbe struct {
	*tries
	cfg *APIProbeConfig
}

// The weights of a departure. They tell from their sum how many there were of each, since a
// client has detect/window's DistinctLimit of them at most.
const (
	probeAnswered = 1
	probeRefused  = window.DistinctLimit + 1
)

// probeWeight is what one request's departures weigh each, 0 for nothing: a throttled or
// unknown client is told nothing of what it asked.
func probeWeight(status uint16) uint32 {
	switch {
	case status >= 200 && status < 400:
		return probeAnswered
	case status == 401 || status == 403 || status == 429:
		return 0
	case status >= 400 && status < 500 || status == 501:
		return probeRefused
	}
	return 0
}

// Observe implements detect.Rule.
func (r *apiProbe) Observe(ev *ingest.Event, slot detect.Slot) {
	weight := probeWeight(ev.Status)
	if weight == 0 {
		return
	}
	note := func() string { return "not as described: " + departs(ev) }
	if ev.API.Facts&ingest.APIMethod != 0 {
		r.try(ev, slot, hashText(ev.Method)^hashText(ev.Route)>>1, weight, note)
	}
	for i := range ev.API.Departures {
		if d := &ev.API.Departures[i]; d.Kind != ingest.DepartureNone {
			r.try(ev, slot, hashText(d.Name)*31+uint64(d.Kind), weight, note)
		}
	}
}

// Explain implements detect.Explainer.
func (r *apiProbe) Explain(ev *ingest.Event) (bool, string) {
	weight, how := probeWeight(ev.Status), departs(ev)
	switch {
	case how == "":
		return false, "the request is as the documents say, or there is none"
	case weight == 0:
		return false, fmt.Sprintf("not as described (%s), but %d says nothing of that", how, ev.Status)
	}
	points := 1
	if weight == probeRefused {
		points = 3
	}
	return true, fmt.Sprintf("%d points for each departure: %s; a finding from %d points within %s", points, how, r.cfg.Points, r.cfg.Span)
}

func (r *apiProbe) weighed(t tally, _ detect.Standing) verdict {
	refused := t.points / probeRefused
	v := verdict{fires: t.things+2*refused >= uint32(r.cfg.Points), severity: detect.Low, confidence: 0.5,
		why: fmt.Sprintf("%d different departures from the API's document, %d of them refused", t.things, refused)}
	if refused >= uint32(r.cfg.Refused) {
		v.severity, v.confidence = detect.Medium, surer(0.75, 0.9, float64(refused)/float64(r.cfg.Refused), 3)
	}
	return v
}
