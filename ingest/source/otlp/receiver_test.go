package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
	"github.com/portcullis/portcullis/ingest/source/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving starts a receiver on loopback and ends it with the test.
func serving(t testing.TB, cfg Config, in spool.Intake) (o *Receiver, at Addrs) {
	t.Helper()
	if cfg.GRPC == "" {
		cfg.GRPC = "127.0.0.1:0"
	}
	if cfg.HTTP == "" {
		cfg.HTTP = "127.0.0.1:0"
	}
	cfg.Log = slog.New(slog.DiscardHandler)
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Serve(ctx, in) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	servetest.Eventually(t, "it listens", func() bool { var ok bool; at, ok = o.Addr(); return ok })
	return o, at
}

func dial(t testing.TB, at net.Addr, creds credentials.TransportCredentials) collectorpb.LogsServiceClient {
	t.Helper()
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	conn, err := grpc.NewClient("passthrough:///"+at.String(), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return collectorpb.NewLogsServiceClient(conn)
}

// post sends a body to /v1/logs with headers given as name, value pairs.
func post(t testing.TB, at net.Addr, body []byte, headers ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+at.String()+Path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, data
}

func encoded(t testing.TB, m proto.Message) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func zipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestTransports: the same record is the same line over gRPC, HTTP with protobuf
// and JSON, plain and gzip'd; a full success says nothing.
func TestTransports(t *testing.T) {
	var s servetest.Store
	o, at := serving(t, Config{}, &s)
	req := request(nil, &logspb.LogRecord{Body: text("a line")})
	for i, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(grpcgzip.Name)}} {
		resp, err := dial(t, at.GRPC, nil).Export(t.Context(), req, opts...)
		if err != nil || resp.PartialSuccess != nil {
			t.Fatalf("gRPC %d: %v %v", i, resp, err)
		}
	}
	data := encoded(t, req)
	doc := []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a line"}}]}]}]}`)
	for _, c := range []struct {
		body    []byte
		headers []string
		want    string
	}{
		{data, []string{"Content-Type", "application/x-protobuf"}, ""},
		{zipped(t, data), []string{"Content-Type", "application/x-protobuf", "Content-Encoding", "gzip"}, ""},
		{doc, []string{"Content-Type", "application/json; charset=utf-8"}, "{}"},
		{zipped(t, doc), []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, "{}"},
	} {
		resp, body := post(t, at.HTTP, c.body, c.headers...)
		kind, _, _ := strings.Cut(c.headers[1], ";")
		if resp.StatusCode != 200 || string(body) != c.want || resp.Header.Get("Content-Type") != kind {
			t.Errorf("%v: %d %v %q", c.headers, resp.StatusCode, resp.Header, body)
		}
	}
	if got := s.Lines(); len(got) != 6 || strings.Join(got, "") != strings.Repeat("a line", 6) {
		t.Errorf("got %q", got)
	}
	if st := o.Stats(); st.Received != 6 || st.Rejected != 0 || st.Refused != 0 {
		t.Errorf("stats %+v", st)
	}
	if resp, err := dial(t, at.GRPC, nil).Export(t.Context(), request(nil)); err != nil || resp.PartialSuccess != nil {
		t.Errorf("an empty request: %v %v", resp, err)
	}
}

// TestPartialSuccess: what can be no line is counted in the answer, the rest kept.
func TestPartialSuccess(t *testing.T) {
	var s servetest.Store
	o, at := serving(t, Config{MaxLine: 1 << 10}, &s)
	req := request(nil, &logspb.LogRecord{Body: text("good")}, &logspb.LogRecord{}, &logspb.LogRecord{Body: text(strings.Repeat("x", 2000))})
	resp, err := dial(t, at.GRPC, nil).Export(t.Context(), req)
	if err != nil || resp.GetPartialSuccess().GetRejectedLogRecords() != 2 || resp.GetPartialSuccess().GetErrorMessage() == "" {
		t.Errorf("gRPC: %v %v", resp, err)
	}
	doc := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":7}},{"body":{"stringValue":"also good"}},{"timeUnixNano":"x"}]}]}]}`
	answer, body := post(t, at.HTTP, []byte(doc), "Content-Type", "application/json")
	var got struct {
		PartialSuccess struct{ RejectedLogRecords, ErrorMessage string }
	}
	if err := json.Unmarshal(body, &got); err != nil || answer.StatusCode != 200 || got.PartialSuccess.RejectedLogRecords != "2" || got.PartialSuccess.ErrorMessage == "" {
		t.Errorf("HTTP: %d %s", answer.StatusCode, body)
	}
	if got := strings.Join(s.Lines(), "|"); got != "good|also good" {
		t.Errorf("got %q", got)
	}
	if st := o.Stats(); st.Received != 2 || st.Rejected != 4 {
		t.Errorf("stats %+v", st)
	}
}

