package main

import (
	"context"

	"github.com/portcullis/portcullis/enforce/audit"
	"github.com/portcullis/portcullis/enforce/authn"
)

// inlineFacts is what the settings say of the decision service, for the audit of a gateway
// that asks it; nil where it is off. Settings that cannot be read are for other commands to
// complain about.
func (a *App) inlineFacts() *audit.Inline {
	s, err := a.Settings()
	if err != nil || !s.Authz.Enabled() {
		return nil
	}
	in := &audit.Inline{Addresses: []string{s.Authz.Listen, s.Authz.ListenGRPC},
		Inspects: s.Authz.Inspect.Mode == "enforce" || s.Authz.Validate.Mode == "enforce"}
	for _, l := range s.Authz.Limits {
		in.Limits = append(in.Limits, audit.InlineLimit{Route: l.Route, Rate: l.Rate})
	}
	needs := s.Authz.Authn
	needs.Keys = "" // who has which key does not matter here
	guard, err := authn.New(needs, authn.Deps{})
	if err != nil {
		return nil
	}
	in.Needs = func(path string) bool {
		r := authn.Request{Path: path, Method: "GET"}
		return guard.Check(context.Background(), &r, now()).Status != 0
	}
	return in
}
