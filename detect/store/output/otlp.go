package output

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/proto"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/internal/hook"
)

func init() {
	Register("otlp", Spec{
		Doc:    "OpenTelemetry: log records by OTLP, over HTTP with protobuf or over gRPC, to a collector or whatever else takes them",
		Tested: "the OpenTelemetry Collector 0.165, and a contract server after the published protocol",
		Config: func() any { return new(OTLPConfig) },
		Open:   func(config any, common Common) (Sink, error) { return newOTLP(*config.(*OTLPConfig), common) },
	})
}

// OTLPConfig is the "otlp" section of an output.
type OTLPConfig struct {
	URL      string            `yaml:"url" doc:"where logs are taken, such as https://collector.example.org:4318/v1/logs, or with grpc https://collector.example.org:4317"`
	Protocol string            `yaml:"protocol" default:"http" enum:"http,grpc" doc:"http with protobuf, or grpc; of an address that begins with https grpc is over TLS, too"`
	Token    string            `yaml:"token" secret:"file" doc:"bearer token, where one is asked for"`
	Headers  map[string]string `yaml:"headers" doc:"fields that go with each request, such as the name of a tenant; a secret is a token"`
	Gzip     bool              `yaml:"gzip" default:"true" doc:"compress requests"`
	TLS      hook.TLS          `yaml:"tls" doc:"whom to believe that it is the collector"`
}

// otlpOwn are the fields that are not for settings to choose.
var otlpOwn = []string{"authorization", "content-type", "content-encoding", "content-length", "host", "te", "user-agent"}

// Check implements validation for the config loader.
func (c *OTLPConfig) Check(report func(key, message string)) {
	checkURL(c.URL, report)
	if u, err := url.Parse(c.URL); c.Protocol == "grpc" && err == nil && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "") {
		report("url", "has a path, which grpc does not: want https://HOST:PORT, often port 4317")
	}
	for name, value := range c.Headers {
		lower := strings.ToLower(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) || strings.HasSuffix(lower, "-bin"):
			report("headers", fmt.Sprintf("%.60q cannot be sent: want a name of letters, digits and -, and a value on one line", name))
		case slices.Contains(otlpOwn, lower), strings.HasPrefix(lower, "grpc-"):
			report("headers", fmt.Sprintf("%.60q is not for settings to choose; a token is otlp.token", name))
		}
	}
}

// otlp exports log records: the body is the document as JSON, and its fields of ECS that
// are text, numbers or lists of text are attributes.
type otlp struct {
	exporter
	resource *resourcepb.Resource
	scope    *commonpb.InstrumentationScope
}

// exporter is a way to a collector. An answer that is no success is a *Refusal; status is
// that of one that is, as in HTTP.
type exporter interface {
	export(ctx context.Context, req *collectorpb.ExportLogsServiceRequest) (said *collectorpb.ExportLogsServiceResponse, status int, err error)
}

func newOTLP(cfg OTLPConfig, common Common) (Sink, error) {
	o := &otlp{
		resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{
			textPair("service.name", "portcullis"), textPair("service.version", common.Version), textPair("host.name", common.Host),
		}},
		scope: &commonpb.InstrumentationScope{Name: "portcullis", Version: common.Version}}
	var err error
	if cfg.Protocol == "grpc" {
		o.exporter, err = newOTLPGRPC(cfg)
	} else {
		o.exporter, err = newOTLPWeb(cfg)
	}
	return o, err
}

// Close ends what connections there are.
func (o *otlp) Close() error {
	if c, ok := o.exporter.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// request is the documents of a batch as log records.
func (o *otlp) request(b *Batch) (*collectorpb.ExportLogsServiceRequest, error) {
	records := make([]*logspb.LogRecord, len(b.Docs))
	for i := range b.Docs {
		var err error
		if records[i], err = record(&b.Docs[i]); err != nil {
			return nil, &Refusal{Final: true, Said: err.Error()}
		}
	}
	return &collectorpb.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{
		Resource: o.resource, ScopeLogs: []*logspb.ScopeLogs{{Scope: o.scope, LogRecords: records}},
	}}}, nil
}

