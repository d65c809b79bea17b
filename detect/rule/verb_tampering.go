package rule

import (
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("verb-tampering", detect.Spec{
		Doc:     "one client tries methods that a route does not take, that nobody should take, or that override another",
		Family:  detect.API,
		Tags:    []string{"owasp:api8:2023", "owasp:api5:2023", "attack:T1190", "oat:014"},
		Needs:   "client address, method, path, status",
		Fields:  []ingest.Fields{ingest.FieldMethod},
		Helps:   ingest.FieldTarget | ingest.FieldStatus,
		State:   "about 250 bytes, 40 for each distinct pair of method and route (64 a span at most) and up to 8 lines, only for clients with an odd method",
		Evasion: "stays silent below points per span, and for methods that a route takes by mistake; an override in a header or body that is not logged is not seen",
		Concern: detect.Any,
		Config:  func() any { return new(VerbTamperingConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*VerbTamperingConfig)
			r := &verbTampering{tries: newTries(env, fmt.Sprintf("verb1/%s", c.Span), c.Span), limit: uint32(c.Points)}
			r.judge, r.hasty = r.weighed, true
			return r, nil
		},
	})
}

// VerbTamperingConfig is the "verb-tampering" section of the config file.
type VerbTamperingConfig struct {
	Points int           `yaml:"points" default:"16" doc:"points within span that make a medium finding: 4 for a distinct method and route answered 405 or 501, 8 for TRACE, TRACK or DEBUG (OWASP WSTG-CONF-06 tries these one after the other; a client with a bug repeats one pair, which counts once)"`
	Span   time.Duration `yaml:"span" default:"6h" doc:"span within which distinct pairs add up, in event time: a slow walk makes one in many minutes"`
}

// Check implements validation for the config loader.
func (c *VerbTamperingConfig) Check(report func(key, message string)) {
	if c.Points < 8 {
		report("points", "must be at least 8: one TRACE has as many")
	}
	checkHorizon(c.Span, report)
}

type verbTampering struct {
	*tries
	limit uint32
}

// Observe implements detect.Rule.
func (r *verbTampering) Observe(ev *ingest.Event, slot detect.Slot) {
	if (ev.Method == "GET" || ev.Method == "POST") && ev.Status != 405 && ev.Status != 501 && !overrides(ev) {
		return
	}
	weight, note := verbWeight(ev)
	if weight == 0 {
		return
	}
	r.try(ev, slot, hashText(ev.Method)^hashText(ev.Route)>>1, weight, func() string { return note })
}

// overrides tells a query that asks for another method than the one it came with, as
// Rails, Laravel, Symfony and Express read it.
func overrides(ev *ingest.Event) bool {
	i := strings.IndexByte(ev.Target, '?')
	return i >= 0 && strings.Contains(ev.Target[i:], "_method=")
}

// verbWeight is what one request adds: 0 for what clients and their tools do.
func verbWeight(ev *ingest.Event) (uint32, string) {
	if ev.Flags&ingest.FlagMalformed != 0 {
		return 0, ""
	}
	refused := ev.Status == 405 || ev.Status == 501
	switch ev.Method {
	case "TRACE", "TRACK", "DEBUG":
		return 8, "a method that shows what the server received"
	case "HEAD", "OPTIONS", "":
		return 0, "" // monitors and browsers send them everywhere
	case "GET", "POST":
		if overrides(ev) {
			return 4, "a query that overrides the method"
		}
		if refused && ev.Method == "POST" {
			return 4, fmt.Sprintf("POST answered %d", ev.Status)
		}
		return 0, ""
	case "PUT", "DELETE", "PATCH":
		switch {
		case refused:
			return 4, fmt.Sprintf("%s answered %d", ev.Method, ev.Status)
		case ev.Status == 403:
			return 2, ev.Method + " refused"
		}
		return 0, ""
	case "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH":
		if ev.Status >= 400 {
			return 2, "a WebDAV method that is not served" // desktops try these by themselves
		}
		return 0, ""
	}
	if ev.Status >= 400 {
		return 4, "a method that HTTP does not know"
	}
	return 0, ""
}

// Explain implements detect.Explainer.
func (r *verbTampering) Explain(ev *ingest.Event) (bool, string) {
	weight, note := verbWeight(ev)
	if weight == 0 {
		return false, "the method is nothing odd here"
	}
	return true, fmt.Sprintf("%d points: %s; a finding from %d points within %s", weight, note, r.limit, time.Duration(r.horizon)*time.Second)
}

func (r *verbTampering) weighed(t tally, _ detect.Standing) verdict {
	v := verdict{
		fires: t.points >= r.limit || t.heaviest >= 8, severity: detect.Low, confidence: 0.5,
		why: fmt.Sprintf("%d distinct pairs of method and route that nobody offers, %d points; tampering has %d", t.things, t.points, r.limit),
	}
	if times := float64(t.points) / float64(r.limit); times >= 1 {
		v.severity, v.confidence = detect.Medium, surer(0.75, 0.9, times, 3)
	}
	return v
}
