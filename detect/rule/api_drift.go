package rule

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("api-drift", detect.Spec{
		Doc:     "many clients use a documented route otherwise than described, and are answered with success: the API's document is out of date, or the API takes more than it should",
		Family:  detect.API,
		Tags:    []string{"owasp:api9:2023", "owasp:api8:2023", "attack:T1190"},
		Needs:   "an OpenAPI document (openapi in the settings); method, path, query, status",
		Fields:  []ingest.Fields{ingest.FieldAPI, ingest.FieldTarget, ingest.FieldStatus},
		Helps:   ingest.FieldMethod | ingest.FieldUser | ingest.FieldConsumer | ingest.FieldKey | ingest.FieldToken | ingest.FieldSession,
		State:   "about 500 bytes for each parameter or method (64 a route at most), up to 16 callers of each and 5 lines, for each route with such answers in the hour",
		Evasion: "silent without a document, and for what fewer than clients do, which api-probe sees; bodies and headers are in no access log; of a request's parameters the first three that depart are seen, and patterns, ranges and objects are not looked at",
		By:      detect.ByRoute,
		Concern: detect.Lapsing,
		Advice:  true,
		Config:  func() any { return new(APIDriftConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &apiDrift{newListed(env, "drift1", detect.LapseMethod, detect.LapseName, detect.LapseValue), cfg.(*APIDriftConfig)}
			r.judge, r.tells = r.weighed, r.drifting
			return r, nil
		},
	})
}

// APIDriftConfig is the "api-drift" section of the config file.
type APIDriftConfig struct {
	Requests int `yaml:"requests" default:"20" doc:"successful answers in a clock hour to the same departure that make it drift"`
	Clients  int `yaml:"clients" default:"5" doc:"and clients who got them (reasoning: what several programs do is not one program's fault)"`
}

// Check implements validation for the config loader.
func (c *APIDriftConfig) Check(report func(key, message string)) {
	if c.Requests < 1 {
		report("requests", "must be at least 1")
	}
	if c.Clients < 2 {
		report("clients", "must be at least 2: one client may be wrong")
	}
}

type apiDrift struct {
	*listed
	cfg *APIDriftConfig
}

// drifting are the departures that many make.
func (r *apiDrift) drifting(things []detect.Lapse) (out []detect.Lapse) {
	for i := range things {
		if x := &things[i]; x.Requests >= int64(r.cfg.Requests) && x.Clients.Estimate() >= int64(r.cfg.Clients) {
			out = append(out, *x)
		}
	}
	return out
}

// Explain implements detect.Explainer.
func (r *apiDrift) Explain(ev *ingest.Event) (bool, string) {
	if ev.API.Facts&ingest.APIMethod == 0 && ev.API.Departures[0].Kind == ingest.DepartureNone {
		return false, "the request is as the documents say, or there is none"
	}
	return ev.Status >= 200 && ev.Status < 400, fmt.Sprintf("not as described: %s; drift from %d successful answers to %d clients in a clock hour", departs(ev), r.cfg.Requests, r.cfg.Clients)
}

// departs says how a request is not as described, without values.
func departs(ev *ingest.Event) string {
	var out []string
	if ev.API.Facts&ingest.APIMethod != 0 {
		out = append(out, fmt.Sprintf("method %.20q", ev.Method))
	}
	for _, d := range ev.API.Departures {
		switch d.Kind {
		case ingest.DepartureName:
			out = append(out, fmt.Sprintf("unknown parameter %.40q", d.Name))
		case ingest.DepartureValue:
			out = append(out, fmt.Sprintf("value of %.40q", d.Name))
		}
	}
	return strings.Join(out, ", ")
}

func (r *apiDrift) weighed(things []detect.Lapse) verdict {
	list := r.drifting(things)
	v := verdict{fires: len(list) > 0, severity: detect.Info, confidence: 0.8}
	if !v.fires {
		return v
	}
	var parts []string
	for _, k := range []struct {
		kind detect.LapseKind
		what string
	}{{detect.LapseMethod, "methods"}, {detect.LapseName, "parameters"}, {detect.LapseValue, "values of"}} {
		if from, to := sameKind(list, k.kind); from < to {
			parts = append(parts, k.what+" "+lapseNames(list[from:to]))
		}
	}
	if list[0].Kind == detect.LapseMethod { // an operation that nobody described
		v.severity = detect.Low
	}
	n, clients := sumLapses(list)
	v.why = fmt.Sprintf("not as described, and answered with success: %s; %d requests of about %d clients: mend the document, or have the API refuse them", strings.Join(parts, "; "), n, clients)
	return v
}
