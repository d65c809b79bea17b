package output

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

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
		Doc:    "OpenTelemetry: log records over HTTP with protobuf (OTLP/HTTP), to a collector or whatever else takes them",
		Tested: "a contract server after the published protocol, and the otlp source of Portcullis",
		Config: func() any { return new(OTLPConfig) },
		Open:   func(config any, common Common) (Sink, error) { return newOTLP(*config.(*OTLPConfig), common) },
	})
}

// OTLPConfig is the "otlp" section of an output.
type OTLPConfig struct {
	URL   string   `yaml:"url" doc:"where logs are taken, such as https://collector.example.org:4318/v1/logs"`
	Token string   `yaml:"token" secret:"file" doc:"bearer token, where one is asked for"`
	Gzip  bool     `yaml:"gzip" default:"true" doc:"compress requests"`
	TLS   hook.TLS `yaml:"tls" doc:"whom to believe that it is the collector"`
}

// Check implements validation for the config loader.
func (c *OTLPConfig) Check(report func(key, message string)) { checkURL(c.URL, report) }

// otlp exports log records: the body is the document as JSON, and its fields of ECS that
// are text, numbers or lists of text are attributes.
type otlp struct {
	*web
	gzip     bool
	resource *resourcepb.Resource
	scope    *commonpb.InstrumentationScope
}

func newOTLP(cfg OTLPConfig, common Common) (Sink, error) {
	w, err := newWeb(cfg.URL, cfg.TLS, bearer(cfg.Token)...)
	if err != nil {
		return nil, err
	}
	return &otlp{web: w, gzip: cfg.Gzip,
		resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{
			textPair("service.name", "portcullis"), textPair("service.version", common.Version), textPair("host.name", common.Host),
		}},
		scope: &commonpb.InstrumentationScope{Name: "portcullis", Version: common.Version}}, nil
}

// Send implements Sink.
func (o *otlp) Send(ctx context.Context, b *Batch) error {
	records := make([]*logspb.LogRecord, len(b.Docs))
	for i := range b.Docs {
		var err error
		if records[i], err = record(&b.Docs[i]); err != nil {
			return &Refusal{Final: true, Said: err.Error()}
		}
	}
	data, err := proto.Marshal(&collectorpb.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{
		Resource: o.resource, ScopeLogs: []*logspb.ScopeLogs{{Scope: o.scope, LogRecords: records}},
	}}})
	if err != nil {
		return &Refusal{Final: true, Said: err.Error()}
	}
	header := []string{"Content-Type", "application/x-protobuf"}
	if o.gzip {
		if data, err = hook.Gzip(data); err != nil {
			return err
		}
		header = append(header, "Content-Encoding", "gzip")
	}
	a, err := o.post(ctx, data, header...)
	if err != nil {
		return err
	}
	var said collectorpb.ExportLogsServiceResponse
	if err := proto.Unmarshal(a.Body, &said); err != nil {
		return fmt.Errorf("the answer is not that of a collector: %w", err)
	}
	if p := said.GetPartialSuccess(); p.GetRejectedLogRecords() > 0 {
		return &Refusal{Status: a.Status, Final: true, Said: fmt.Sprintf("%d of %d records were rejected: %s", p.GetRejectedLogRecords(), len(records), strings.ToValidUTF8(p.GetErrorMessage(), "\uFFFD"))}
	}
	return nil
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
