package channel

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
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
	URL        string    `yaml:"url" doc:"where the collector is, such as https://splunk.example.org:8088"`
	Token      string    `yaml:"token" secret:"file" doc:"token of the collector"`
	Index      string    `yaml:"index" doc:"index to write to; empty = the one of the token"`
	SourceType string    `yaml:"sourcetype" default:"portcullis:alert" doc:"source type of the events"`
	RequireAck bool      `yaml:"require_ack" default:"false" doc:"refuse a token without indexer acknowledgement: without it an event may be lost behind the collector"`
	TLS        TLSConfig `yaml:"tls" doc:"whom to believe that it is Splunk"`
}

// Check implements validation for the config loader.
func (c *SplunkConfig) Check(report func(key, message string)) {
	checkURL("url", c.URL, report)
	if strings.TrimSpace(c.Token) == "" {
		report("token", "is missing")
	}
}

// Splunk posts events: https://docs.splunk.com/Documentation/Splunk/latest/Data/AboutHECIDXAck
type Splunk struct {
	service
	cfg     SplunkConfig
	channel string // a UUID, by which acknowledgements are asked for
}

// NewSplunk makes the channel.
func NewSplunk(cfg SplunkConfig) (*Splunk, error) {
	s := &Splunk{service: newService(), cfg: cfg}
	conf, err := cfg.TLS.config()
	if err != nil {
		return nil, err
	}
	s.client.Transport = &http.Transport{TLSClientConfig: conf, Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	s.channel = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	return s, nil
}

// ackEvery is how often an acknowledgement is asked for.
const ackEvery = 500 * time.Millisecond

// Notify implements alert.Notifier. It waits for the acknowledgement: without one in time
// the event is sent again, with the same id in it.
func (s *Splunk) Notify(ctx context.Context, n *alert.Notice) error {
	event := map[string]any{"time": json.Number(strconv.FormatFloat(float64(n.At.UnixMilli())/1000, 'f', 3, 64)), "source": "portcullis", "sourcetype": s.cfg.SourceType, "event": n}
	if s.cfg.Index != "" {
		event["index"] = s.cfg.Index
	}
	a, err := s.call(ctx, "/services/collector/event", event)
	if err != nil {
		return err
	}
	var said struct {
		AckID *int64 `json:"ackId"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil {
		return fmt.Errorf("the answer is not that of a collector: %w", err)
	}
	switch {
	case said.AckID != nil:
		return s.await(ctx, *said.AckID)
	case s.cfg.RequireAck:
		return errors.New("the token has no indexer acknowledgement: enable it, or set require_ack to false")
	}
	return nil
}

func (s *Splunk) call(ctx context.Context, path string, body any) (answer, error) {
	return s.post(ctx, strings.TrimRight(s.cfg.URL, "/")+path, body, "Authorization", "Splunk "+strings.TrimSpace(s.cfg.Token), "X-Splunk-Request-Channel", s.channel)
}

// await asks until the event is indexed.
func (s *Splunk) await(ctx context.Context, id int64) error {
	tick := time.NewTicker(ackEvery)
	defer tick.Stop()
	key := strconv.FormatInt(id, 10)
	for {
		a, err := s.call(ctx, "/services/collector/ack?channel="+url.QueryEscape(s.channel), map[string][]int64{"acks": {id}})
		if err != nil {
			return fmt.Errorf("ask for the acknowledgement: %w", err)
		}
		var said struct {
			Acks map[string]bool `json:"acks"`
		}
		if err := json.Unmarshal(a.body, &said); err != nil {
			return fmt.Errorf("ask for the acknowledgement: the answer is not that of a collector: %w", err)
		}
		if said.Acks[key] {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the indexer has not acknowledged the event in time")
		case <-tick.C:
		}
	}
}
