package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// apisixServer has our global rule, consumers and credentials of an APISIX. It keeps
// https://apisix.apache.org/docs/apisix/admin-api/ and, for what a plugin takes, the tables of
// https://apisix.apache.org/docs/apisix/plugins/limit-count/ and its neighbours; that a
// consumer can be replaced only, without a condition, is apisix/admin/consumers.lua of
// https://github.com/apache/apisix. Fields that no table has are refused.
type apisixServer struct {
	*contract
	rule        object              // nil = none
	consumers   map[string]object   // by username
	credentials map[string]object   // by username/id
	backup      []map[string]object // consumers and credentials as they were at first
	index       int                 // grows with each change
	meanwhile   func()              // is called before one thing is shown
}

var apisixMeta = isMapOf(func(any) error { return nil })

var apisixLimitCount = shape{"!count": isInteger(1, never), "!time_window": isInteger(1, never), "key": isText("", 4096), "key_type": isOneOf("var", "var_combination", "constant"),
	"rejected_code": isInteger(200, 599), "rejected_msg": isText("^.", 4096), "policy": isOneOf("local", "redis", "redis-cluster"), "allow_degradation": isBool, "show_limit_quota_header": isBool, "group": isText("", 256), "_meta": apisixMeta}

// apisixTakes is what each plugin takes on a consumer or in a global rule.
var apisixTakes = map[string]shape{
	"ip-restriction": {"blacklist": isListOf(isAddress, 1), "whitelist": isListOf(isAddress, 1), "message": isText("^.", 1024), "response_code": isInteger(403, 404), "_meta": apisixMeta},
	"workflow": {"!rules": isListOf(func(v any) error {
		return shape{"case": isListOf(apisixTerm, 1), "!actions": isListOf(apisixAction, 1)}.check(v)
	}, 0), "_meta": apisixMeta},
	"limit-count": apisixLimitCount,
	"limit-req": {"!rate": isNumber(1e-300, never), "!burst": isNumber(0, never), "!key": isText("^.", 4096), "key_type": isOneOf("var", "var_combination"),
		"rejected_code": isInteger(200, 599), "rejected_msg": isText("^.", 4096), "nodelay": isBool, "allow_degradation": isBool, "policy": isOneOf("local", "redis", "redis-cluster"), "_meta": apisixMeta},
	"consumer-restriction": {"type": isOneOf("consumer_name", "consumer_group_id", "service_id", "route_id"), "blacklist": isListOf(isText("", 256), 1), "whitelist": isListOf(isText("", 256), 1),
		"rejected_code": isInteger(200, never), "rejected_msg": isText("", 4096), "allowed_by_methods": isListOf(apisixMeta, 0), "_meta": apisixMeta},
	"fault-injection": {"abort": shape{"http_status": isInteger(200, never), "body": isText("", 1<<20), "percentage": isInteger(0, 100), "vars": isListOf(apisixTerm, 0)}.check, "delay": apisixMeta, "_meta": apisixMeta},
	"key-auth":        {"!key": isText("", 1<<20), "_meta": apisixMeta},
	"basic-auth":      {"!username": isText("", 256), "!password": isText("", 256), "_meta": apisixMeta},
}

// apisixDefaults are what APISIX adds, and shows.
var apisixDefaults = map[string]object{
	"ip-restriction": {"message": "Your IP address is not allowed"},
	"limit-count":    {"show_limit_quota_header": true, "allow_degradation": false},
	"limit-req":      {"key_type": "var", "policy": "local", "allow_degradation": false},
}

var apisixWhole = map[string]shape{
	"rule": {"id": isText("^[a-zA-Z0-9._-]+$", 64), "!plugins": isMapOf(apisixMeta), "create_time": isInteger(1, never), "update_time": isInteger(1, never)},
	"consumer": {"!username": isText("^[a-zA-Z0-9_-]+$", 100), "plugins": isMapOf(apisixMeta), "group_id": isText("", 64), "desc": isText("", 256),
		"labels": isMapOf(isText(`^\S+$`, 256)), "create_time": isInteger(1, never), "update_time": isInteger(1, never), "id": isText("", 64)},
	"credential": {"id": isText("^[a-zA-Z0-9._-]+$", 64), "!plugins": isMapOf(apisixMeta), "name": isText("", 100), "desc": isText("", 256),
		"labels": isMapOf(isText(`^\S+$`, 256)), "create_time": isInteger(1, never), "update_time": isInteger(1, never)},
}

