package rule

import (
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("exposed-docs", detect.Spec{
		Doc:     "one client looks for API documentation at many places: OpenAPI and Swagger files, their pages, GraphQL consoles; found ones raise it",
		Family:  detect.Recon,
		Tags:    []string{"owasp:api9:2023", "owasp:api8:2023", "attack:T1595.003", "attack:T1592", "oat:018"},
		Needs:   "client address, path, status; routes.docs names what is not called by a well-known name",
		Fields:  []ingest.Fields{ingest.FieldStatus, ingest.FieldTarget},
		State:   "about 250 bytes, 40 for each distinct path (64 a span at most) and up to 8 lines, only for clients that asked for documentation",
		Evasion: "stays silent for who asks for fewer places than that, or knows where the documentation is",
		Concern: detect.Any,
		Config:  func() any { return new(ExposedDocsConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*ExposedDocsConfig)
			r := &exposedDocs{tries: newTries(env, fmt.Sprintf("docs1/%s", c.Span), c.Span), limit: uint32(c.Places)}
			r.judge = r.weighed
			return r, nil
		},
	})
}

// ExposedDocsConfig is the "exposed-docs" section of the config file.
type ExposedDocsConfig struct {
	Places int           `yaml:"places" default:"4" doc:"distinct places of documentation, refused to one client within span, that make a finding (the page of springfox 2 asks for three by itself; lists of such places have dozens)"`
	Span   time.Duration `yaml:"span" default:"6h" doc:"span within which places add up, in event time"`
}

// Check implements validation for the config loader.
func (c *ExposedDocsConfig) Check(report func(key, message string)) {
	if c.Places < 2 {
		report("places", "must be at least 2: one is a link that does not work")
	}
	checkHorizon(c.Span, report)
}

type exposedDocs struct {
	*tries
	limit uint32
}

// Observe implements detect.Rule.
func (r *exposedDocs) Observe(ev *ingest.Event, slot detect.Slot) {
	if ev.Kind != ingest.RouteDocs || strings.HasPrefix(ev.Route, "/.well-known/") {
		return // RFC 8615: those are for every client
	}
	switch {
	case docsRefused(ev.Status):
		r.try(ev, slot, hashTarget(ev.Target), 1, func() string { return fmt.Sprintf("documentation, answered %d", ev.Status) })
	case ev.Status >= 200 && ev.Status < 300:
		r.win(ev, slot, hashTarget(ev.Target))
	}
}

func docsRefused(status uint16) bool { return status >= 400 && status < 500 && status != 429 }

// Explain implements detect.Explainer.
func (r *exposedDocs) Explain(ev *ingest.Event) (bool, string) {
	if ev.Kind != ingest.RouteDocs {
		return false, "the route is no documentation"
	}
	return docsRefused(ev.Status), fmt.Sprintf("documentation, answered %d; a finding from %d places refused within %s", ev.Status, r.limit, time.Duration(r.horizon)*time.Second)
}

func (r *exposedDocs) weighed(t tally, _ detect.Standing) verdict {
	v := verdict{
		fires: t.things >= r.limit, severity: detect.Medium, confidence: surer(0.75, 0.9, float64(t.things)/float64(r.limit), 4),
		why: fmt.Sprintf("documentation asked for at %d places that have none; %d make a search", t.things, r.limit),
	}
	if t.after > 0 {
		v.severity = detect.High
		v.why += fmt.Sprintf("; then it was found at %d", t.after)
	}
	return v
}
