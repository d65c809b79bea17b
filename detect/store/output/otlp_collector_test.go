package output_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/detect/store/output/outputtest"
	"github.com/portcullis/portcullis/fixtures/testbed"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

// otelcol is a real OpenTelemetry Collector as the far end. Stop kills it.
type otelcol struct {
	protocol  string
	ports     int    // of gRPC; HTTP has the next one
	tls, more string // settings of both receivers, and of gRPC's
	path, out string
	running   *testbed.Program
	t         *testing.T
}

// collectorPath skips the test where there is no collector.
func collectorPath(t *testing.T) string {
	t.Helper()
	path := testbed.Found(t, "otelcol-testbed")
	if path == "" {
		t.Skip("SKIPPED, no collector: apt-get install golang, then deploy/testbed/fetch.sh otelcol")
	}
	return path
}

// newOtelcol skips the test where there is none. With an authority it asks for TLS.
func newOtelcol(t *testing.T, protocol string, a *servetest.Authority) *otelcol {
	t.Helper()
	c := &otelcol{t: t, protocol: protocol, path: collectorPath(t), out: filepath.Join(t.TempDir(), "out.jsonl")}
	var err error
	if c.ports, err = testbed.FreePorts(17600, 19900, 2); err != nil {
		t.Fatal(err)
	}
	if a != nil {
		cert, key := a.Issue("collector")
		c.tls = fmt.Sprintf(", tls: {cert_file: %s, key_file: %s}", cert, key)
	}
	return c
}

// Address implements outputtest.Far: that of the protocol that is asked for.
func (c *otelcol) Address() string {
	if c.protocol == "grpc" {
		return c.grpc()
	}
	return c.http()
}

func (c *otelcol) grpc() string { return fmt.Sprintf("127.0.0.1:%d", c.ports) }
func (c *otelcol) http() string { return fmt.Sprintf("127.0.0.1:%d", c.ports+1) }

// Faults implements outputtest.Far: it can only be killed.
func (c *otelcol) Faults() []string { return nil }

// Break implements outputtest.Far.
func (c *otelcol) Break(string) {}

// Poison implements outputtest.Far.
func (c *otelcol) Poison(string) bool { return false }

// Stop implements outputtest.Far.
func (c *otelcol) Stop() { c.running.Kill() }

// Start implements outputtest.Far.
func (c *otelcol) Start(t *testing.T) {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "otelcol.yaml")
	text := fmt.Sprintf(`
receivers: {otlp: {protocols: {grpc: {endpoint: %q%s%s}, http: {endpoint: %q%s}}}}
exporters: {lines: {path: %q}}
service: {pipelines: {logs: {receivers: [otlp], exporters: [lines]}}}
`, c.grpc(), c.tls, c.more, c.http(), c.tls, c.out)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.running = testbed.Launch(t, c.path, "--config="+conf)
	for _, at := range []string{c.grpc(), c.http()} {
		outputtest.Await(t, "the collector listens at "+at, c.running.Said, func() bool {
			conn, err := net.Dial("tcp", at)
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
	}
}

// requests are those that the collector took and wrote. What a kill cut off is no line.
func (c *otelcol) requests() (out []*collectorpb.ExportLogsServiceRequest) {
	data, err := os.ReadFile(c.out)
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		r := new(collectorpb.ExportLogsServiceRequest)
		if line[len(line)-1] == '\n' && len(line) > 1 && protojson.Unmarshal(line, r) == nil {
			out = append(out, r)
		}
	}
	return out
}

// records are the records of requests, in order.
func records(requests []*collectorpb.ExportLogsServiceRequest) (out []*logspb.LogRecord) {
	for _, r := range requests {
		for _, rl := range r.GetResourceLogs() {
			for _, sl := range rl.GetScopeLogs() {
				out = append(out, sl.GetLogRecords()...)
			}
		}
	}
	return out
}

// Got implements outputtest.Far.
func (c *otelcol) Got() (ids []string) {
	for _, r := range records(c.requests()) {
		ids = append(ids, attributes(r.GetAttributes())["portcullis.id"].(string))
	}
	return ids
}

// attributes are pairs as plain values.
func attributes(list []*commonpb.KeyValue) map[string]any {
	out := map[string]any{}
	for _, kv := range list {
		switch v := kv.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			out[kv.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			out[kv.GetKey()] = float64(v.IntValue)
		case *commonpb.AnyValue_DoubleValue:
			out[kv.GetKey()] = v.DoubleValue
		case *commonpb.AnyValue_BoolValue:
			out[kv.GetKey()] = v.BoolValue
		case *commonpb.AnyValue_ArrayValue:
			texts := []any{}
			for _, e := range v.ArrayValue.GetValues() {
				texts = append(texts, e.GetStringValue())
			}
			out[kv.GetKey()] = texts
		}
	}
	return out
}

