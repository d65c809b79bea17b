package main

import (
	"log/slog"

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