// TestSpoolTrouble: senders are told to come again in the way the specification
// has it, and nothing is kept of what they sent.
func TestSpoolTrouble(t *testing.T) {
	var s servetest.Store
	o, at := serving(t, Config{Retry: 7 * time.Second}, &s)
	c := dial(t, at.GRPC, nil)
	req := request(nil, &logspb.LogRecord{Body: text("a")}, &logspb.LogRecord{Body: text("b")})
	for _, fault := range []error{fmt.Errorf("append: %w", spool.ErrFull), servetest.ErrDisk} {
		s.FailNext(fault)
		_, err := c.Export(t.Context(), req)
		var retry *errdetails.RetryInfo
		for _, d := range status.Convert(err).Details() {
			retry, _ = d.(*errdetails.RetryInfo)
		}
		if status.Code(err) != codes.Unavailable || retry.GetRetryDelay().AsDuration() != 7*time.Second {
			t.Errorf("gRPC, %v: %v %v", fault, err, retry)
		}
	}
	for want, fault := range map[int]error{429: spool.ErrFull, 503: servetest.ErrDisk} {
		s.FailNext(fault)
		resp, body := post(t, at.HTTP, encoded(t, req), "Content-Type", "application/x-protobuf")
		var st rpcstatus.Status
		if err := proto.Unmarshal(body, &st); err != nil || st.Message == "" || resp.StatusCode != want || resp.Header.Get("Retry-After") != "7" {
			t.Errorf("HTTP, %v: %d %v %q", fault, resp.StatusCode, resp.Header, body)
		}
	}
	if _, err := c.Export(t.Context(), req); err != nil || len(s.Lines()) != 2 {
		t.Errorf("afterwards: %v, %q", err, s.Lines())
	}
	if st := o.Stats(); st.Refused != 4 || st.Received != 2 {
		t.Errorf("stats %+v", st)
	}
}

// TestBadRequests: each is answered with the status the specification wants and
// a Status message, and nothing of it is kept.
func TestBadRequests(t *testing.T) {
	var s servetest.Store
	_, at := serving(t, Config{MaxBody: 64 << 10}, &s)
	good := encoded(t, request(nil, &logspb.LogRecord{Body: text("a")}))
	bomb := zipped(t, encoded(t, request(nil, &logspb.LogRecord{Body: text(strings.Repeat("x", 10<<20))})))
	for _, c := range []struct {
		name    string
		body    []byte
		headers []string
		want    int
	}{
		{"no type", good, nil, 415},
		{"text", good, []string{"Content-Type", "text/plain"}, 415},
		{"brotli", good, []string{"Content-Type", typeProto, "Content-Encoding", "br"}, 415},
		{"no protobuf", []byte("\xff\xff\xff"), []string{"Content-Type", typeProto}, 400},
		{"no JSON", []byte("{"), []string{"Content-Type", typeJSON}, 400},
		{"JSON of another kind", []byte(`{"resourceLogs":7}`), []string{"Content-Type", typeJSON}, 400},
		{"no gzip", good, []string{"Content-Type", typeProto, "Content-Encoding", "gzip"}, 400},
		{"bomb", bomb, []string{"Content-Type", typeProto, "Content-Encoding", "gzip"}, 413},
		{"too large", bytes.Repeat([]byte("x"), 65<<10), []string{"Content-Type", typeProto}, 413},
		{"a web page", good, []string{"Content-Type", typeProto, "Sec-Fetch-Site", "cross-site"}, 403},
	} {
		resp, body := post(t, at.HTTP, c.body, c.headers...)
		var st rpcstatus.Status
		var err error
		if resp.Header.Get("Content-Type") == typeProto {
			err = proto.Unmarshal(body, &st)
		} else {
			err = json.Unmarshal(body, &st)
		}
		if resp.StatusCode != c.want || err != nil || st.Message == "" {
			t.Errorf("%s: status %d, want %d: %q %v", c.name, resp.StatusCode, c.want, body, err)
		}
	}
	if _, err := dial(t, at.GRPC, nil).Export(t.Context(), request(nil, &logspb.LogRecord{Body: text(strings.Repeat("x", 70<<10))})); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("gRPC, too large: %v", err)
	}
	if len(s.Lines()) > 0 {
		t.Errorf("kept %q", s.Lines())
	}
}

