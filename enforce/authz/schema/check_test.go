package schema

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest/openapi"
)

const shop = `openapi: 3.0.3
info: {title: shop, version: "1"}
servers: [{url: /api}]
security: [{q: []}]
paths:
  /orders:
    get:
      parameters:
      - {name: limit, in: query, required: true, schema: {type: integer, minimum: 1, maximum: 100}}
      - {name: state, in: query, schema: {type: string, enum: [open, closed]}}
      - {name: id, in: query, schema: {type: array, maxItems: 2, uniqueItems: true, items: {type: integer}}}
      - {name: tag, in: query, explode: false, schema: {type: array, items: {type: string, maxLength: 4}}}
      - {name: filter, in: query, style: deepObject, explode: true, schema: {type: object, additionalProperties: false, required: [a], properties: {a: {type: integer}, b: {type: string}}}}
      - {name: ratio, in: query, schema: {type: number, minimum: 0, exclusiveMinimum: true, multipleOf: 0.1}}
      - {name: flag, in: query, schema: {type: boolean}}
      - {name: empty, in: query, allowEmptyValue: true, schema: {type: integer}}
      - {name: raw, in: query, content: {application/json: {schema: {type: object, required: [x], properties: {x: {type: integer}}}}}}
      - {name: either, in: query, schema: {oneOf: [{type: integer}, {type: string, format: date}]}}
      - {name: X-Trace, in: header, required: true, schema: {type: string, format: uuid}}
      - {name: session, in: cookie, schema: {type: string, pattern: "^[a-f0-9]+$"}}
      responses: {"200": {description: x}}
    post:
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: "#/components/schemas/Order"}
          application/x-www-form-urlencoded:
            schema: {type: object, required: [item], additionalProperties: false, properties: {item: {type: string}, count: {type: integer}, tag: {type: array, items: {type: string}}}}
          text/*: {}
      responses: {"200": {description: x}}
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer, format: int32}}]
    get: {responses: {"200": {description: x}}}
  /files/{name}.json:
    parameters: [{name: name, in: path, required: true, schema: {type: string, maxLength: 5, pattern: "^[a-z]+$"}}]
    get: {responses: {"200": {description: x}}}
components:
  securitySchemes: {q: {type: apiKey, in: query, name: api_key}}
  schemas:
    Order:
      type: object
      required: [item, id]
      additionalProperties: false
      properties:
        id: {type: integer, readOnly: true}
        item: {type: string, minLength: 1, maxLength: 10}
        count: {type: integer, format: int32, minimum: 1}
        note: {type: string, nullable: true}
        parts: {type: array, items: {$ref: "#/components/schemas/Order"}}
        kind: {oneOf: [{type: string}, {type: object, required: [a], properties: {a: {type: boolean}}}]}
`

type fields map[string]string

func (f fields) Field(lower, _ string) (string, bool) { v, ok := f[lower]; return v, ok }

