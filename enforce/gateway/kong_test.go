package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// kongServer has the plugins of a Kong.
type kongServer struct {
	*contract
	consumers []string // none = whoever is named
	plugins   map[string]object
}

// newKong keeps https://developer.konghq.com/admin-api/: plugins by tag and page, PUT by id,
// settings that Kong fills in, and consumers that are there or not.
func newKong(t testing.TB, consumers ...string) (*contract, *Kong) {
	k := &kongServer{newContract(t, "consumer"), consumers, map[string]object{}}
	k.edits = func() {
		for _, p := range k.plugins {
			if p["name"] == "ip-restriction" {
				list := []any{}
				for _, a := range k.lists["deny"] {
					list = append(list, a)
				}
				p["config"].(map[string]any)["deny"] = list
			}
		}
	}
	base := k.serve(func(w http.ResponseWriter, r *http.Request, body []byte) {
		parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
		id := parts[len(parts)-1]
		switch {
		case r.Header.Get("Kong-Admin-Token") != "token":
			reply(w, 401, object{"message": "Unauthorized"})
		case r.Method == "GET" && r.URL.Path == "/plugins":
			k.page(w, r)
		case r.Method == "PUT" && parts[len(parts)-2] == "plugins":
			k.put(w, parts, id, body)
		case r.Method == "DELETE":
			if k.plugins[id]["name"] == "ip-restriction" {
				delete(k.lists, "deny")
			}
			delete(k.plugins, id)
			delete(k.rest, id)
			w.WriteHeader(204)
		default:
			reply(w, 404, object{"message": "Not found"})
		}
	})
	g, err := NewKong(KongConfig{Admin: base, Token: "token", Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return k.contract, g
}

// page lists ten plugins with a tag.
func (k *kongServer) page(w http.ResponseWriter, r *http.Request) {
	all := []string{}
	for id, p := range k.plugins {
		if slices.Contains(p["tags"].([]any), any(r.URL.Query().Get("tags"))) {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	from := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("offset"), &from)
	data, next := []object{}, any(nil)
	for _, id := range all[from:min(len(all), from+10)] {
		data = append(data, k.plugins[id])
	}
	if from+10 < len(all) {
		next = fmt.Sprintf("/plugins?tags=portcullis&offset=%d", from+10)
	}
	reply(w, 200, object{"data": data, "next": next})
}

// put makes a plugin, global or of a consumer.
func (k *kongServer) put(w http.ResponseWriter, path []string, id string, body []byte) {
	consumer := ""
	if path[0] == "consumers" {
		consumer, _ = url.PathUnescape(path[1])
		if len(k.consumers) > 0 && !slices.Contains(k.consumers, consumer) {
			reply(w, 404, object{"message": "Not found"})
			return
		}
	}
	var p object
	if err := json.Unmarshal(body, &p); err != nil {
		k.t.Error(err)
	}
	config := p["config"].(map[string]any)
	config["allow"] = nil // of which Kong has many
	p["id"] = id
	k.plugins[id] = p
	delete(k.rest, id)
	switch p["name"] {
	case "ip-restriction":
		k.lists["deny"] = nil
		for _, a := range config["deny"].([]any) {
			k.lists["deny"] = append(k.lists["deny"], a.(string))
		}
	case "rate-limiting":
		k.rest[id] = enforce.Entry{Subject: detect.Subject{Kind: "consumer", Value: consumer}, Action: enforce.Throttle, Rate: config["minute"].(float64) / 60, Burst: 5}
	default:
		k.rest[id] = enforce.Entry{Subject: detect.Subject{Kind: "consumer", Value: consumer}, Action: enforce.Block}
	}
	reply(w, 200, p)
}

func TestKongContract(t *testing.T) {
	enforcetest.Gateway(t, func(t *testing.T) (enforce.Gateway, enforcetest.Probe) {
		c, g := newKong(t)
		p := c.probe("consumer")
		p.Restart = nil // its database has them
		return g, p
	})
}

// TestKongConsumers: one that is not there stops nobody else, and another's plugins stay.
func TestKongConsumers(t *testing.T) {
	c, g := newKong(t, "acme")
	if _, err := g.api.call(t.Context(), "PUT", "/plugins/site", object{"name": "rate-limiting", "tags": []string{"site"}, "config": object{"minute": 5}}, nil); err != nil {
		t.Fatal(err)
	}
	apply(t, g, onSubject("consumer", "nobody", enforce.Block), onSubject("consumer", "acme", enforce.Throttle), block("192.0.2.1/32"))
	if got := len(c.rest); got != 2 { // acme's, and the site's own
		t.Errorf("%d plugins", got)
	}
	apply(t, g)
	if _, ok := c.rest["site"]; !ok || len(c.rest) != 1 {
		t.Errorf("what is left: %v", c.rest)
	}
	if enforce.Holds(g, enforce.Target{Prefix: netip.MustParsePrefix("192.0.2.1/32")}, enforce.Throttle) == nil {
		t.Error("it says that it can throttle an address")
	}
}