// apisixTerm is a condition of lua-resty-expr: a variable, an operator, a value.
func apisixTerm(v any) error {
	list, ok := v.([]any)
	if !ok || len(list) != 3 || list[0] != "remote_addr" || list[1] != "ipmatch" {
		return fmt.Errorf("no condition that is known here: %.100q", fmt.Sprint(v))
	}
	return isListOf(isAddress, 1)(list[2])
}

// apisixAction is the name of an action, and its settings.
func apisixAction(v any) error {
	list, ok := v.([]any)
	if !ok || len(list) != 2 || list[0] != "limit-count" {
		return fmt.Errorf("unsupported action: %.60q", fmt.Sprint(v))
	}
	if err := apisixLimitCount.check(list[1]); err != nil {
		return fmt.Errorf("failed to validate the 'limit-count' action: %w", err)
	}
	settings := list[1].(map[string]any)
	if settings["group"] != nil {
		return fmt.Errorf("group is not supported")
	}
	settings["show_limit_quota_header"] = true
	return nil
}

// newAPISIX makes one with the consumers alice and bob, and the keys "alice" of carol and
// "bob" in a credential of dave.
func newAPISIX(t testing.TB) (*apisixServer, *APISIX) {
	c := newContract(t, "consumer")
	c.sim.Does(enforce.Block, enforce.Throttle, enforce.Revoke)
	s := &apisixServer{contract: c, consumers: map[string]object{}, credentials: map[string]object{}}
	for name, plugins := range map[string]object{"alice": {"basic-auth": object{"username": "a", "password": "b"}, "limit-count": object{"count": 1000.0, "time_window": 60.0, "show_limit_quota_header": true, "allow_degradation": false}},
		"bob": nil, "carol": {"key-auth": object{"key": "alice"}}, "dave": nil} {
		s.consumers[name] = object{"username": name, "desc": "of the site", "create_time": 1700000000.0}
		if plugins != nil {
			s.consumers[name]["plugins"] = plugins
		}
	}
	s.consumers["alice"]["labels"] = object{"team": "a"}
	s.credentials["dave/first"] = object{"id": "first", "plugins": object{"key-auth": object{"key": "bob"}}}
	s.credentials["dave/second"] = object{"id": "second", "plugins": object{"key-auth": object{"key": "other"}}}
	s.backup = copied(t, []map[string]object{s.consumers, s.credentials})
	s.edits = func() {
		if s.rule != nil {
			restriction := s.rule["plugins"].(object)["ip-restriction"].(object)
			restriction["blacklist"] = nil
			for _, a := range s.lists["rule"] {
				list, _ := restriction["blacklist"].([]any)
				restriction["blacklist"] = append(list, a)
			}
		}
	}
	return s, s.open(t, s.serve(s.answer))
}

