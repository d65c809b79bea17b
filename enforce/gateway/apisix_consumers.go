package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"

	"github.com/portcullis/portcullis/enforce"
)

// apisixUser is what the name of a consumer is made of.
var apisixUser = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,100}$`)

const (
	// apisixLabel is the label of a consumer that says which of its plugins is ours.
	apisixLabel = "portcullis"
	// apisixKeysLabel is that of a consumer of whose credentials some are locked.
	apisixKeysLabel = "portcullis-keys"
)

// apisixPlugin is a plugin that a consumer is to have.
type apisixPlugin struct {
	name   string
	config object
}

// apisixMeans are the plugins that would do what an entry on a consumer says: the first that
// it has not for itself is taken.
func apisixMeans(e *enforce.Entry) []apisixPlugin {
	code, word := 403, "Forbidden"
	switch e.Action {
	case enforce.Throttle:
		return []apisixPlugin{
			{"limit-req", object{"rate": max(math.Round(e.Rate*1e6)/1e6, 1e-6), "burst": e.Burst, "key": "consumer_name", "rejected_code": 429, "nodelay": true}},
			{"limit-count", apisixLimit(e.Rate, "var", "consumer_name")},
		}
	case enforce.Revoke:
		code, word = 401, "Unauthorized"
	}
	return []apisixPlugin{
		{"consumer-restriction", object{"type": "consumer_name", "blacklist": []string{e.Subject.Value}, "rejected_code": code, "rejected_msg": word}},
		{"fault-injection", object{"abort": object{"http_status": code, "body": word}}},
	}
}

// apisixFields are the settings of a plugin that we write; APISIX adds defaults to them.
var apisixFields = map[string][]string{
	"limit-req":            {"rate", "burst", "key", "rejected_code", "nodelay"},
	"limit-count":          {"count", "time_window", "key_type", "key", "rejected_code", "policy"},
	"consumer-restriction": {"type", "blacklist", "rejected_code", "rejected_msg"},
	"fault-injection":      {"abort"},
}

// mark is the label of a consumer that has such a plugin from us: one that somebody else
// changed has another mark, and is ours no more.
func (p apisixPlugin) mark() (string, error) {
	ours := object{}
	for _, f := range apisixFields[p.name] {
		if v, ok := p.config[f]; ok {
			ours[f] = v
		}
	}
	text, err := json.Marshal(ours)
	if err != nil {
		return "", err
	}
	var plain any // numbers as they are read, however they were written
	if err := json.Unmarshal(text, &plain); err != nil {
		return "", err
	}
	text, err = json.Marshal(plain)
	return p.name + "." + label(string(text)), err
}

// apisixConsumer is a consumer, or one of its credentials, as it is stored.
type apisixConsumer struct {
	name  string
	value object
}

// part is an object within, which is made if add says so.
func (c *apisixConsumer) part(name string, add bool) object {
	o, ok := c.value[name].(map[string]any)
	if !ok && add {
		o = map[string]any{}
		c.value[name] = o
	}
	return o
}

// key is that of its plugin key-auth, "" without one.
func (c *apisixConsumer) key() string {
	auth, _ := c.part("plugins", false)["key-auth"].(map[string]any)
	key, _ := auth["key"].(string)
	return key
}

// rekey gives it another key.
func (c *apisixConsumer) rekey(key string) {
	c.part("plugins", false)["key-auth"].(map[string]any)["key"] = key
}

// turn is what the key of a consumer or a credential has to become: locked, or what it was.
func (c *apisixConsumer) turn(revoked map[string]string) (key string, differs bool) {
	key = c.key()
	if was, locked := unlockKey(key); locked {
		_, stays := revoked[was]
		return was, !stays
	}
	if _, ok := revoked[key]; ok {
		return lockKey(key), true
	}
	return key, false
}

// ours is the name of the plugin that is ours, as we wrote it.
func (c *apisixConsumer) ours() (string, error) {
	label, _ := c.part("labels", false)[apisixLabel].(string)
	for name, config := range c.part("plugins", false) {
		settings, ok := config.(map[string]any)
		if !ok || apisixFields[name] == nil {
			continue
		}
		mark, err := apisixPlugin{name, settings}.mark()
		if err != nil || mark == label {
			return name, err
		}
	}
	return "", nil
}

// become gives a consumer the plugin that an entry asks for (nil = none), and takes away the
// one that it had from us. Those that are its own stay.
func (c *apisixConsumer) become(e *enforce.Entry) (changed bool, err error) {
	had, err := c.ours()
	if err != nil {
		return false, err
	}
	plugins, before := c.part("plugins", e != nil), maps.Clone(c.part("labels", false))
	if had != "" && e != nil { // it may be right as it is
		for _, p := range apisixMeans(e) {
			if mark, err := p.mark(); err == nil && p.name == had && before[apisixLabel] == mark {
				return false, nil
			}
		}
	}
	if had != "" {
		delete(plugins, had)
	}
	labels := c.part("labels", e != nil)
	delete(labels, apisixLabel)
	if e != nil {
		for _, p := range apisixMeans(e) {
			if _, own := plugins[p.name]; own {
				continue
			}
			mark, err := p.mark()
			if err != nil {
				return false, err
			}
			plugins[p.name], labels[apisixLabel] = p.config, mark
			return true, nil
		}
		return false, fmt.Errorf("decision %.64q: that consumer has plugins of its own for all by which APISIX could do it: they are left alone", e.Decision)
	}
	if had != "" || before[apisixLabel] != nil {
		c.tidy()
	}
	return had != "" || before[apisixLabel] != nil, nil
}

// tidy takes out what is empty once ours is taken away.
func (c *apisixConsumer) tidy() {
	for _, name := range []string{"plugins", "labels"} {
		if o, ok := c.value[name].(map[string]any); ok && len(o) == 0 {
			delete(c.value, name)
		}
	}
}

// read makes it of what the Admin API says; numbers stay as they are written.
func (c *apisixConsumer) read(raw json.RawMessage) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	c.value = nil
	return d.Decode(&c.value)
}

// apisixList reads a collection, page by page; what names the field that names one.
func (g *APISIX) list(ctx context.Context, path, what string) (out []apisixConsumer, err error) {
	for page := 1; ; page++ {
		var got struct {
			Total int `json:"total"`
			List  []struct {
				Value json.RawMessage `json:"value"`
			} `json:"list"`
		}
		if _, err := g.api.call(ctx, "GET", fmt.Sprintf("%s?page=%d&page_size=500", path, page), nil, &got); err != nil {
			return nil, err
		}
		for _, one := range got.List {
			var c apisixConsumer
			if err := c.read(one.Value); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			c.name, _ = c.value[what].(string)
			out = append(out, c)
		}
		if len(got.List) == 0 || len(out) >= got.Total {
			return out, nil
		}
	}
}

// credentialsOf are those of a consumer; a version without them has none.
func (g *APISIX) credentialsOf(ctx context.Context, name string) ([]apisixConsumer, error) {
	list, err := g.list(ctx, apisixConsumers+"/"+url.PathEscape(name)+"/credentials", "id")
	if refusedWith(err, 400, 404, 405) {
		return nil, nil
	}
	return list, err
}