// otelcolSection are settings for a collector.
func otelcolSection(protocol, address string) *output.OTLPConfig {
	if protocol == "grpc" {
		return &output.OTLPConfig{URL: "http://" + address, Protocol: "grpc", Gzip: true, Token: "secret", Headers: map[string]string{"X-Tenant": "blue"}}
	}
	return &output.OTLPConfig{URL: "http://" + address + "/v1/logs", Gzip: true}
}

// TestCollector runs what the contract suite has for a far end that only dies against a real
// collector: each record arrives, in order, also where it, or we, are killed in the middle.
func TestCollector(t *testing.T) {
	collectorPath(t) // the suite's tests ask for it where they could not skip
	for _, protocol := range []string{"http", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			outputtest.Run(t, outputtest.Subject{Kind: "otlp",
				Far:     func() outputtest.Far { return newOtelcol(t, protocol, nil) },
				Section: func(_ *testing.T, address string) any { return otelcolSection(protocol, address) }})
		})
	}
}

// TestCollectorRecords: what arrives is what was sent: ids, attributes, times, severity,
// names, resource; over TLS, by both protocols.
func TestCollectorRecords(t *testing.T) {
	for _, protocol := range []string{"http", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			a := servetest.NewAuthority(t)
			far := newOtelcol(t, protocol, a)
			far.Start(t)
			cfg := otelcolSection(protocol, far.Address())
			cfg.URL, cfg.TLS.CA = "https"+cfg.URL[len("http"):], a.CA
			f := &outputtest.Feed{Docs: outputtest.Docs(t, 3*len(outputtest.Hostile)), Step: 9}
			r := outputtest.Launch(t, outputtest.Config("otlp", cfg), f.Output())
			outputtest.Await(t, "all is sent", func() string { return r.Stats().Error }, func() bool { return f.Noted() == len(f.Docs) })
			requests := far.requests()
			got := records(requests)
			if len(got) != len(f.Docs) {
				t.Fatalf("%d records came of %d documents", len(got), len(f.Docs))
			}
			for i, d := range f.Docs {
				sameRecord(t, got[i], d)
			}
			resource := attributes(requests[0].GetResourceLogs()[0].GetResource().GetAttributes())
			if want := map[string]any{"service.name": "portcullis", "service.version": "1.2.3", "host.name": "edge"}; !reflect.DeepEqual(resource, want) {
				t.Errorf("the resource is %v", resource)
			}
		})
	}
}

// TestCollectorSize: a batch that a real collector finds too large goes in parts, and the one
// document that is too large by itself is handed over.
func TestCollectorSize(t *testing.T) {
	far := newOtelcol(t, "grpc", nil)
	far.more = ", max_recv_msg_size_mib: 1"
	far.Start(t)
	docs := outputtest.Docs(t, 60)
	for i := range docs {
		size := 100 << 10
		if i == 17 {
			size = 1 << 20
		}
		docs[i].Source = append([]byte(`{"error.message":"`+strings.Repeat("x", size)+`",`), docs[i].Source[1:]...)
	}
	f := &outputtest.Feed{Docs: docs, Step: 60}
	c := outputtest.Config("otlp", otelcolSection("grpc", far.Address()))
	c.Batch = 8 << 20
	r := outputtest.Launch(t, c, f.Output())
	outputtest.Await(t, "all is sent", func() string { return r.Stats().Error }, func() bool { return f.Noted() == len(f.Docs) })
	if got := far.Got(); len(got) != 59 || !slices.Equal(r.Rejected(), []string{docs[17].ID}) {
		t.Errorf("%d of 59 came, and rejected are %q", len(got), r.Rejected())
	}
}

// sameRecord holds a record against its document.
func sameRecord(t *testing.T, r *logspb.LogRecord, d elastic.Doc) {
	t.Helper()
	var was, body map[string]any
	if err := json.Unmarshal(d.Source, &was); err != nil {
		t.Fatal(err)
	}
	was["portcullis.id"] = d.ID
	if err := json.Unmarshal([]byte(r.GetBody().GetStringValue()), &body); err != nil || !reflect.DeepEqual(body, was) {
		t.Errorf("%s: the body is %.300q, %v", d.ID, r.GetBody().GetStringValue(), err)
	}
	for key, v := range was {
		if _, object := v.(map[string]any); object {
			delete(was, key) // in the body alone
		}
	}
	if have := attributes(r.GetAttributes()); !reflect.DeepEqual(have, was) {
		t.Errorf("%s: the attributes are %.300q, want %.300q", d.ID, have, was)
	}
	severity := logspb.SeverityNumber_SEVERITY_NUMBER_WARN
	if d.Kind == "finding" {
		severity = logspb.SeverityNumber_SEVERITY_NUMBER_ERROR
	}
	at, err := time.Parse(time.RFC3339Nano, was["@timestamp"].(string))
	if err != nil || r.GetTimeUnixNano() != uint64(at.UnixNano()) || r.GetSeverityNumber() != severity || r.GetEventName() != "portcullis."+string(d.Kind) {
		t.Errorf("%s: %d, %s, %q, %v", d.ID, r.GetTimeUnixNano(), r.GetSeverityNumber(), r.GetEventName(), err)
	}
}
