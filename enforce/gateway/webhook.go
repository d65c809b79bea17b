package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/hook"
)

func init() {
	Register("webhook", Spec{
		Doc:     "a service of your own that is told what to hold, by signed POST requests",
		How:     "POST of JSON, signed (HMAC-SHA-256)",
		Tested:  "a server of its own",
		Holds:   "what its settings say",
		Actions: []enforce.Action{enforce.Block, enforce.Throttle, enforce.Challenge, enforce.Tarpit, enforce.Revoke},
		Config:  func() any { return new(WebhookConfig) },
		Open:    func(config any) (enforce.Gateway, error) { return NewWebhook(*config.(*WebhookConfig)) },
		Setup:   setupHook,
	})
}

// WebhookConfig is the "webhook" section of a gateway.
type WebhookConfig struct {
	URL      string        `yaml:"url" doc:"Where to POST; https unless it is on this machine."`
	Secret   string        `yaml:"secret" secret:"file" doc:"Key of the signature, as text, or whsec_ and base64; Portcullis signs as Standard Webhooks say: webhook-id, webhook-timestamp, webhook-signature."`
	Repeat   time.Duration `yaml:"repeat" default:"10m" doc:"How often the whole state is sent anew, in case the other side lost it."`
	Timeout  time.Duration `yaml:"timeout" default:"15s" doc:"How long an answer may take; 2xx means that the state is held."`
	OwnKinds `yaml:",inline"`
}

// Check reports settings that cannot work, by the rules of internal/config.
func (c WebhookConfig) Check(report func(key, message string)) {
	if bad := hook.BadURL(c.URL, "who is blocked, and why not,"); bad != "" {
		report("url", bad)
	}
	if c.Secret == "" {
		report("secret", "is missing: the receiver could not tell Portcullis from anybody else")
	} else if _, err := hook.Key(c.Secret); err != nil {
		report("secret", "behind whsec_ there is no base64")
	}
	if c.Timeout <= 0 || c.Repeat <= 0 {
		report("timeout", "timeout and repeat must be more than 0")
	}
}

// Webhook is a service that holds the state.
type Webhook struct {
	ownAbility
	cfg    WebhookConfig
	key    []byte
	client *http.Client

	mu    sync.Mutex                   // one Apply at a time
	known map[enforce.Target]wireEntry // nil = not known
	whole time.Time                    // when all of it was sent last
}

// NewWebhook makes the gateway; it sends nothing until Apply.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	if err := settled("webhook", cfg.Check); err != nil {
		return nil, err
	}
	key, err := hook.Key(cfg.Secret)
	if err != nil {
		return nil, fmt.Errorf("gateway webhook: secret: %w", err)
	}
	return &Webhook{cfg: cfg, key: key, ownAbility: cfg.ability("webhook"),
		client: hook.Client(nil)}, nil
}

// Name implements enforce.Gateway.
func (g *Webhook) Name() string { return g.name }

// Apply implements enforce.Gateway.
func (g *Webhook) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	start := time.Now()
	list, err := g.normal(want)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return enforce.Applied{}, fmt.Errorf("gateway webhook: %w", err)
	}
	change, now, changed := changeTo(g.known, list)
	if !change.Whole && start.Sub(g.whole) >= g.cfg.Repeat {
		change, _, _ = changeTo(nil, list)
	}
	done := enforce.Applied{Entries: len(list), Changed: changed}
	if changed > 0 || change.Whole {
		g.known = nil // until it has said that it holds
		if err := g.send(ctx, change); err != nil {
			return enforce.Applied{}, fmt.Errorf("gateway webhook: %w", err)
		}
		g.known = now
		if change.Whole {
			g.whole = start
		}
	}
	done.At = time.Now()
	done.Took = done.At.Sub(start)
	return done, nil
}

// send posts a change, signed as the specification of Standard Webhooks says.
func (g *Webhook) send(ctx context.Context, change any) error {
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	id, at := "msg_"+rand.Text(), strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", "v1,"+hook.Signature(g.key, id, at, body))
	resp, err := g.client.Do(req)
	if err != nil {
		var u *url.Error // without the address, which may hold a token
		if errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("status %d: %.300q", resp.StatusCode, said)
	}
	return err
}

// Check implements enforce.Gateway: an empty change is taken.
func (g *Webhook) Check(ctx context.Context) error {
	if err := g.send(ctx, wireChange{Version: 1}); err != nil {
		return fmt.Errorf("gateway webhook: %w", err)
	}
	return nil
}
