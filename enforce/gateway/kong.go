package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("kong", Spec{
		Doc:     "Kong by its Admin API: plugins for addresses and for consumers",
		How:     "Admin API: `ip-restriction`, `request-termination` and `rate-limiting` plugins",
		Tested:  "a contract server after the published API; never the real one",
		Holds:   "addresses and prefixes, blocked; consumers by username, blocked or throttled",
		Actions: []enforce.Action{enforce.Block, enforce.Throttle},
		Config:  func() any { return new(KongConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewKong(*config.(*KongConfig)) },
		Setup: func(_ context.Context, w io.Writer, _ any, _ bool) error {
			_, err := io.WriteString(w, `Kong needs no change: Portcullis makes plugins of its own through the Admin API, with the tag
portcullis. It needs a Kong with a database: one that is declarative (DB-less) has a
read-only Admin API. There may be one global ip-restriction plugin only: where the site has
one already, Kong refuses a second. Behind a load balancer Kong must know it: trusted_ips
and real_ip_header in kong.conf.
`)
			return err
		},
	})
}

// KongConfig is the "kong" section of a gateway.
type KongConfig struct {
	Admin   string        `yaml:"admin" default:"http://127.0.0.1:8001" doc:"Address of the Admin API."`
	Token   string        `yaml:"token" secret:"file" doc:"Value of the header Kong-Admin-Token, where the Admin API asks for one."`
	Timeout time.Duration `yaml:"timeout" default:"10s" doc:"How long one answer may take."`
}

// Check reports settings that cannot work, by the rules of internal/config.
func (c KongConfig) Check(report func(key, message string)) {
	checkURL("admin", c.Admin, report)
	if c.Timeout <= 0 {
		report("timeout", "must be more than 0")
	}
}

// Kong is the gateway Kong. It fails open: plugins stay as they are while Portcullis is away,
// and outlive a restart of Kong, whose database has them.
type Kong struct {
	ability
	cfg KongConfig
	api *rest
	mu  sync.Mutex // one Apply at a time
}

// NewKong makes the gateway; it asks nobody until Apply.
func NewKong(cfg KongConfig) (*Kong, error) {
	if err := settled("kong", cfg.Check); err != nil {
		return nil, err
	}
	return &Kong{cfg: cfg, api: newREST(cfg.Admin, cfg.Timeout, "Kong-Admin-Token", cfg.Token),
		ability: ability{name: "kong", actions: []enforce.Action{enforce.Block, enforce.Throttle}, kinds: map[string]string{"consumer": "username"}, longest: 1024, refuse: "\x00\r\n/"}}, nil
}

// Name implements enforce.Gateway.
func (g *Kong) Name() string { return g.name }

// Holds implements enforce.Holder.
func (g *Kong) Holds(t enforce.Target, a enforce.Action) error {
	if a == enforce.Throttle && t.Prefix.IsValid() {
		return fmt.Errorf("gateway kong: it can throttle consumers, not single addresses")
	}
	return g.ability.Holds(t, a)
}

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
}

// Apply implements enforce.Gateway.
func (g *Kong) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	if err := heldAll(g, want); err != nil {
		return enforce.Applied{}, err
	}
	list, err := g.normal(want)
	if err != nil {
		return enforce.Applied{}, err
	}
	done := enforce.Applied{Entries: len(list)}
	if done.Changed, err = g.become(ctx, kongPlugins(list)); err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway kong: %w", err)
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
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
		name, config := "request-termination", object{"status_code": 403, "message": "Forbidden"}
		if e.Action == enforce.Throttle {
			name, config = "rate-limiting", object{"minute": perSpan(e.Rate, 60), "policy": "local", "limit_by": "consumer"}
		}
		id := uuidOf(name, e.Subject.Value)
		out[id] = kongWanted{"/consumers/" + url.PathEscape(e.Subject.Value) + "/plugins/" + id, name, config}
	}
	if len(deny) > 0 {
		id := uuidOf("ip-restriction")
		out[id] = kongWanted{"/plugins/" + id, "ip-restriction", object{"deny": deny, "status": 403}}
	}
	return out
}

// uuidOf names something by a UUID of our own making (RFC 9562, version 8).
func uuidOf(parts ...string) string {
	sum := sha256.Sum256([]byte("portcullis " + label(parts...)))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// become makes the plugins with our tag those that are wanted: what is to come first, then
// what is to go.
func (g *Kong) become(ctx context.Context, want map[string]kongWanted) (changed int, err error) {
	have, err := g.plugins(ctx)
	if err != nil {
		return 0, err
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		w := want[id]
		differs, err := w.differs(have[id])
		if err != nil {
			return 0, err
		}
		if differs == 0 {
			continue
		}
		body := object{"name": w.name, "config": w.config, "enabled": true, "tags": []string{kongTag}}
		_, err = g.api.call(ctx, "PUT", w.path, body, nil)
		if refusedWith(err, 404) && strings.HasPrefix(w.path, "/consumers/") {
			continue // nobody of that name can call: there is nothing to refuse
		}
		if err != nil {
			return 0, err
		}
		changed += differs
	}
	for _, id := range slices.Sorted(maps.Keys(have)) {
		if _, stays := want[id]; stays {
			continue
		}
		if _, err := g.api.call(ctx, "DELETE", "/plugins/"+url.PathEscape(id), nil, nil); err != nil && !refusedWith(err, 404) {
			return 0, err
		}
		n, err := kongWanted{config: object{"deny": []string{}}}.differs(have[id])
		if err != nil {
			return 0, err
		}
		changed += max(n, 1)
	}
	return changed, nil
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
			if fmt.Sprint(is[key]) != fmt.Sprint(value) {
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

// plugins lists those with our tag, page by page.
func (g *Kong) plugins(ctx context.Context) (map[string]kongPlugin, error) {
	out := map[string]kongPlugin{}
	for path := "/plugins?size=1000&tags=" + kongTag; path != ""; {
		var page struct {
			Data []kongPlugin `json:"data"`
			Next string       `json:"next"`
		}
		if _, err := g.api.call(ctx, "GET", path, nil, &page); err != nil {
			return nil, err
		}
		for _, p := range page.Data {
			if slices.Contains(p.Tags, kongTag) {
				out[p.ID] = p
			}
		}
		if page.Next != "" && !strings.HasPrefix(page.Next, "/plugins?") {
			return nil, fmt.Errorf("the next page is said to be at %.100q", page.Next)
		}
		path = page.Next
	}
	return out, nil
}

// Check implements enforce.Gateway: the Admin API answers.
func (g *Kong) Check(ctx context.Context) error {
	if _, err := g.plugins(ctx); err != nil {
		return fmt.Errorf("gateway kong: %w", err)
	}
	return nil
}
