package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

var kongActions = []enforce.Action{enforce.Block, enforce.Throttle, enforce.Revoke}

func init() {
	Register("kong", Spec{
		Doc:     "Kong by its Admin API: plugins for addresses and for consumers",
		How:     "Admin API: `ip-restriction`, `request-termination` and `rate-limiting` plugins, `key-auth` credentials",
		Tested:  "a contract server after the published API; never the real one",
		Holds:   "addresses and prefixes, blocked; consumers by username or id, blocked, throttled or revoked; keys that stand in keys_file, revoked",
		Actions: kongActions,
		Config:  func() any { return new(KongConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewKong(*config.(*KongConfig)) },
		Setup: func(_ context.Context, w io.Writer, _ any, _ bool) error {
			_, err := io.WriteString(w, `Kong needs no change: Portcullis makes plugins of its own through the Admin API, with the tag
portcullis. It needs a Kong with a database: one that is declarative (DB-less) has a
read-only Admin API. There may be one global ip-restriction plugin only: where the site has
one already, Kong refuses a second. A key is revoked by a PATCH of its key-auth credential,
which has the key itself at its end meanwhile; a token of the Admin API needs rights for
plugins and key-auths. Behind a load balancer Kong must know it: trusted_ips
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
		ability: ability{name: "kong", actions: kongActions, kinds: map[string]string{"consumer": "username", "key": "key-auth"}, longest: lockable, refuse: "\x00\r\n"}}, nil
}

// Name implements enforce.Gateway.
func (g *Kong) Name() string { return g.name }

// Holds implements enforce.Holder.
func (g *Kong) Holds(t enforce.Target, a enforce.Action) error {
	switch {
	case a == enforce.Throttle && t.Prefix.IsValid():
		return fmt.Errorf("gateway kong: it can throttle consumers, not single addresses")
	case a == enforce.Revoke && t.Prefix.IsValid():
		return fmt.Errorf("gateway kong: it can revoke keys and consumers, not addresses")
	case t.Subject.Kind == "key":
		return holdsKey(g.name, t, a)
	case t.Subject.Kind == "consumer" && (len(t.Subject.Value) > 1024 || strings.Contains(t.Subject.Value, "/")):
		return fmt.Errorf("gateway kong: a consumer of that name cannot be asked for")
	}
	return g.ability.Holds(t, a)
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
	plugins, stuck, err := g.become(ctx, kongPlugins(list))
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway kong: %w", err)
	}
	keys, more, err := g.lock(ctx, revokedKeys(list))
	if err == nil {
		err = errors.Join(append(stuck, more...)...) // all the others hold
	}
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway kong: %w", err)
	}
	done.Changed = plugins + keys
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// Check implements enforce.Gateway: the Admin API answers.
func (g *Kong) Check(ctx context.Context) error {
	if _, err := g.plugins(ctx); err != nil {
		return fmt.Errorf("gateway kong: %w", err)
	}
	return nil
}
