package output_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // it takes what is compressed
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/detect/store/output/outputtest"
)

// grpcFar answers as the OTLP specification says for gRPC, with each code that it has a
// word on; what a real collector does otherwise than take records, TestCollector has.
type grpcFar struct {
	collectorpb.UnimplementedLogsServiceServer
	t       *testing.T
	address string

	mu     sync.Mutex
	server *grpc.Server
	got    []string
	fault  string
	poison string
}

var grpcFaults = map[string]func() error{
	"unavailable":           func() error { return status.Error(codes.Unavailable, "the queue is full") },
	"busy":                  func() error { return status.Error(codes.ResourceExhausted, "too many requests") },
	"unauthenticated":       func() error { return status.Error(codes.Unauthenticated, "wrong\ntoken") },
	"permission denied":     func() error { return status.Error(codes.PermissionDenied, "not you") },
	"another service":       func() error { return status.Error(codes.Unimplemented, "unknown service") },
	"internal":              func() error { return status.Error(codes.Internal, "a bug") },
	"unavailable, retry in": func() error { return retryIn(codes.Unavailable) },
	"busy, retry in":        func() error { return retryIn(codes.ResourceExhausted) },
}

func retryIn(code codes.Code) error {
	st, err := status.New(code, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(20 * time.Millisecond)})
	if err != nil {
		return err
	}
	return st.Err()
}

// Export implements the service.
func (f *grpcFar) Export(ctx context.Context, req *collectorpb.ExportLogsServiceRequest) (*collectorpb.ExportLogsServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if agent := md.Get("user-agent"); !slices.Equal(md.Get("authorization"), []string{"Bearer sesame"}) || !slices.Equal(md.Get("x-tenant"), []string{"blue"}) || len(agent) != 1 || !strings.HasPrefix(agent[0], "Portcullis") {
		f.t.Errorf("a call comes with %v", md)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == "no answer" {
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
		return nil, ctx.Err()
	}
	if fault := grpcFaults[f.fault]; fault != nil {
		return nil, fault()
	}
	var ids []string
	for _, r := range records([]*collectorpb.ExportLogsServiceRequest{req}) {
		ids = append(ids, takeRecord(f.t, r))
	}
	if f.poison != "" && slices.Contains(ids, f.poison) {
		if len(ids)%2 == 0 { // it may say either
			return &collectorpb.ExportLogsServiceResponse{PartialSuccess: &collectorpb.ExportLogsPartialSuccess{RejectedLogRecords: 1, ErrorMessage: "bad"}}, nil
		}
		return nil, status.Error(codes.InvalidArgument, "a record is bad")
	}
	f.got = append(f.got, ids...)
	return &collectorpb.ExportLogsServiceResponse{}, nil
}

// Start implements outputtest.Far.
func (f *grpcFar) Start(t *testing.T) {
	t.Helper()
	at := f.address
	if at == "" {
		at = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	server, served := grpc.NewServer(), make(chan error, 1)
	collectorpb.RegisterLogsServiceServer(server, f)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.t, f.server, f.address = t, server, l.Addr().String()
}

// Stop implements outputtest.Far.
func (f *grpcFar) Stop() {
	f.mu.Lock()
	server := f.server
	f.mu.Unlock()
	server.Stop()
}

// Address, Got, Break, Poison and Faults implement outputtest.Far.
func (f *grpcFar) Address() string    { return f.address }
func (f *grpcFar) Got() []string      { f.mu.Lock(); defer f.mu.Unlock(); return slices.Clone(f.got) }
func (f *grpcFar) Break(fault string) { f.mu.Lock(); defer f.mu.Unlock(); f.fault = fault }
func (f *grpcFar) Poison(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.poison = id
	return true
}
func (f *grpcFar) Faults() (list []string) {
	for name := range grpcFaults {
		list = append(list, name)
	}
	return append(list, "no answer")
}

// TestOTLPGRPC runs the contract suite over gRPC.
func TestOTLPGRPC(t *testing.T) {
	outputtest.Run(t, outputtest.Subject{Kind: "otlp", Far: func() outputtest.Far { return new(grpcFar) }, Section: func(_ *testing.T, address string) any {
		return &output.OTLPConfig{URL: "http://" + address, Protocol: "grpc", Token: "sesame\n", Headers: map[string]string{"X-Tenant": "blue"}, Gzip: true}
	}})
}

// TestOTLPConfig: what is said of settings that cannot be.
func TestOTLPConfig(t *testing.T) {
	for what, c := range map[string]struct {
		cfg  output.OTLPConfig
		want []string
	}{
		"http":        {output.OTLPConfig{URL: "https://a.example/v1/logs", Headers: map[string]string{"X-Tenant": "a b"}}, nil},
		"grpc":        {output.OTLPConfig{URL: "https://a.example:4317/", Protocol: "grpc"}, nil},
		"no address":  {output.OTLPConfig{Protocol: "grpc"}, []string{"url: is missing"}},
		"a path":      {output.OTLPConfig{URL: "https://a.example:4317/v1/logs", Protocol: "grpc"}, []string{"url: has a path"}},
		"not TLS":     {output.OTLPConfig{URL: "http://a.example:4317", Protocol: "grpc"}, []string{"url: must be https"}},
		"a bad name":  {output.OTLPConfig{URL: "https://a.example", Headers: map[string]string{"X Tenant": "a"}}, []string{`headers: "X Tenant" cannot be sent`}},
		"a bad value": {output.OTLPConfig{URL: "https://a.example", Headers: map[string]string{"X-Tenant": "a\nb"}}, []string{`headers: "X-Tenant" cannot be sent`}},
		"binary":      {output.OTLPConfig{URL: "https://a.example", Headers: map[string]string{"X-Bin": "a"}}, []string{`headers: "X-Bin" cannot be sent`}},
		"the token":   {output.OTLPConfig{URL: "https://a.example", Headers: map[string]string{"authorization": "Bearer a"}}, []string{`headers: "authorization" is not for settings to choose`}},
		"gRPC's own":  {output.OTLPConfig{URL: "https://a.example", Headers: map[string]string{"grpc-timeout": "1S"}}, []string{`headers: "grpc-timeout" is not for settings`}},
	} {
		var said []string
		c.cfg.Check(func(key, message string) { said = append(said, key+": "+message) })
		same := len(said) == len(c.want)
		for i := range c.want {
			same = same && strings.HasPrefix(said[i], c.want[i])
		}
		if !same {
			t.Errorf("%s: %q, want %q", what, said, c.want)
		}
	}
}
