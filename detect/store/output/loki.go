package output

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/internal/hook"
)

func init() {
	Register("loki", Spec{
		Doc:    "Grafana Loki, by its push API, with few labels and structured metadata",
		Tested: "a contract server after Grafana's documentation",
		Config: func() any { return new(LokiConfig) },
		Open:   func(config any, common Common) (Sink, error) { return newLoki(*config.(*LokiConfig), common) },
	})
}

// LokiConfig is the "loki" section of an output.
type LokiConfig struct {
	URL      string            `yaml:"url" doc:"where Loki is, such as https://loki.example.org:3100"`
	Tenant   string            `yaml:"tenant" doc:"tenant, where Loki has several; sent as X-Scope-OrgID"`
	Token    string            `yaml:"token" secret:"file" doc:"bearer token, where one is asked for"`
	User     string            `yaml:"user" doc:"user of basic authentication, instead of a token"`
	Password string            `yaml:"password" secret:"file" doc:"password of the user"`
	Labels   map[string]string `yaml:"labels" doc:"labels that all streams get, beside service_name and kind"`
	Metadata bool              `yaml:"metadata" default:"true" doc:"send id, rule, action and version as structured metadata, which Loki before 2.9 does not take"`
	Gzip     bool              `yaml:"gzip" default:"true" doc:"compress requests"`
	TLS      hook.TLS          `yaml:"tls" doc:"whom to believe that it is Loki"`
}

// lokiLabel is how a label may be called.
var lokiLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// Check implements validation for the config loader.
func (c *LokiConfig) Check(report func(key, message string)) {
	checkURL(c.URL, report)
	for name := range c.Labels {
		if !lokiLabel.MatchString(name) || name == "kind" || name == "service_name" {
			report("labels", strconv.Quote(name)+" cannot be the name of a label: want letters, digits and _, and neither kind nor service_name")
		}
	}
	if c.User != "" && c.Token != "" {
		report("user", "is set beside token: which of the two is to be used?")
	}
}

// loki pushes one stream for each kind of document. What clients send is never a label.
type loki struct {
	*web
	cfg LokiConfig
	now func() time.Time
}

func newLoki(cfg LokiConfig, _ Common) (Sink, error) {
	header := bearer(cfg.Token)
	if cfg.User != "" {
		header = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.User+":"+strings.TrimSpace(cfg.Password)))}
	}
	if cfg.Tenant != "" {
		header = append(header, "X-Scope-OrgID", cfg.Tenant)
	}
	w, err := newWeb(strings.TrimRight(cfg.URL, "/")+"/loki/api/v1/push", cfg.TLS, header...)
	if err != nil {
		return nil, err
	}
	return &loki{w, cfg, time.Now}, nil
}

// Send implements Sink. Loki does not take what is much older than the rest of a stream,
// which is how a log that is read from its beginning, and a finding that grows, are. These
// get the present time; when it was is in the document.
func (l *loki) Send(ctx context.Context, b *Batch) error {
	err := l.push(ctx, b, 0)
	var no *Refusal
	if errors.As(err, &no) && no.Status == http.StatusBadRequest && tooOld(no.Said) {
		return l.push(ctx, b, l.now().UnixNano())
	}
	return err
}

// tooOld reports whether Loki refuses an entry for its time.
func tooOld(said string) bool {
	for _, words := range []string{"too far behind", "timestamp too old", "out of order", "too old"} {
		if strings.Contains(said, words) {
			return true
		}
	}
	return false
}

// lokiStream is a stream of a request.
type lokiStream struct {
	Stream map[string]string `json:"stream"`
	Values [][]any           `json:"values"`
}

func (l *loki) push(ctx context.Context, b *Batch, at int64) error {
	var streams []*lokiStream
	of := map[elastic.Kind]*lokiStream{}
	for i := range b.Docs {
		d := &b.Docs[i]
		s := of[d.Kind]
		if s == nil {
			s = &lokiStream{Stream: map[string]string{"service_name": "portcullis", "kind": string(d.Kind)}}
			maps.Copy(s.Stream, l.cfg.Labels)
			of[d.Kind] = s
			streams = append(streams, s)
		}
		s.Values = append(s.Values, l.entry(d, at))
	}
	data, err := json.Marshal(map[string]any{"streams": streams})
	if err != nil {
		return &Refusal{Final: true, Said: err.Error()}
	}
	var header []string
	if l.cfg.Gzip {
		if data, err = hook.Gzip(data); err != nil {
			return err
		}
		header = []string{"Content-Encoding", "gzip"}
	}
	_, err = l.post(ctx, data, header...)
	return err
}

// entry is a line of a stream, at its own time where at is 0.
func (l *loki) entry(d *elastic.Doc, at int64) []any {
	if at == 0 {
		at = timeOf(d)
	}
	e := []any{strconv.FormatInt(at, 10), string(body(d))}
	if !l.cfg.Metadata {
		return e
	}
	f := fieldsOf(d)
	meta := map[string]string{"id": d.ID}
	for name, value := range map[string]string{"rule": f.Rule, "action": f.Action, "state": f.State, "verdict": f.Verdict} {
		if value != "" {
			meta[name] = value
		}
	}
	if d.Version != 0 {
		meta["version"] = strconv.FormatInt(d.Version, 10)
	}
	return append(e, meta)
}
