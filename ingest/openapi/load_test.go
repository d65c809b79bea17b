package openapi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

func opened(t testing.TB, list ...Document) *API {
	t.Helper()
	api, err := Open(list)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// said is what is found of a request, in words.
func said(api *API, host, verb, target string) string {
	r := api.Reader()
	path, _, _ := strings.Cut(target, "?")
	m := r.Find(api.Host(host), verb, path)
	out := m.Template
	for _, f := range []struct {
		fact ingest.APIFacts
		word string
	}{{ingest.APIDescribed, "described"}, {ingest.APIUnlisted, "unlisted"}, {ingest.APIMethod, "method"}, {ingest.APIDeprecated, "deprecated"}, {ingest.APISecured, "secured"}} {
		if m.Facts&f.fact != 0 {
			out += " " + f.word
		}
	}
	var of ingest.API
	if m.Bad != "" {
		of.Depart(ingest.DepartureValue, m.Bad)
	}
	if m.Op != nil {
		r.Query(m.Op, target, &of)
	}
	for _, d := range of.Departures {
		if d.Kind != ingest.DepartureNone {
			out += " " + map[ingest.DepartureKind]string{ingest.DepartureName: "?", ingest.DepartureValue: "!"}[d.Kind] + d.Name
		}
	}
	return strings.TrimSpace(out)
}

func TestWhatADocumentSays(t *testing.T) {
	api := opened(t, Document{File: "testdata/shop.yaml"})
	for request, want := range map[string]string{
		"GET /live/v2/orders/7":                                        "/live/v2/orders/{orderId} described secured",
		"HEAD /test/v2/orders/7":                                       "/test/v2/orders/{orderId} described secured",
		"OPTIONS /live/v2/orders/7":                                    "/live/v2/orders/{orderId} described",
		"PUT /live/v2/orders/7":                                        "/live/v2/orders/{orderId} method",
		"DELETE /live/v2/orders/7":                                     "/live/v2/orders/{orderId} described deprecated secured",
		"GET /LIVE/v2/Orders/7":                                        "/live/v2/orders/{orderId} described secured",
		"GET /live/v2/orders/seven":                                    "/live/v2/orders/{orderId} described secured !orderId",
		"GET /live/v2/orders/2147483648":                               "/live/v2/orders/{orderId} described secured !orderId",
		"GET /live/v2/orders/7?limit=3&limit=x":                        "/live/v2/orders/{orderId} described secured !limit",
		"GET /live/v2/orders/7?fields=id,total&access=s3cret":          "/live/v2/orders/{orderId} described secured",
		"GET /live/v2/orders/7?fields=id,price&debug=1":                "/live/v2/orders/{orderId} described secured !fields ?debug",
		"GET /live/v2/orders/7?at=2026-01-02T03:04:05%2B01:00":         "/live/v2/orders/{orderId} described secured",
		"GET /live/v2/orders/7?at=2026-13-02T03:04:05Z":                "/live/v2/orders/{orderId} described secured !at",
		"GET /live/v2/orders/7?note=%C3%A4%C3%A4%C3%A4%C3%A4":          "/live/v2/orders/{orderId} described secured",
		"GET /live/v2/orders/7?note=12345&note=":                       "/live/v2/orders/{orderId} described secured !note",
		"GET /live/v2/orders/7?filter[state]=open":                     "/live/v2/orders/{orderId} described secured",
		"GET /live/v2/orders/7?l%69mit=4&%7e=1":                        "/live/v2/orders/{orderId} described secured ?%7e",
		"GET /live/v2/orders/7?a=1&b=2&c=3&d=4":                        "/live/v2/orders/{orderId} described secured ?a ?b ?c",
		"GET /live/v2/orders/7?&=&a":                                   "/live/v2/orders/{orderId} described secured ?a",
		"POST /live/v2/orders?dry=true&id=12":                          "/live/v2/orders described",
		"POST /live/v2/orders?dry=yes&options=1&id=a":                  "/live/v2/orders described !dry ?options !id",
		"POST /live/v2/orders?id=123e4567-e89b-12d3-a456-426614174000": "/live/v2/orders described",
		"GET /status":          "/status described",
		"GET /live/v2/hidden":  "unlisted",
		"GET /live/v1/orders":  "",
		"GET /":                "",
		"GET *":                "",
		"GET /live/v2/../../x": "",
	} {
		verb, target, _ := strings.Cut(request, " ")
		if got := said(api, "", verb, target); got != want {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
	if n := len(api.Operations); n != 7 {
		t.Errorf("%d operations, want three at each of two bases and one beside", n)
	}
	if op := api.Operations[0]; op.Method != "POST" || op.Template != "/live/v2/orders" || op.Line != 25 {
		t.Errorf("the first operation is %+v", op)
	}
	if len(api.Warnings) > 0 {
		t.Errorf("a valid document gives warnings: %q", api.Warnings)
	}
}

func TestBaseHostAndCovers(t *testing.T) {
	api := opened(t,
		Document{File: "testdata/shop.yaml", Base: "/api", Host: "API.example.com", Covers: []string{"/api", "/internal"}},
		Document{File: "testdata/shop.yaml", Base: "/common"})
	for _, c := range []struct{ host, path, want string }{
		{"api.example.com", "/api/orders/1", "/api/orders/{orderId} described secured"},
		{"Api.Example.com:8443", "/internal/x", "unlisted"},
		{"api.example.com", "/other", ""},
		{"api.example.com", "/common/orders/1", "/common/orders/{orderId} described secured"},
		{"www.example.com", "/api/orders/1", ""},
		{"www.example.com", "/common/nothing", "unlisted"},
		{"", "/common/orders/1", "/common/orders/{orderId} described secured"},
		{"[2001:db8::1]:443", "/common/orders/1", "/common/orders/{orderId} described secured"},
	} {
		if got := said(api, c.host, "GET", c.path); got != c.want {
			t.Errorf("%s%s: %q, want %q", c.host, c.path, got, c.want)
		}
	}
}

// TestProblems: each says which file, where in it, and what to do.
func TestProblems(t *testing.T) {
	dir := t.TempDir()
	const head = "openapi: 3.0.3\ninfo: {title: a, version: '1'}\npaths:\n"
	for name, c := range map[string]struct{ text, want string }{
		"broken.yaml":  {"openapi: 3.0.3\npaths:\n  /a: [\n", "line 4"},
		"type.json":    {"{\"openapi\": \"3.0.3\",\n \"paths\": []}", "neither JSON nor YAML as OpenAPI wants it"},
		"swagger.yaml": {"swagger: '2.0'\ninfo: {title: a, version: '1'}\npaths: {}\n", "convert it to OpenAPI 3.0"},
		"four.yaml":    {"openapi: 4.0.0\npaths: {}\n", `its openapi field is "4.0.0": want a document of version 3.0 or 3.1`},
		"none.yaml":    {"openapi: 3.0.3\ninfo: {title: a, version: '1'}\n", "it has no paths"},
		"empty.yaml":   {head + "  /a: {}\n", "it describes no operation"},
		"slash.yaml":   {head + "  a:\n    get: {responses: {default: {description: x}}}\n", `line 4: the path "a" does not begin with a /`},
		"brace.yaml":   {head + "  /a/{b:\n    get: {responses: {default: {description: x}}}\n", "line 5: the path \"/a/{b\" has a brace without its other"},
		"ref.yaml":     {head + "  /a:\n    get: {parameters: [{$ref: '#/components/parameters/x'}], responses: {default: {description: x}}}\n", "mend the $ref"},
		"remote.yaml":  {head + "  /a:\n    get: {parameters: [{$ref: 'https://example.com/x.yaml#/x'}], responses: {default: {description: x}}}\n", "bundle both into one document"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open([]Document{{File: "testdata/shop.yaml"}, {File: path}})
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v\nwant it to say %q", name, err, c.want)
		}
	}
	_, err := Open([]Document{{File: filepath.Join(dir, "missing.yaml")}, {File: dir}})
	if err == nil || !strings.Contains(err.Error(), "name a file that can be read here") || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a missing file and a folder: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "twice.yaml")
	const text = `openapi: 3.0.3
info: {title: a, version: '1'}
paths:
  /a/{x}:
    parameters: [{name: x, in: path, required: true, schema: {type: string}}]
    get: {responses: {default: {description: x}}}
  /a/{y}:
    get: {responses: {default: {description: x}}}
    put: {responses: {default: {description: x}}}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	api := opened(t, Document{File: path})
	if len(api.Warnings) != 2 || !strings.Contains(api.Warnings[0], `line 8: GET "/a/{y}" is described before, as "/a/{x}"`) {
		t.Errorf("warnings: %q", api.Warnings)
	}
	if got := said(api, "", "PUT", "/a/1"); got != "/a/{x} described" || len(api.Operations) != 2 {
		t.Errorf("PUT is %q, %d operations", got, len(api.Operations))
	}
}

func TestDocumentCheck(t *testing.T) {
	var got []string
	d := Document{Base: "api", Host: "https://a", Covers: []string{"/ok", "bad"}}
	d.Check(func(key, _ string) { got = append(got, key) })
	if want := "file base host covers[1]"; strings.Join(got, " ") != want {
		t.Errorf("complains about %v, want %s", got, want)
	}
}
