package openapi

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// valued are schemas of parameters, values that are as they say, and values that are not.
var valued = []struct {
	schema string
	good   string
	bad    string
}{
	{`{type: integer, minimum: 1, maximum: 100}`, "1 100 007 50", "0 101 -1 1.5 x 99999999999999999999"},
	{`{type: number, minimum: 0, exclusiveMinimum: true, multipleOf: 0.1}`, "0.1 0.3 1e1", "0 -0.1 0.05 x"},
	{`{type: integer, multipleOf: 5}`, "0 5 -10", "3 x"},
	{`{type: [integer, string], maximum: 9, maxLength: 3}`, "9 10 abc", "1000 abcd"},
	{`{type: string, pattern: '^[a-z]{2}[0-9]+$'}`, "ab1 xy007", "a1 ab AB1 ab1%0A"},
	{`{type: string, pattern: 'b'}`, "abc b", "a x"},
	{`{type: string, pattern: '^(?=a)'}`, "a b anything", ""}, // it looks ahead: not looked at
	{`{type: string, pattern: '^\u0061+$'}`, "a aa", "b"},
	{`{type: string, minLength: 2, maxLength: 3, pattern: 'ä'}`, "%C3%A4x %C3%A4%C3%A4%C3%A4", "%C3%A4 %C3%A4xyz xy"},
	{`{type: integer, enum: [1, 2.0]}`, "1 2", "3 x"},
	{`{type: number, enum: [1, 2.5]}`, "1 1.0 2.50 25e-1", "2 x"},
	{`{type: string, enum: ["1", b]}`, "1 b", "1.0 c"},
	{`{const: 7}`, "7 7.0", "8 x"},
	{`{allOf: [{type: integer}, {maximum: 100}, {minimum: 1}]}`, "1 100", "0 101 x"},
	{`{allOf: [{type: string}, {maximum: 1}]}`, "5 x", ""}, // a range is about numbers
	{`{anyOf: [{type: integer, maximum: 3}, {type: string, pattern: '^x'}]}`, "3 x1", "4 y"},
	{`{anyOf: [{type: integer}, {type: boolean}], maximum: 3}`, "3 true", "4 x"},
	{`{type: boolean, maximum: 3}`, "true false", "1 x"},
	{`{type: [integer, "null"], minimum: 5}`, "5 null", "4"},
	{`{type: array, items: {type: integer, minimum: 3}}`, "3 4", "2 x"},
	{`{minimum: 3}`, "3 2 x", ""}, // a text that is no number in that range is still a text
	{`{type: string, format: date, pattern: '^2026'}`, "2026-01-02", "2025-01-02 2026-13-01"},
}

// TestValues: what is said of values holds for those in the query and in the path.
func TestValues(t *testing.T) {
	var doc strings.Builder
	doc.WriteString("openapi: 3.1.0\ninfo: {title: a, version: '1'}\npaths:\n")
	for i, c := range valued {
		schema := strings.Replace(c.schema, "exclusiveMinimum: true, ", "", 1)
		if schema != c.schema {
			schema = strings.Replace(schema, "minimum: 0", "exclusiveMinimum: 0", 1)
		}
		fmt.Fprintf(&doc, "  /q%d: {get: {parameters: [{name: v, in: query, schema: %s}], responses: {default: {description: x}}}}\n", i, schema)
		fmt.Fprintf(&doc, "  /p%d/{v}: {get: {parameters: [{name: v, in: path, required: true, schema: %s}], responses: {default: {description: x}}}}\n", i, schema)
	}
	path := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(path, []byte(doc.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	api := opened(t, Document{File: path})
	if len(api.Warnings) != 1 || !strings.Contains(api.Warnings[0], `the pattern "^(?=a)" is not looked at`) {
		t.Errorf("warnings: %q", api.Warnings)
	}
	for i, c := range valued {
		for values, want := range map[string]bool{c.good: false, c.bad: true} {
			for _, v := range strings.Fields(values) {
				if got := strings.HasSuffix(said(api, "", "GET", fmt.Sprintf("/q%d?v=%s", i, v)), " !v"); got != want {
					t.Errorf("%s: in the query %q is found: %t", c.schema, v, got)
				}
				if got := strings.HasSuffix(said(api, "", "GET", fmt.Sprintf("/p%d/%s", i, v)), " !v"); got != want {
					t.Errorf("%s: in the path %q is found: %t", c.schema, v, got)
				}
			}
		}
	}
}

// patternsAPI has an operation with a parameter for each thing that is said of values.
func patternsAPI(t testing.TB) (*Reader, *Operation) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "patterns.yaml")
	const text = `openapi: 3.0.3
info: {title: a, version: '1'}
paths:
  /orders:
    get:
      parameters:
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100}}
        - {name: ratio, in: query, schema: {type: number, minimum: 0, multipleOf: 0.5}}
        - {name: code, in: query, schema: {type: string, pattern: '^[A-Z]{2}-[0-9]{1,6}$'}}
        - {name: state, in: query, schema: {type: string, enum: [open, closed]}}
      responses: {default: {description: x}}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := opened(t, Document{File: path}).Reader()
	return r, r.Find(0, "GET", "/orders").Op
}

// TestValuesDoNotAllocate: also where they are not as described; and a value that is longer
// than patterns are held against is not looked at.
func TestValuesDoNotAllocate(t *testing.T) {
	r, op := patternsAPI(t)
	if n := testing.AllocsPerRun(200, func() {
		var of ingest.API
		r.Query(op, "/orders?limit=101&ratio=0.3&code=DE-17x&code=DE-17", &of)
	}); n != 0 {
		t.Errorf("%v allocations for a query", n)
	}
	for length, want := range map[int]ingest.DepartureKind{longestMatched: ingest.DepartureValue, longestMatched + 1: ingest.DepartureNone} {
		var of ingest.API
		r.Query(op, "/orders?code="+strings.Repeat("x", length), &of)
		if of.Departures[0].Kind != want {
			t.Errorf("of %d characters: %v", length, of.Departures[0])
		}
	}
}

// BenchmarkValues compares a query of four parameters with ranges, a pattern and a list.
func BenchmarkValues(b *testing.B) {
	r, op := patternsAPI(b)
	b.ReportAllocs()
	for b.Loop() {
		var of ingest.API
		r.Query(op, "/orders?limit=20&ratio=1.5&code=DE-4711&state=open", &of)
	}
}
