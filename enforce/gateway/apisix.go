package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

var apisixActions = []enforce.Action{enforce.Block, enforce.Throttle, enforce.Revoke}

func init() {
	Register("apisix", Spec{
		Doc:     "Apache APISIX by its Admin API: a global rule for addresses, plugins and keys of consumers",
		How:     "Admin API: a global rule with `ip-restriction` and `workflow`; `limit-req`, `consumer-restriction` and keys of consumers",
		Tested:  "a contract server after the published API; never the real one",
		Holds:   "addresses and prefixes, blocked or throttled; consumers by username, blocked, throttled or revoked; keys that stand in keys_file, revoked",
		Actions: apisixActions,
		Config:  func() any { return new(APISIXConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewAPISIX(*config.(*APISIXConfig)) },
		Setup: func(_ context.Context, w io.Writer, _ any, _ bool) error {
			_, err := io.WriteString(w, `APISIX needs no change: Portcullis makes a global rule of its own through the Admin API, with the
plugins ip-restriction and workflow, and takes it out when nothing is left to do. Consumers
get a plugin and the label portcullis while they are decided on. It needs the admin key
(deployment.admin.admin_key), and an APISIX that is configured through etcd, with these
plugins, consumer-restriction, limit-req and limit-count among its plugins. Behind a load
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
// and outlives a restart of APISIX, whose etcd has it. It is replaced as a whole; consumers,
// which are the site's, are changed one by one, and only in what is ours.
type APISIX struct {
	ability
	cfg APISIXConfig
	api *rest

	mu        sync.Mutex // one Apply at a time
	untouched time.Time  // until then no consumer is looked at while nothing is wanted of any: none had anything of ours
}

// NewAPISIX makes the gateway; it asks nobody until Apply.
func NewAPISIX(cfg APISIXConfig) (*APISIX, error) {
	if err := settled("apisix", cfg.Check); err != nil {
		return nil, err
	}
	return &APISIX{cfg: cfg, api: newREST(cfg.Admin, cfg.Timeout, "X-API-KEY", cfg.Key),
		ability: ability{name: "apisix", actions: apisixActions, kinds: map[string]string{"consumer": "username", "key": "key-auth"}, longest: lockable, refuse: "\x00\r\n"}}, nil
}

// Name implements enforce.Gateway.
func (g *APISIX) Name() string { return g.name }

// Holds implements enforce.Holder.
func (g *APISIX) Holds(t enforce.Target, a enforce.Action) error {
	switch {
	case a == enforce.Revoke && t.Prefix.IsValid():
		return fmt.Errorf("gateway apisix: it can revoke keys and consumers, not addresses")
	case t.Subject.Kind == "key":
		return holdsKey(g.name, t, a)
	case t.Subject.Kind == "consumer" && !apisixUser.MatchString(t.Subject.Value):
		return fmt.Errorf("gateway apisix: no consumer of it can have such a name")
	}
	return g.ability.Holds(t, a)
}

// Apply implements enforce.Gateway.
func (g *APISIX) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
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
	rule, err := g.become(ctx, list)
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway apisix: %w", err)
	}
	consumers, stuck, err := g.consumers(ctx, list)
	if err == nil {
		err = errors.Join(stuck...) // all the others hold
	}
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway apisix: %w", err)
	}
	done.Changed = rule + consumers
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// Check implements enforce.Gateway: the Admin API answers, and takes the key.
func (g *APISIX) Check(ctx context.Context) error {
	if _, _, err := g.rule(ctx); err != nil {
		return fmt.Errorf("gateway apisix: %w", err)
	}
	return nil
}
