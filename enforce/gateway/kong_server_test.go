package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// kongServer has the plugins, consumers and credentials of a Kong. It keeps
// https://developer.konghq.com/api/gateway/admin-ee/ and, for what a plugin takes and what is
// unique, the schemas of https://github.com/Kong/kong: kong/plugins/*/schema.lua,
// kong/plugins/key-auth/{daos,api}.lua, kong/db/schema/entities/plugins.lua.
type kongServer struct {
	*contract
	consumers []string // none = whoever is named
	plugins   map[string]object
	keys      map[string]object // key-auth credentials, by id
	backup    map[string]object // what they were at first
	meanwhile func()            // is called before a credential is shown
}

// kongConfig is what each plugin takes. Kong knows more of rate-limiting: Redis.
var kongConfig = map[string]shape{
	"ip-restriction": {"allow": nullable(isListOf(isAddress, 0)), "deny": nullable(isListOf(isAddress, 0)), "status": nullable(isInteger(100, 599)), "message": nullable(isText("", 4096))},
	"request-termination": {"status_code": isInteger(100, 599), "message": nullable(isText("", 4096)), "content_type": nullable(isText("", 4096)),
		"body": nullable(isText("", 1<<20)), "echo": isBool, "trigger": nullable(isText("^[a-zA-Z0-9_-]+$", 256))},
	"rate-limiting": {"second": nullable(isNumber(1e-9, never)), "minute": nullable(isNumber(1e-9, never)), "hour": nullable(isNumber(1e-9, never)),
		"day": nullable(isNumber(1e-9, never)), "month": nullable(isNumber(1e-9, never)), "year": nullable(isNumber(1e-9, never)),
		"limit_by": isOneOf("consumer", "credential", "ip", "service", "header", "path", "consumer-group"), "policy": isOneOf("local", "cluster", "redis"),
		"fault_tolerant": isBool, "hide_client_headers": isBool, "error_code": isNumber(0, 999), "error_message": isText("", 4096), "header_name": nullable(isText("", 256)), "path": nullable(isText("", 1024)), "sync_rate": isNumber(-1, never)},
}

var (
	kongTags   = nullable(isListOf(isText("^[^,/]+$", 1024), 0))
	kongBody   = shape{"!name": isText("", 64), "config": isMapOf(func(any) error { return nil }), "enabled": isBool, "tags": kongTags, "protocols": isListOf(isText("", 8), 1)}
	kongKeyAny = shape{"key": isText("^.+$", 2600), "tags": kongTags, "ttl": nullable(isInteger(0, 1e8))}
)

// newKong makes one with two keys, "alice" and "bob", of the consumers "carol" and "dave".
func newKong(t testing.TB, consumers ...string) (*kongServer, *Kong) {
	c := newContract(t, "consumer")
	c.sim.Does(enforce.Block, enforce.Throttle, enforce.Revoke)
	k := &kongServer{contract: c, consumers: consumers, plugins: map[string]object{}, keys: map[string]object{}}
	for key, consumer := range map[string]string{"alice": "carol", "bob": "dave"} {
		k.keys[uuidOf("key", key)] = object{"id": uuidOf("key", key), "key": key, "tags": []any{"of the site"}, "ttl": nil, "consumer": object{"id": uuidOf("consumer", consumer)}, "created_at": 1.7e9}
	}
	k.backup = copied(t, k.keys)
	k.edits = func() {
		for _, p := range k.plugins {
			if p["name"] == "ip-restriction" {
				list := []any{}
				for _, a := range k.lists["deny"] {
					list = append(list, a)
				}
				p["config"].(object)["deny"] = list
			}
		}
	}
	return k, k.open(t, k.serve(k.answer))
}

