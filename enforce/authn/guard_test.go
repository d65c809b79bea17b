package authn

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	testSecret = [SecretBytes]byte{7}
	ours       = []Issuer{{Issuer: "ours", Audience: []string{"a"}, Secret: strings.Repeat("s", 32)}}
	noon       = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
)

// keyed is a guard with a file of keys that a test changes.
type keyed struct {
	t    *testing.T
	g    *Guard
	path string
}

func withKeys(t *testing.T, cfg Config) *keyed {
	t.Helper()
	k := &keyed{t: t, path: filepath.Join(t.TempDir(), "clients.keys")}
	g, err := New(cfg, Deps{Secret: testSecret, Keys: k.path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	k.g = g
	return k
}

func (k *keyed) update(change func(*Keys) error) {
	k.t.Helper()
	if err := UpdateKeys(k.path, change); err != nil {
		k.t.Fatal(err)
	}
	k.g.keys.look()
}

func (k *keyed) issue(key Key) (shown string) {
	k.t.Helper()
	k.update(func(all *Keys) error {
		var err error
		shown, err = all.Issue(testSecret, key, noon)
		return err
	})
	return shown
}

func (k *keyed) status(method, path, key string, at time.Time) int {
	return k.g.Check(context.Background(), &Request{Path: path, Method: method, Key: key}, at).Status
}

// TestRules: the first rule that fits counts, and routes and scopes of a key bound it.
func TestRules(t *testing.T) {
	k := withKeys(t, Config{Default: NeedAny, Tokens: ours, Access: []Rule{
		{Route: "/health", Need: NeedNone},
		{Route: "/catalogue/*", Methods: []string{"GET"}, Need: NeedNone},
		{Route: "/orders/{id}", Methods: []string{"DELETE"}, Need: NeedKey, Scopes: []string{"orders:delete"}},
		{Route: "/people/*", Need: NeedToken},
	}})
	all := k.issue(Key{Name: "all", Consumer: "acme"})
	orders := k.issue(Key{Name: "orders", Consumer: "acme", Scopes: []string{"orders:delete"}, Routes: []Route{{Route: "/orders/*"}}})
	reads := k.issue(Key{Name: "reads", Consumer: "acme", Routes: []Route{{Route: "/orders/*", Methods: []string{"GET"}}}})
	for _, c := range []struct {
		method, path, key string
		status            int
	}{
		{"GET", "/health", "", 0}, {"POST", "/health", "", 0}, {"GET", "/HEALTH", "", 401}, {"GET", "/health/", "", 401},
		{"GET", "/catalogue", "", 0}, {"HEAD", "/catalogue/7", "", 0}, {"POST", "/catalogue/7", "", 401}, {"GET", "/catalogue/../orders", "", 401},
		{"GET", "/orders/1", "", 401}, {"GET", "/orders/1", all, 0}, {"GET", "/orders/1", "pcc_AAAAAAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAA", 401}, {"GET", "/orders/1", "x", 401},
		{"GET", "/orders/1", all[:len(all)-1] + "=", 401},
		{"DELETE", "/orders/1", all, 403}, {"DELETE", "/orders/1", orders, 0}, {"DELETE", "/orders/1", reads, 403},
		{"DELETE", "/ORDERS/1", orders, 403}, {"DELETE", "//orders/1", all, 403},
		{"GET", "/orders/1", reads, 0}, {"POST", "/orders/1", reads, 403}, {"GET", "/other", reads, 403}, {"GET", "/orders/..%2fother", reads, 403},
		{"GET", "/people/1", all, 401}, {"GET", "/other", all, 0},
		{"GET", "/%" + strings.Repeat("25", 100) + "2e", all, 400},
	} {
		if got := k.status(c.method, c.path, c.key, noon); got != c.status {
			t.Errorf("%s %.60q with %.8q: %d, want %d", c.method, c.path, c.key, got, c.status)
		}
	}
	r := Request{Path: "/catalogue/7", Method: "GET", Overrides: []string{"GET, DELETE"}}
	if got := k.g.Check(context.Background(), &r, noon).Status; got != 401 {
		t.Errorf("a method in another field: %d, want 401", got)
	}
	for what, c := range map[string]struct {
		r      Request
		status int
	}{
		"a path in another field":   {Request{Path: "/health", Method: "GET", Elsewhere: []string{"//orders/1"}}, 401},
		"the same path there":       {Request{Path: "/health", Method: "GET", Elsewhere: []string{"/health"}}, 0},
		"a gateway tells no path":   {Request{Method: "GET", Key: all}, 400},
		"a gateway tells no method": {Request{Path: "/health", Key: all}, 400},
	} {
		if got := k.g.Check(context.Background(), &c.r, noon).Status; got != c.status {
			t.Errorf("%s: %d, want %d", what, got, c.status)
		}
	}
	if s := k.g.Stats(); s.Known == 0 || s.Refused["missing"] == 0 || s.Refused["unknown"] != 3 || s.Secrets != 3 {
		t.Errorf("stats %+v", s)
	}
}

// TestKeyLife: expiry, rotation with overlap, revocation, all at their instant.
func TestKeyLife(t *testing.T) {
	k := withKeys(t, Config{Default: NeedKey})
	first := k.issue(Key{Name: "a", Consumer: "acme", Expires: noon.Add(48 * time.Hour)})
	var second string
	k.update(func(all *Keys) (err error) {
		second, err = all.Rotate(testSecret, "a", noon, time.Hour)
		return err
	})
	for _, c := range []struct {
		what, key string
		after     time.Duration
		status    int
	}{
		{"the earlier one", first, time.Hour - time.Nanosecond, 0}, {"the earlier one at its hour", first, time.Hour, 401},
		{"the new one", second, 0, 0}, {"the new one until its end", second, 48*time.Hour - 1, 0}, {"the new one then", second, 48 * time.Hour, 401},
	} {
		if got := k.status("GET", "/x", c.key, noon.Add(c.after)); got != c.status {
			t.Errorf("%s: %d, want %d", c.what, got, c.status)
		}
	}
	id := second[len(keyPrefix) : len(keyPrefix)+idLength]
	k.update(func(all *Keys) error { _, err := all.Revoke(id, noon); return err })
	if got := k.status("GET", "/x", second, noon); got != 401 {
		t.Errorf("revoked by its id: %d", got)
	}
	if err := UpdateKeys(k.path, func(all *Keys) error { _, err := all.Rotate(testSecret, "a", noon, 0); return err }); err == nil {
		t.Error("a revoked key was rotated")
	}
	again := k.issue(Key{Name: "a", Consumer: "acme"})
	if got := k.status("GET", "/x", again, noon); got != 0 {
		t.Errorf("issued anew: %d", got)
	}
	data, err := os.ReadFile(k.path)
	for _, shown := range []string{first, second, again} {
		if err != nil || strings.Contains(string(data), shown[len(keyPrefix)+idLength+1:]) {
			t.Errorf("a secret stands in the file, %v", err)
		}
	}
	g, err := New(Config{Default: NeedKey}, Deps{Secret: [SecretBytes]byte{8}, Keys: k.path})
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Check(context.Background(), &Request{Path: "/", Key: again}, noon).Status; got != 401 {
		t.Errorf("under the secret of another installation: %d", got)
	}
}

// TestKeysUnreadable: a file that cannot be read takes nobody's key away, and before one was
// read what needs keys is refused with 503, and nothing else is.
func TestKeysUnreadable(t *testing.T) {
	cfg := Config{Default: NeedAny, Access: []Rule{{Route: "/open", Need: NeedNone}}}
	k := withKeys(t, cfg)
	shown := k.issue(Key{Name: "a", Consumer: "acme"})
	if err := os.WriteFile(k.path, []byte(`{"keys": [{"nmae"`), 0o600); err != nil {
		t.Fatal(err)
	}
	k.g.keys.look()
	if got := k.status("GET", "/x", shown, noon); got != 0 {
		t.Errorf("after the file broke: %d", got)
	}
	g, err := New(cfg, Deps{Secret: testSecret, Keys: k.path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Check(context.Background(), &Request{Path: "/x", Key: shown}, noon).Status; got != 503 || g.Health() == nil {
		t.Errorf("before it could be read: %d, health %v", got, g.Health())
	}
	if got := g.Check(context.Background(), &Request{Path: "/open", Key: shown}, noon).Status; got != 0 {
		t.Errorf("an open route meanwhile: %d", got)
	}
	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	if k.g.keys.look(); k.status("GET", "/x", shown, noon) != 401 {
		t.Error("the file is gone, and its keys are good")
	}
}

// TestChallenges: what a refused client is told, by RFC 6750.
func TestChallenges(t *testing.T) {
	k := withKeys(t, Config{Realm: "shop", Tokens: ours, Access: []Rule{
		{Route: "/any", Scopes: []string{"a", "b"}}, {Route: "/key", Need: NeedKey}, {Route: "/token", Need: NeedToken}}})
	shown := k.issue(Key{Name: "a", Consumer: "acme", Scopes: []string{"a"}})
	for _, c := range []struct{ path, key, want string }{
		{"/any", "", `ApiKey realm="shop", Bearer realm="shop"`},
		{"/any", "x", `ApiKey realm="shop", error="invalid_token", Bearer realm="shop", error="invalid_token"`},
		{"/any", shown, `ApiKey realm="shop", error="insufficient_scope", scope="a b", Bearer realm="shop", error="insufficient_scope", scope="a b"`},
		{"/key", "", `ApiKey realm="shop"`},
		{"/token", shown, `Bearer realm="shop"`},
	} {
		if got := k.g.Check(context.Background(), &Request{Path: c.path, Key: c.key}, noon); got.Challenge != c.want {
			t.Errorf("%s with %.4q: %d %s, want %s", c.path, c.key, got.Status, got.Challenge, c.want)
		}
	}
	for _, auth := range []string{"ApiKey " + shown, "apikey  " + shown, "Bearer " + shown} {
		if got := k.g.Check(context.Background(), &Request{Path: "/key", Authorization: auth}, noon); got.Status != 0 || got.Who.Consumer != "acme" {
			t.Errorf("%.12q: %+v", auth, got)
		}
	}
}

func TestSettings(t *testing.T) {
	for key, c := range map[string]Config{
		"":                           {Access: []Rule{{Route: "*"}, {Route: "/a/{id}/*", Methods: []string{"get", "M-SEARCH"}, Need: NeedKey, Scopes: []string{"a:b"}}}},
		"access_default":             {Default: "all"},
		"realm":                      {Realm: `a"b`},
		"access[0].route":            {Access: []Rule{{Route: "orders"}}},
		"access[1].route":            {Access: []Rule{{Route: "/a"}, {Route: "/a/*/b"}}},
		"access[0].methods":          {Access: []Rule{{Route: "/a", Methods: []string{"GET POST"}}}},
		"access[0].need":             {Access: []Rule{{Route: "/a", Need: "all"}}},
		"access[0].scopes":           {Access: []Rule{{Route: "/a", Need: NeedNone, Scopes: []string{"a"}}}},
		"access[0].scopes[0]":        {Access: []Rule{{Route: "/a", Scopes: []string{`a"`}}}},
		"identity_secret_file":       {Secret: "short"},
		"access_default token_cache": {Default: NeedToken, TokenCache: -1},
	} {
		var got []string
		c.Check(func(k, _ string) { got = append(got, k) })
		if strings.Join(got, " ") != key {
			t.Errorf("%+v: reported %q, want %q", c, got, key)
		}
	}
	for key, change := range map[string]func(*Issuer){
		"":                    func(*Issuer) {},
		"issuer":              func(i *Issuer) { i.Issuer = "http://login.example" },
		"audience":            func(i *Issuer) { i.Audience = nil },
		"algorithms":          func(i *Issuer) { i.Algorithms = []string{"RS256", "HS256"} },
		"algorithms ":         func(i *Issuer) { i.Algorithms = []string{"none"} },
		"secret_file":         func(i *Issuer) { i.Secret = "short" },
		"skew":                func(i *Issuer) { i.Skew = time.Hour },
		"client_id":           func(i *Issuer) { i.Introspect = introspectOpaque },
		"introspect":          func(i *Issuer) { i.Introspect = "yes" },
		"introspection_cache": func(i *Issuer) { i.Keep = 2 * time.Hour },
		"jwks_url":            func(i *Issuer) { i.JWKS = "ftp://x" },
	} {
		c := Config{Tokens: []Issuer{{Issuer: "https://login.example", Audience: []string{"a"}}}}
		change(&c.Tokens[0])
		var got []string
		c.Check(func(k, _ string) { got = append(got, strings.TrimPrefix(k, "tokens[0].")) })
		if strings.Join(got, " ") != strings.TrimSpace(key) {
			t.Errorf("%+v: reported %q, want %q", c, got, key)
		}
	}
	for _, r := range []string{"/a?b", "/a//b", "/a;b", "/a/../b", `/a\b`, "/%61", "/a*"} {
		if _, err := compile(r, nil); err == nil {
			t.Errorf("route %q is taken", r)
		}
	}
}

// FuzzKeys: what is read of a file can be written and read again, and nothing panics.
func FuzzKeys(f *testing.F) {
	var k Keys
	if _, err := k.Issue(testSecret, Key{Name: "a", Consumer: "acme", Routes: []Route{{"/a/*", []string{"GET"}}}}, noon); err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"keys":[{"name":"a","consumer":"b","secrets":[{"id":"AAAAAAAAAAAA","hmac_sha256":"00"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := parseKeys(data, "f")
		if err != nil {
			return
		}
		table := map[string]*entry{}
		for i := range k.Keys {
			addKey(table, &k.Keys[i])
		}
		again, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseKeys(again, "f"); err != nil {
			t.Errorf("%q is written as %q: %v", data, again, err)
		}
	})
}
