package channel

import (
	"context"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
)

func init() {
	alert.Register("pagerduty", alert.Spec{
		Doc:     "a PagerDuty service, by its Events API v2: an alert is one incident, which is resolved with it",
		Tested:  "a contract server after PagerDuty's documentation",
		Once:    true,
		Redacts: true,
		Config:  func() any { return new(PagerDutyConfig) },
		Open:    func(config any) (alert.Notifier, error) { return NewPagerDuty(*config.(*PagerDutyConfig)), nil },
	})
}

// PagerDutyConfig is the "pagerduty" section of a channel.
type PagerDutyConfig struct {
	Key    string `yaml:"key" secret:"file" doc:"the integration (routing) key of the service"`
	URL    string `yaml:"url" default:"https://events.pagerduty.com/v2/enqueue" doc:"where events are taken; https://events.eu.pagerduty.com/v2/enqueue for accounts in Europe"`
	Source string `yaml:"source" default:"portcullis" doc:"what the incident says that it is about, such as the name of the gateway"`
}

// Check implements validation for the config loader.
func (c *PagerDutyConfig) Check(report func(key, message string)) {
	checkURL("url", c.URL, report)
	if strings.TrimSpace(c.Key) == "" {
		report("key", "is missing: the service's page in PagerDuty shows it")
	}
}

// PagerDuty sends events: https://developer.pagerduty.com/docs/events-api-v2-overview
type PagerDuty struct {
	service
	cfg PagerDutyConfig
}

// NewPagerDuty makes the channel.
func NewPagerDuty(cfg PagerDutyConfig) *PagerDuty { return &PagerDuty{newService(), cfg} }

// pagerDutySummary bounds a summary, in characters.
const pagerDutySummary = 1024

// pagerDutySeverity are its words for severities.
var pagerDutySeverity = map[string]string{"critical": "critical", "high": "error", "medium": "warning", "low": "info", "info": "info"}

// Notify implements alert.Notifier. What is told again has the same key, and is the same
// incident. A test is resolved at once.
func (p *PagerDuty) Notify(ctx context.Context, n *alert.Notice) error {
	if n.Over() {
		return p.event(ctx, n, "resolve")
	}
	if err := p.event(ctx, n, "trigger"); err != nil || n.Kind != alert.Test {
		return err
	}
	return p.event(ctx, n, "resolve")
}

func (p *PagerDuty) event(ctx context.Context, n *alert.Notice, action string) error {
	e := map[string]any{"routing_key": p.cfg.Key, "event_action": action, "dedup_key": n.Alert}
	if action == "trigger" {
		details := map[string]string{"text": n.Text}
		for _, f := range facts(n) {
			details[strings.ToLower(f.name)] = f.value
		}
		e["payload"] = map[string]any{
			"summary": short(oneLine(n.Title), pagerDutySummary), "source": p.cfg.Source, "severity": pagerDutySeverity[n.Severity],
			"timestamp": n.At.UTC().Format(time.RFC3339), "class": n.Rule, "group": n.Family, "custom_details": details,
		}
		e["client"] = "Portcullis"
		if n.Link != "" {
			e["client_url"] = n.Link
		}
	}
	_, err := p.post(ctx, p.cfg.URL, e)
	return err
}
