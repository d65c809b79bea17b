package elastic

import (
	"path/filepath"
	"strings"
	"testing"

	fixture "github.com/portcullis/portcullis/fixtures/elastic"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

// TestLogin has an Elasticsearch with security: TLS with a client certificate, an
// API key that lacks privileges, one that is revoked under the writer, and a new one
// in its place.
func TestLogin(t *testing.T) {
	shared := server(t)
	if err := shared.Stop(); err != nil { // one at a time
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.Start(); err != nil {
			t.Error(err)
		}
	})
	s := secured(t)
	ca := filepath.Join(s.Dir, "ca.pem")
	with := func(c *Config, _ *Options) {
		c.URLs = []string{s.URL()}
		c.CA, c.Cert, c.Key = ca, filepath.Join(s.Dir, "node.pem"), filepath.Join(s.Dir, "node.key")
	}
	user := func(c *Config, _ *Options) { c.Username, c.Password = fixture.User, fixture.Password }
	admin := newRig(t, s.URL(), LayoutIndex, with, user)
	eventually(t, "the templates are installed", func() bool { _, err := admin.Install(t.Context()); return err == nil })
	if list, err := admin.Check(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("%v, error %v", list, err)
	}

	// Nobody gets in without a certificate, nor with a wrong password.
	if _, err := newRig(t, s.URL(), LayoutIndex, func(c *Config, o *Options) { with(c, o); c.Cert, c.Key = "", "" }, user).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a certificate: %v", err)
	}
	if _, err := newRig(t, s.URL(), LayoutIndex, func(c *Config, o *Options) { with(c, o); c.CA = "" }, user).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "elasticsearch.ca") {
		t.Errorf("without its authority: %v", err)
	}
	_, err := newRig(t, s.URL(), LayoutIndex, with, func(c *Config, _ *Options) { c.Username, c.Password = fixture.User, "wrong" }).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "wrong, expired or revoked") {
		t.Errorf("with a wrong password: %v", err)
	}

	// A key that may not do all.
	poor := admin.apiKey(t, "poor", `"cluster":["monitor"],"indices":[{"names":["portcullis.*"],"privileges":["create_doc","auto_configure"]}]`)
	list, err := newRig(t, s.URL(), LayoutIndex, with, func(c *Config, _ *Options) { c.APIKey = poor.encoded }).Check(t.Context())
	if len(list) == 0 || !strings.Contains(list[0].String(), "lacks cluster privileges: manage_index_templates") {
		t.Errorf("%v, error %v", list, err)
	}

	// The privileges of the documentation, all that are needed, and revoked.
	rights := `"cluster":["` + strings.Join(needs.cluster, `","`) + `"],"indices":[{"names":["portcullis.*"],"privileges":["` + strings.Join(append(needs.index, "delete_index"), `","`) + `"]}]`
	key := admin.apiKey(t, "writer", rights)
	r := newRig(t, s.URL(), LayoutIndex, with, func(c *Config, _ *Options) { c.APIKey = key.encoded })
	if list, err := r.Check(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("with all privileges: %v, error %v", list, err)
	}
	docs := admin.numbered(t, 0, 40)
	if err := r.Write(t.Context(), docs[:20]); err != nil {
		t.Fatal(err)
	}
	if err := admin.web.call(t.Context(), "DELETE", "/_security/api_key", []byte(`{"ids":["`+key.id+`"]}`), nil); err != nil {
		t.Fatal(err)
	}
	wait := r.writing(t.Context(), docs)
	eventually(t, "the revoked key is reported", func() bool { return strings.Contains(r.Health().Error, "wrong, expired or revoked") })
	r.Login(admin.apiKey(t, "next", rights).encoded, "", "")
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	if err := admin.web.call(t.Context(), "POST", "/"+admin.target(Finding)+"/_refresh", nil, nil); err != nil {
		t.Fatal(err)
	}
	hits, err := admin.search(t.Context(), Finding, object{"size": 1000, "_source": false})
	if err != nil || len(hits) != len(docs) {
		t.Errorf("%d documents, want %d, error %v", len(hits), len(docs), err)
	}
	if h := r.Health(); h.Error != "" || h.Rejected != 0 {
		t.Errorf("%+v", h)
	}
}

// secured starts an Elasticsearch that wants a login and a certificate.
func secured(t *testing.T) *fixture.Server {
	t.Helper()
	dir := t.TempDir()
	servetest.NewAuthorityIn(t, dir).Issue("node")
	s, err := fixture.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Security = true
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

type apiKey struct{ id, encoded string }

func (r *rig) apiKey(t testing.TB, name, rights string) apiKey {
	t.Helper()
	var out struct {
		ID      string `json:"id"`
		Encoded string `json:"encoded"`
	}
	if err := r.web.call(t.Context(), "POST", "/_security/api_key", []byte(`{"name":"`+name+`","role_descriptors":{"r":{`+rights+`}}}`), &out); err != nil {
		t.Fatal(err)
	}
	return apiKey{out.ID, out.Encoded}
}
