package console_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/dashboards/console/consoletest"
)

// document is as much of OpenAPI as the tests need.
type document struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]schema
	}
}

type operation struct {
	OperationID string
	Parameters  []struct{ Name, In string }
	RequestBody json.RawMessage
	Responses   map[string]struct {
		Ref     string                             `json:"$ref"`
		Content map[string]struct{ Schema schema } `json:"content"`
	}
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Properties map[string]schema
	Required   []string
	Items      *schema
	AllOf      []schema
	Enum       []string
}

func openAPI(t *testing.T) document {
	t.Helper()
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("openapi: %q", doc.OpenAPI)
	}
	return doc
}

func TestOpenAPIDescribesExactlyTheRoutes(t *testing.T) {
	doc := openAPI(t)
	documented := map[string]bool{}
	ids := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			documented[strings.ToUpper(method)+" "+path] = true
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: operationId %q is missing or taken", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
			for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(path, -1) {
				if !slices.ContainsFunc(op.Parameters, func(p struct{ Name, In string }) bool { return p.Name == name[1] && p.In == "path" }) {
					t.Errorf("%s %s: parameter %s is not described", method, path, name[1])
				}
			}
			if writes := method != "get"; writes != (op.RequestBody != nil) {
				t.Errorf("%s %s: a body is described: %v", method, path, op.RequestBody != nil)
			}
		}
	}
	h := open(t, console.Config{})
	for _, rt := range h.server.Routes() {
		name := rt.Method + " " + rt.Pattern
		if documented[name] != rt.Documented || !rt.Documented && !rt.Page && !strings.HasPrefix(rt.Pattern, "/static/") {
			t.Errorf("%s: described: %v", name, documented[name])
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("the document has %s, which is no route", name)
	}
	var served document
	if err := json.Unmarshal([]byte(h.do("GET", "/api/v1/openapi.json", "").body), &served); err != nil || len(served.Paths) != len(doc.Paths) {
		t.Errorf("the document served is another one (%v)", err)
	}
}

// resolve follows references and merges allOf.
func (d document) resolve(t *testing.T, at string, s schema) schema {
	t.Helper()
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		found, known := d.Components.Schemas[name]
		if !known {
			t.Errorf("%s: no schema %s", at, name)
		}
		return found
	}
	if len(s.AllOf) == 0 {
		return s
	}
	merged := schema{Type: "object", Properties: map[string]schema{}}
	for _, part := range s.AllOf {
		part = d.resolve(t, at, part)
		for k, p := range part.Properties {
			merged.Properties[k] = p
		}
		merged.Required = append(merged.Required, part.Required...)
	}
	return merged
}

// fits reports where a value does not fit a schema: unknown and missing keys,
// wrong kinds, values outside an enumeration.
func (d document) fits(t *testing.T, at string, v any, s schema) {
	t.Helper()
	s = d.resolve(t, at, s)
	switch x := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			t.Errorf("%s: an object, the document says %s", at, s.Type)
		}
		for k, inner := range x {
			p, known := s.Properties[k]
			if !known && s.Properties != nil {
				t.Errorf("%s.%s is not documented", at, k)
			} else if known {
				d.fits(t, at+"."+k, inner, p)
			}
		}
		for _, k := range s.Required {
			if _, there := x[k]; !there {
				t.Errorf("%s.%s is missing", at, k)
			}
		}
	case []any:
		if s.Type != "array" || s.Items == nil {
			t.Errorf("%s: a list, the document says %s", at, s.Type)
			return
		}
		for _, inner := range x {
			d.fits(t, at+"[]", inner, *s.Items)
		}
	case string:
		if s.Type != "string" || len(s.Enum) > 0 && !slices.Contains(s.Enum, x) {
			t.Errorf("%s: %q, the document says %s %v", at, x, s.Type, s.Enum)
		}
	case float64:
		if s.Type != "number" && s.Type != "integer" || s.Type == "integer" && x != float64(int64(x)) {
			t.Errorf("%s: %v, the document says %s", at, x, s.Type)
		}
	case bool:
		if s.Type != "boolean" {
			t.Errorf("%s: a boolean, the document says %s", at, s.Type)
		}
	default:
		t.Errorf("%s: %v", at, v)
	}
}

func TestAnswersFitTheDocument(t *testing.T) {
	doc := openAPI(t)
	h := open(t, console.Config{})
	finding := rows(t, h.get("/api/v1/findings?limit=1"), "findings")[0]["id"].(string)
	h.do("POST", "/api/v1/allow", `{"value":"192.0.2.1","why":"test"}`)
	seen := map[string]bool{}
	for path, url := range map[string]string{
		"/api/v1/status": "", "/api/v1/traffic": "", "/api/v1/findings": "?limit=5", "/api/v1/findings/{id}": "/api/v1/findings/" + finding,
		"/api/v1/decisions": "?limit=5", "/api/v1/decisions/{id}": "/api/v1/decisions/" + h.of("proposed"),
		"/api/v1/allow": "", "/api/v1/commands/{id}": "/api/v1/commands/1", "/api/v1/commands": "", "/api/v1/changes": "?limit=3",
		"/api/v1/summary": "", "/api/v1/subject": "?subject=ip:203.0.113.66", "/api/v1/rules": "", "/api/v1/me": "", "/api/v1/keys": "", "/api/v1/alerts": "", "/api/v1/documents": "", "/api/v1/silences": "",
		"/api/v1/backtests": "", "/api/v1/backtests/{id}": "/api/v1/backtests/" + consoletest.BacktestID,
	} {
		if !strings.HasPrefix(url, "/") {
			url = path + url
		}
		seen[path] = true
		doc.fits(t, path, h.get(url), doc.Paths[path]["get"].Responses["200"].Content["application/json"].Schema)
	}
	for path, methods := range doc.Paths {
		if op, ok := methods["get"]; ok && op.Responses["200"].Content["application/json"].Schema.Ref != "" && !seen[path] {
			t.Errorf("%s: no answer was compared", path)
		}
	}
	problems := parse(t, h.do("GET", "/api/v1/findings?limit=x", ""))
	doc.fits(t, "problem", problems, schema{Ref: "#/components/schemas/Problem"})
}
