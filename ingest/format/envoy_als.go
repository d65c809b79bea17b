package format

import (
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// alsEntries are the fields of envoy.data.accesslog.v3.HTTPAccessLogEntry in
// protobuf's JSON (api/envoy/data/accesslog/v3/accesslog.proto,
// https://protobuf.dev/programming-guides/json/). Only the entry at the end of a
// request counts: Envoy can also write one at its beginning and in between.
var alsEntries = append([]object.Entry{
	{Path: "commonProperties.accessLogType", Field: field.Marker, Is: oneOf("DownstreamEnd", "NotSet", "null")},
	{Path: "commonProperties.downstreamDirectRemoteAddress.socketAddress.address", Field: field.Peer},
	{Path: "commonProperties.downstreamRemoteAddress.socketAddress.address", Field: field.Chain, Unit: object.Guess},
	{Path: "commonProperties.startTime", Field: field.Started},
	{Path: "commonProperties.duration", Field: field.Duration},
	{Path: "commonProperties.timeToLastDownstreamTxByte", Field: field.Duration},
	{Path: "commonProperties.timeToLastUpstreamRxByte", Field: field.UpstreamTime},
	{Path: "commonProperties.downstreamWireBytesReceived", Field: field.BytesIn},
	{Path: "commonProperties.downstreamWireBytesSent", Field: field.BytesAll},
	{Path: "commonProperties.tlsProperties.tlsVersion", Field: field.TLS},
	{Path: "commonProperties.tlsProperties.tlsCipherSuite", Field: field.Cipher},
	{Path: "commonProperties.tlsProperties.peerCertificateProperties.subject", Field: field.Subject},
	{Path: "commonProperties.tlsProperties.ja4Fingerprint", Field: field.Print},
	{Path: "commonProperties.tlsProperties.ja3Fingerprint", Field: field.Print},
	{Path: "protocolVersion", Field: field.Protocol},
	{Path: "request.requestMethod", Field: field.Method},
	{Path: "request.originalPath", Field: field.RequestURI},
	{Path: "request.path", Field: field.RequestURI},
	{Path: "request.authority", Field: field.Host},
	{Path: "request.userAgent", Field: field.Agent},
	{Path: "request.referer", Field: field.Referer},
	{Path: "request.forwardedFor", Field: field.Chain},
	{Path: "request.requestId", Field: field.RequestID},
	{Path: "commonProperties.streamId", Field: field.RequestID},
	{Path: "response.responseCode", Field: field.StatusCode},
	{Path: "response.responseBodyBytes", Field: field.BytesBody},
}, headers("request.requestHeaders.")...)

// spelled adds behind each entry the path as the .proto file spells it, which is
// protobuf's other JSON.
func spelled(entries []object.Entry) []object.Entry {
	var out []object.Entry
	for _, e := range entries {
		out = append(out, e)
		var b strings.Builder
		for _, c := range e.Path {
			if c >= 'A' && c <= 'Z' {
				b.WriteByte('_')
				c |= 0x20
			}
			b.WriteRune(c)
		}
		if e.Path != b.String() {
			e.Path = b.String()
			out = append(out, e)
		}
	}
	return out
}

func init() {
	table{plan: object.Map{Timed: true}, entries: spelled(alsEntries)}.register("envoy-als",
		"entries of Envoy's gRPC access log service as protobuf's JSON, one HTTPAccessLogEntry a line",
		`{"commonProperties":{"downstreamDirectRemoteAddress":{"socketAddress":{"address":"203.0.113.7","portValue":36604}},"startTime":"2026-11-23T13:03:36.625275Z","duration":"0.000958300s"},"protocolVersion":"HTTP11","request":{"requestMethod":"GET","authority":"shop.example","path":"/orders/4711"},"response":{"responseCode":200,"responseBodyBytes":"12"}}`)
}
