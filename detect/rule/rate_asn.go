package rule

import (
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("rate-asn", detect.Spec{
		Doc:     "one autonomous system sends far more requests than its own norm and its share of all traffic explain",
		Family:  detect.Rate,
		Tags:    []string{"owasp:api4:2023", "attack:T1499.002", "attack:T1498.001", "oat:015"},
		Needs:   "client address and enrich.geoip's database of autonomous systems",
		Fields:  []ingest.Fields{ingest.FieldASN},
		Helps:   ingest.FieldStatus,
		State:   "about 12 KB for each, as rate-route keeps",
		Evasion: "silent below least requests in a minute, in the first five minutes, below factor times the norm, and without a database; where few clients do it, rate-client and rate-identity name them; never above low without server errors",
		By:      detect.ByASN,
		Concern: detect.Any,
		Config:  func() any { return new(RateASNConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			return newCrowded(env, "asn4", cfg.(*RateASNConfig).limits(), crowdedByASN), nil
		},
	})
}

// RateASNConfig is the "rate-asn" section of the config file.
type RateASNConfig struct {
	Least  int     `yaml:"least" default:"300" doc:"requests of a minute below which nothing is a flood"`
	Factor float64 `yaml:"factor" default:"4" doc:"times the norm from which it is found; rate-route explains"`
	Risk   float64 `yaml:"risk" default:"0.0001" doc:"probability with which an ordinary minute may exceed the extreme value threshold; rate-route explains"`
	Errors float64 `yaml:"errors" default:"0.2" doc:"share of server errors, and five times the usual one, that make a flood graver"`
}

// Check implements validation for the config loader.
func (c *RateASNConfig) Check(report func(key, message string)) {
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
}

func (c *RateASNConfig) limits() crowdedLimits {
	return crowdedLimits{Least: c.Least, Factor: c.Factor, Risk: c.Risk, Errors: c.Errors}
}
