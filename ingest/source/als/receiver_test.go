package als

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	logpb "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	alspb "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
	"github.com/portcullis/portcullis/ingest/source/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type stream = grpc.ClientStreamingClient[alspb.StreamAccessLogsMessage, alspb.StreamAccessLogsResponse]

// serving starts a receiver on loopback; end ends it and returns what Serve did.
func serving(t testing.TB, cfg Config, in spool.Intake) (a *Receiver, end func() error) {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	cfg.Log = slog.New(slog.DiscardHandler)
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, in) }()
	ended := false
	end = func() error {
		cancel()
		if ended {
			return nil
		}
		ended = true
		return <-done
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	servetest.Eventually(t, "it listens", func() bool { return a.Addr() != nil })
	return a, end
}

// dial connects as an Envoy does.
func dial(t testing.TB, a *Receiver, opts ...grpc.DialOption) alspb.AccessLogServiceClient {
	t.Helper()
	if len(opts) == 0 {
		opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	conn, err := grpc.NewClient("passthrough:///"+a.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return alspb.NewAccessLogServiceClient(conn)
}

func open(t testing.TB, ctx context.Context, c alspb.AccessLogServiceClient) stream {
	t.Helper()
	s, err := c.StreamAccessLogs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// message holds n entries, numbered from first.
func message(first, n int) *alspb.StreamAccessLogsMessage {
	list := &alspb.StreamAccessLogsMessage_HTTPAccessLogEntries{}
	for i := range n {
		list.LogEntry = append(list.LogEntry, &logpb.HTTPAccessLogEntry{
			Request:  &logpb.HTTPRequestProperties{RequestMethod: corepb.RequestMethod_GET, Path: fmt.Sprintf("/%d", first+i)},
			Response: &logpb.HTTPResponseProperties{ResponseCode: wrapperspb.UInt32(200)},
		})
	}
	return &alspb.StreamAccessLogsMessage{LogEntries: &alspb.StreamAccessLogsMessage_HttpLogs{HttpLogs: list}}
}

func line(i int, tail string) string {
	return fmt.Sprintf(`{"request":{"requestMethod":"GET","path":"/%d"},"response":{"responseCode":200}%s}`, i, tail)
}

// TestStream: entries become lines in order, under the identifier of the first
// message; a connection's entry is a line too.
func TestStream(t *testing.T) {
	var s servetest.Store
	a, _ := serving(t, Config{}, &s)
	st := open(t, t.Context(), dial(t, a))
	first := message(0, 2)
	first.Identifier = &alspb.StreamAccessLogsMessage_Identifier{LogName: "edge", Node: &corepb.Node{Id: "n1"}}
	tcp := &alspb.StreamAccessLogsMessage{LogEntries: &alspb.StreamAccessLogsMessage_TcpLogs{
		TcpLogs: &alspb.StreamAccessLogsMessage_TCPAccessLogEntries{LogEntry: []*logpb.TCPAccessLogEntry{{
			ConnectionProperties: &logpb.ConnectionProperties{SentBytes: 7}}}}}}
	for _, m := range []*alspb.StreamAccessLogsMessage{first, message(2, 1), tcp} {
		if err := st.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := st.CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
	tail := `,"identifier":{"logName":"edge","node":{"id":"n1"}}`
	want := []string{line(0, tail), line(1, tail), line(2, tail), `{"connectionProperties":{"sentBytes":"7"}` + tail + `}`}
	if got := s.Lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if st := a.Stats(); st.Received != 4 || st.Rejected != 0 || st.Senders != 1 {
		t.Errorf("stats %+v", st)
	}
}

// TestFullSpool: while the spool is full nothing is read, so that the sender is
// stopped by flow control; when there is room everything comes, once and in order.
func TestFullSpool(t *testing.T) {
	var s servetest.Store
	s.Fail(spool.ErrFull)
	a, _ := serving(t, Config{}, &s)
	st := open(t, t.Context(), dial(t, a))
	const messages, each = 400, 100
	var sent int
	progress := make(chan int, messages)
	done := make(chan error, 1)
	go func() {
		for i := range messages {
			if err := st.Send(message(i*each, each)); err != nil {
				done <- err
				return
			}
			progress <- i
		}
		_, err := st.CloseAndRecv()
		done <- err
	}()
	servetest.Eventually(t, "the spool was tried often", func() bool { return s.Calls() > 5 })
	for quiet := false; !quiet; {
		select {
		case <-progress:
			sent++
		case <-time.After(300 * time.Millisecond):
			quiet = true
		}
	}
	if sent == messages {
		t.Fatalf("all %d messages went out while the spool was full", sent)
	}
	s.Fail(servetest.ErrDisk) // the disk fails meanwhile: nothing is lost either
	calls := s.Calls()
	servetest.Eventually(t, "it is tried again", func() bool { return s.Calls() > calls+1 })
	s.Fail(nil)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	lines := s.Lines()
	if len(lines) != messages*each {
		t.Fatalf("%d lines, want %d", len(lines), messages*each)
	}
	for i, got := range lines {
		if got != line(i, "") {
			t.Fatalf("line %d is %s", i, got)
		}
	}
	if st := a.Stats(); st.Refused != 1 || st.Dropped != 0 || st.Received != messages*each {
		t.Errorf("stats %+v", st)
	}
}

// TestEnd: Serve ends although a stream stays open and another holds entries that
// cannot be stored; those are counted as lost.
func TestEnd(t *testing.T) {
	var s servetest.Store
	a, end := serving(t, Config{}, &s)
	c := dial(t, a)
	idle, stuck := open(t, t.Context(), c), open(t, t.Context(), c)
	if err := idle.Send(message(0, 1)); err != nil {
		t.Fatal(err)
	}
	servetest.Eventually(t, "the first is stored", func() bool { return len(s.Lines()) == 1 })
	s.Fail(servetest.ErrDisk)
	if err := stuck.Send(message(1, 3)); err != nil {
		t.Fatal(err)
	}
	servetest.Eventually(t, "the second is held", func() bool { return a.Stats().Refused == 1 })
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if st := a.Stats(); st.Dropped != 3 || st.Received != 1 || st.Senders != 0 {
		t.Errorf("stats %+v", st)
	}
}

// TestSenderGone: what a sender left behind while the spool was full is stored all
// the same.
func TestSenderGone(t *testing.T) {
	var s servetest.Store
	s.Fail(spool.ErrFull)
	a, _ := serving(t, Config{}, &s)
	ctx, cancel := context.WithCancel(t.Context())
	st := open(t, ctx, dial(t, a))
	if err := st.Send(message(0, 5)); err != nil {
		t.Fatal(err)
	}
	servetest.Eventually(t, "it is held", func() bool { return a.Stats().Refused == 1 })
	cancel()
	s.Fail(nil)
	servetest.Eventually(t, "it is stored", func() bool { return len(s.Lines()) == 5 })
}

// raw is a codec that sends bytes as they are.
type raw struct{}

func (raw) Name() string { return "proto" }
func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (raw) Unmarshal(d mem.BufferSlice, v any) error {
	return encoding.GetCodecV2("proto").Unmarshal(d, v)
}

// TestNotUTF8: one odd byte of a client's costs nobody's entry; what is no
// message at all is counted.
func TestNotUTF8(t *testing.T) {
	var s servetest.Store
	a, _ := serving(t, Config{}, &s)
	conn, err := grpc.NewClient("passthrough:///"+a.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send := func(data []byte) error {
		st, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, alspb.AccessLogService_StreamAccessLogs_FullMethodName, grpc.ForceCodecV2(raw{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := st.SendMsg(data); err != nil {
			t.Fatal(err)
		}
		if err := st.CloseSend(); err != nil {
			t.Fatal(err)
		}
		return st.RecvMsg(&alspb.StreamAccessLogsResponse{})
	}
	// http_logs { log_entry { request { path: "/\xff\xfe/" } } log_entry { request { path: "/b" } } }
	bad, good := "\x0a\x08\x1a\x06\x2a\x04/\xff\xfe/", "\x0a\x06\x1a\x04\x2a\x02/b"
	if err := send([]byte("\x12" + string(rune(len(bad)+len(good))) + bad + good)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Lines(), "|"); got != "{\"request\":{\"path\":\"/\uFFFD/\"}}|{\"request\":{\"path\":\"/b\"}}" {
		t.Errorf("got %q", got)
	}
	if err := send([]byte("\x12\xff\xff")); status.Code(err) != codes.Internal {
		t.Errorf("a damaged message: %v", err)
	}
	servetest.Eventually(t, "it is counted", func() bool { return a.Stats().Rejected == 1 })
}

// TestLimits: a long entry costs itself only, a long message its stream, and a
// stream too many is told so.
func TestLimits(t *testing.T) {
	var s servetest.Store
	a, _ := serving(t, Config{MaxLine: 2000, MaxMessage: 64 << 10, Streams: 1}, &s)
	c := dial(t, a)
	st := open(t, t.Context(), c)
	m := message(0, 3)
	m.GetHttpLogs().LogEntry[1].Request.UserAgent = strings.Repeat("x", 3000)
	if err := st.Send(m); err != nil {
		t.Fatal(err)
	}
	servetest.Eventually(t, "two are stored", func() bool { return len(s.Lines()) == 2 && a.Stats().Rejected == 1 })
	other := open(t, t.Context(), dial(t, a))
	_ = other.Send(message(9, 1)) // the answer may be faster
	if _, err := other.CloseAndRecv(); status.Code(err) != codes.Unavailable {
		t.Errorf("a stream too many: %v", err)
	}
	m.GetHttpLogs().LogEntry[1].Request.UserAgent = strings.Repeat("x", 70<<10)
	_ = st.Send(m)
	if _, err := st.CloseAndRecv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a long message: %v", err)
	}
	servetest.Eventually(t, "it is counted", func() bool { return a.Stats().Rejected == 2 })
}

// TestAccess: no key, no entry; TLS with a client certificate works.
func TestAccess(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("a-key-of-a-test-1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := servetest.NewAuthority(t)
	cert, key := ca.Issue("server")
	var s servetest.Store
	a, _ := serving(t, Config{Access: serve.Access{Cert: cert, Key: key, ClientCA: ca.CA, Keys: keys}}, &s)
	c := dial(t, a, grpc.WithTransportCredentials(credentials.NewTLS(ca.Client("envoy"))))
	for _, header := range [][]string{{"x-api-key", "wrong"}, {}, {"authorization", "Basic a-key-of-a-test-1234"}} {
		st := open(t, metadata.AppendToOutgoingContext(t.Context(), header...), c)
		_ = st.Send(message(0, 1)) // the answer may be faster
		if _, err := st.CloseAndRecv(); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%v: %v", header, err)
		}
	}
	st := open(t, metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer a-key-of-a-test-1234"), c)
	if err := st.Send(message(0, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := st.CloseAndRecv(); err != nil || len(s.Lines()) != 1 {
		t.Errorf("a right key: %v, %d lines", err, len(s.Lines()))
	}
	bare := dial(t, a, grpc.WithTransportCredentials(credentials.NewTLS(ca.Client(""))))
	if st, err := bare.StreamAccessLogs(t.Context()); err == nil {
		if _, err := st.CloseAndRecv(); err == nil {
			t.Error("a client without a certificate came in")
		}
	}
}

// BenchmarkStream sends messages of 100 real entries over loopback.
func BenchmarkStream(b *testing.B) {
	_, entries := samples(b)
	m := message(0, 0)
	for i := range 100 {
		m.GetHttpLogs().LogEntry = append(m.GetHttpLogs().LogEntry, entries[i%len(entries)])
	}
	var s discard
	a, _ := serving(b, Config{}, &s)
	st := open(b, b.Context(), dial(b, a))
	for b.Loop() {
		if err := st.Send(m); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := st.CloseAndRecv(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(a.Stats().Received)/b.Elapsed().Seconds(), "entries/s")
}

// discard is an intake that keeps nothing.
type discard struct{}

func (*discard) Append([]byte) error { return nil }
