package authz

import (
	"context"
	"net/netip"
	"strings"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rlcommon "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	authpb "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	ratepb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	typepb "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/ingest/enrich"
)

func registerEnvoy(server *grpc.Server, s *Service) {
	authpb.RegisterAuthorizationServer(server, &extAuthz{s: s})
	ratepb.RegisterRateLimitServiceServer(server, &rateLimit{s: s})
}

// extAuthz is envoy.service.auth.v3.Authorization.
type extAuthz struct {
	authpb.UnimplementedAuthorizationServer
	s *Service
}

// Check implements the service. The source address is that of the peer as Envoy took
// it; where that is a trusted hop, X-Forwarded-For is walked on from there.
func (e *extAuthz) Check(ctx context.Context, req *authpb.CheckRequest) (*authpb.CheckResponse, error) {
	s := e.s
	w := s.worker()
	defer s.giveBack(w)
	attrs := req.GetAttributes()
	source := attrs.GetSource().GetAddress().GetSocketAddress().GetAddress()
	w.ev.Peer = address(source)
	h := attrs.GetRequest().GetHttp()
	fields := h.GetHeaders()
	w.ev.Method, w.ev.Target, w.ev.Host = h.GetMethod(), h.GetPath(), h.GetHost()
	w.ev.Chain, w.ev.Forwarded, w.ev.RealIP = fields["x-forwarded-for"], fields["forwarded"], fields["x-real-ip"]
	w.ev.Agent = fields["user-agent"]
	w.ev.Key, w.ev.Token, w.ev.Session = fields["x-api-key"], fields["authorization"], fields["cookie"]
	if s.cfg.Consumer != "" {
		w.ev.Consumer = fields[strings.ToLower(s.cfg.Consumer)]
	}
	if s.screens() {
		w.seen = seenBy(h, s.cfg.MaxBody)
	}
	w.guarded = true
	for _, name := range overrides {
		if m, ok := fields[strings.ToLower(name)]; ok {
			w.asked.Overrides = append(w.asked.Overrides, m)
		}
	}
	for _, name := range elsewhere {
		if target, ok := fields[strings.ToLower(name)]; ok {
			w.asked.Elsewhere = append(w.asked.Elsewhere, enrich.Path(target))
		}
	}
	if w.asked.Cert = attrs.GetSource().GetCertificate(); w.asked.Cert == "" && s.cfg.Authn.ClientCert != "" {
		w.asked.Cert = fields[strings.ToLower(s.cfg.Authn.ClientCert)]
	}
	v := s.decide(ctx, w, 1)
	s.say(v.reason, "envoy")
	return s.checkResponse(v), nil
}

func (s *Service) checkResponse(v verdict) *authpb.CheckResponse {
	a := answerOf(v)
	if a.status == 200 {
		ok := &authpb.OkHttpResponse{ResponseHeadersToAdd: headersOf(a)}
		for i, value := range s.guard.Headers(&v.auth.Who, s.now()) {
			if name := strings.ToLower(authn.IdentityHeaders[i]); value != "" {
				ok.Headers = append(ok.Headers, headerOf(name, value))
			} else { // a client may have sent it
				ok.HeadersToRemove = append(ok.HeadersToRemove, name)
			}
		}
		return &authpb.CheckResponse{
			Status:       &rpcstatus.Status{Code: int32(codes.OK)},
			HttpResponse: &authpb.CheckResponse_OkResponse{OkResponse: ok},
		}
	}
	fields := append(headersOf(a), headerOf("content-type", "application/problem+json"))
	return &authpb.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authpb.CheckResponse_DeniedResponse{DeniedResponse: &authpb.DeniedHttpResponse{
			Status:  &typepb.HttpStatus{Code: typepb.StatusCode(a.status)},
			Headers: fields, Body: string(a.body),
		}},
	}
}

func headersOf(a answer) []*corepb.HeaderValueOption {
	var out []*corepb.HeaderValueOption
	for _, f := range a.fields[:a.n] {
		out = append(out, headerOf(strings.ToLower(f.name), f.value))
	}
	return out
}

