package main

import (
	"github.com/portcullis/portcullis/enforce/audit"
)

// inlineFacts is what the settings say of the decision service, for the audit of a gateway
// that asks it; nil where it is off. Settings that cannot be read are for other commands to
// complain about.
func (a *App) inlineFacts() *audit.Inline {
	s, err := a.Settings()
	if err != nil || !s.Authz.Enabled() {
		return nil
	}
	in := &audit.Inline{Addresses: []string{s.Authz.Listen, s.Authz.ListenGRPC}}
	for _, l := range s.Authz.Limits {
		in.Limits = append(in.Limits, audit.InlineLimit{Route: l.Route, Rate: l.Rate})
	}
	return in
}
