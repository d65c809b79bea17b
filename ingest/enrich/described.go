package enrich

import (
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// Describe has routes named as the documents of an API name them, where these have them, and
// events told what the documents say of their requests. It returns r; a nil API changes
// nothing. Call it before the first Resolve.
func (r *Routes) Describe(api *openapi.API) *Routes {
	if api == nil {
		return r
	}
	r.api, r.docs = api, api.Reader()
	list := api.Templates()
	r.max += len(list) // they take nothing from those that are learned
	for _, text := range list {
		known := r.ids[text]
		if known == nil {
			known = r.add(text)
		}
		known.api = true
	}
	return r
}

// describe tells an event what the documents say of it.
func (r *Routes) describe(ev *ingest.Event, said *openapi.Match) {
	if r.docs == nil {
		return
	}
	ev.API = ingest.API{Facts: said.Facts}
	if said.Bad != "" {
		ev.API.Depart(ingest.DepartureValue, said.Bad)
	}
	if said.Op != nil {
		r.docs.Query(said.Op, ev.Target, &ev.API)
	}
}
