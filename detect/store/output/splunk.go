package output

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/internal/hook"
)

func init() {
	Register("splunk", Spec{
		Doc:    "Splunk, by its HTTP Event Collector, with acknowledgement by the indexer where the token has it",
		Tested: "a contract server after Splunk's documentation",
		Config: func() any { return new(SplunkConfig) },
		Open:   func(config any, common Common) (Sink, error) { return newSplunk(*config.(*SplunkConfig), common) },
	})
}

// SplunkConfig is the "splunk" section of an output.
type SplunkConfig struct {
	URL        string   `yaml:"url" doc:"where the collector is, such as https://splunk.example.org:8088"`
	Token      string   `yaml:"token" secret:"file" doc:"token of the collector"`
	Index      string   `yaml:"index" doc:"index to write to; empty = the one of the token"`
	SourceType string   `yaml:"sourcetype" default:"portcullis" doc:"source type of the events, to which a colon and the kind of the document are added, such as portcullis:finding"`
	RequireAck bool     `yaml:"require_ack" default:"false" doc:"refuse a token without indexer acknowledgement: without it an event may be lost behind the collector"`
	Gzip       bool     `yaml:"gzip" default:"true" doc:"compress requests"`
	TLS        hook.TLS `yaml:"tls" doc:"whom to believe that it is Splunk"`
}

// Check implements validation for the config loader.
func (c *SplunkConfig) Check(report func(key, message string)) {
	checkURL(c.URL, report)
	if strings.TrimSpace(c.Token) == "" {
		report("token", "is missing")
	}
}

// splunk posts events, each with the document as event and its id, kind and version as
// indexed fields.
type splunk struct {
	cfg  SplunkConfig
	host string
	hec  *hook.HEC
}

func newSplunk(cfg SplunkConfig, common Common) (Sink, error) {
	w, err := newWeb(cfg.URL, cfg.TLS)
	if err != nil {
		return nil, err
	}
	return &splunk{cfg: cfg, host: common.Host,
		hec: hook.HEC{Client: w.client, URL: cfg.URL, Token: cfg.Token, RequireAck: cfg.RequireAck, Gzip: cfg.Gzip}.Channel()}, nil
}

// Send implements Sink.
func (s *splunk) Send(ctx context.Context, b *Batch) error {
	var out []byte
	for i := range b.Docs {
		out = append(s.event(out, b, i), '\n')
	}
	err := s.hec.Send(ctx, out)
	var no *hook.HECError
	if !errors.As(err, &no) {
		return err
	}
	r := no.Refusal(time.Now())
	r.Final = r.Final && splunkFinal(no.Code)
	return r
}

func (s *splunk) event(out []byte, b *Batch, i int) []byte {
	d := &b.Docs[i]
	out = append(out, `{"time":`...)
	out = append(out, seconds(timeOf(d))...)
	out = appendText(append(out, `,"host":`...), s.host)
	out = appendText(append(out, `,"source":"portcullis","sourcetype":`...), s.cfg.SourceType+":"+string(d.Kind))
	if s.cfg.Index != "" {
		out = appendText(append(out, `,"index":`...), s.cfg.Index)
	}
	out = append(append(out, `,"event":`...), body(d)...)
	out = appendText(append(out, `,"fields":{"portcullis_id":`...), d.ID)
	out = appendText(append(out, `,"portcullis_kind":`...), string(d.Kind))
	if d.Version != 0 {
		out = strconv.AppendInt(append(out, `,"portcullis_version":`...), d.Version, 10)
	}
	return append(out, "}}"...)
}

// splunkFinal reports whether a number of Splunk's is about an event: no data (5), a
// format that is not understood (6), an event that is missing (12) or blank (13), fields
// that cannot be indexed (15). The others are about the token, the index and the
// channel. An answer without a number is a proxy's.
func splunkFinal(code int) bool {
	switch code {
	case 0, 5, 6, 12, 13, 15:
		return true
	}
	return false
}
