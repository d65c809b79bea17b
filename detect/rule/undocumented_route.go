package rule

import (
	"fmt"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("undocumented-route", detect.Spec{
		Doc:     "a route that the API's documents do not have is answered with success again and again: a shadow or forgotten endpoint, said once an hour with who uses it",
		Family:  detect.API,
		Tags:    []string{"owasp:api9:2023", "attack:T1190", "attack:T1595.003"},
		Needs:   "an OpenAPI document (openapi in the settings); path, status",
		Fields:  []ingest.Fields{ingest.FieldAPI, ingest.FieldTarget, ingest.FieldStatus},
		Helps:   ingest.FieldUser | ingest.FieldConsumer | ingest.FieldKey | ingest.FieldToken | ingest.FieldSession,
		State:   "about 500 bytes, up to 16 callers and 5 lines, for each undocumented route with a successful answer in the hour",
		Evasion: "silent without a document, outside of what the documents cover, below requests in a clock hour, and for documentation and health probes, which exposed-docs and nobody's document have; a route that a template of the documents happens to fit is taken for documented",
		By:      detect.ByRoute,
		Concern: detect.Lapsing,
		Advice:  true,
		Config:  func() any { return new(UndocumentedRouteConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &undocumentedRoute{newListed(env, "unlisted1", detect.LapseUnlisted), cfg.(*UndocumentedRouteConfig)}
			r.judge, r.tells = r.weighed, everyLapse
			return r, nil
		},
	})
}

// UndocumentedRouteConfig is the "undocumented-route" section of the config file.
type UndocumentedRouteConfig struct {
	Requests int `yaml:"requests" default:"5" doc:"successful answers in a clock hour to several clients that make a finding (reasoning: one may be a slip of a catch-all page)"`
	Clients  int `yaml:"clients" default:"2" doc:"clients that are several"`
	Alone    int `yaml:"alone" default:"8" doc:"successful answers that make a finding whoever gets them: a scanner asks for a path once or twice"`
}

// Check implements validation for the config loader.
func (c *UndocumentedRouteConfig) Check(report func(key, message string)) {
	if c.Requests < 1 {
		report("requests", "must be at least 1")
	}
	if c.Clients < 1 {
		report("clients", "must be at least 1")
	}
	if c.Alone < c.Requests {
		report("alone", "must not be below requests")
	}
}

type undocumentedRoute struct {
	*listed
	cfg *UndocumentedRouteConfig
}

// everyLapse is for rules of which all lapses count together.
func everyLapse(things []detect.Lapse) []detect.Lapse { return things }

// Explain implements detect.Explainer.
func (r *undocumentedRoute) Explain(ev *ingest.Event) (bool, string) {
	switch {
	case ev.API.Facts&ingest.APIUnlisted == 0:
		return false, "the documents have the route, or there is none that speaks for it"
	case ev.Status < 200 || ev.Status >= 400:
		return false, "the documents do not have the route, and the gateway did not serve it"
	}
	return true, fmt.Sprintf("the documents do not have the route; said from %d such answers in a clock hour to %d clients, or %d to anybody", r.cfg.Requests, r.cfg.Clients, r.cfg.Alone)
}

func (r *undocumentedRoute) weighed(things []detect.Lapse) verdict {
	n, clients := sumLapses(things)
	several := clients >= int64(r.cfg.Clients) && n >= int64(r.cfg.Requests)
	v := verdict{fires: several || n >= int64(r.cfg.Alone), severity: detect.Low, confidence: 0.6,
		why: fmt.Sprintf("in no document of the API, and %d requests of about %d clients were answered with success: describe it, or take it down", n, clients)}
	if several {
		v.confidence = 0.8
	}
	return v
}
