package channel

import (
	"context"
	"strconv"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/internal/hook"
)

func init() {
	alert.Register("webhook", alert.Spec{
		Doc:     "a service of your own that is told by signed POST requests of JSON",
		Tested:  "a server that checks signatures by Standard Webhooks",
		Once:    true,
		Redacts: true,
		Config:  func() any { return new(WebhookConfig) },
		Open:    func(config any) (alert.Notifier, error) { return NewWebhook(*config.(*WebhookConfig)) },
	})
}

// WebhookConfig is the "webhook" section of a channel.
type WebhookConfig struct {
	URL    string `yaml:"url" doc:"where to POST; https unless it is on this machine"`
	Secret string `yaml:"secret" secret:"file" doc:"key of the signature, as text, or whsec_ and base64; requests are signed as Standard Webhooks say: webhook-id, webhook-timestamp, webhook-signature. A notice that is tried again has the same webhook-id"`
}

// Check implements validation for the config loader.
func (c *WebhookConfig) Check(report func(key, message string)) {
	checkURL("url", c.URL, report)
	if c.Secret == "" {
		report("secret", "is missing: the receiver could not tell Portcullis from anybody else")
	} else if _, err := hook.Key(c.Secret); err != nil {
		report("secret", "behind whsec_ there is no base64")
	}
}

// Webhook posts notices as they are.
type Webhook struct {
	service
	cfg WebhookConfig
	key []byte
}

// NewWebhook makes the channel.
func NewWebhook(cfg WebhookConfig) (*Webhook, error) {
	key, err := hook.Key(cfg.Secret)
	if err != nil {
		return nil, err
	}
	return &Webhook{newService(), cfg, key}, nil
}

// Notify implements alert.Notifier.
func (w *Webhook) Notify(ctx context.Context, n *alert.Notice) error {
	body, err := encode(n)
	if err != nil {
		return err
	}
	at := strconv.FormatInt(w.now().Unix(), 10)
	_, err = w.send(ctx, w.cfg.URL, body, "Webhook-Id", n.ID, "Webhook-Timestamp", at,
		"Webhook-Signature", "v1,"+hook.Signature(w.key, n.ID, at, body), "Idempotency-Key", n.ID)
	return err
}