func (s *apisixServer) open(t testing.TB, base string) *APISIX {
	s.base = base
	g, err := NewAPISIX(APISIXConfig{Admin: base, Key: "key", Rule: "portcullis", Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (s *apisixServer) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/apisix/admin/"), "/")
	if s.meanwhile != nil && r.Method == "GET" && path[0] == "consumers" && len(path)%2 == 0 {
		s.meanwhile()
	}
	switch what := r.Method + " " + path[0]; {
	case r.Header.Get("X-API-KEY") != "key":
		reply(w, 401, object{"error_msg": "failed to check token"})
	case len(body) > 3<<19:
		reply(w, 400, object{"error_msg": "invalid request body: request size is greater than the maximum size"})
	case path[0] == "global_rules" && len(path) == 2 && path[1] == "portcullis":
		s.answerRule(w, r.Method, body)
	case what == "GET consumers" && len(path) == 1:
		s.page(w, r.URL.Query(), slices.Collect(maps.Values(s.consumers)), "username")
	case path[0] == "consumers" && len(path) == 2:
		s.one(w, r.Method, s.consumers, path[1], "consumer", body)
	case what == "GET consumers" && len(path) == 3 && path[2] == "credentials":
		var of []object
		for id, c := range s.credentials {
			if strings.HasPrefix(id, path[1]+"/") {
				of = append(of, c)
			}
		}
		s.page(w, r.URL.Query(), of, "id")
	case path[0] == "consumers" && len(path) == 4 && path[2] == "credentials":
		s.one(w, r.Method, s.credentials, path[1]+"/"+path[3], "credential", body)
	default:
		s.t.Errorf("APISIX has no %s %s", r.Method, r.URL.Path)
		reply(w, 404, object{"error_msg": "not found"})
	}
	s.does()
}

// checked reads what is to be stored, and adds the defaults of its plugins.
func (s *apisixServer) checked(w http.ResponseWriter, kind string, body []byte) (object, bool) {
	o, err := readJSON(body)
	if err == nil {
		err = apisixWhole[kind].check(o)
	}
	if err == nil {
		plugins, _ := o["plugins"].(map[string]any)
		for name, settings := range plugins {
			takes, ok := apisixTakes[name]
			if !ok || kind == "rule" && name != "ip-restriction" && name != "workflow" {
				err = fmt.Errorf("unknown plugin [%s]", name)
			} else if err = takes.check(settings); err != nil {
				err = fmt.Errorf("failed to check the configuration of plugin %s err: %w", name, err)
			}
			if err != nil {
				break
			}
			for field, value := range apisixDefaults[name] {
				if _, given := settings.(map[string]any)[field]; !given {
					settings.(map[string]any)[field] = value
				}
			}
		}
	}
	if err != nil {
		reply(w, 400, object{"error_msg": err.Error()})
		return nil, false
	}
	o["update_time"] = 1.8e9
	return o, true
}

func (s *apisixServer) answerRule(w http.ResponseWriter, method string, body []byte) {
	switch {
	case method == "PUT":
		if o, ok := s.checked(w, "rule", body); ok {
			s.rule, o["id"] = o, "portcullis"
			reply(w, 200, object{"key": "/apisix/global_rules/portcullis", "value": o})
		}
	case s.rule == nil:
		reply(w, 404, object{"message": "Key not found"})
	case method == "DELETE":
		s.rule = nil
		reply(w, 200, object{"key": "/apisix/global_rules/portcullis", "deleted": "1"})
	default:
		reply(w, 200, object{"key": "/apisix/global_rules/portcullis", "value": s.rule})
	}
}

// page lists as page and page_size say, which is from 10 to 500.
func (s *apisixServer) page(w http.ResponseWriter, query url.Values, of []object, by string) {
	slices.SortFunc(of, func(a, b object) int { return cmp.Compare(fmt.Sprint(a[by]), fmt.Sprint(b[by])) })
	page, err := strconv.Atoi(query.Get("page"))
	size, err2 := strconv.Atoi(query.Get("page_size"))
	if err != nil || err2 != nil || page < 1 || size < 10 || size > 500 {
		reply(w, 400, object{"error_msg": "page or page_size is invalid"})
		return
	}
	list := []object{}
	for _, o := range of[min(len(of), (page-1)*size):min(len(of), page*size)] {
		list = append(list, object{"key": "/apisix/" + fmt.Sprint(o[by]), "value": o, "modifiedIndex": s.index})
	}
	reply(w, 200, object{"total": len(of), "list": list})
}

// one shows or replaces a consumer or a credential; there is no PATCH.
func (s *apisixServer) one(w http.ResponseWriter, method string, of map[string]object, id, kind string, body []byte) {
	had, there := of[id]
	switch {
	case method == "GET" && !there:
		reply(w, 404, object{"message": "Key not found"})
	case method == "GET":
		reply(w, 200, object{"key": "/apisix/consumers/" + id, "value": had, "modifiedIndex": s.index})
	case method == "PUT":
		o, ok := s.checked(w, kind, body)
		if !ok {
			return
		}
		for other, c := range s.keys() {
			if plugins, _ := o["plugins"].(map[string]any); c == keyOf(plugins) && other != kind+" "+id && c != "" {
				reply(w, 400, object{"error_msg": "duplicate key found with consumer: " + c})
				return
			}
		}
		s.index++
		of[id] = o
		reply(w, 201, object{"key": "/apisix/consumers/" + id, "value": o})
	default:
		reply(w, 405, object{"error_msg": "not supported `" + method + "` method for " + kind})
	}
}

func keyOf(plugins object) string {
	auth, _ := plugins["key-auth"].(object)
	key, _ := auth["key"].(string)
	return key
}

// keys are all of them, by what has them.
func (s *apisixServer) keys() map[string]string {
	out := map[string]string{}
	for kind, of := range map[string]map[string]object{"consumer": s.consumers, "credential": s.credentials} {
		for id, c := range of {
			plugins, _ := c["plugins"].(object)
			if key := keyOf(plugins); key != "" {
				out[kind+" "+id] = key
			}
		}
	}
	return out
}

// does makes the simulated gateway do what is stored.
func (s *apisixServer) does() {
	clear(s.rest)
	delete(s.lists, "rule")
	if s.rule != nil {
		plugins := s.rule["plugins"].(object)
		restriction, _ := plugins["ip-restriction"].(object)
		list, _ := restriction["blacklist"].([]any)
		for _, a := range list {
			s.lists["rule"] = append(s.lists["rule"], a.(string))
		}
		flow, _ := plugins["workflow"].(object)
		rules, _ := flow["rules"].([]any)
		for _, r := range rules {
			of := r.(object)["case"].([]any)[0].([]any)[2].([]any)[0].(string)
			e := windowed(r.(object)["actions"].([]any)[0].([]any)[1].(object))
			e.Prefix = netip.MustParsePrefix(of)
			s.rest[of] = e
		}
	}
	for name, c := range s.consumers {
		plugins, _ := c["plugins"].(object)
		for plugin, settings := range plugins {
			if e, ok := apisixDoes(name, plugin, settings.(object)); ok {
				e.Subject = detect.Subject{Kind: "consumer", Value: name}
				s.rest[name+" "+plugin] = e
			}
		}
	}
}

// apisixDoes is what a plugin of a consumer does to it.
func apisixDoes(name, plugin string, settings object) (e enforce.Entry, ok bool) {
	status := 0.0
	switch plugin {
	case "limit-req":
		return enforce.Entry{Action: enforce.Throttle, Rate: settings["rate"].(float64), Burst: int(settings["burst"].(float64))}, true
	case "limit-count":
		return windowed(settings), settings["rejected_code"] == 429.0
	case "consumer-restriction":
		if list, _ := settings["blacklist"].([]any); slices.Contains(list, any(name)) {
			status, _ = settings["rejected_code"].(float64)
		}
	case "fault-injection":
		status, _ = settings["abort"].(object)["http_status"].(float64)
	}
	return enforce.Entry{Action: map[float64]enforce.Action{401: enforce.Revoke, 403: enforce.Block}[status]}, status > 0
}

// windowed is a throttle by limit-count.
func windowed(settings object) enforce.Entry {
	count, seconds := settings["count"].(float64), settings["time_window"].(float64)
	return enforce.Entry{Action: enforce.Throttle, Rate: count / seconds, Burst: int(count) - 1}
}

// restore puts its etcd back to what it was at first.
func (s *apisixServer) restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	back := copied(s.t, s.backup)
	s.rule, s.consumers, s.credentials = nil, back[0], back[1]
	s.does()
	s.hold()
}

// ask is a request with a key, or as a consumer.
func (s *apisixServer) ask(_ testing.TB, a enforcetest.Ask) int {
	if a.As.Kind != "key" {
		return s.sim.StatusOf(a.Client, a.As, a.Path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.keys() {
		if key == a.As.Value {
			return s.sim.Status(a.Client)
		}
	}
	return 401
}

// stored is all there is of consumers and credentials, but for the time of the last change.
func (s *apisixServer) stored(t testing.TB) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range []map[string]object{s.consumers, s.credentials} {
		for _, c := range of {
			delete(c, "update_time")
		}
	}
	text, err := json.MarshalIndent([]any{s.consumers, s.credentials}, "", " ")
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
