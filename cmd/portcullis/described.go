package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/portcullis/portcullis/enforce/authz/schema"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// description are the documents of the settings, once they were read. They stay as they are
// then: settings that have to come back into force must not depend on files that have changed.
type description struct {
	api  *openapi.API
	read bool

	rules    *schema.Rules // the same for authz.validate
	compiled bool
}

// described reads the OpenAPI documents, the first time that it is called. It returns nil
// where the settings name none.
func (s *Settings) described() (*openapi.API, error) {
	if s.description.read {
		return s.description.api, nil
	}
	api, err := openapi.Open(s.OpenAPI)
	if err != nil {
		return nil, err
	}
	s.description.api, s.description.read = api, true
	return api, nil
}

// inlineRules reads the documents that authz holds requests against, the first time that it
// is called. It returns nil where it holds them against none.
func (s *Settings) inlineRules() (*schema.Rules, error) {
	if s.description.compiled {
		return s.description.rules, nil
	}
	rules, err := s.Authz.Rules(s.OpenAPI)
	if err != nil {
		return nil, err
	}
	s.description.rules, s.description.compiled = rules, true
	return rules, nil
}

// sayDescribed tells what is known of the API, and what is odd in the documents.
func (s *Settings) sayDescribed(log *slog.Logger) {
	api := s.description.api
	if api == nil {
		return
	}
	log.Info("openapi", "documents", len(s.OpenAPI), "operations", len(api.Operations))
	for _, w := range api.Warnings {
		log.Warn("openapi", "warning", w)
	}
}

// sayRules tells what requests are held against, and what cannot be looked at.
func (s *Settings) sayRules(log *slog.Logger) {
	rules := s.description.rules
	if rules == nil {
		return
	}
	log.Info("authz: requests are held against documents", "mode", s.Authz.Validate.Mode, "operations", rules.Operations)
	for _, w := range rules.Warnings {
		log.Warn("authz: a document", "warning", w)
	}
}

// apiText says in words what the documents say of a request; no values.
func apiText(ev *ingest.Event) string {
	var out []string
	for _, f := range []struct {
		fact ingest.APIFacts
		word string
	}{{ingest.APIDescribed, "described"}, {ingest.APIUnlisted, "undocumented"}, {ingest.APIMethod, "method not described"},
		{ingest.APIDeprecated, "deprecated"}, {ingest.APISecured, "needs credentials"}} {
		if ev.API.Facts&f.fact != 0 {
			out = append(out, f.word)
		}
	}
	for _, d := range ev.API.Departures {
		switch d.Kind {
		case ingest.DepartureName:
			out = append(out, fmt.Sprintf("parameter %.40q not described", d.Name))
		case ingest.DepartureValue:
			out = append(out, fmt.Sprintf("value of %.40q not as described", d.Name))
		}
	}
	return strings.Join(out, ", ")
}
