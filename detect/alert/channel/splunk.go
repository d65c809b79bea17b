package channel

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/internal/hook"
)

func init() {
	alert.Register("splunk", alert.Spec{
		Doc:    "Splunk, by its HTTP Event Collector, with acknowledgement by the indexer where the token has it",
		Tested: "a contract server after Splunk's documentation",
		Config: func() any { return new(SplunkConfig) },
		Open:   func(config any) (alert.Notifier, error) { return NewSplunk(*config.(*SplunkConfig)) },
	})
}

// SplunkConfig is the "splunk" section of a channel.
type SplunkConfig struct {
	URL        string   `yaml:"url" doc:"where the collector is, such as https://splunk.example.org:8088"`
	Token      string   `yaml:"token" secret:"file" doc:"token of the collector"`
	Index      string   `yaml:"index" doc:"index to write to; empty = the one of the token"`
	SourceType string   `yaml:"sourcetype" default:"portcullis:alert" doc:"source type of the events"`
	RequireAck bool     `yaml:"require_ack" default:"false" doc:"refuse a token without indexer acknowledgement: without it an event may be lost behind the collector"`
	TLS        hook.TLS `yaml:"tls" doc:"whom to believe that it is Splunk"`
}

// Check implements validation for the config loader.
func (c *SplunkConfig) Check(report func(key, message string)) {
	checkURL("url", c.URL, report)
	if strings.TrimSpace(c.Token) == "" {
		report("token", "is missing")
	}
}

// Splunk posts events.
type Splunk struct {
	service
	cfg SplunkConfig
	hec *hook.HEC
}

// NewSplunk makes the channel.
func NewSplunk(cfg SplunkConfig) (*Splunk, error) {
	s := &Splunk{service: newService(), cfg: cfg}
	conf, err := cfg.TLS.Client()
	if err != nil {
		return nil, err
	}
	s.client.Transport = &http.Transport{TLSClientConfig: conf, Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}
	s.hec = hook.HEC{Client: s.client, URL: cfg.URL, Token: cfg.Token, RequireAck: cfg.RequireAck}.Channel()
	return s, nil
}

// Notify implements alert.Notifier. It waits for the acknowledgement: without one in time
// the event is sent again, with the same id in it.
func (s *Splunk) Notify(ctx context.Context, n *alert.Notice) error {
	event := map[string]any{"time": json.Number(strconv.FormatFloat(float64(n.At.UnixMilli())/1000, 'f', 3, 64)), "source": "portcullis", "sourcetype": s.cfg.SourceType, "event": n}
	if s.cfg.Index != "" {
		event["index"] = s.cfg.Index
	}
	body, err := encode(event)
	if err != nil {
		return err
	}
	err = s.hec.Send(ctx, body)
	var no *hook.HECError
	if errors.As(err, &no) {
		return s.refusal(no.Answer)
	}
	return err
}