func headerOf(name, value string) *corepb.HeaderValueOption {
	return &corepb.HeaderValueOption{
		Header:       &corepb.HeaderValue{Key: name, Value: value},
		AppendAction: corepb.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// address reads what is meant to be one; the zero Addr is none.
func address(s string) netip.Addr {
	if len(s) > 64 {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// rateLimit is envoy.service.ratelimit.v3.RateLimitService. Descriptor entries tell
// who asks: remote_address, and path, method, api_key, authorization, cookie and consumer
// where the gateway's settings make them; others are left alone.
type rateLimit struct {
	ratepb.UnimplementedRateLimitServiceServer
	s *Service
}

// maxDescriptors bounds the work of one call.
const maxDescriptors = 32

// ShouldRateLimit implements the service. A blocked client is over its limit too: the
// service has no other refusal.
func (l *rateLimit) ShouldRateLimit(_ context.Context, req *ratepb.RateLimitRequest) (*ratepb.RateLimitResponse, error) {
	out := &ratepb.RateLimitResponse{OverallCode: ratepb.RateLimitResponse_OK}
	var worst answer
	for _, d := range req.GetDescriptors()[:min(len(req.GetDescriptors()), maxDescriptors)] {
		v := l.decide(d, hits(req, d))
		st := &ratepb.RateLimitResponse_DescriptorStatus{Code: ratepb.RateLimitResponse_OK}
		if v.policy != "" {
			window := max(v.pace.Window(), 1)
			st.CurrentLimit = &ratepb.RateLimitResponse_RateLimit{
				Name: v.policy, RequestsPerUnit: uint32(min((v.pace.Quota()+window-1)/window, 1<<31)), Unit: ratepb.RateLimitResponse_RateLimit_SECOND,
			}
			st.LimitRemaining = uint32(min(v.left, 1<<31))
			st.DurationUntilReset = durationpb.New(v.wait)
		}
		a := answerOf(v)
		if a.status != 200 {
			st.Code, out.OverallCode = ratepb.RateLimitResponse_OVER_LIMIT, ratepb.RateLimitResponse_OVER_LIMIT
		}
		if worst.status <= 200 && (a.status != 200 || a.n > 0) {
			worst = a
		}
		out.Statuses = append(out.Statuses, st)
	}
	for _, f := range worst.fields[:worst.n] {
		out.ResponseHeadersToAdd = append(out.ResponseHeadersToAdd, &corepb.HeaderValue{Key: strings.ToLower(f.name), Value: f.value})
	}
	if worst.status > 200 {
		out.ResponseHeadersToAdd = append(out.ResponseHeadersToAdd, &corepb.HeaderValue{Key: "content-type", Value: "application/problem+json"})
		out.RawBody = worst.body
	}
	return out, nil
}

// hits is how many requests a descriptor stands for.
func hits(req *ratepb.RateLimitRequest, d *rlcommon.RateLimitDescriptor) int64 {
	n := uint64(max(req.GetHitsAddend(), 1))
	if d.GetHitsAddend() != nil {
		n = d.GetHitsAddend().GetValue()
	}
	return int64(min(n, 1<<20))
}

func (l *rateLimit) decide(d *rlcommon.RateLimitDescriptor, n int64) verdict {
	s := l.s
	w := s.worker()
	defer s.giveBack(w)
	for _, e := range d.GetEntries() {
		switch e.GetKey() {
		case "remote_address":
			w.ev.Peer = address(e.GetValue())
		case "path":
			w.ev.Target = e.GetValue()
		case "method":
			w.ev.Method = e.GetValue()
		case "x_forwarded_for":
			w.ev.Chain = e.GetValue()
		case "user_agent":
			w.ev.Agent = e.GetValue()
		case "api_key":
			w.ev.Key = e.GetValue()
		case "authorization":
			w.ev.Token = e.GetValue()
		case "cookie":
			w.ev.Session = e.GetValue()
		case "consumer":
			w.ev.Consumer = e.GetValue()
		}
	}
	if !w.ev.Peer.IsValid() {
		return s.settle(w, verdict{}) // a descriptor that tells of no client is none of ours
	}
	v := s.decide(context.Background(), w, n) // it waits for nothing: credentials are not looked at here
	s.say(v.reason, "envoy")
	return v
}
