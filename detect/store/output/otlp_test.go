package output_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/detect/store/output/outputtest"
)

// newOTLPFar answers as the OTLP specification says: protobuf, with partial success where
// a record is refused.
func newOTLPFar() outputtest.Far {
	say := func(w http.ResponseWriter, m proto.Message) {
		data, err := proto.Marshal(m)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(data) // the client may be gone
	}
	return &outputtest.Service{
		Take: takeOTLP,
		Answer: func(w http.ResponseWriter, _ *http.Request, _ []string, refused string) {
			answer := &collectorpb.ExportLogsServiceResponse{}
			if refused != "" {
				answer.PartialSuccess = &collectorpb.ExportLogsPartialSuccess{RejectedLogRecords: 1, ErrorMessage: "a record is too\nbad"}
			}
			say(w, answer)
		},
		More: map[string]func(http.ResponseWriter, *http.Request){
			"504":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) },
			"another program": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>welcome")) },
		},
	}
}

func takeOTLP(t *testing.T, r *http.Request, body []byte) (ids []string) {
	if r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Authorization") != "Bearer sesame" {
		t.Errorf("POST %s with %v", r.URL.Path, r.Header)
	}
	var req collectorpb.ExportLogsServiceRequest
	if err := proto.Unmarshal(body, &req); err != nil {
		t.Errorf("the request cannot be read: %v", err)
		return nil
	}
	for _, l := range req.GetResourceLogs() {
		if a := l.GetResource().GetAttributes(); len(a) != 3 || a[0].GetKey() != "service.name" || a[0].GetValue().GetStringValue() != "portcullis" {
			t.Errorf("the resource is %v", l.GetResource())
		}
		for _, s := range l.GetScopeLogs() {
			for _, record := range s.GetLogRecords() {
				ids = append(ids, takeRecord(t, record))
			}
		}
	}
	return ids
}

// takeRecord reads a record, whose attributes must be those of its body.
func takeRecord(t *testing.T, r *logspb.LogRecord) string {
	var doc map[string]any
	if err := json.Unmarshal([]byte(r.GetBody().GetStringValue()), &doc); err != nil {
		t.Errorf("the body is no JSON: %v", err)
	}
	id := ""
	for _, a := range r.GetAttributes() {
		if a.GetKey() == "portcullis.id" {
			id = a.GetValue().GetStringValue()
		}
		if text := a.GetValue().GetStringValue(); text != "" && doc[a.GetKey()] != text {
			t.Errorf("attribute %s is %q, in the body %q", a.GetKey(), text, doc[a.GetKey()])
		}
		if n := a.GetValue().GetIntValue(); n != 0 && doc[a.GetKey()] != float64(n) {
			t.Errorf("attribute %s is %d, in the body %v", a.GetKey(), n, doc[a.GetKey()])
		}
	}
	want := logspb.SeverityNumber_SEVERITY_NUMBER_WARN
	if r.GetEventName() == "portcullis.finding" {
		want = logspb.SeverityNumber_SEVERITY_NUMBER_ERROR
	}
	if id == "" || doc["portcullis.id"] != id || fmt.Sprint(r.GetEventName()) != doc["event.dataset"] || r.GetSeverityNumber() != want || r.GetTimeUnixNano() < uint64(outputtest.Start) {
		t.Errorf("the record is %v", r)
	}
	return id
}

// TestOTLP runs the contract suite.
func TestOTLP(t *testing.T) {
	outputtest.Run(t, outputtest.Subject{Kind: "otlp", Far: newOTLPFar, Section: func(_ *testing.T, address string) any {
		return &output.OTLPConfig{URL: "http://" + address + "/v1/logs", Token: "sesame\n", Gzip: true}
	}})
}
