package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("error-client", detect.Spec{
		Doc:     "requests of one client make the service fail (5xx) far more often than a person meets failures",
		Family:  detect.Rate,
		Tags:    []string{"owasp:api4:2023", "attack:T1499.004", "oat:015"},
		Needs:   "client address, status",
		Fields:  []ingest.Fields{ingest.FieldStatus},
		State:   "about 150 bytes and up to 8 lines, only for clients with a server error in the last minute",
		Evasion: "stays silent below limit per span; 502 to 504 do not count, since an outage makes every client fail; rate-route sees a fleet that causes one",
		Concern: detect.ServerError,
		Config:  func() any { return new(ErrorClientConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*ErrorClientConfig)
			r := &errorClient{surge: newSurge(env, "err1", c.Span), cfg: c}
			r.allowed = func(known detect.Standing) uint32 { return widened(c.Limit, c.PeopleCap, known) }
			r.judge = r.weighed
			return r, nil
		},
	})
}

// ErrorClientConfig is the "error-client" section of the config file.
type ErrorClientConfig struct {
	Limit     int           `yaml:"limit" default:"60" doc:"server errors of one person within span that make a finding: one a second, which no retry with backoff reaches (RFC 9110 15.6.4 lets a server ask for patience)"`
	Span      time.Duration `yaml:"span" default:"60s" doc:"sliding span, in event time"`
	PeopleCap int           `yaml:"people_cap" default:"20" doc:"the limit is multiplied by the number of people known behind the client, at most by so many"`
}

// Check implements validation for the config loader.
func (c *ErrorClientConfig) Check(report func(key, message string)) {
	if c.Limit < 5 {
		report("limit", "must be at least 5")
	}
	if c.PeopleCap < 1 {
		report("people_cap", "must be at least 1")
	}
	checkSpan(c.Span, report)
}

// widened is a limit times the people behind a client.
func widened(limit, people int, known detect.Standing) uint32 {
	return uint32(limit) * uint32(max(1, min(known.People, int64(people))))
}

type errorClient struct {
	*surge
	cfg *ErrorClientConfig
}

// Observe implements detect.Rule.
func (r *errorClient) Observe(ev *ingest.Event, slot detect.Slot) {
	if breaks(ev.Status) {
		r.count(ev, slot, func() string { return fmt.Sprintf("answered %d", ev.Status) })
	}
}

// breaks tells a request that the service breaks on from a service that is away: that is
// an outage (502 to 504), and not the client's doing.
func breaks(status uint16) bool { return status >= 500 && (status < 502 || status > 504) }

// Explain implements detect.Explainer.
func (r *errorClient) Explain(ev *ingest.Event) (bool, string) {
	return breaks(ev.Status), fmt.Sprintf("answered %d; a finding from %d server errors within %s", ev.Status, r.cfg.Limit, r.cfg.Span)
}

func (r *errorClient) weighed(e *episode) detect.Finding {
	f := e.finding()
	times := float64(e.count) / float64(widened(r.cfg.Limit, r.cfg.PeopleCap, e.standing))
	f.Severity, f.Confidence = detect.Low, surer(0.4, 0.7, times, 5)
	if times >= 1.5 {
		f.Severity, f.Confidence = detect.Medium, surer(0.7, 0.85, times, 5)
	}
	f.Why = fmt.Sprintf("%d server errors since %s; a person meets fewer than %d in %s", e.count, clock(e.first), r.cfg.Limit, r.cfg.Span)
	return f
}
