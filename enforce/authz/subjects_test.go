package authz

import (
	"net/http"
	"testing"

	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/identity"
)

// named is a key with what decisions call it.
type named struct{ key, pseudonym string }

func pseudonyms(t *testing.T, keys ...string) (out []named) {
	r, err := identity.New(testDeps().Identity)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		ev := ingest.Event{Key: k}
		r.Resolve(&ev)
		out = append(out, named{k, ev.Key})
	}
	return out
}

// askAs is ask with what tells another subject. The API answers 404 to paths that it does
// not know: they passed.
func askAs(t testing.TB, url string, a enforcetest.Ask, keys []named) int {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+a.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", a.Client.String())
	if a.As.Kind == "consumer" {
		req.Header.Set("X-Consumer", a.As.Value)
	}
	for _, k := range keys {
		if a.As.Kind == "key" && a.As.Value == k.pseudonym {
			req.Header.Set("X-Api-Key", k.key)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return http.StatusOK
	}
	return resp.StatusCode
}
