package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// dice makes schemas and values out of bytes, so that a fuzzer can steer them.
type dice struct {
	data []byte
	at   int
}

func (d *dice) roll(n int) int {
	if d.at >= len(d.data) {
		return 0
	}
	d.at++
	return int(d.data[d.at-1]) % n
}

func pickOf[T any](d *dice, list ...T) T { return list[d.roll(len(list))] }

type words map[string]any

// schema makes one of JSON Schema 2020-12, with what is compiled. Formats are left out: the
// twin does not assert them.
func (d *dice) schema(depth int) any {
	s := words{}
	kinds := []string{"string", "integer", "number", "boolean", "null", "array", "object"}
	switch d.roll(4) {
	case 0:
	case 1:
		s["type"] = []string{kinds[d.roll(7)], kinds[d.roll(6)]}
		if l := s["type"].([]string); l[0] == l[1] {
			s["type"] = l[0]
		}
	default:
		s["type"] = kinds[d.roll(7)]
	}
	for range d.roll(4) {
		d.keyword(s, depth)
	}
	return s
}

func (d *dice) keyword(s words, depth int) {
	sub := func() any {
		if depth <= 0 {
			return words{"type": pickOf(d, "string", "integer", "array")}
		}
		return d.schema(depth - 1)
	}
	switch d.roll(18) {
	case 0:
		s["minLength"] = d.roll(4)
	case 1:
		s["maxLength"] = d.roll(4)
	case 2:
		s["pattern"] = pickOf(d, "^a", "b$", "[0-9]+", "^.?$")
	case 3:
		s["minimum"] = d.roll(8) - 4
	case 4:
		s["exclusiveMaximum"] = d.roll(8) - 2
	case 5:
		s["multipleOf"] = 1 + d.roll(3)
	case 6:
		s["enum"] = []any{d.value(1), d.value(1), "a", 1}
	case 7:
		s["const"] = pickOf[any](d, "a", 1, true, []any{1})
	case 8:
		s["items"] = sub()
	case 9:
		s["prefixItems"] = []any{sub(), sub()}
	case 10:
		s[pickOf(d, "minItems", "maxItems", "minProperties", "maxProperties")] = d.roll(4)
	case 11:
		s["uniqueItems"] = true
	case 12:
		s["properties"] = words{"a": sub(), "b": sub()}
	case 13:
		s["required"] = []string{pickOf(d, "a", "b", "c")}
	case 14:
		s["additionalProperties"] = pickOf[any](d, false, true, sub())
	case 15:
		s["patternProperties"] = words{"^[bc]": sub()}
	case 16:
		s[pickOf(d, "allOf", "anyOf", "oneOf")] = []any{sub(), sub(), sub()}
	case 17:
		s["not"] = sub()
	}
}

// value makes one of JSON.
func (d *dice) value(depth int) any {
	n := 9
	if depth <= 0 {
		n = 7
	}
	switch d.roll(n) {
	case 0:
		return pickOf(d, "", "a", "ab", "12", "bäö", "aaaa")
	case 1:
		return float64(d.roll(12) - 4)
	case 2:
		return float64(d.roll(12)) / 2
	case 3:
		return d.roll(2) == 0
	case 4:
		return nil
	case 5:
		return "a"
	case 6:
		return 1.0
	case 7:
		out := []any{}
		for range d.roll(4) {
			out = append(out, d.value(depth-1))
		}
		return out
	}
	out := words{}
	for range d.roll(4) {
		out[pickOf(d, "a", "b", "c")] = d.value(depth - 1)
	}
	return map[string]any(out)
}

// sameValue holds a value against a schema in both ways.
func sameValue(t *testing.T, data []byte) (fits bool) {
	t.Helper()
	d := &dice{data: data}
	text, err := json.Marshal(d.schema(3))
	if err != nil {
		t.Fatal(err)
	}
	var s openapi3.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	v, err := json.Marshal(d.value(3))
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(v, &plain); err != nil {
		t.Fatal(err)
	}
	want := slowly(t, text, plain)
	c := &compiler{memo: map[*openapi3.Schema]*node{}, said: map[string]bool{}}
	n := c.node(&openapi3.SchemaRef{Value: &s})
	c.settle()
	if len(c.said) > 0 {
		t.Fatalf("%s: %v", text, c.said)
	}
	parsed, err := parse(v, 20)
	if err != nil {
		t.Fatalf("%s: %v", v, err)
	}
	got := (&visitor{most: maxSteps}).visit(n, &parsed)
	if (want == nil) != (got.why == "") {
		t.Errorf("schema %s\nvalue %s\nhere %q %q\nthere %v", text, v, got.at, got.why, want)
	}
	return want == nil
}

// slowly validates with a library that reads schemas as they are written.
func slowly(t *testing.T, schema []byte, v any) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("twin.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("twin.json")
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return s.Validate(v)
}

// TestValuesAsTheTwin: random schemas and values, held against a validator of JSON Schema
// 2020-12 that is not ours.
func TestValuesAsTheTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	counts := map[bool]int{}
	for range 6000 {
		data := make([]byte, 60)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		fits := sameValue(t, data)
		counts[fits]++
		if t.Failed() {
			return
		}
	}
	if counts[true] < 500 || counts[false] < 500 {
		t.Errorf("%v: one side is hardly tried", counts)
	}
}

func FuzzValue(f *testing.F) {
	f.Add([]byte{3, 6, 3, 16, 2, 3, 1, 0, 3, 6, 0, 0})
	f.Add([]byte("a schema and a value"))
	f.Fuzz(func(t *testing.T, data []byte) { sameValue(t, data) })
}