func (k *kongServer) open(t testing.TB, base string) *Kong {
	k.base = base
	g, err := NewKong(KongConfig{Admin: base, Token: "token", Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (k *kongServer) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	for i := range parts {
		parts[i], _ = url.PathUnescape(parts[i])
	}
	id, what := parts[len(parts)-1], r.Method+" "+parts[0]
	if len(parts) > 2 {
		what += "/" + parts[2]
	}
	switch {
	case r.Header.Get("Kong-Admin-Token") != "token":
		reply(w, 401, object{"message": "Unauthorized"})
	case what == "GET plugins" && len(parts) == 1:
		kongPage(w, r, k.plugins)
	case what == "GET key-auths" && len(parts) == 1:
		kongPage(w, r, k.keys)
	case what == "PUT plugins" && len(parts) == 2, what == "PUT consumers/plugins" && len(parts) == 4:
		k.put(w, parts, id, body)
	case what == "DELETE plugins" && len(parts) == 2:
		if k.plugins[id]["name"] == "ip-restriction" {
			delete(k.lists, "deny")
		}
		delete(k.plugins, id)
		delete(k.rest, id)
		w.WriteHeader(204)
	case what == "GET consumers/key-auth" && len(parts) == 4, what == "PATCH consumers/key-auth" && len(parts) == 4:
		if k.meanwhile != nil {
			k.meanwhile()
		}
		if c, ok := k.keys[id]; !ok || c["consumer"].(object)["id"] != parts[1] {
			reply(w, 404, object{"message": "Not found"})
		} else if r.Method == "GET" {
			reply(w, 200, c)
		} else {
			k.patch(w, c, body)
		}
	default:
		k.t.Errorf("Kong has no %s %s", r.Method, r.URL.Path)
		reply(w, 404, object{"message": "Not found"})
	}
}

// kongPage lists ten things, of a tag if one is named.
func kongPage(w http.ResponseWriter, r *http.Request, of map[string]object) {
	query, from := r.URL.Query(), 0
	all := []string{}
	for _, id := range slices.Sorted(maps.Keys(of)) {
		tags, _ := of[id]["tags"].([]any)
		if tag := query.Get("tags"); tag == "" || slices.Contains(tags, any(tag)) {
			all = append(all, id)
		}
	}
	_, _ = fmt.Sscan(query.Get("offset"), &from)
	data, next := []object{}, any(nil)
	for _, id := range all[from:min(len(all), from+10)] {
		data = append(data, of[id])
	}
	if from+10 < len(all) {
		query.Set("offset", fmt.Sprint(from+10))
		next = r.URL.Path + "?" + query.Encode()
	}
	reply(w, 200, object{"data": data, "next": next})
}

// violates answers as Kong does to what its schema does not have.
func violates(w http.ResponseWriter, err error) bool {
	if err != nil {
		reply(w, 400, object{"code": 2, "name": "schema violation", "message": "schema violation (" + err.Error() + ")"})
	}
	return err != nil
}

// put makes a plugin, global or of a consumer.
func (k *kongServer) put(w http.ResponseWriter, path []string, id string, body []byte) {
	p, err := readJSON(body)
	if err == nil {
		err = kongBody.check(p)
	}
	if violates(w, err) {
		return
	}
	of := any(nil)
	if path[0] == "consumers" {
		if len(k.consumers) > 0 && !slices.Contains(k.consumers, path[1]) {
			reply(w, 404, object{"message": "Not found"})
			return
		}
		of = object{"id": uuidOf("consumer", path[1])}
	}
	name, config := p["name"].(string), object{}
	if given, ok := p["config"].(map[string]any); ok {
		config = given
	}
	if violates(w, k.checkConfig(name, config)) {
		return
	}
	for other, has := range k.plugins {
		if other != id && has["name"] == name && fmt.Sprint(has["consumer"]) == fmt.Sprint(of) {
			reply(w, 409, object{"code": 5, "name": "unique constraint violation", "message": "UNIQUE violation detected"})
			return
		}
	}
	k.plugins[id] = object{"id": id, "name": name, "config": config, "consumer": of, "enabled": p["enabled"] != false, "tags": p["tags"], "protocols": []any{"http", "https"}}
	delete(k.rest, id)
	k.does(id, name, config, path)
	reply(w, 200, k.plugins[id])
}

// checkConfig checks the settings of a plugin, and fills in what Kong would.
func (k *kongServer) checkConfig(name string, config object) error {
	s, ok := kongConfig[name]
	if !ok {
		return fmt.Errorf("name: plugin '%s' not enabled; add it to the 'plugins' configuration property", name)
	}
	if err := s.check(map[string]any(config)); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	last := 0.0
	for _, span := range []string{"second", "minute", "hour", "day", "month", "year"} {
		if n, ok := config[span].(float64); ok {
			if n < last {
				return fmt.Errorf("config: the limit for %s(%.1f) cannot be lower than a shorter one (%.1f)", span, n, last)
			}
			last = n
		}
	}
	switch {
	case name == "rate-limiting" && last == 0:
		return fmt.Errorf("at least one of these fields must be non-empty: 'config.second', …")
	case name == "ip-restriction" && config["allow"] == nil && config["deny"] == nil:
		return fmt.Errorf("at least one of these fields must be non-empty: 'config.allow', 'config.deny'")
	}
	for field := range s {
		if _, there := config[field]; !there {
			config[field] = nil
		}
	}
	return nil
}

// does makes the simulated gateway do what the plugin does.
func (k *kongServer) does(id, name string, config object, path []string) {
	e := enforce.Entry{Action: enforce.Block, Subject: detect.Subject{Kind: "consumer"}}
	if path[0] == "consumers" {
		e.Subject.Value = path[1]
	}
	switch {
	case name == "ip-restriction":
		k.lists["deny"] = nil
		for _, a := range config["deny"].([]any) {
			k.lists["deny"] = append(k.lists["deny"], a.(string))
		}
		return
	case name == "rate-limiting":
		minute, _ := config["minute"].(float64)
		second, _ := config["second"].(float64)
		e.Action, e.Rate, e.Burst = enforce.Throttle, minute/60, int(cmp.Or(second, minute))-1
	case config["status_code"] == 401.0:
		e.Action = enforce.Revoke
	}
	k.rest[id] = e
}

// patch changes what is named of a credential.
func (k *kongServer) patch(w http.ResponseWriter, c object, body []byte) {
	change, err := readJSON(body)
	if err == nil {
		err = kongKeyAny.check(change)
	}
	if violates(w, err) {
		return
	}
	for id, other := range k.keys {
		if id != c["id"] && other["key"] == change["key"] {
			reply(w, 409, object{"code": 5, "name": "unique constraint violation", "message": "UNIQUE violation detected on '{key=\"" + fmt.Sprint(change["key"]) + "\"}'"})
			return
		}
	}
	maps.Copy(c, change)
	reply(w, 200, c)
}

// restore puts its database back to what it was at first.
func (k *kongServer) restore() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = copied(k.t, k.backup)
	clear(k.plugins)
	clear(k.rest)
	clear(k.lists)
	k.hold()
}

// copied is a copy of all that JSON has.
func copied[T any](t testing.TB, v T) (out T) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Error(err)
	}
	return out
}

// ask is a request with a key, or as a consumer.
func (k *kongServer) ask(_ testing.TB, a enforcetest.Ask) int {
	if a.As.Kind != "key" {
		return k.sim.StatusOf(a.Client, a.As, a.Path)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.keys {
		if c["key"] == a.As.Value {
			return k.sim.Status(a.Client)
		}
	}
	return 401
}

// credentials are all of them, as text.
func (k *kongServer) credentials(t testing.TB) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	text, err := json.MarshalIndent(k.keys, "", " ")
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
