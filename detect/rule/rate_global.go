package rule

import (
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("rate-global", detect.Spec{
		Doc:     "all traffic together is far more than its norm",
		Family:  detect.Rate,
		Tags:    []string{"owasp:api4:2023", "attack:T1499.002", "attack:T1498.001", "oat:015"},
		Needs:   "time, client address",
		Fields:  []ingest.Fields{},
		Helps:   ingest.FieldStatus,
		State:   "about 12 KB for each, as rate-route keeps, with the clients that ask for hardly anything but one route",
		Evasion: "silent below least requests in a minute, in the first five minutes and below factor times the norm; a newsletter looks the same, so that it is never above low; clients are named as rate-route names few",
		By:      detect.ByGlobal,
		Concern: detect.Any | detect.Hits,
		Config:  func() any { return new(RateGlobalConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			return newCrowded(env, "global4", cfg.(*RateGlobalConfig).limits(), crowdedByGlobal), nil
		},
	})
}

// RateGlobalConfig is the "rate-global" section of the config file.
type RateGlobalConfig struct {
	Least  int     `yaml:"least" default:"300" doc:"requests of a minute below which nothing is a flood"`
	Factor float64 `yaml:"factor" default:"4" doc:"times the norm from which it is found; rate-route explains"`
	Risk   float64 `yaml:"risk" default:"0.0001" doc:"probability with which an ordinary minute may exceed the extreme value threshold; rate-route explains"`
}

// Check implements validation for the config loader.
func (c *RateGlobalConfig) Check(report func(key, message string)) {
	if c.Least < 10 {
		report("least", "must be at least 10")
	}
	if c.Factor < 1.5 {
		report("factor", "must be at least 1.5")
	}
	if c.Risk <= 0 || c.Risk > 0.01 {
		report("risk", "must be above 0 and at most 0.01")
	}
}

func (c *RateGlobalConfig) limits() crowdedLimits {
	return crowdedLimits{Least: c.Least, Factor: c.Factor, Risk: c.Risk}
}
