package rule

import (
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("rate-route", detect.Spec{
		Doc:     "a route gets far more requests than its own norm and its share of all traffic explain, at once or within hours; lists the clients that make the difference, and the user agents by which their requests can be told from ordinary ones",
		Family:  detect.Rate,
		Version: 2,
		Tags:    []string{"owasp:api4:2023", "attack:T1499.002", "attack:T1498.001", "oat:015"},
		Needs:   "path, time, client address; status, user agent and TLS fingerprint make it surer",
		Fields:  []ingest.Fields{},
		Helps:   ingest.FieldTarget | ingest.FieldStatus | ingest.FieldAgent | ingest.FieldPrint,
		State:   "about 12 KB for a route, and three lines: two minutes by ten seconds, six hours by the minute, an hour of every hour of the week; 110 bytes for each client that came in the last three minutes, or since an alarm began (16 384 at most), 256 user agents of them of at most 120 bytes, 56 for each that came in six hours and asked for nothing else at first (2048 at most), and 250 for each that asks for hardly anything else (4096 at most)",
		Evasion: "silent below least requests in a minute, in the first five minutes of a route, below factor times the norm, and for floods in the usual mix of routes, which rate-global sees; where few clients do it, two at least, it is low and names those who ask for hardly anything else, of clients that were here before only those who ask for four times as much as in an hour before (heavy-client finds them, so that both must be on); a flood with the usual mix of agents lists its members only where it outnumbers honest newcomers by far; a fleet that comes within hours is seen by its new clients that ask for nothing else in their first minute, from 40 of them on that come for an hour and a half at least, not where each asks for two things first, nor in the first eight hours of a route (thirty where most ask for it alone anyway); a user agent is named once a hundred buckets of ten seconds with some twenty requests or more have shown what is ordinary",
		By:      detect.ByRoute,
		Concern: detect.Fresh | detect.Hits,
		Config:  func() any { return new(RateRouteConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			return newCrowded(env, "route4", crowdedLimits(*cfg.(*RateRouteConfig)), crowdedByRoute), nil
		},
	})
}

// RateRouteConfig is the "rate-route" section of the config file.
type RateRouteConfig struct {
	Least   int     `yaml:"least" default:"60" doc:"requests of a minute below which nothing is a flood: one a second harms nobody"`
	Factor  float64 `yaml:"factor" default:"4" doc:"times the norm, by itself and by the share of all traffic, from which it is found; published floods of login routes were 20 times the norm"`
	Risk    float64 `yaml:"risk" default:"0.0001" doc:"probability with which an ordinary minute may exceed the extreme value threshold (Siffer et al. 2017 use 1e-3 to 1e-5); it counts once 280 minutes are known"`
	Errors  float64 `yaml:"errors" default:"0.2" doc:"share of server errors, and five times the usual one, that make a flood graver"`
	Extreme float64 `yaml:"extreme" default:"10" doc:"times the norm from which a flood by newcomers who ask for nothing else is medium without more signs"`
}

// Check implements validation for the config loader.
func (c *RateRouteConfig) Check(report func(key, message string)) {
	if c.Least < 10 {
		report("least", "must be at least 10")
	}
	if c.Factor < 1.5 {
		report("factor", "must be at least 1.5")
	}
	if c.Risk <= 0 || c.Risk > 0.01 {
		report("risk", "must be above 0 and at most 0.01")
	}
	if c.Errors <= 0 || c.Errors > 1 {
		report("errors", "must be above 0 and at most 1")
	}
	if c.Extreme < c.Factor {
		report("extreme", "must not be below factor")
	}
}
