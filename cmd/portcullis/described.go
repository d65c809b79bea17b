package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// description are the documents of the settings, once they were read. They stay as they are
// then: settings that have to come back into force must not depend on files that have changed.
type description struct {
	api  *openapi.API
	read bool
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
	s.description = description{api, true}
	return api, nil
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
