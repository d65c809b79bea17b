package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func init() {
	Register("apisix", Spec{
		Doc:     "Apache APISIX by its Admin API: a global rule with the ip-restriction plugin",
		How:     "Admin API: a global rule, `ip-restriction`",
		Tested:  "a contract server after the published API; never the real one",
		Holds:   "addresses and prefixes",
		Actions: []enforce.Action{enforce.Block},
		Config:  func() any { return new(APISIXConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewAPISIX(*config.(*APISIXConfig)) },
		Setup: func(_ context.Context, w io.Writer, _ any, _ bool) error {
			_, err := io.WriteString(w, `APISIX needs no change: Portcullis makes a global rule of its own through the Admin API, with the
plugin ip-restriction, and takes it out when nothing is left to do. It needs the admin key
(deployment.admin.admin_key), and an APISIX that is configured through etcd. Behind a load
balancer APISIX must know it: the plugin real-ip, or nginx_config.http.real_ip_from.
`)
			return err
		},
	})
}

// APISIXConfig is the "apisix" section of a gateway.
type APISIXConfig struct {
	Admin   string        `yaml:"admin" default:"http://127.0.0.1:9180" doc:"Address of the Admin API."`
	Key     string        `yaml:"key" secret:"file" doc:"Admin key, sent as X-API-KEY."`
	Rule    string        `yaml:"rule" default:"portcullis" doc:"Id of the global rule, which is Portcullis' own."`
	Timeout time.Duration `yaml:"timeout" default:"10s" doc:"How long one answer may take."`
}

// Check reports settings that cannot work, by the rules of internal/config.
func (c APISIXConfig) Check(report func(key, message string)) {
	checkURL("admin", c.Admin, report)
	if !plainWord.MatchString(c.Rule) {
		report("rule", fmt.Sprintf("%.64q is no id of a rule", c.Rule))
	}
	if c.Key == "" {
		report("key", "is missing")
	}
	if c.Timeout <= 0 {
		report("timeout", "must be more than 0")
	}
}

// APISIX is the gateway Apache APISIX. It fails open: the rule stays while Portcullis is away,
// and outlives a restart of APISIX, whose etcd has it. It is replaced as a whole.
type APISIX struct {
	ability
	cfg APISIXConfig
	api *rest
	mu  sync.Mutex // one Apply at a time
}

// NewAPISIX makes the gateway; it asks nobody until Apply.
func NewAPISIX(cfg APISIXConfig) (*APISIX, error) {
	if err := settled("apisix", cfg.Check); err != nil {
		return nil, err
	}
	return &APISIX{cfg: cfg, api: newREST(cfg.Admin, cfg.Timeout, "X-API-KEY", cfg.Key),
		ability: ability{name: "apisix", actions: []enforce.Action{enforce.Block}}}, nil
}

// Name implements enforce.Gateway.
func (g *APISIX) Name() string { return g.name }

// apisixRule is the part of a rule that is ours.
type apisixRule struct {
	Plugins map[string]json.RawMessage `json:"plugins"`
}

type apisixRestriction struct {
	Blacklist    []string `json:"blacklist"`
	ResponseCode int      `json:"response_code"`
}

func (g *APISIX) path() string { return "/apisix/admin/global_rules/" + g.cfg.Rule }

// Apply implements enforce.Gateway.
func (g *APISIX) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	list, err := g.normal(want)
	if err != nil {
		return enforce.Applied{}, err
	}
	done := enforce.Applied{Entries: len(list)}
	if done.Changed, err = g.become(ctx, list); err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway apisix: %w", err)
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

func (g *APISIX) become(ctx context.Context, list []enforce.Entry) (changed int, err error) {
	have, there, err := g.rule(ctx)
	if err != nil {
		return 0, err
	}
	next := apisixRestriction{Blacklist: []string{}, ResponseCode: 403}
	was, now := held{}, held{}
	for i := range list {
		text := cloudText(list[i].Prefix)
		next.Blacklist = append(next.Blacklist, text)
		now[text] = "block"
	}
	for _, a := range have.Blacklist {
		was[a] = "block"
	}
	changed = now.changed(was)
	switch {
	case len(list) == 0 && there:
		if _, err := g.api.call(ctx, "DELETE", g.path(), nil, nil); err != nil && !refusedWith(err, 404) {
			return 0, err
		}
		return max(changed, 1), nil
	case len(list) == 0 || changed == 0 && have.ResponseCode == 403:
		return changed, nil
	}
	_, err = g.api.call(ctx, "PUT", g.path(), object{"plugins": object{"ip-restriction": next}}, nil)
	return max(changed, 1), err
}

// rule reads what is there.
func (g *APISIX) rule(ctx context.Context) (have apisixRestriction, there bool, err error) {
	var got struct {
		Value apisixRule `json:"value"`
	}
	_, err = g.api.call(ctx, "GET", g.path(), nil, &got)
	switch {
	case refusedWith(err, 404):
		return have, false, nil
	case err != nil:
		return have, false, err
	}
	if raw, ok := got.Value.Plugins["ip-restriction"]; ok {
		err = json.Unmarshal(raw, &have)
	}
	slices.Sort(have.Blacklist)
	return have, true, err
}

// Check implements enforce.Gateway: the Admin API answers, and takes the key.
func (g *APISIX) Check(ctx context.Context) error {
	if _, _, err := g.rule(ctx); err != nil {
		return fmt.Errorf("gateway apisix: %w", err)
	}
	return nil
}
