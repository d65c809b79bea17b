package main

import (
	"path/filepath"
	"slices"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect"
)

// The console's files in the state folder: its API keys, and who is logged in.
const (
	consoleKeysFile     = "console.keys"
	consoleSessionsFile = "console.sessions"
)

// consoleKeys is where the console's API keys are.
func (s *Settings) consoleKeys() string {
	if s.Console.KeysFile != "" {
		return s.Console.KeysFile
	}
	return filepath.Join(s.StateDir, consoleKeysFile)
}

// consoleRules are the detectors as the console shows them.
func (s *Settings) consoleRules() []console.Rule {
	var out []console.Rule
	for _, name := range detect.Rules() {
		spec, _ := detect.SpecOf(name)
		r, off := ruleOf(name), slices.Contains(s.Disable, name)
		out = append(out, console.Rule{
			Name: name, Version: r.Version, Family: string(r.Family), Doc: r.Flags, Tags: r.Tags, By: r.By, Needs: r.Needs,
			State: r.State, Evasion: r.Evasion, Enabled: !off, Mode: s.modeOf(name, spec, off),
		})
	}
	return out
}

// modeOf says what comes of a rule's findings.
func (s *Settings) modeOf(name string, spec detect.Spec, off bool) string {
	policy := s.Enforce.Policy
	switch {
	case off:
		return "off"
	case spec.Advice:
		return "advice"
	case policy.Simulate.All || slices.Contains(policy.Simulate.Rules, name):
		return "simulate"
	}
	return map[detect.Family]string{
		detect.Credential: policy.Families.Credential, detect.Rate: policy.Families.Rate, detect.Injection: policy.Families.Injection,
		detect.Recon: policy.Families.Recon, detect.API: policy.Families.API,
	}[spec.Family]
}

// newCosts adds up what detectors take, by this machine's clock.
func newCosts() *detect.Costs {
	start := now()
	return detect.NewCosts(func() int64 { return int64(now().Sub(start)) })
}
