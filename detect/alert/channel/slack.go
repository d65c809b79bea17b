package channel

import (
	"context"
	"fmt"

	"github.com/portcullis/portcullis/detect/alert"
)

func init() {
	alert.Register("slack", alert.Spec{
		Doc:     "a Slack channel, by an incoming webhook",
		Tested:  "a contract server after Slack's documentation",
		Chat:    true,
		Redacts: true,
		Config:  func() any { return new(SlackConfig) },
		Open:    func(config any) (alert.Notifier, error) { return NewSlack(*config.(*SlackConfig)), nil },
	})
}

// SlackConfig is the "slack" section of a channel.
type SlackConfig struct {
	URL string `yaml:"url" secret:"file" doc:"the incoming webhook: https://hooks.slack.com/services/..."`
}

// Check implements validation for the config loader.
func (c *SlackConfig) Check(report func(key, message string)) { checkURL("url", c.URL, report) }

// Slack posts messages of blocks: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
type Slack struct {
	service
	cfg SlackConfig
}

// NewSlack makes the channel.
func NewSlack(cfg SlackConfig) *Slack { return &Slack{newService(), cfg} }

// Bounds of Slack's blocks, in characters.
const (
	slackHeader  = 150
	slackSection = 3000
)

// slackText is text that is not markup: what a client sent makes no link and no mention.
type slackText struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func slackPlain(s string, most int) *slackText { return &slackText{"plain_text", short(s, most)} }

type slackBlock struct {
	Type     string       `json:"type"`
	Text     *slackText   `json:"text,omitempty"`
	Elements []*slackText `json:"elements,omitempty"`
}

// Notify implements alert.Notifier.
func (s *Slack) Notify(ctx context.Context, n *alert.Notice) error {
	blocks := []slackBlock{
		{Type: "header", Text: slackPlain(oneLine(n.Title), slackHeader)},
	}
	if n.Text != "" {
		blocks = append(blocks, slackBlock{Type: "section", Text: slackPlain(n.Text, slackSection)})
	}
	if n.Link != "" {
		blocks = append(blocks, slackBlock{Type: "section", Text: &slackText{"mrkdwn", fmt.Sprintf("<%s|Open in the console>", slackEscape(n.Link))}})
	}
	// The text is what notifications show; there it is markup.
	_, err := s.post(ctx, s.cfg.URL, map[string]any{"text": slackEscape(short(oneLine(n.Title), slackHeader)), "blocks": blocks})
	return err
}
