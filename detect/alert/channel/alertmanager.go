package channel

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
)

// An open alert is told again each alertmanagerAgain, and ends by itself when that was
// not done for alertmanagerEnds.
const (
	alertmanagerAgain = time.Minute
	alertmanagerEnds  = 4 * time.Minute
)

func init() {
	alert.Register("alertmanager", alert.Spec{
		Doc:     "a Prometheus Alertmanager, by its API v2: it groups, silences and tells people by its own rules",
		Tested:  "Alertmanager 0.25.0",
		Once:    true,
		Refresh: alertmanagerAgain,
		Config:  func() any { return new(AlertmanagerConfig) },
		Open:    func(config any) (alert.Notifier, error) { return NewAlertmanager(*config.(*AlertmanagerConfig)), nil },
	})
}

// AlertmanagerConfig is the "alertmanager" section of a channel.
type AlertmanagerConfig struct {
	URLs     []string          `yaml:"urls" doc:"where it is, such as http://127.0.0.1:9093; all members of a cluster, since each is to be told"`
	User     string            `yaml:"user" doc:"name for HTTP Basic authentication; empty = none"`
	Password string            `yaml:"password" secret:"file" doc:"password of that user"`
	Token    string            `yaml:"token" secret:"file" doc:"bearer token, instead of a user"`
	Labels   map[string]string `yaml:"labels" doc:"labels that each alert gets beside alertname, alert_id, severity, family, rule and campaign"`
}

// Check implements validation for the config loader.
func (c *AlertmanagerConfig) Check(report func(key, message string)) {
	if len(c.URLs) == 0 {
		report("urls", "is missing")
	}
	for i, u := range c.URLs {
		if !strings.HasPrefix(u, "http://") || c.Password != "" || c.Token != "" {
			checkURL(fmt.Sprintf("urls[%d]", i), u, report) // without a secret http will do, as Prometheus does
		}
	}
	if c.User != "" && c.Token != "" {
		report("token", "is given beside a user: one of both")
	}
}

// Alertmanager posts alerts: https://prometheus.io/docs/alerting/latest/alerts_api/
type Alertmanager struct {
	service
	cfg    AlertmanagerConfig
	header []string
}

// NewAlertmanager makes the channel.
func NewAlertmanager(cfg AlertmanagerConfig) *Alertmanager {
	a := &Alertmanager{service: newService(), cfg: cfg}
	switch {
	case cfg.Token != "":
		a.header = []string{"Authorization", "Bearer " + strings.TrimSpace(cfg.Token)}
	case cfg.User != "":
		a.header = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.User+":"+cfg.Password))}
	}
	return a
}

type prometheusAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// Notify implements alert.Notifier. One member that took it is enough: the others hear of
// it from that one.
func (a *Alertmanager) Notify(ctx context.Context, n *alert.Notice) error {
	labels := map[string]string{"alertname": "Portcullis", "alert_id": n.Alert, "severity": n.Severity, "family": n.Family, "rule": n.Rule, "campaign": n.Campaign}
	for k, v := range a.cfg.Labels {
		labels[k] = v
	}
	for k, v := range labels {
		if labels[k] = oneLine(v); labels[k] == "" {
			delete(labels, k) // an empty label is none there
		}
	}
	p := prometheusAlert{Labels: labels, StartsAt: n.Opened, EndsAt: a.now().Add(alertmanagerEnds).UTC(), GeneratorURL: n.Link,
		Annotations: map[string]string{"summary": oneLine(n.Title), "description": n.Text, "route": n.Route, "clients": strconv.FormatInt(n.Clients, 10),
			"findings": strconv.FormatInt(n.Findings, 10), "requests": strconv.FormatInt(n.Requests, 10)}}
	if n.Over() {
		p.EndsAt = n.Closed
		if !p.EndsAt.After(p.StartsAt) {
			p.EndsAt = p.StartsAt.Add(time.Millisecond)
		}
	}
	var errs []error
	for _, u := range a.cfg.URLs {
		if _, err := a.post(ctx, strings.TrimRight(u, "/")+"/api/v2/alerts", []prometheusAlert{p}, a.header...); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) < len(a.cfg.URLs) {
		return nil
	}
	return errors.Join(errs...)
}
