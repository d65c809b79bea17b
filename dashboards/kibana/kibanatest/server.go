// Package kibanatest answers as the published API of Kibana says, for tests: Kibana
// itself cannot be started here. It checks what is sent, and keeps it.
package kibanatest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Server speaks the part of Kibana's API that an installation uses
// (https://www.elastic.co/docs/api/doc/kibana). What it keeps may be read and changed
// between requests.
type Server struct {
	Version string
	Key     string // the API key that it wants
	Space   string // the one beside the default space

	Objects map[string]map[string]any // saved objects by type and id
	Rules   map[string]map[string]any // detection rules by rule_id
	Alerts  map[string]map[string]any // alert rules by id
	Asked   []string                  // methods and addresses
	Spoil   map[string]string         // type and id → kind of error that an import gives

	// Instead answers in its place where it returns true.
	Instead func(w http.ResponseWriter, r *http.Request) bool

	t  testing.TB
	mu sync.Mutex
}

// New starts a server that ends with the test, and returns its address.
func New(t testing.TB) (*Server, string) {
	c := &Server{t: t, Version: "8.19.2", Key: "a2V5", Space: "soc", Objects: map[string]map[string]any{}, Rules: map[string]map[string]any{},
		Alerts: map[string]map[string]any{}, Spoil: map[string]string{}}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return c, s.URL
}

func (c *Server) reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("kbn-name", "contract")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		c.t.Error(err)
	}
}

func (c *Server) refuse(w http.ResponseWriter, status int, message string) {
	c.reply(w, status, map[string]any{"statusCode": status, "error": http.StatusText(status), "message": message})
}

// ServeHTTP implements http.Handler.
func (c *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Asked = append(c.Asked, r.Method+" "+r.URL.RequestURI())
	if c.Instead != nil && c.Instead(w, r) {
		return
	}
	if r.Header.Get("Authorization") != "ApiKey "+c.Key {
		c.refuse(w, 401, "[security_exception]: unable to authenticate with provided credentials")
		return
	}
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/s/"); ok {
		space, more, _ := strings.Cut(rest, "/")
		if space != c.Space {
			c.refuse(w, 404, "Not Found")
			return
		}
		path = "/" + more
	}
	if r.Method != http.MethodGet && r.Header.Get("kbn-xsrf") == "" {
		c.refuse(w, 400, "Request must contain a kbn-xsrf header.")
		return
	}
	switch {
	case r.Method == "GET" && path == "/api/status":
		c.reply(w, 200, map[string]any{"name": "contract", "version": map[string]any{"number": c.Version}, "status": map[string]any{"overall": map[string]any{"level": "available"}}})
	case r.Method == "POST" && path == "/api/saved_objects/_import":
		c.importObjects(w, r)
	case r.Method == "POST" && path == "/api/saved_objects/_bulk_get":
		c.bulkGet(w, r)
	case r.Method == "POST" && path == "/api/detection_engine/rules/_import":
		c.importRules(w, r)
	case strings.HasPrefix(path, "/api/alerting/rule/"):
		c.alert(w, r, strings.TrimPrefix(path, "/api/alerting/rule/"))
	default:
		c.refuse(w, 404, "Not Found")
	}
}

// lines reads the file of a form, one object a line.
func (c *Server) lines(w http.ResponseWriter, r *http.Request) ([]map[string]any, bool) {
	f, header, err := r.FormFile("file")
	if err != nil || !strings.HasSuffix(header.Filename, ".ndjson") {
		c.refuse(w, 400, "Invalid file extension")
		return nil, false
	}
	var out []map[string]any
	in := bufio.NewScanner(f)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		var o map[string]any
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			c.refuse(w, 400, "Unexpected token in JSON")
			return nil, false
		}
		out = append(out, o)
	}
	return out, in.Err() == nil
}

// KeyOf is the key of a saved object, or of a reference to one.
func KeyOf(o map[string]any) string { return fmt.Sprint(o["type"], " ", o["id"]) }

