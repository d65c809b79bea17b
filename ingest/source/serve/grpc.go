package serve

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // senders may compress
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// GRPCLimits bound a gRPC server: what is held in memory is at most InFlight
// messages of MaxMessage bytes.
type GRPCLimits struct {
	MaxMessage int // bytes of one message, uncompressed
	InFlight   int // calls at once, over all connections
}

// GRPC makes a server that knows its senders: a call without a right key, or
// one too many, ends before anything of it is read.
func (d *Door) GRPC(limits GRPCLimits) *grpc.Server {
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(tolerant{}),
		grpc.MaxRecvMsgSize(limits.MaxMessage),
		grpc.MaxConcurrentStreams(uint32(min(limits.InFlight, 1<<16))),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.ConnectionTimeout(headerTime),
		grpc.WaitForHandlers(true),
		// A sender that vanished without a word is noticed within a minute and a half.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 30 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.InTapHandle(d.tap(limits.InFlight)),
	}
	if d.tls != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(d.tls.Clone())))
	}
	return grpc.NewServer(opts...)
}

// tap looks at a call's head before its body is read. It always returns a
// context, as gRPC wants.
func (d *Door) tap(most int) tap.ServerInHandle {
	var now atomic.Int64
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		remote := ""
		if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
			remote = p.Addr.String()
		}
		v := d.Admit(remote, shownKey(firstOf(info.Header, "x-api-key"), firstOf(info.Header, "authorization")))
		switch {
		case v.Wait > 0:
			return ctx, status.Errorf(codes.Unavailable, "too many wrong API keys from this address: wait %s", v.Wait.Round(time.Second))
		case !v.OK:
			return ctx, status.Error(codes.Unauthenticated, "send a key of keys_file as metadata x-api-key, or authorization: Bearer KEY")
		}
		if now.Add(1) > int64(most) {
			now.Add(-1)
			d.shut.Add(1)
			return ctx, status.Errorf(codes.Unavailable, "%d calls are being served, which is the limit: try again", most)
		}
		context.AfterFunc(ctx, func() { now.Add(-1) }) // gRPC ends ctx with the call
		return ctx, nil
	}
}

// firstOf is a metadata value, or "".
func firstOf(md metadata.MD, name string) string {
	if v := md.Get(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// ServeGRPC serves on l until ctx ends, then gives open calls grace to end by
// themselves. It returns nil after an orderly end, when no handler runs any more.
func (d *Door) ServeGRPC(ctx context.Context, part string, l net.Listener, s *grpc.Server, grace time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		s.Stop()
		return fmt.Errorf("%s: serve: %w", part, err)
	case <-ctx.Done():
	}
	ended := make(chan struct{})
	go func() { s.GracefulStop(); close(ended) }()
	limit := time.NewTimer(grace)
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
		d.log.Info(part + ": calls that were still open were ended")
		s.Stop()
		<-ended
	}
	<-done // nil, or that the listener was closed: by us
	return nil
}
