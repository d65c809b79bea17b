package elastic

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	fixture "github.com/portcullis/portcullis/fixtures/elastic"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

// TestLogin has an Elasticsearch with security: TLS with a client certificate, a wrong
// password and API key, a user who lacks privileges, one who is removed under the
// writer, and another in its place.
func TestLogin(t *testing.T) {
	server(t) // skips where there is none
	s := secured(t)
	ca := filepath.Join(s.Dir, "ca.pem")
	with := func(c *Config, _ *Options) {
		c.URLs = []string{s.URL()}
		c.CA, c.Cert, c.Key = ca, filepath.Join(s.Dir, "node.pem"), filepath.Join(s.Dir, "node.key")
	}
	user := func(c *Config, _ *Options) { c.Username, c.Password = fixture.User, fixture.Password }
	admin := newRig(t, "", LayoutIndex, with, user)
	eventually(t, "the templates are installed", func() bool { _, err := admin.Install(t.Context()); return err == nil })
	if list, err := admin.Check(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("%v, error %v", list, err)
	}

	t.Run("refused", func(t *testing.T) { refused(t, with, user) })
	t.Run("poor", func(t *testing.T) { poor(t, s, with) })
	t.Run("revoked", func(t *testing.T) { revoked(t, s, admin, with) })
}

type change = func(*Config, *Options)

// refused: nobody gets in without a certificate, nor with a wrong password.
func refused(t *testing.T, with, user change) {
	if _, err := newRig(t, "", LayoutIndex, func(c *Config, o *Options) { with(c, o); c.Cert, c.Key = "", "" }, user).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a certificate: %v", err)
	}
	if _, err := newRig(t, "", LayoutIndex, func(c *Config, o *Options) { with(c, o); c.CA = "" }, user).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "elasticsearch.ca") {
		t.Errorf("without its authority: %v", err)
	}
	for name, wrong := range map[string]change{
		"password": func(c *Config, _ *Options) { c.Username, c.Password = fixture.User, "wrong" },
		"API key":  func(c *Config, _ *Options) { c.APIKey = "bm9uZTpub25l" },
	} {
		_, err := newRig(t, "", LayoutIndex, with, wrong).Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "wrong, expired or revoked") {
			t.Errorf("with a wrong %s: %v", name, err)
		}
	}
}

// poor has a user who may not do all.
func poor(t *testing.T, s *fixture.Server, with change) {
	grant(t, s, "poor", `{cluster: [monitor], indices: [{names: ["portcullis.*"], privileges: [create_doc, auto_configure]}]}`)
	r := newRig(t, "", LayoutIndex, with, as("poor"))
	eventually(t, "what lacks is reported", func() bool {
		list, _ := r.Check(t.Context())
		return len(list) > 0 && strings.Contains(list[0].String(), "lacks cluster privileges: manage_index_templates")
	})
}

// revoked has the privileges of the documentation, which are all that is needed, and
// loses them under the writer. The server under test keeps no API keys; to the
// writer a user that is gone is the same as a key that has expired.
func revoked(t *testing.T, s *fixture.Server, admin *rig, with change) {
	rights := `{cluster: [` + strings.Join(needs.cluster, ", ") + `], indices: [{names: ["portcullis.*"], privileges: [` +
		strings.Join(append(slices.Clone(needs.index), "delete_index"), ", ") + `]}]}`
	grant(t, s, "first", rights)
	same := func(c *Config, _ *Options) { c.Namespace = admin.cfg.Namespace }
	r := newRig(t, "", LayoutIndex, with, same, as("first"))
	eventually(t, "nothing lacks", func() bool { list, err := r.Check(t.Context()); return err == nil && len(list) == 0 })
	docs := r.numbered(t, 0, 40)
	if err := r.Write(t.Context(), docs[:20]); err != nil {
		t.Fatal(err)
	}
	grant(t, s, "second", rights)
	eventually(t, "the first user is gone", func() bool { _, err := r.Check(t.Context()); return err != nil })
	wait := r.writing(t.Context(), docs)
	eventually(t, "it is reported", func() bool { return strings.Contains(r.Health().Error, "wrong, expired or revoked") })
	r.Login("", "second", secret)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	if err := admin.Refresh(t.Context()); err != nil {
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

const secret = "of-this-test"

func as(user string) change {
	return func(c *Config, _ *Options) { c.Username, c.Password = user, secret }
}

// grant makes a user the only one in the server's files, with a role. The server
// reads them anew every few seconds.
func grant(t *testing.T, s *fixture.Server, user, role string) {
	t.Helper()
	for name, text := range map[string]string{
		"roles.yml": user + ": " + role + "\n", "users_roles": user + ":" + user + "\n", "users": user + ":" + secret + "\n",
	} {
		if err := os.WriteFile(filepath.Join(s.Dir, "config", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
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
