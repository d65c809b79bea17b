package otlp

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/portcullis/portcullis/ingest/source/serve"
)

func text(v string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}
}

func number(v int64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: v}}
}

func double(v float64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v}}
}

func list(v ...*commonpb.AnyValue) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: v}}}
}

func pair(key string, v *commonpb.AnyValue) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: v}
}

// request holds records of one resource.
func request(resource []*commonpb.KeyValue, records ...*logspb.LogRecord) *collectorpb.ExportLogsServiceRequest {
	return &collectorpb.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{
		Resource:  &resourcepb.Resource{Attributes: resource},
		ScopeLogs: []*logspb.ScopeLogs{{LogRecords: records}},
	}}}
}

// httpRecord is a record as an HTTP server's instrumentation makes it.
func httpRecord() *logspb.LogRecord {
	return &logspb.LogRecord{
		TimeUnixNano: 1544712660300000000, SeverityNumber: 9, SeverityText: "INFO",
		TraceId: []byte{0x5b, 0x8e}, SpanId: []byte{1},
		Attributes: []*commonpb.KeyValue{
			pair("http.request.method", text("GET")), pair("url.path", text("/a\"\n")),
			pair("http.response.status_code", number(404)), pair("http.server.request.duration", double(0.25)),
			pair("http.request.header.x-forwarded-for", list(text("192.0.2.1"), text("192.0.2.2"))),
		},
		Body: text("GET /a 404"),
	}
}

// TestLines: what each kind of record becomes.
func TestLines(t *testing.T) {
	resource := []*commonpb.KeyValue{pair("service.name", text("edge"))}
	flags := &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}
	raw := &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{1, 2}}}
	object := &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{
		Values: []*commonpb.KeyValue{pair("a", number(1)), pair("b", nil)}}}}
	for _, c := range []struct {
		name   string
		record *logspb.LogRecord
		want   string
	}{
		{"a gateway's line", &logspb.LogRecord{Body: text("192.0.2.1 - - \"GET / HTTP/1.1\" 200\n"),
			Attributes: []*commonpb.KeyValue{pair("log.file.name", text("access.log"))}}, "192.0.2.1 - - \"GET / HTTP/1.1\" 200"},
		{"a gateway's line over lines", &logspb.LogRecord{Body: text("a\r\nb\n")}, "a  b"},
		{"HTTP attributes", httpRecord(), `{"time":"2018-12-13T14:51:00.3Z","severity":"INFO","trace_id":"5b8e","span_id":"01",` +
			`"http.request.method":"GET","url.path":"/a\"\n","http.response.status_code":404,"http.server.request.duration":0.25,` +
			`"http.request.header.x-forwarded-for":["192.0.2.1","192.0.2.2"],"resource.service.name":"edge","body":"GET /a 404"}`},
		{"names of our own", &logspb.LogRecord{ObservedTimeUnixNano: 1e9 + 5, SeverityNumber: 17, EventName: "e", Attributes: []*commonpb.KeyValue{
			pair("time", text("forged")), pair("body", text("forged"))}}, `{"time":"1970-01-01T00:00:01.000000005Z","severity":17,"event":"e",` +
			`"attributes.time":"forged","attributes.body":"forged","resource.service.name":"edge"}`},
		{"a map", &logspb.LogRecord{Body: object, Attributes: []*commonpb.KeyValue{pair("f", flags), pair("r", raw), pair("n", double(math.NaN()))}},
			`{"f":true,"r":"AQI=","n":"NaN","resource.service.name":"edge","body":{"a":1,"b":null}}`},
		{"a resource alone", &logspb.LogRecord{Body: number(1)}, `{"resource.service.name":"edge","body":1}`},
		{"nothing", &logspb.LogRecord{TimeUnixNano: 1}, ""},
		{"an empty body", &logspb.LogRecord{Body: text(" \n")}, ""},
	} {
		line, ok := appendLine(nil, c.record, appendResource(nil, resource))
		if ok != (c.want != "") || strings.TrimSuffix(string(line), "\n") != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, line, c.want)
		}
	}
}

// TestNesting: a value that nests without end is cut, not followed.
func TestNesting(t *testing.T) {
	v := text("deep")
	for range 5000 {
		v = list(v)
	}
	line, _ := appendLine(nil, &logspb.LogRecord{Body: v}, nil)
	if !json.Valid(line) || strings.Count(string(line), "[") != maxDepth || !strings.Contains(string(line), "null") {
		t.Errorf("got %.100s", line)
	}
}

