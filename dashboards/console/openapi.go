package console

import (
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// operation is what the API's document says of a route beyond its path.
type operation struct {
	id, summary string
	query       []param
	body        any    // of a write: the zero value of its type
	answer      any    // of 200: the zero value of its type; nil = text
	media       string // of the answer, where it is not JSON
	status      []int  // other answers worth knowing
}

// param is a parameter of the query string.
type param struct {
	name, doc string
	kind      string // boolean or integer; "" = string
	enum      []string
	must      bool
}

// Parameters of several routes.
var (
	since     = param{name: "since", doc: "From this moment: RFC 3339, Unix seconds, or an age such as 1h."}
	until     = param{name: "until", doc: "Before this moment, written like since."}
	bySubject = param{name: "subject", doc: "kind:value, such as ip:192.0.2.7."}
	ofKind    = param{name: "kind", doc: "Only subjects of this kind, such as campaign."}
	limit     = param{name: "limit", doc: "Rows of a page.", kind: "integer"}
	cursor    = param{name: "cursor", doc: "The `next` of the page before."}
)

func required(p param) param { p.must = true; return p }

func (o *operation) queryNames() []string {
	var names []string
	for _, p := range o.query {
		names = append(names, p.name)
	}
	return names
}

func severityNames() (names []string) {
	for s := detect.Info; s <= detect.Critical; s++ {
		names = append(names, s.String())
	}
	return names
}

func stateNames() (names []string) {
	for _, s := range states {
		names = append(names, string(s))
	}
	return names
}

var states = []enforce.State{
	enforce.Proposed, enforce.Approved, enforce.Pushed, enforce.Verified,
	enforce.NotEnforced, enforce.Expired, enforce.Released,
}

// foreign are the names and words of shapes that other packages own.
var foreign = map[string]struct {
	name  string
	words map[string]string
}{
	"LedgerRow":  {"Source", map[string]string{"truncated": "Events whose line the gateway cut.", "last_time": "Newest event, Unix nanoseconds.", "format": "By which the newest lines were read.", "carried": "What its events had, in the newest week of the log and in the one before."}},
	"Blindness":  {"Blindness", map[string]string{"missing": "Fields, one of which would do.", "blind": "Detectors that find nothing without them.", "half_blind": "Detectors that find less.", "add": "What to log or to set."}},
	"Rollup":     {"Rollup", map[string]string{"minute": "Start, Unix seconds.", "s4xx": "With those denied.", "refused": "Failed logins and tokens.", "denied": "Answered by our own enforcement."}},
	"MemberJSON": {"Member", map[string]string{"score": "How sure it is that it takes part, from 0 to 1."}},
	"Result":     {"BacktestResult", nil},
	"Log":        {"BacktestLog", nil},
	"Tried":      {"BacktestTried", nil},
	"Sums":       {"BacktestSums", nil},
	"WouldBeHit": {"BacktestDecision", nil},
	"Often":      {"BacktestHit", nil},
	"Carried":    {"Carried", map[string]string{"week": "Number of the week since 1970."}},
}

type object = map[string]any

// describe makes the OpenAPI 3.1 document of the routes from the types of their handlers.
func describe(routes []route) object {
	d := describer{schemas: object{}}
	paths := object{}
	for _, rt := range routes {
		if rt.doc == nil {
			continue
		}
		if paths[rt.pattern] == nil {
			paths[rt.pattern] = object{}
		}
		paths[rt.pattern].(object)[strings.ToLower(rt.method)] = d.operation(rt)
	}
	d.schema(reflect.TypeOf(problem{}))
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Portcullis console", "version": "1", "summary": "What the gateway's log shows, and what is done about it.",
			"description": "Errors are problem documents (RFC 9457). Writes need Content-Type: application/json and a reason; one with an Idempotency-Key is done once, however often it is sent. " +
				"With a login configured, send an API key (portcullis keys api) or the token as Authorization: Bearer, or log in at /login. What each call needs is in x-role: viewer, operator or admin. " +
				fmt.Sprintf("A caller has %d reads at once and %d a second, %d writes at once and %d a second; 429 says when to come again.", readBurst, readRate, writeBurst, writeRate),
			"license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []any{object{"url": "/"}},
		"security": []any{object{"bearer": []any{}}, object{"session": []any{}}, object{}},
		"paths":    paths,
		"components": object{
			"schemas": d.schemas,
			"responses": object{"Problem": object{"description": "What went wrong.", "content": object{
				"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}},
			"securitySchemes": object{
				"bearer":  object{"type": "http", "scheme": "bearer"},
				"session": object{"type": "apiKey", "in": "cookie", "name": "portcullis", "description": "Set by the login form; __Host-portcullis under TLS."},
			},
		},
	}
}

type describer struct{ schemas object }

var inPath = regexp.MustCompile(`\{(\w+)\}`)

func (d describer) operation(rt route) object {
	op := object{"operationId": rt.doc.id, "summary": rt.doc.summary, "responses": d.responses(rt)}
	if group, _, _ := strings.Cut(strings.TrimPrefix(rt.pattern, apiRoot+"/"), "/"); rt.api() {
		op["tags"] = []any{group}
	}
	if rt.access == private {
		op["x-role"] = string(rt.role)
	} else {
		op["security"] = []any{}
	}
	var params []any
	for _, name := range inPath.FindAllStringSubmatch(rt.pattern, -1) {
		params = append(params, object{"name": name[1], "in": "path", "required": true, "schema": object{"type": "string", "minLength": 1, "maxLength": maxID}})
	}
	for _, p := range rt.doc.query {
		params = append(params, p.object())
	}
	if rt.doc.body != nil {
		params = append(params, object{"name": idempotencyHeader, "in": "header", "description": "Up to 128 printable characters of the caller's choice. The same write under the same key is done once; another one under it is refused with 422.", "schema": object{"type": "string", "maxLength": maxID}})
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": d.schema(reflect.TypeOf(rt.doc.body))}}}
	}
	if params != nil {
		op["parameters"] = params
	}
	return op
}

func (p param) object() object {
	schema := object{"type": "string"}
	if p.kind != "" {
		schema["type"] = p.kind
	}
	if p.enum != nil {
		schema["enum"] = p.enum
	}
	if p.kind == "integer" {
		schema["minimum"], schema["maximum"], schema["default"] = 1, maxLimit, defaultLimit
	}
	out := object{"name": p.name, "in": "query", "description": p.doc, "schema": schema}
	if p.must {
		out["required"] = true
	}
	return out
}

func (d describer) responses(rt route) object {
	media, schema := rt.doc.media, object{"type": "string"}
	if rt.doc.answer != nil {
		schema = d.schema(reflect.TypeOf(rt.doc.answer))
	}
	if media == "" {
		media = "application/json"
	}
	out := object{"200": object{"description": "As asked.", "content": object{media: object{"schema": schema}}}}
	for _, code := range rt.doc.status {
		if code == http.StatusAccepted {
			out["202"] = object{"description": "Posted; the enforcer has not answered yet. Location says where its answer will be.", "content": object{media: object{"schema": schema}}}
			continue
		}
		out[strconv.Itoa(code)] = object{"$ref": "#/components/responses/Problem"}
	}
	if rt.access == private {
		out["default"] = object{"$ref": "#/components/responses/Problem"}
	}
	return out
}

// schema describes a type; a struct becomes a component.
func (d describer) schema(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Int:
		return object{"type": "integer"}
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "object"}
		}
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.component(t)
	}
	if t.Name() == "Fields" { // a set that is written as names
		return object{"type": "array", "items": object{"type": "string"}}
	}
	return object{} // anything; a test demands that there is none
}

func (d describer) component(t reflect.Type) object {
	name := strings.TrimSuffix(t.Name(), "JSON")
	other := foreign[t.Name()]
	if other.name != "" {
		name = other.name
	}
	name = strings.ToUpper(name[:1]) + name[1:]
	ref := object{"$ref": "#/components/schemas/" + name}
	if d.schemas[name] != nil {
		return ref
	}
	properties, must := object{}, []string{}
	d.schemas[name] = object{"type": "object", "properties": properties}
	d.fields(t, other.words, properties, &must)
	if len(must) > 0 {
		d.schemas[name].(object)["required"] = must
	}
	return ref
}

func (d describer) fields(t reflect.Type, words map[string]string, properties object, must *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			d.fields(f.Type, words, properties, must)
			continue
		case key == "" || key == "-":
			continue
		}
		s := d.schema(f.Type)
		about := f.Tag.Get("doc")
		if about == "" {
			about = words[key]
		}
		if about != "" {
			s["description"] = about
		}
		if format := f.Tag.Get("format"); format != "" {
			s["format"] = format
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			s["enum"] = strings.Split(enum, ",")
		}
		properties[key] = s
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			*must = append(*must, key)
		}
	}
}
