package output

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// otlpGRPC is OTLP/gRPC, over one connection that is made anew where it breaks.
type otlpGRPC struct {
	conn    *grpc.ClientConn
	logs    collectorpb.LogsServiceClient
	header  []string // names and values in turn
	options []grpc.CallOption
}

// otlpBackoff is how soon a connection that broke is tried again: the output itself waits
// longer from try to try, and a call fails at once while there is none.
var otlpBackoff = backoff.Config{BaseDelay: firstPause, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second}

func newOTLPGRPC(cfg OTLPConfig) (*otlpGRPC, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	creds := insecure.NewCredentials()
	if u.Scheme == "https" {
		conf, err := cfg.TLS.Client()
		if err != nil {
			return nil, err
		}
		creds = credentials.NewTLS(conf)
	}
	at := u.Host
	if u.Port() == "" {
		at += ":4317"
	}
	conn, err := grpc.NewClient("dns:///"+at, grpc.WithTransportCredentials(creds), grpc.WithUserAgent("Portcullis"),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: otlpBackoff, MinConnectTimeout: 10 * time.Second}))
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	g := &otlpGRPC{conn: conn, logs: collectorpb.NewLogsServiceClient(conn), header: bearer(cfg.Token)}
	for name, value := range cfg.Headers {
		g.header = append(g.header, name, value)
	}
	if cfg.Gzip {
		g.options = append(g.options, grpc.UseCompressor(gzip.Name))
	}
	return g, nil
}

// Close ends the connection.
func (g *otlpGRPC) Close() error { return g.conn.Close() }

func (g *otlpGRPC) export(ctx context.Context, req *collectorpb.ExportLogsServiceRequest) (*collectorpb.ExportLogsServiceResponse, int, error) {
	if len(g.header) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, g.header...)
	}
	said, err := g.logs.Export(ctx, req, g.options...)
	if err != nil {
		return nil, 0, grpcRefusal(err, proto.Size(req))
	}
	return said, http.StatusOK, nil
}

// grpcSizes are what servers in Go, C++ and Java say of a message that is too large. The
// same code without these words means that the server is busy.
var grpcSizes = []string{"larger than max", "exceeds maximum size", "message too large"}

// grpcRefusal is what an error of a call means, by the rules for HTTP: what is wrong with what
// was sent is final. A wrong token, address or service is not, since somebody may mend it.
func grpcRefusal(err error, size int) error {
	st := status.Convert(err)
	said := strings.ToValidUTF8(st.Message(), "\uFFFD")
	r := &Refusal{Said: fmt.Sprintf("%s: %.300s", st.Code(), said)}
	switch st.Code() {
	case codes.InvalidArgument:
		r.Final = true
	case codes.ResourceExhausted:
		r.Final = slices.ContainsFunc(grpcSizes, func(words string) bool { return strings.Contains(said, words) })
		if r.Final {
			r.Said += fmt.Sprintf(" (%d bytes)", size)
		}
	}
	for _, d := range st.Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok {
			r.After = max(retry.GetRetryDelay().AsDuration(), 0)
		}
	}
	return r
}
