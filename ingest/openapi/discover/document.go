package discover

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type object = map[string]any

// Document writes what was seen as an OpenAPI 3.1 document in JSON, and says what is not in
// it.
func (d *Draft) Document() ([]byte, Left, error) {
	left := d.left
	ops := d.collapsed(&left)
	paths, schemes := object{}, object{}
	for _, k := range slices.SortedFunc(maps.Keys(ops), func(a, b key) int { return strings.Compare(a.route+" "+a.method, b.route+" "+b.method) }) {
		op := ops[k]
		if len(op.clients) < d.opt.Clients || op.success < int64(d.opt.Requests) {
			left.Few++
			continue
		}
		route, params := named(k.route, op)
		item, _ := paths[route].(object)
		if item == nil {
			item = object{}
			if params != nil {
				item["parameters"] = params
			}
			paths[route] = item
		} else if params != nil {
			item["parameters"] = widened(item["parameters"].([]any), params)
		}
		item[strings.ToLower(k.method)] = d.operation(k, op, schemes, &left)
	}
	doc := object{
		"openapi": "3.1.0",
		"info": object{"title": "Draft from observed traffic", "version": "0.0.0",
			"description": fmt.Sprintf("What at least %d clients used with success, %d times or more. It holds no value of the traffic. Types are what was seen and not what is allowed, bodies are not known: read it, and write down what is meant.", d.opt.Clients, d.opt.Requests)},
		"servers": []any{object{"url": "/"}},
		"paths":   paths,
	}
	if len(schemes) > 0 {
		doc["components"] = object{"securitySchemes": schemes}
	}
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, left, fmt.Errorf("discover: %w", err)
	}
	return append(text, '\n'), left, nil
}

// named gives the parameters of a route names that differ, and describes them.
func named(route string, op *operation) (string, []any) {
	parts := strings.Split(strings.TrimPrefix(route, "/"), "/")
	var params []any
	used := map[string]int{}
	for i, part := range parts {
		if !strings.HasPrefix(part, "{") {
			continue
		}
		word := part[1 : len(part)-1]
		if used[word]++; used[word] > 1 {
			word += strconv.Itoa(used[word])
		}
		parts[i] = "{" + word + "}"
		k := isText
		if i < len(op.segments) {
			k = op.segments[i]
		}
		params = append(params, object{"name": word, "in": "path", "required": true, "schema": k.schema()})
	}
	return "/" + strings.Join(parts, "/"), params
}

// widened describes the parameters of a path by two of its methods: where they differ, they
// are texts, or numbers.
func widened(a, b []any) []any {
	for i := range a {
		x, y := a[i].(object), b[i].(object)
		if !maps.Equal(x["schema"].(object), y["schema"].(object)) {
			x["schema"] = object{"type": "string"}
		}
	}
	return a
}

// sure is from how many requests on a parameter that all had is taken for required.
const sure = 100

// operation describes a method on a route.
func (d *Draft) operation(k key, op *operation, schemes object, left *Left) object {
	out := object{"x-portcullis-requests": op.success, "x-portcullis-clients": len(op.clients), "responses": op.responses()}
	var params []any
	others := op.other
	for _, word := range slices.Sorted(maps.Keys(op.names)) {
		x := op.names[word]
		if len(x.clients) < d.opt.Clients || x.seen < int64(d.opt.Requests) {
			others += x.seen
			left.Names++
			continue
		}
		schema := x.kinds.schema()
		p := object{"name": word, "in": "query", "x-portcullis-share": math.Round(100*float64(x.seen)/float64(op.success)) / 100}
		if x.often {
			schema = object{"type": "array", "items": schema}
		}
		if x.kinds&isEmpty != 0 {
			p["allowEmptyValue"] = true
		}
		if x.seen == op.success && op.success >= sure {
			p["required"] = true
		}
		p["schema"] = schema
		params = append(params, p)
	}
	if params != nil {
		out["parameters"] = params
	}
	if others > 0 {
		out["x-portcullis-other-parameters"] = others
	}
	switch k.method {
	case "POST", "PUT", "PATCH":
		out["requestBody"] = object{"description": "Not known from the log.", "content": object{"*/*": object{}}}
	}
	if security := op.security(schemes); security != nil {
		out["security"] = security
	}
	return out
}

// responses describes the statuses.
func (op *operation) responses() object {
	out := object{}
	for status, n := range op.statuses {
		text := http.StatusText(int(status))
		if text == "" {
			text = "Not registered."
		}
		out[strconv.Itoa(int(status))] = object{"description": text, "x-portcullis-requests": n}
	}
	return out
}

// authSchemes are how callers show who they are, as far as a log tells.
var authSchemes = [methods]struct {
	name   string
	scheme object
}{
	byKey:         {"key", object{"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key was sent; where is not known from the log."}},
	byToken:       {"token", object{"type": "http", "scheme": "bearer", "description": "Authorization was sent; its scheme is not known from the log."}},
	bySession:     {"session", object{"type": "apiKey", "in": "cookie", "name": "session", "description": "Cookies were sent; their names are not kept."}},
	byUser:        {"user", object{"type": "http", "scheme": "basic", "description": "The gateway logged a user; how they logged in is not known."}},
	byCertificate: {"certificate", object{"type": "mutualTLS"}},
}

// security says how callers showed who they are, the most used way first; a way that fewer
// than one of twenty used is left out, and an empty one says that others showed nothing.
func (op *operation) security(schemes object) []any {
	var order []int
	most := int64(0)
	for i, n := range op.auth {
		if n*20 >= op.success && n > 0 {
			order = append(order, i)
			most = max(most, n)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(op.auth[b] - op.auth[a]) })
	var out []any
	for _, i := range order {
		schemes[authSchemes[i].name] = authSchemes[i].scheme
		out = append(out, object{authSchemes[i].name: []any{}})
	}
	if out != nil && most*20 < op.success*19 {
		out = append(out, object{})
	}
	return out
}