// TestAccess: both transports want the key, over TLS.
func TestAccess(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("a-key-of-a-test-1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := servetest.NewAuthority(t)
	cert, key := ca.Issue("server")
	var s servetest.Store
	_, at := serving(t, Config{Access: serve.Access{Cert: cert, Key: key, Keys: keys}}, &s)
	c := dial(t, at.GRPC, credentials.NewTLS(ca.Client("")))
	req := request(nil, &logspb.LogRecord{Body: text("a")})
	if _, err := c.Export(t.Context(), req); status.Code(err) != codes.Unauthenticated {
		t.Errorf("gRPC without a key: %v", err)
	}
	if _, err := c.Export(metadata.AppendToOutgoingContext(t.Context(), "x-api-key", "a-key-of-a-test-1234"), req); err != nil {
		t.Errorf("gRPC with a key: %v", err)
	}
	tr := &http.Transport{TLSClientConfig: ca.Client(""), DisableKeepAlives: true}
	for header, want := range map[string]int{"": 401, "Bearer a-key-of-a-test-1234": 200} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+at.HTTP.String()+Path, bytes.NewReader(encoded(t, req)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", typeProto)
		r.Header.Set("Authorization", header)
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("HTTP, %q: status %d, want %d", header, resp.StatusCode, want)
		}
	}
	if len(s.Lines()) != 2 {
		t.Errorf("kept %q", s.Lines())
	}
}

// TestOff: a listener that is off is not opened; two that clash end Serve.
func TestOff(t *testing.T) {
	var s servetest.Store
	_, at := serving(t, Config{GRPC: Off}, &s)
	if at.GRPC != nil || at.HTTP == nil {
		t.Errorf("%+v", at)
	}
	o, err := New(Config{GRPC: "127.0.0.1:0", HTTP: at.HTTP.String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Serve(t.Context(), &s); err == nil || !strings.Contains(err.Error(), "another program has the port") {
		t.Errorf("got %v", err)
	}
	for _, cfg := range []Config{{GRPC: Off, HTTP: Off}, {GRPC: "0.0.0.0:4317"}, {HTTP: ":4318"}, {MaxBody: 1}, {Requests: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

// TestGrowth: a request whose lines are far larger than itself is stored in
// parts, so that memory is bounded.
func TestGrowth(t *testing.T) {
	var s servetest.Store
	o, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	resource := []*commonpb.KeyValue{pair("r", text(strings.Repeat("x", 64<<10)))}
	var records []*logspb.LogRecord
	for range 2000 {
		records = append(records, &logspb.LogRecord{Attributes: []*commonpb.KeyValue{pair("http.x", number(1))}})
	}
	var done outcome
	if err := o.export(&s, request(resource, records...), &done); err != nil || done.accepted != 2000 || s.Calls() < 4 {
		t.Errorf("%+v, %d calls, %v", done, s.Calls(), err)
	}
}

// BenchmarkExport sends requests of 1000 records over loopback.
func BenchmarkExport(b *testing.B) {
	var records []*logspb.LogRecord
	for range 1000 {
		records = append(records, httpRecord())
	}
	req := request([]*commonpb.KeyValue{pair("service.name", text("edge"))}, records...)
	_, at := serving(b, Config{}, discard{})
	c := dial(b, at.GRPC, nil)
	for b.Loop() {
		if _, err := c.Export(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "records/s")
}

// discard is an intake that keeps nothing.
type discard struct{}

func (discard) Append([]byte) error { return nil }
