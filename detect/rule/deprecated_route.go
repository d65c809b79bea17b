package rule

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("deprecated-route", detect.Spec{
		Doc:     "an operation that the API's documents call deprecated is still used: said once an hour, with who uses it",
		Family:  detect.API,
		Tags:    []string{"owasp:api9:2023", "attack:T1190"},
		Needs:   "an OpenAPI document (openapi in the settings); method, path, status; a consumer, key or user names who it is better than an address",
		Fields:  []ingest.Fields{ingest.FieldAPI, ingest.FieldTarget, ingest.FieldStatus},
		Helps:   ingest.FieldUser | ingest.FieldConsumer | ingest.FieldKey | ingest.FieldToken | ingest.FieldSession,
		State:   "about 500 bytes for each method, up to 16 callers and 5 lines, for each deprecated route in use in the hour",
		Evasion: "silent without a document, and below requests in a clock hour; of more than 16 callers of a method some are listed",
		By:      detect.ByRoute,
		Concern: detect.Lapsing,
		Advice:  true,
		Config:  func() any { return new(DeprecatedRouteConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &deprecatedRoute{newListed(env, "deprecated1", detect.LapseDeprecated), cfg.(*DeprecatedRouteConfig)}
			r.judge, r.tells = r.weighed, everyLapse
			return r, nil
		},
	})
}

// DeprecatedRouteConfig is the "deprecated-route" section of the config file.
type DeprecatedRouteConfig struct {
	Requests int `yaml:"requests" default:"3" doc:"successful answers in a clock hour that make a finding, which is for information (reasoning: fewer are somebody trying)"`
}

// Check implements validation for the config loader.
func (c *DeprecatedRouteConfig) Check(report func(key, message string)) {
	if c.Requests < 1 {
		report("requests", "must be at least 1")
	}
}

type deprecatedRoute struct {
	*listed
	cfg *DeprecatedRouteConfig
}

// Explain implements detect.Explainer.
func (r *deprecatedRoute) Explain(ev *ingest.Event) (bool, string) {
	if ev.API.Facts&ingest.APIDeprecated == 0 {
		return false, "the operation is not deprecated, or there is no document"
	}
	return ev.Status >= 200 && ev.Status < 400, fmt.Sprintf("a deprecated operation; said from %d successful answers in a clock hour", r.cfg.Requests)
}

func (r *deprecatedRoute) weighed(things []detect.Lapse) verdict {
	n, clients := sumLapses(things)
	return verdict{fires: n >= int64(r.cfg.Requests), severity: detect.Info, confidence: 0.9,
		why: fmt.Sprintf("deprecated (%s), and %d requests of about %d clients were answered with success: tell those who use it before it goes", lapseNames(things), n, clients)}
}

// lapseNames lists the first names, which may be a client's.
func lapseNames(things []detect.Lapse) string {
	const shown = 5
	var out []string
	for i := range things[:min(len(things), shown)] {
		out = append(out, fmt.Sprintf("%.40q", things[i].Name))
	}
	if len(things) > shown {
		out = append(out, fmt.Sprintf("%d more", len(things)-shown))
	}
	return strings.Join(out, ", ")
}
