package channel

import (
	"context"
	"strings"

	"github.com/portcullis/portcullis/detect/alert"
)

func init() {
	alert.Register("teams", alert.Spec{
		Doc:     "a Microsoft Teams channel, by a workflow that posts what a webhook receives",
		Tested:  "a contract server after Microsoft's documentation",
		Chat:    true,
		Redacts: true,
		Config:  func() any { return new(TeamsConfig) },
		Open:    func(config any) (alert.Notifier, error) { return NewTeams(*config.(*TeamsConfig)), nil },
	})
}

// TeamsConfig is the "teams" section of a channel.
type TeamsConfig struct {
	URL string `yaml:"url" secret:"file" doc:"the address of the workflow \"Post to a channel when a webhook request is received\"; the older Office 365 connectors are gone"`
}

// Check implements validation for the config loader.
func (c *TeamsConfig) Check(report func(key, message string)) { checkURL("url", c.URL, report) }

// Teams posts adaptive cards: https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
type Teams struct {
	service
	cfg TeamsConfig
}

// NewTeams makes the channel.
func NewTeams(cfg TeamsConfig) *Teams { return &Teams{newService(), cfg} }

// Bounds of a text, so that a card stays below the 28 KB that Teams takes.
const (
	teamsText  = 4000 // characters
	teamsLines = 40
)

// run is text of a card that is not markup.
type run struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Weight string `json:"weight,omitempty"`
	Size   string `json:"size,omitempty"`
	Color  string `json:"color,omitempty"`
}

type richText struct {
	Type    string `json:"type"`
	Inlines []run  `json:"inlines"`
}

// Notify implements alert.Notifier.
func (t *Teams) Notify(ctx context.Context, n *alert.Notice) error {
	look := "Attention"
	switch {
	case n.Over():
		look = "Good"
	case n.Severity == "medium":
		look = "Warning"
	case n.Severity == "low", n.Severity == "info":
		look = "Default"
	}
	rich := func(r run) richText {
		r.Type = "TextRun"
		return richText{"RichTextBlock", []run{r}}
	}
	body := []any{rich(run{Text: short(oneLine(n.Title), teamsText), Weight: "Bolder", Size: "Medium", Color: look})}
	lines := strings.Split(short(n.Text, teamsText), "\n")
	for _, line := range lines[:min(len(lines), teamsLines)] {
		if line != "" {
			body = append(body, rich(run{Text: line}))
		}
	}
	card := map[string]any{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": body,
		"msteams": map[string]string{"width": "Full"}}
	if n.Link != "" {
		card["actions"] = []map[string]string{{"type": "Action.OpenUrl", "title": "Open in the console", "url": n.Link}}
	}
	_, err := t.post(ctx, t.cfg.URL, map[string]any{"type": "message", "attachments": []map[string]any{
		{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": card}}})
	return err
}