// TestSpecificationExamples reads the examples of opentelemetry-proto
// (examples/logs.json and examples/events.json).
func TestSpecificationExamples(t *testing.T) {
	for name, want := range map[string]string{
		"logs.json": "Example log record",
		"events.json": `{"time":"2018-12-13T14:51:00.3Z","severity":9,"event.name":"browser.page_view","resource.service.name":"my.service",` +
			`"body":{"type":0,"url":"https://www.guidgenerator.com/online-guid-generator.aspx","referrer":"https://wwww.google.com","title":"Free Online GUID Generator"}}`,
	} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		req, bad, err := fromJSON(data)
		if err != nil || bad != 0 {
			t.Fatalf("%s: %d bad: %v", name, bad, err)
		}
		record := req.ResourceLogs[0].ScopeLogs[0].LogRecords[0]
		line, _ := appendLine(nil, record, appendResource(nil, req.ResourceLogs[0].Resource.Attributes))
		if string(line) != want+"\n" {
			t.Errorf("%s:\ngot  %s\nwant %s", name, line, want)
		}
		if name != "logs.json" {
			continue
		}
		record.Body = nil // what is beside the text
		line, _ = appendLine(nil, record, appendResource(nil, req.ResourceLogs[0].Resource.Attributes))
		all := `{"time":"2018-12-13T14:51:00.3Z","severity":"Information","trace_id":"5b8efff798038103d269b633813fc60c","span_id":"eee19b7ec3c1b174",` +
			`"string.attribute":"some string","boolean.attribute":true,"int.attribute":10,"double.attribute":637.704,"array.attribute":["many","values"],` +
			`"map.attribute":{"some.map.key":"some value"},"resource.service.name":"my.service"}`
		if string(line) != all+"\n" {
			t.Errorf("%s:\ngot  %s\nwant %s", name, line, all)
		}
	}
}

// FuzzJSON: no document brings the decoder down, and what it yields are lines of
// JSON or text.
func FuzzJSON(f *testing.F) {
	for _, name := range []string{"logs.json", "events.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"doubleValue":"NaN"}},{"attributes":[{"key":"http.x","value":{"bytesValue":"AQI="}}]},7,null]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		req, _, _ := fromJSON(data)
		checkLines(t, req)
	})
}

// FuzzProto: the same for the binary encoding; and the lines of what can be
// decoded by the book are the same through the tolerant decoder.
func FuzzProto(f *testing.F) {
	data, err := proto.Marshal(request([]*commonpb.KeyValue{pair("a", text("b"))}, httpRecord()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("\x0a\x08\x12\x06\x12\x04\x2a\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var strict, tolerant collectorpb.ExportLogsServiceRequest
		err := serve.Unmarshal(data, &tolerant)
		if (proto.UnmarshalOptions{RecursionLimit: 100, DiscardUnknown: true}).Unmarshal(data, &strict) == nil && (err != nil || !proto.Equal(&strict, &tolerant) && !hasNaN(data)) {
			t.Fatalf("strict %v\ntolerant %v %v", &strict, &tolerant, err)
		}
		if err == nil {
			checkLines(t, &tolerant)
		}
	})
}

// hasNaN reports whether the bytes could hold a NaN, which equals nothing.
func hasNaN(data []byte) bool {
	return strings.Contains(string(data), "\x7f") || strings.Contains(string(data), "\xff")
}

// checkLines demands that each record is one line, and JSON where it is no text.
func checkLines(t *testing.T, req *collectorpb.ExportLogsServiceRequest) {
	t.Helper()
	for _, rl := range req.GetResourceLogs() {
		for _, sl := range rl.GetScopeLogs() {
			for _, r := range sl.GetLogRecords() {
				line, ok := appendLine(nil, r, appendResource(nil, rl.GetResource().GetAttributes()))
				if !ok {
					continue
				}
				if strings.Count(string(line), "\n") != 1 || line[len(line)-1] != '\n' || strings.Contains(string(line), "\r") {
					t.Fatalf("not one line: %q", line)
				}
				if _, isText := r.GetBody().GetValue().(*commonpb.AnyValue_StringValue); !(isText && !hasHTTP(r.GetAttributes())) && !json.Valid(line) {
					t.Fatalf("no JSON: %q", line)
				}
			}
		}
	}
}

// TestBothEncodings: the same record is the same line, whichever way it comes.
func TestBothEncodings(t *testing.T) {
	doc := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1544712660300000000","severityNumber":9,"severityText":"INFO",
		"traceId":"5b8e","spanId":"01","unknownField":[{}],"body":{"stringValue":"GET /a 404"},"attributes":[
		{"key":"http.request.method","value":{"stringValue":"GET"}},{"key":"url.path","value":{"stringValue":"/a\"\n"}},
		{"key":"http.response.status_code","value":{"intValue":"404"}},{"key":"http.server.request.duration","value":{"doubleValue":0.25}},
		{"key":"http.request.header.x-forwarded-for","value":{"arrayValue":{"values":[{"stringValue":"192.0.2.1"},{"stringValue":"192.0.2.2"}]}}}]}]}]}]}`
	req, bad, err := fromJSON([]byte(doc))
	if err != nil || bad != 0 {
		t.Fatal(err, bad)
	}
	if got := req.ResourceLogs[0].ScopeLogs[0].LogRecords[0]; !proto.Equal(got, httpRecord()) {
		t.Errorf("got  %v\nwant %v", got, httpRecord())
	}
}
