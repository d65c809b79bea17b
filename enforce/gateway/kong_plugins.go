package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce"
)

const kongTag = "portcullis"

// kongPlugin is a plugin as the Admin API has it.
type kongPlugin struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Enabled  bool            `json:"enabled"`
	Tags     []string        `json:"tags"`
	Config   json.RawMessage `json:"config"`
	Consumer *struct {
		ID string `json:"id"`
	} `json:"consumer"`
}

// kongWanted is a plugin that is to be there.
type kongWanted struct {
	path string // where it is put
	name string
	// config has the settings that matter: Kong fills in the others.
	config object
	// decision is that on the consumer.
	decision string
}

// kongPlugins renders what is to be there, by id.
func kongPlugins(list []enforce.Entry) map[string]kongWanted {
	out := map[string]kongWanted{}
	deny := []string{}
	for i := range list {
		e := &list[i]
		if e.Prefix.IsValid() {
			deny = append(deny, cloudText(e.Prefix))
			continue
		}
		if e.Subject.Kind != "consumer" {
			continue // keys are credentials
		}
		name, config := "request-termination", object{"status_code": 403, "message": "Forbidden"}
		switch e.Action {
		case enforce.Revoke:
			config = object{"status_code": 401, "message": "Unauthorized"}
		case enforce.Throttle:
			name, config = "rate-limiting", kongLimit(e)
		}
		id := uuidOf(name, e.Subject.Value)
		out[id] = kongWanted{"/consumers/" + url.PathEscape(e.Subject.Value) + "/plugins/" + id, name, config, e.Decision}
	}
	if len(deny) > 0 {
		id := uuidOf("ip-restriction")
		out[id] = kongWanted{"/plugins/" + id, "ip-restriction", object{"deny": deny, "status": 403}, ""}
	}
	return out
}

// kongLimit is a throttle: what passes in a minute, and of it in a second.
func kongLimit(e *enforce.Entry) object {
	minute := perSpan(e.Rate, 60)
	config := object{"second": nil, "minute": minute, "policy": "local", "limit_by": "consumer"}
	if second := perSpan(e.Rate, 1) + e.Burst; second < minute { // Kong refuses a second that has more than its minute
		config["second"] = second
	}
	return config
}

// uuidOf names something by a UUID of our own making (RFC 9562, version 8).
func uuidOf(parts ...string) string {
	sum := sha256.Sum256([]byte("portcullis " + label(parts...)))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// become makes the plugins with our tag those that are wanted: what is to come first, then
// what is to go. What stops one alone is in stuck, and stops no other.
func (g *Kong) become(ctx context.Context, want map[string]kongWanted) (changed int, stuck []error, err error) {
	have, err := g.plugins(ctx)
	if err != nil {
		return 0, nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		w := want[id]
		differs, err := w.differs(have[id])
		if err != nil {
			return 0, nil, err
		}
		if differs == 0 {
			continue
		}
		body := object{"name": w.name, "config": w.config, "enabled": true, "tags": []string{kongTag}}
		_, err = g.api.call(ctx, "PUT", w.path, body, nil)
		if refusedWith(err, 404) && strings.HasPrefix(w.path, "/consumers/") {
			continue // nobody of that name can call: there is nothing to refuse
		}
		if refusedWith(err, 409) && strings.HasPrefix(w.path, "/consumers/") {
			stuck = append(stuck, fmt.Errorf("decision %.64q: that consumer has a plugin %s already, which is left alone: take it out, or decide on something else", w.decision, w.name))
			continue
		}
		if err != nil {
			return 0, nil, err
		}
		changed += differs
	}
	for _, id := range slices.Sorted(maps.Keys(have)) {
		if _, stays := want[id]; stays {
			continue
		}
		if _, err := g.api.call(ctx, "DELETE", "/plugins/"+url.PathEscape(id), nil, nil); err != nil && !refusedWith(err, 404) {
			return 0, nil, err
		}
		n, err := kongWanted{config: object{"deny": []string{}}}.differs(have[id])
		if err != nil {
			return 0, nil, err
		}
		changed += max(n, 1)
	}
	return changed, stuck, nil
}

// differs counts the entries by which a plugin is not what is wanted.
func (w kongWanted) differs(have kongPlugin) (int, error) {
	if w.name != "ip-restriction" && w.config["deny"] == nil {
		if have.ID == "" || !have.Enabled || have.Name != w.name {
			return 1, nil
		}
		var is map[string]any
		if err := json.Unmarshal(have.Config, &is); err != nil {
			return 0, fmt.Errorf("plugin %.64q: %w", have.ID, err)
		}
		for key, value := range w.config {
			if !sameJSON(is[key], value) {
				return 1, nil
			}
		}
		return 0, nil
	}
	var is struct {
		Deny   []string `json:"deny"`
		Status int      `json:"status"`
	}
	if have.ID != "" {
		if err := json.Unmarshal(have.Config, &is); err != nil {
			return 0, fmt.Errorf("plugin %.64q: %w", have.ID, err)
		}
	}
	was, now := held{}, held{}
	for _, a := range is.Deny {
		was[a] = "block"
	}
	for _, a := range w.config["deny"].([]string) {
		now[a] = "block"
	}
	n := now.changed(was)
	if n == 0 && len(now) > 0 && (!have.Enabled || is.Status != 403) {
		n = 1
	}
	return n, nil
}

// sameJSON tells whether what was read as JSON is what would be written as such.
func sameJSON(read, written any) bool {
	text, err := json.Marshal(written)
	if err != nil {
		return false
	}
	var back any
	return json.Unmarshal(text, &back) == nil && reflect.DeepEqual(read, back)
}

// plugins lists those with our tag.
func (g *Kong) plugins(ctx context.Context) (map[string]kongPlugin, error) {
	list, err := kongPages[kongPlugin](ctx, g.api, "/plugins?size=1000&tags="+kongTag)
	out := map[string]kongPlugin{}
	for _, p := range list {
		if slices.Contains(p.Tags, kongTag) {
			out[p.ID] = p
		}
	}
	return out, err
}