func rulesOf(t testing.TB, doc string, opt Options) *Rules {
	t.Helper()
	name := filepath.Join(t.TempDir(), "api.yaml")
	if err := os.WriteFile(name, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open([]openapi.Document{{File: name}}, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// said puts a verdict into one line.
func said(v Verdict) string {
	if v.Kind == "" {
		return ""
	}
	var list []string
	for _, f := range v.Faults {
		list = append(list, strings.TrimSpace(f.In+" "+f.Name)+": "+f.Why)
	}
	return fmt.Sprintf("%d %s", v.Status, strings.Join(list, "; "))
}

const uuid = "0b1e7a52-1111-4222-8333-944455556666"

// targets are asked with GET, and what is wrong with them.
var targets = []struct{ target, want string }{
	{"/api/orders?limit=7", ""},
	{"/api/orders?limit=%37&api_key=s3cret&state=open&flag=true&ratio=0.3&empty=&id=1&id=2", ""},
	{"/api/orders?limit=7&tag=a,b,cccc&filter[a]=1&filter%5Bb%5D=x&either=2026-05-04&raw=%7B%22x%22:1%7D", ""},
	{"https://shop.example/api/orders?limit=7", ""},
	{"/api/orders/?limit=7#x", ""},
	{"/api/orders", "400 query limit: is missing"},
	{"/api/orders?limit=0", "400 query limit: must be at least 1"},
	{"/api/orders?limit=101", "400 query limit: must be at most 100"},
	{"/api/orders?limit=1e1", "400 query limit: must be an integer"},
	{"/api/orders?limit=1%27%20or%201=1", "400 query limit: must be an integer"},
	{"/api/orders?limit=1&limit=2", "400 query limit: is given more than once"},
	{"/api/orders?limit=1&%6cimit=2", "400 query limit: is given more than once"},
	{"/api/orders?limit=1&state=lost", "400 query state: must be one of the 2 values that the document lists"},
	{"/api/orders?limit=1&id=1&id=x", "400 query id: at /1 must be an integer"},
	{"/api/orders?limit=1&id=1&id=2&id=3", "400 query id: must have at most 2 items"},
	{"/api/orders?limit=1&id=1&id=01", "400 query id: must not have an item twice"},
	{"/api/orders?limit=1&tag=a,bbbbb", "400 query tag: at /1 must have at most 4 characters"},
	{"/api/orders?limit=1&filter[b]=x", "400 query filter: at /a is missing"},
	{"/api/orders?limit=1&filter[a]=1&filter[c]=x", "400 query filter: at /c is not described"},
	{"/api/orders?limit=1&filter[a]=1&filter[a]=2", "400 query filter: has a member twice, which servers read differently"},
	{"/api/orders?limit=1&ratio=0", "400 query ratio: must be greater than 0"},
	{"/api/orders?limit=1&ratio=0.25", "400 query ratio: must be a multiple of 0.1"},
	{"/api/orders?limit=1&flag=yes", "400 query flag: must be true or false"},
	{"/api/orders?limit=1&raw={}", "400 query raw: at /x is missing"},
	{"/api/orders?limit=1&raw={", "400 query raw: is no JSON"},
	{"/api/orders?limit=1&either=soon", "400 query either: must be of the format date"},
	{"/api/orders?limit=1&debug=1", "400 query debug: is not described"},
	{"/api/orders?limit=1&<script>=1", "400 query *: is not described"},
	{"/api/orders?limit=%zz", "400 query limit: has an escape that cannot be read; query limit: is missing"},
	{"/api/orders/17", ""},
	{"/api/orders/-2147483648", ""},
	{"/api/orders/2147483648", "400 path id: must be an integer of 32 bits"},
	{"/api/orders/x", "400 path id: must be an integer"},
	{"/api/files/abc.json", ""},
	{"/api/files/abcdef.json", "400 path name: must have at most 5 characters"},
	{"/api/files/a%20c.json", "400 path name: must fit the pattern of the document"},
	{"/api/nothing", "404 path: there is no such path"},
	{"/api/", "404 path: there is no such path"},
	{"/img/" + strings.Repeat("a/", 40), ""},
	{"/elsewhere", ""},
	{"*", ""},
	{"/api/orders/%2e%2e/orders/17", "400 path: is written in a way that servers read differently"},
	{"/api/orders/..%2f..%2fadmin", "400 path: is written in a way that servers read differently"},
	{"/public/..%2fapi%2fsecret", "400 path: is written in a way that servers read differently"},
	{"/public/%252e%252e/api/secret", "400 path: is written in a way that servers read differently"},
	{`/public\..\api\secret`, "400 path: is written in a way that servers read differently"},
	{"/public/..;/api/secret", "400 path: is written in a way that servers read differently"},
	{"/public/../img", ""},
	{"//api//nothing", "404 path: there is no such path"},
	{"/API/nothing/%41", "404 path: there is no such path"},
	{"/api/" + strings.Repeat("a/", 40), "404 path: there is no such path"},
}

// TestParameters: what each of a request's parts is held against.
func TestParameters(t *testing.T) {
	c := rulesOf(t, shop, Options{}).Checker()
	for _, x := range targets {
		got := said(c.Check(&Request{Method: "GET", Target: x.target, Fields: fields{"x-trace": uuid, "cookie": "a=b; session=abc"}}))
		if got != x.want {
			t.Errorf("%s:\n got %q\nwant %q", x.target, got, x.want)
		}
	}
	for _, x := range []struct {
		f    fields
		want string
	}{
		{fields{}, "400 header X-Trace: is missing"},
		{fields{"x-trace": "no"}, "400 header X-Trace: must be of the format uuid"},
		{fields{"x-trace": " " + uuid + " "}, ""},
		{fields{"x-trace": uuid, "x-http-method-override": "get"}, ""},
		{fields{"x-trace": uuid, "x-http-method-override": "DELETE"}, "400 header X-Http-Method-Override: names another method, which some servers take for the real one"},
		{fields{"x-trace": uuid, "cookie": `session=zz`}, "400 cookie session: must fit the pattern of the document"},
	} {
		if got := said(c.Check(&Request{Method: "GET", Target: "/api/orders?limit=1", Fields: x.f})); got != x.want {
			t.Errorf("%v: got %q, want %q", x.f, got, x.want)
		}
	}
}

// TestMethods: 405 names the methods that there are; HEAD is GET, and browsers ask with OPTIONS.
func TestMethods(t *testing.T) {
	c := rulesOf(t, shop, Options{}).Checker()
	for method, want := range map[string]string{"HEAD": "", "OPTIONS": "", "DELETE": "405 : the path has no such method", "get": "405 : the path has no such method"} {
		v := c.Check(&Request{Method: method, Target: "/api/orders/17"})
		if got := said(v); got != want || want != "" && (v.Allow != "GET, HEAD, OPTIONS" || v.Route != "/api/orders/{id}") {
			t.Errorf("%s: %q, %+v", method, got, v)
		}
	}
}

// TestPassing: what the settings let pass.
func TestPassing(t *testing.T) {
	c := rulesOf(t, shop, Options{PassUnknown: true, PassParameters: true, PassSpelling: true}).Checker()
	for _, target := range []string{"/api/nothing", "/api/orders/17?utm=1", "/api/orders/x%2f../17"} {
		if got := said(c.Check(&Request{Method: "GET", Target: target})); got != "" && !strings.Contains(target, "%2f") {
			t.Errorf("%s: %q", target, got)
		}
	}
	if got := said(c.Check(&Request{Method: "DELETE", Target: "/api/orders/17"})); got != "" {
		t.Error(got)
	}
	if got := said(c.Check(&Request{Method: "GET", Target: "/api/orders/x"})); got == "" {
		t.Error("a parameter that is not as described passes")
	}
}

// TestBodies: types, sizes, JSON and forms.
func TestBodies(t *testing.T) {
	c := rulesOf(t, shop, Options{MaxBody: 200, MaxDepth: 4}).Checker()
	const json, form = "application/json; charset=UTF-8", "application/x-www-form-urlencoded"
	for _, x := range []struct{ kind, body, want string }{
		{json, `{"item":"tea"}`, ""},
		{json, `{"item":"tea","count":2.0,"note":null,"parts":[{"item":"leaf"}],"kind":{"a":true}}`, ""},
		{"", `{"item":"tea"}`, "415 body: has no Content-Type"},
		{"application/xml", `<a/>`, "415 body: is of a type that is not described"},
		{"application/json;charset=utf-16", `{}`, "415 body: is in a character set other than UTF-8"},
		{"text/plain", `anything`, ""},
		{json, ``, "400 body: is missing"},
		{json, `{"item":`, "400 body: is no JSON"},
		{json, `{"item":"tea"} {}`, "400 body: is no JSON"},
		{json, `{}`, "400 body /item: is missing"},
		{json, `[]`, "400 body: must be an object"},
		{json, `{"item":""}`, "400 body /item: must have 1 to 10 characters"},
		{json, `{"item":"tea","item":"x"}`, "400 body: has a member twice, which servers read differently"},
		{json, `{"item":"tea","id":7}`, "400 body /id: cannot be set: it is read-only"},
		{json, `{"item":"tea","role":"admin"}`, "400 body /role: is not described"},
		{json, `{"item":"tea","<b>":"admin"}`, "400 body /*: is not described"},
		{json, `{"item":"tea","count":0}`, "400 body /count: must be at least 1"},
		{json, `{"item":"tea","count":1e300}`, "400 body /count: must be an integer of 32 bits"},
		{json, `{"item":"tea","count":1.5}`, "400 body /count: must be an integer"},
		{json, `{"item":"tea","parts":[{"item":"a"},{"item":7}]}`, "400 body /parts/1/item: must be a string"},
		{json, `{"item":"tea","kind":{"a":1}}`, "400 body /kind/a: must be true or false"},
		{json, `{"item":"tea","kind":7}`, "400 body /kind: fits none of the alternatives"},
		{json, `{"item":"tea","parts":[{"item":"a","parts":[{}]}]}`, "400 body: is nested deeper than is looked at"},
		{json, `{"item":"` + strings.Repeat("a", 300) + `"}`, "413 body: is larger than is looked at"},
		{"text/plain", strings.Repeat("a", 300), ""},
		{form, "item=a+b&count=2&tag=x&tag=y", ""},
		{form, "count=2", "400 body /item: is missing"},
		{form, "item=a&count=x", "400 body /count: must be an integer"},
		{form, "item=a&item=b", "400 body: has a member twice, which servers read differently"},
		{form, "item=a&x=b", "400 body /x: is not described"},
		{form, "item=%", "400 body: has an escape that cannot be read"},
	} {
		f := fields{}
		if x.kind != "" {
			f["content-type"] = x.kind
		}
		got := said(c.Check(&Request{Method: "POST", Target: "/api/orders", Fields: f, Body: []byte(x.body), Sent: true}))
		if got != x.want {
			t.Errorf("%s %.60s:\n got %q\nwant %q", x.kind, x.body, got, x.want)
		}
	}
	for _, x := range []struct {
		q    Request
		want string
	}{
		{Request{Method: "POST", Target: "/api/orders", Fields: fields{"content-type": json}}, ""}, // not sent
		{Request{Method: "POST", Target: "/api/orders", Fields: fields{"content-type": "a/b"}}, "415 body: is of a type that is not described"},
		{Request{Method: "POST", Target: "/api/orders", Fields: fields{"content-type": json}, Body: []byte(`{"item":"tea"}`), Sent: true, Cut: true}, "413 body: is larger than is looked at"},
		{Request{Method: "GET", Target: "/api/orders/1", Body: []byte("x"), Sent: true}, "400 body: is not described"},
	} {
		if got := said(c.Check(&x.q)); got != x.want {
			t.Errorf("%+v: got %q, want %q", x.q, got, x.want)
		}
	}
}

// TestCompressed: a body is looked at as the server will read it, within the bound.
func TestCompressed(t *testing.T) {
	c := rulesOf(t, shop, Options{MaxBody: 200}).Checker()
	zipped := func(s string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
		return b.Bytes()
	}
	for _, x := range []struct {
		coding string
		body   []byte
		want   string
	}{
		{"gzip", zipped(`{"item":"tea"}`), ""},
		{"gzip", zipped(`{"item":7}`), "400 body /item: must be a string"},
		{"gzip", zipped(strings.Repeat(" ", 1000)), "413 body: is larger than is looked at"},
		{"gzip", []byte(`{"item":"tea"}`), "400 body: is not compressed as its Content-Encoding says"},
		{"br", []byte("x"), "415 body: is compressed in a way that is not looked at"},
	} {
		got := said(c.Check(&Request{Method: "POST", Target: "/api/orders", Fields: fields{"content-type": "application/json", "content-encoding": x.coding}, Body: x.body, Sent: true}))
		if got != x.want {
			t.Errorf("%s: got %q, want %q", x.coding, got, x.want)
		}
	}
}

// TestNothingIsEchoed: whatever a client sends, no value of it is told back.
func TestNothingIsEchoed(t *testing.T) {
	c := rulesOf(t, shop, Options{}).Checker()
	const secret = "S3CRET-{value}"
	for _, q := range []Request{
		{Method: "GET", Target: "/api/orders?limit=" + secret + "&state=" + secret + "&" + secret + "=1&filter[" + secret + "]=1&raw=" + secret},
		{Method: "GET", Target: "/api/orders/" + secret}, {Method: "GET", Target: "/api/" + secret}, {Method: secret, Target: "/api/orders"},
		{Method: "GET", Target: "/api/orders?limit=1", Fields: fields{"x-trace": secret, "cookie": "session=" + secret}},
		{Method: "POST", Target: "/api/orders", Fields: fields{"content-type": secret}, Body: []byte(secret), Sent: true},
		{Method: "POST", Target: "/api/orders", Fields: fields{"content-type": "application/json"}, Body: []byte(`{"item":"tea","note":{"` + secret + `":1},"kind":"` + secret + `","` + secret + `":1}`), Sent: true},
	} {
		if got := said(c.Check(&q)); got == "" || strings.Contains(got, "S3CRET") {
			t.Errorf("%+v: %q", q, got)
		}
	}
}

// TestNoAllocations: a plain request that is as described costs no memory.
func TestNoAllocations(t *testing.T) {
	c := rulesOf(t, shop, Options{}).Checker()
	q := &Request{Method: "GET", Target: "/api/orders?limit=7&state=open&flag=true&ratio=0.3", Fields: fields{"x-trace": uuid, "cookie": "session=abc"}}
	if got := said(c.Check(q)); got != "" {
		t.Fatal(got)
	}
	if n := testing.AllocsPerRun(500, func() { c.Check(q) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestIntricate: a document whose alternatives multiply costs a bounded time, and what could
// not be looked at does not pass as described.
func TestIntricate(t *testing.T) {
	c := rulesOf(t, `openapi: 3.0.3
info: {title: a, version: "1"}
paths:
  /a:
    post:
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/A"}}}}
      responses: {default: {description: x}}
components:
  schemas:
    A: {anyOf: [{type: array, items: {$ref: "#/components/schemas/A"}, minItems: 1}, {type: array, items: {$ref: "#/components/schemas/A"}, maxItems: 1, minItems: 1}, {type: array, items: {$ref: "#/components/schemas/A"}, maxItems: 2, minItems: 1}]}
`, Options{MaxDepth: 60}).Checker()
	body := strings.Repeat("[", 50) + strings.Repeat("]", 50)
	v := c.Check(&Request{Method: "POST", Target: "/a", Fields: fields{"content-type": "application/json"}, Body: []byte(body), Sent: true})
	if got := said(v); got != "400 body: is too intricate to be looked at" || c.steps > 2*maxSteps {
		t.Errorf("%q after %d steps", got, c.steps)
	}
}

// FuzzCheck: whatever is sent, there is an answer within the bounds, twice the same, and one
// that refuses says why.
func FuzzCheck(f *testing.F) {
	c := rulesOf(f, shop, Options{}).Checker()
	f.Add("GET", "/api/orders?limit=7&id=1&filter[a]=1", "", "session=a", "")
	f.Add("POST", "/api/orders", "application/json", "", `{"item":"tea","parts":[{"item":"a"}]}`)
	f.Add("POST", "/api//orders/%2e", "application/x-www-form-urlencoded", "", "item=a&tag=b&tag=%63")
	f.Fuzz(func(t *testing.T, method, target, kind, cookie, body string) {
		q := &Request{Method: method, Target: target, Fields: fields{"content-type": kind, "cookie": cookie, "x-trace": uuid}, Body: []byte(body), Sent: true}
		v := c.Check(q)
		first := said(v)
		if (v.Kind == "") != (len(v.Faults) == 0) || len(v.Faults) > maxFaults || v.Kind != "" && (v.Status < 400 || v.Status > 415) || c.steps > 4*maxSteps {
			t.Fatalf("%+v after %d steps", v, c.steps)
		}
		if again := said(c.Check(q)); again != first {
			t.Fatalf("first %q, then %q", first, again)
		}
	})
}
