package inspect

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// object is {"name": value}.
func object(t *testing.T, name string, value any) string {
	t.Helper()
	out, err := json.Marshal(map[string]any{name: value})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestPacked wraps attacks and honest texts as programs pack a parameter: what is inside is
// found where it stands, and nothing is where nothing is.
func TestPacked(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	token := func(s string) string {
		raw := base64.RawURLEncoding
		return raw.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + raw.EncodeToString([]byte(object(t, "sub", s))) + "." + raw.EncodeToString([]byte("signature of the rest"))
	}
	ways := []struct {
		name, field string
		pack        func(s string) string
	}{
		{"JSON", "query.filter.name", func(s string) string { return object(t, "name", s) }},
		{"JSON in an array", "query.filter.a.[]", func(s string) string { return object(t, "a", []any{1, s}) }},
		{"JSON in JSON", "query.filter.a.b", func(s string) string { return object(t, "a", object(t, "b", s)) }},
		{"base64 in JSON", "query.filter.a (base64)", func(s string) string { return object(t, "a", b64(s)) }},
		{"JSON in base64", "query.filter (base64).a", func(s string) string { return b64(object(t, "a", s)) }},
		{"base64 twice", "query.filter (base64) (base64)", func(s string) string { return b64(b64(s)) }},
		{"a token", "query.filter (base64).sub", token},
	}
	attacks := []string{"1 OR NOT 1=2 UNION SELECT name, pass FROM users", "http://169.254.169.254/latest/meta-data/", "$(printf '\\x69\\x64\\x64')", "rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA=="}
	honest := []string{"O'Neill; the union of clubs", "price > 10 and rating < 5", "Is it \"open\"; sleep or read -- all day?", "{not json} [at all]", "c:\\new\\names"}
	in, gated := New(Config{}), New(Config{})
	for _, w := range ways {
		for _, s := range attacks {
			ev := &ingest.Event{Target: "/x?filter=" + url.QueryEscape(w.pack(s))}
			v := in.full(ev)
			if v.Score < in.Threshold() || !strings.HasPrefix(v.Field, "query.filter") {
				t.Errorf("%s: %q scores %d in %q (%s)", w.name, s, v.Score, v.Field, v.Why)
			}
			if !gated.Suspicious(ev) {
				t.Errorf("%s: the first pass clears %q", w.name, s)
			}
		}
		if v := in.full(&ingest.Event{Target: "/x?filter=" + url.QueryEscape(w.pack(attacks[1]))}); v.Field != w.field {
			t.Errorf("%s: found in %q, want %q", w.name, v.Field, w.field)
		}
		for _, s := range honest {
			if v := in.full(&ingest.Event{Target: "/x?filter=" + url.QueryEscape(w.pack(s))}); v.Score >= in.Threshold() {
				t.Errorf("%s: the honest %q scores %d (%s)", w.name, s, v.Score, v.Why)
			}
		}
	}
}

// TestNamesAndAgents puts attacks where a name or a user agent belongs.
func TestNamesAndAgents(t *testing.T) {
	in, gated := New(Config{}), New(Config{})
	for _, s := range []string{"<script>alert(1)</script>", "' OR 'x'='x", "; cat /etc/passwd", "../../../../etc/passwd", "{\"$where\":\"1==1\"}"} {
		ev := &ingest.Event{Target: "/x?a=b&" + url.QueryEscape(s) + "=1"}
		if v := in.full(ev); v.Score < in.Threshold() || v.Field != "query (name)" || !gated.Suspicious(ev) {
			t.Errorf("%q as a name scores %d in %q, suspicious: %v", s, v.Score, v.Field, gated.Suspicious(ev))
		}
	}
	for _, s := range []string{"user[first name]", "First Name", "price (EUR)", "a:b/c", "d'Artagnan", "größe"} {
		if v := in.full(&ingest.Event{Target: "/x?" + url.QueryEscape(s) + "=1"}); v.Score >= in.Threshold() {
			t.Errorf("the honest name %q scores %d (%s)", s, v.Score, v.Why)
		}
	}
	for _, s := range []string{"-1 UNION ALL SELECT NULL,NULL,CONCAT(user,0x3a,password) FROM users", "1) OR (SELECT COUNT(*) FROM information_schema.tables)>0--", "/etc/passwd", "file:///etc/shadow"} {
		ev := &ingest.Event{Target: "/", Agent: "Mozilla/5.0 " + s}
		if v := in.full(ev); v.Score < in.Threshold() || v.Field != "agent" || !gated.Suspicious(ev) {
			t.Errorf("%q in an agent scores %d in %q (%s), suspicious: %v", s, v.Score, v.Field, v.Why, gated.Suspicious(ev))
		}
	}
	for _, s := range []string{"Selectbot/1.0 (+http://example.com/select; European Union)", "WordPress/6.4; https://union-select.example"} {
		if v := in.full(&ingest.Event{Target: "/", Agent: s}); v.Score >= in.Threshold() {
			t.Errorf("the honest agent %q scores %d (%s)", s, v.Score, v.Why)
		}
	}
}