func (c *Server) importObjects(w http.ResponseWriter, r *http.Request) {
	all, ok := c.lines(w, r)
	if !ok {
		return
	}
	coming := map[string]bool{}
	for _, o := range all {
		coming[KeyOf(o)] = true
	}
	var done, failed []any
	for _, o := range all {
		e := map[string]any{}
		var missing []any
		for _, x := range o["references"].([]any) {
			if ref := x.(map[string]any); !coming[KeyOf(ref)] && c.Objects[KeyOf(ref)] == nil {
				missing = append(missing, map[string]any{"type": ref["type"], "id": ref["id"]})
			}
		}
		switch kind := c.Spoil[KeyOf(o)]; {
		case kind == "missing":
			e = map[string]any{"type": "missing_references", "references": []any{map[string]any{"type": "index-pattern", "id": "gone"}}}
		case len(missing) > 0:
			e = map[string]any{"type": "missing_references", "references": missing}
		case kind != "":
			e = map[string]any{"type": kind, "message": "mapping set to strict \x1b[31m", "statusCode": 400}
		case c.Objects[KeyOf(o)] != nil && r.URL.Query().Get("overwrite") != "true":
			e = map[string]any{"type": "conflict"}
		}
		if len(e) > 0 {
			failed = append(failed, map[string]any{"id": o["id"], "type": o["type"], "meta": map[string]any{}, "error": e})
			continue
		}
		c.Objects[KeyOf(o)] = o
		done = append(done, map[string]any{"type": o["type"], "id": o["id"], "managed": false, "meta": map[string]any{}})
	}
	answer := map[string]any{"success": len(failed) == 0, "successCount": len(done), "warnings": []any{}}
	if failed != nil {
		answer["errors"] = failed
	}
	if done != nil {
		answer["successResults"] = done
	}
	c.reply(w, 200, answer)
}

func (c *Server) bulkGet(w http.ResponseWriter, r *http.Request) {
	var asked []map[string]any
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		c.refuse(w, 400, err.Error())
		return
	}
	var out []any
	for _, a := range asked {
		o := map[string]any{"id": a["id"], "type": a["type"]}
		if c.Objects[KeyOf(a)] == nil {
			o["error"] = map[string]any{"statusCode": 404, "error": "Not Found", "message": "Saved object not found"}
		}
		out = append(out, o)
	}
	c.reply(w, 200, map[string]any{"saved_objects": out})
}

func (c *Server) importRules(w http.ResponseWriter, r *http.Request) {
	all, ok := c.lines(w, r)
	if !ok {
		return
	}
	errs, good := []any{}, 0
	for _, rule := range all {
		id := fmt.Sprint(rule["rule_id"])
		if c.Rules[id] != nil && r.URL.Query().Get("overwrite") != "true" {
			errs = append(errs, map[string]any{"rule_id": id, "error": map[string]any{"status_code": 409, "message": `rule_id: "` + id + `" already exists`}})
			continue
		}
		c.Rules[id] = rule
		good++
	}
	c.reply(w, 200, map[string]any{"success": len(errs) == 0, "success_count": good, "rules_count": len(all), "errors": errs,
		"exceptions_success": true, "exceptions_success_count": 0, "exceptions_errors": []any{}, "action_connectors_success": true})
}

// alertFields are what the API takes when a rule is made and when it is changed; it
// refuses what is not among them.
var alertFields = map[string][]string{
	"POST": {"name", "rule_type_id", "consumer", "enabled", "tags", "actions", "schedule", "params", "throttle", "notify_when", "alert_delay", "flapping"},
	"PUT":  {"name", "tags", "actions", "schedule", "params", "throttle", "notify_when", "alert_delay", "flapping"},
}

// ownID are the ids that may be chosen for a rule.
var ownID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[14][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func (c *Server) alert(w http.ResponseWriter, r *http.Request, id string) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Error(err)
	}
	if !ownID.MatchString(id) {
		c.refuse(w, 400, "Predefined IDs are not allowed for saved objects with encrypted attributes unless the ID is a UUID of version 1 or 4.")
		return
	}
	have := c.Alerts[id]
	if r.Method == "GET" {
		c.reply(w, 200, have)
		return
	}
	var body map[string]any
	if err := json.Unmarshal(data, &body); err != nil {
		c.refuse(w, 400, err.Error())
		return
	}
	allowed := "," + strings.Join(alertFields[r.Method], ",") + ","
	for field := range body {
		if !strings.Contains(allowed, ","+field+",") {
			c.refuse(w, 400, "[request body."+field+"]: definition for this key is missing")
			return
		}
	}
	switch {
	case r.Method == "POST" && have != nil:
		c.refuse(w, 409, "Saved object [alert/"+id+"] conflict")
	case r.Method == "POST":
		c.Alerts[id] = body
		c.reply(w, 200, body)
	case have == nil:
		c.refuse(w, 404, "Saved object [alert/"+id+"] not found")
	default:
		for field, v := range body {
			have[field] = v
		}
		c.reply(w, 200, have)
	}
}
