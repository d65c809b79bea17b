package authz

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce/authn"
)

// TestQuotaAnswers: what a consumer is told of its quota, beside a rate that is tighter or
// not; who is refused for something else has used nothing.
func TestQuotaAnswers(t *testing.T) {
	c := &clock{time.Date(2026, 5, 4, 22, 0, 0, 0, time.UTC)}
	deps := testDeps()
	deps.Now = c.now
	deps.Authn = authn.Deps{Secret: [32]byte{3}, Keys: filepath.Join(t.TempDir(), "clients.keys")}
	var key, other string
	err := authn.UpdateKeys(deps.Authn.Keys, func(k *authn.Keys) (err error) {
		if key, err = k.Issue(deps.Authn.Secret, authn.Key{Name: "a", Consumer: "acme"}, c.at); err == nil {
			other, err = k.Issue(deps.Authn.Secret, authn.Key{Name: "b", Consumer: "acme", Routes: []authn.Route{{Route: "/x"}}}, c.at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		Limits: []Limit{{Name: "login", Route: "/login", Rate: 1, Burst: 4}},
		Authn:  authn.Config{Default: authn.NeedAny, Quotas: []authn.Quota{{Consumer: "acme", Day: 2}}},
	}, deps)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for i, x := range []struct {
		path, key     string
		status        int
		limit, policy string
		retry         string
	}{
		{"/y", other, 403, "", "", ""},
		{"/y", key, 200, `"day";r=1;t=7200`, `"day";q=2;w=86400`, ""},
		{"/login", key, 200, `"login";r=4;t=1`, `"login";q=5;w=5`, ""},
		{"/y", "", 401, "", "", ""},
		{"/x", other, 429, `"day";r=0;t=7200`, `"day";q=2;w=86400`, "7200"},
		{"/login", key, 429, `"day";r=0;t=7200`, `"day";q=2;w=86400`, "7200"},
	} {
		got := s.forwarded("127.0.0.1:9", "192.0.2.1", x.path, "X-Api-Key", x.key, "X-Forwarded-Method", "GET")
		h := got.Header()
		told := func(name string) string { return first(h[name]) } // as it is written, not as Go would
		if got.Code != x.status || told("RateLimit") != x.limit || told("RateLimit-Policy") != x.policy || h.Get("Retry-After") != x.retry {
			t.Errorf("request %d: %d %v, want %+v", i+1, got.Code, h, x)
		}
	}
	c.at = c.at.Add(2 * time.Hour)
	if got := s.forwarded("127.0.0.1:9", "192.0.2.1", "/y", "X-Api-Key", key); got.Code != 200 {
		t.Errorf("the next day: %d", got.Code)
	}
}
