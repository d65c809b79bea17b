package channel

import (
	"context"
	"net/url"
	"strings"

	"github.com/portcullis/portcullis/detect/alert"
)

func init() {
	alert.Register("opsgenie", alert.Spec{
		Doc:     "Opsgenie, or Jira Service Management, which has the same API",
		Tested:  "a contract server after Atlassian's documentation",
		Once:    true,
		Redacts: true,
		Config:  func() any { return new(OpsgenieConfig) },
		Open:    func(config any) (alert.Notifier, error) { return NewOpsgenie(*config.(*OpsgenieConfig)), nil },
	})
}

// OpsgenieConfig is the "opsgenie" section of a channel.
type OpsgenieConfig struct {
	Key  string   `yaml:"key" secret:"file" doc:"key of an API integration"`
	URL  string   `yaml:"url" default:"https://api.opsgenie.com" doc:"where the API is: https://api.eu.opsgenie.com for accounts in Europe, https://api.atlassian.com/jsm/ops/integration for Jira Service Management, which Opsgenie becomes in 2027"`
	Tags []string `yaml:"tags" doc:"tags that each alert gets beside its family and rule"`
}

// Check implements validation for the config loader.
func (c *OpsgenieConfig) Check(report func(key, message string)) {
	checkURL("url", c.URL, report)
	if strings.TrimSpace(c.Key) == "" {
		report("key", "is missing: the page of the API integration shows it")
	}
}

// Opsgenie keeps alerts: https://docs.opsgenie.com/docs/alert-api
type Opsgenie struct {
	service
	cfg OpsgenieConfig
}

// NewOpsgenie makes the channel.
func NewOpsgenie(cfg OpsgenieConfig) *Opsgenie { return &Opsgenie{newService(), cfg} }

// Bounds of Opsgenie's fields, in characters.
const (
	opsgenieMessage = 130
	opsgenieText    = 15000
	opsgenieTag     = 50
	opsgenieDetail  = 500
)

// opsgeniePriority are its words for severities.
var opsgeniePriority = map[string]string{"critical": "P1", "high": "P2", "medium": "P3", "low": "P4", "info": "P5"}

// Notify implements alert.Notifier. An alert is known by its alias, which is our id. A
// test is closed at once.
func (o *Opsgenie) Notify(ctx context.Context, n *alert.Notice) error {
	if n.Over() {
		return o.close(ctx, n)
	}
	if err := o.create(ctx, n); err != nil || n.Kind != alert.Test {
		return err
	}
	return o.close(ctx, n)
}

func (o *Opsgenie) call(ctx context.Context, path string, body any) error {
	_, err := o.post(ctx, strings.TrimRight(o.cfg.URL, "/")+path, body, "Authorization", "GenieKey "+strings.TrimSpace(o.cfg.Key))
	return err
}

func (o *Opsgenie) close(ctx context.Context, n *alert.Notice) error {
	return o.call(ctx, "/v2/alerts/"+url.PathEscape(n.Alert)+"/close?identifierType=alias", map[string]string{"source": "portcullis", "note": short(oneLine(n.Title), opsgenieDetail)})
}

func (o *Opsgenie) create(ctx context.Context, n *alert.Notice) error {
	details := map[string]string{}
	for _, f := range facts(n) {
		details[strings.ToLower(f.name)] = short(f.value, opsgenieDetail)
	}
	if n.Link != "" {
		details["console"] = n.Link
	}
	tags := []string{"portcullis"}
	for _, t := range append([]string{n.Family, n.Rule}, o.cfg.Tags...) {
		if t != "" {
			tags = append(tags, short(t, opsgenieTag))
		}
	}
	return o.call(ctx, "/v2/alerts", map[string]any{
		"message": short(oneLine(n.Title), opsgenieMessage), "alias": n.Alert, "description": short(n.Text, opsgenieText),
		"priority": opsgeniePriority[n.Severity], "source": "portcullis", "entity": n.Rule, "tags": tags, "details": details,
	})
}