// FuzzJSON: what is read as JSON is what the standard library reads, but for members that
// stand twice.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,null,true,"x"]}`, `{"a":1,"a":2}`, `[[[[]]]]`, `{"a":1}x`, `"\ud800"`, `{"a" 1}`, ``, `[1,]`, "\ufeff{}", `-0`, `01`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want any
		bad := json.Unmarshal(data, &want) != nil
		got, err := parse(data, 1000)
		if err == errTwice || err == errDeep {
			return
		}
		if (err != nil) != bad {
			t.Fatalf("%q: %v, the library says bad: %v", data, err, bad)
		}
		if w := valueOf(want); err == nil && !equal(&got, &w) && !strings.ContainsAny(string(data), "eE") {
			t.Fatalf("%q: %+v, the library reads %+v", data, got, want)
		}
	})
}

// params are schemas of query parameters as 3.0 has them. Left out is where the twin is known
// to differ: "all of", numbers that JSON does not know, 1 and t for true (so booleans), the first of several values.
var params = []string{
	`{"type":"integer"}`, `{"type":"integer","minimum":-2,"maximum":7}`, `{"type":"integer","format":"int32"}`, `{"type":"number","minimum":0,"exclusiveMinimum":true}`,
	`{"type":"string"}`, `{"type":"string","minLength":2,"maxLength":3}`, `{"type":"string","enum":["a","bb"]}`, `{"type":"string","pattern":"^[a-c]+$"}`,
	`{"type":"array","items":{"type":"integer"},"maxItems":2}`, `{"type":"array","items":{"type":"string","maxLength":2},"uniqueItems":true}`,
	`{"type":"integer","enum":[1,3]}`,
}

// fitting are values that texts, and numbers, mostly fit.
var fitting = map[bool]string{true: "bb", false: "3"}

// TestRequestsAsTheTwin: random operations and requests, held against kin-openapi's own
// validator of requests.
func TestRequestsAsTheTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	values := []string{"1", "3", "5", "-2", "2147483648", "2.5", "0", "true", "false", "a", "bb", "abc", "äö", "x%20y", "%61", "aaaa"}
	counts := map[bool]int{}
	for range 60 {
		schemas := []string{params[r.IntN(len(params))], params[r.IntN(len(params))], params[r.IntN(8)], params[r.IntN(8)]}
		must := []bool{r.IntN(3) == 0, r.IntN(3) == 0, r.IntN(3) == 0}
		doc := fmt.Sprintf(`{"openapi":"3.0.3","info":{"title":"t","version":"1"},"paths":{"/a/{p}":{"post":{"parameters":[
			{"name":"x","in":"query","required":%t,"schema":%s},{"name":"y","in":"query","required":%t,"schema":%s},
			{"name":"p","in":"path","required":true,"schema":%s},{"name":"H-H","in":"header","required":%t,"schema":%s}],
			"requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object","required":["k"],"properties":{"k":%s}}}}},
			"responses":{"200":{"description":"ok"}}}}}}`, must[0], schemas[0], must[1], schemas[1], schemas[2], must[2], schemas[3], schemas[0])
		c := rulesOf(t, doc, Options{}).Checker()
		twin := twinOf(t, doc)
		for range 60 {
			one := func(i int) string { // one that fits, mostly
				if r.IntN(6) > 0 {
					return fitting[strings.HasPrefix(schemas[i], `{"type":"string"`) || strings.Contains(schemas[i], `"items":{"type":"string"`)]
				}
				return values[r.IntN(len(values))]
			}
			target := "/a/" + one(2)
			var pairs []string
			for i, name := range []string{"x", "y"} {
				if r.IntN(6) > 0 {
					pairs = append(pairs, name+"="+one(i))
				}
			}
			if len(pairs) > 0 {
				target += "?" + strings.Join(pairs, "&")
			}
			f := fields{"content-type": "application/json"}
			if r.IntN(6) > 0 {
				f["h-h"] = strings.ToValidUTF8(one(3), "")
			}
			d := &dice{data: []byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}}
			var member any = json.RawMessage(`3`)
			if v := one(0); v != "3" {
				member = pickOf(d, any(v), d.value(1))
			}
			body, _ := json.Marshal(words{pickOf(d, "k", "k", "k", "z"): member})
			got := said(c.Check(&Request{Method: "POST", Target: target, Fields: f, Body: body, Sent: true}))
			want := twin(target, f, string(body))
			if (got == "") != (want == nil) {
				t.Fatalf("%s\n%s %v %s\nhere %q\nthere %v", doc, target, f, body, got, want)
			}
			counts[want == nil]++
		}
	}
	if counts[true] < 100 || counts[false] < 100 {
		t.Errorf("%v: one side is hardly tried", counts)
	}
}

// twinOf validates requests with kin-openapi.
func twinOf(t *testing.T, text string) func(target string, f fields, body string) error {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	item := doc.Paths.Value("/a/{p}")
	route := &routers.Route{Spec: doc, Path: "/a/{p}", PathItem: item, Method: http.MethodPost, Operation: item.Post}
	return func(target string, f fields, body string) error {
		req := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
		req.URL, _ = url.Parse(target)
		for k, v := range f {
			req.Header.Set(k, v)
		}
		vars := map[string]string{"p": strings.TrimPrefix(req.URL.Path, "/a/")}
		defer io.Copy(io.Discard, req.Body) //nolint:errcheck // a text
		return openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{Request: req, PathParams: vars, Route: route})
	}
}
