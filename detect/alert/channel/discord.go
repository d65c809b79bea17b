package channel

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
)

func init() {
	alert.Register("discord", alert.Spec{
		Doc:     "a Discord channel, by its webhook",
		Tested:  "a contract server after Discord's documentation",
		Chat:    true,
		Redacts: true,
		Config:  func() any { return new(DiscordConfig) },
		Open:    func(config any) (alert.Notifier, error) { return NewDiscord(*config.(*DiscordConfig)), nil },
	})
}

// DiscordConfig is the "discord" section of a channel.
type DiscordConfig struct {
	URL string `yaml:"url" secret:"file" doc:"the webhook: https://discord.com/api/webhooks/ID/TOKEN"`
}

// Check implements validation for the config loader.
func (c *DiscordConfig) Check(report func(key, message string)) { checkURL("url", c.URL, report) }

// Discord posts embeds: https://discord.com/developers/docs/resources/webhook#execute-webhook
type Discord struct {
	service
	cfg DiscordConfig
}

// NewDiscord makes the channel.
func NewDiscord(cfg DiscordConfig) *Discord { return &Discord{newService(), cfg} }

// Bounds of Discord's embeds, in characters.
const (
	discordTitle = 256
	discordText  = 3000 // 4096, and 6000 for an embed as a whole
	discordName  = 256
	discordValue = 200 // 1024
)

type discordField struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Inline bool   `json:"inline"`
}

type discordEmbed struct {
	Title       string         `json:"title"`
	Description string         `json:"description,omitempty"`
	URL         string         `json:"url,omitempty"`
	Color       int            `json:"color"`
	Timestamp   string         `json:"timestamp"`
	Fields      []discordField `json:"fields,omitempty"`
}

// Notify implements alert.Notifier.
func (d *Discord) Notify(ctx context.Context, n *alert.Notice) error {
	e := discordEmbed{Title: short(markdownEscape(oneLine(n.Title)), discordTitle), Description: short(markdownEscape(n.Text), discordText), URL: n.Link,
		Color: color(n), Timestamp: n.At.UTC().Format(time.RFC3339)}
	for _, f := range facts(n) {
		e.Fields = append(e.Fields, discordField{short(f.name, discordName), short(markdownEscape(oneLine(f.value)), discordValue), true})
	}
	// No mention is made of anybody, whatever the text says.
	body := map[string]any{"embeds": []discordEmbed{e}, "allowed_mentions": map[string][]string{"parse": {}}}
	to, err := url.Parse(d.cfg.URL)
	if err != nil {
		return errors.New("the address of the service cannot be used: look at the settings of the channel")
	}
	q := to.Query()
	q.Set("wait", "true") // it answers when the message is there
	to.RawQuery = q.Encode()
	a, err := d.post(ctx, to.String(), body)
	var r *alert.Refusal
	if errors.As(err, &r) && a.Status == http.StatusTooManyRequests && r.After == 0 {
		var said struct {
			After float64 `json:"retry_after"`
		}
		if json.Unmarshal(a.Body, &said) == nil {
			r.After = time.Duration(said.After * float64(time.Second))
		}
	}
	return err
}