// Send implements Sink.
func (o *otlp) Send(ctx context.Context, b *Batch) error {
	req, err := o.request(b)
	if err != nil {
		return err
	}
	said, status, err := o.export(ctx, req)
	if err != nil {
		return err
	}
	if p := said.GetPartialSuccess(); p.GetRejectedLogRecords() > 0 {
		return &Refusal{Status: status, Final: true, Said: fmt.Sprintf("%d of %d records were rejected: %s", p.GetRejectedLogRecords(), len(b.Docs), strings.ToValidUTF8(p.GetErrorMessage(), "\uFFFD"))}
	}
	return nil
}

// otlpWeb is OTLP/HTTP.
type otlpWeb struct {
	*web
	gzip bool
}

func newOTLPWeb(cfg OTLPConfig) (*otlpWeb, error) {
	header := bearer(cfg.Token)
	for _, name := range slices.Sorted(maps.Keys(cfg.Headers)) {
		header = append(header, name, cfg.Headers[name])
	}
	w, err := newWeb(cfg.URL, cfg.TLS, header...)
	return &otlpWeb{w, cfg.Gzip}, err
}

func (w *otlpWeb) export(ctx context.Context, req *collectorpb.ExportLogsServiceRequest) (*collectorpb.ExportLogsServiceResponse, int, error) {
	data, err := proto.Marshal(req)
	if err != nil {
		return nil, 0, &Refusal{Final: true, Said: err.Error()}
	}
	header := []string{"Content-Type", "application/x-protobuf"}
	if w.gzip {
		if data, err = hook.Gzip(data); err != nil {
			return nil, 0, err
		}
		header = append(header, "Content-Encoding", "gzip")
	}
	a, err := w.post(ctx, data, header...)
	if err != nil {
		return nil, 0, err
	}
	said := new(collectorpb.ExportLogsServiceResponse)
	if err := proto.Unmarshal(a.Body, said); err != nil {
		return nil, 0, fmt.Errorf("the answer is not that of a collector: %w", err)
	}
	return said, a.Status, nil
}

// otlpSeverity are the numbers and names for those of syslog.
var otlpSeverity = map[int]logspb.SeverityNumber{
	2: logspb.SeverityNumber_SEVERITY_NUMBER_FATAL, 3: logspb.SeverityNumber_SEVERITY_NUMBER_ERROR, 4: logspb.SeverityNumber_SEVERITY_NUMBER_WARN,
	5: logspb.SeverityNumber_SEVERITY_NUMBER_INFO2, 6: logspb.SeverityNumber_SEVERITY_NUMBER_INFO,
}

func record(d *elastic.Doc) (*logspb.LogRecord, error) {
	text := body(d)
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("the document is no JSON: %w", err)
	}
	f, at := fieldsOf(d), uint64(max(timeOf(d), 0))
	r := &logspb.LogRecord{
		TimeUnixNano: at, ObservedTimeUnixNano: at,
		SeverityNumber: otlpSeverity[f.level(d.Kind)], EventName: "portcullis." + string(d.Kind),
		Body: textValue(string(text)),
	}
	for key, v := range all {
		if value := attribute(v); value != nil {
			r.Attributes = append(r.Attributes, &commonpb.KeyValue{Key: key, Value: value})
		}
	}
	return r, nil
}

// attribute is a value as an attribute; nil for what is only in the body.
func attribute(v any) *commonpb.AnyValue {
	switch v := v.(type) {
	case string:
		return textValue(v)
	case float64:
		if v == float64(int64(v)) {
			return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(v)}}
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v}}
	case bool:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: v}}
	case []any:
		list := &commonpb.ArrayValue{}
		for _, e := range v {
			text, ok := e.(string)
			if !ok {
				return nil
			}
			list.Values = append(list.Values, textValue(text))
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: list}}
	}
	return nil
}

func textValue(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

func textPair(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: textValue(value)}
}
