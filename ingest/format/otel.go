package format

import (
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// otelAttributes are OpenTelemetry's semantic conventions for HTTP servers, those of
// today and those before version 1.21
// (https://opentelemetry.io/docs/specs/semconv/http/http-spans/,
// https://opentelemetry.io/docs/specs/semconv/registry/attributes/).
//
// network.peer.address is who connected. client.address is taken from Forwarded or
// X-Forwarded-For where a request has them, so that it is no peer unless the operator
// vouches for it by the argument "client.address".
func otelAttributes(prefix string) []object.Entry {
	out := []object.Entry{
		{Path: prefix + "network.peer.address", Field: field.Peer},
		{Path: prefix + "net.sock.peer.addr", Field: field.Peer},
		{Path: prefix + "net.peer.ip", Field: field.Peer},
		{Path: prefix + "client.address", Field: field.Chain, Unit: object.Guess},
		{Path: prefix + "http.client_ip", Field: field.Chain, Unit: object.Guess},
		{Path: prefix + "http.request.method_original", Field: field.Method},
		{Path: prefix + "http.request.method", Field: field.Method},
		{Path: prefix + "http.method", Field: field.Method},
		{Path: prefix + "url.full", Field: field.URL},
		{Path: prefix + "http.target", Field: field.URL},
		{Path: prefix + "http.url", Field: field.URL},
		{Path: prefix + "url.path", Field: field.URI},
		{Path: prefix + "url.query", Field: field.Args},
		{Path: prefix + "network.protocol.version", Field: field.Protocol},
		{Path: prefix + "http.flavor", Field: field.Protocol},
		{Path: prefix + "http.response.status_code", Field: field.StatusCode},
		{Path: prefix + "http.status_code", Field: field.StatusCode},
		{Path: prefix + "http.response.body.size", Field: field.BytesBody},
		{Path: prefix + "http.response_content_length", Field: field.BytesBody},
		{Path: prefix + "http.response.size", Field: field.BytesAll},
		{Path: prefix + "http.request.size", Field: field.BytesIn},
		{Path: prefix + "http.request.body.size", Field: field.BytesIn},
		{Path: prefix + "http.request_content_length", Field: field.BytesIn},
		{Path: prefix + "http.server.request.duration", Field: field.Duration},
		{Path: prefix + "http.server.duration", Field: field.Duration, Unit: object.Millis},
		{Path: prefix + "user_agent.original", Field: field.Agent},
		{Path: prefix + "http.user_agent", Field: field.Agent},
		{Path: prefix + "server.address", Field: field.Host},
		{Path: prefix + "http.host", Field: field.Host},
		{Path: prefix + "net.host.name", Field: field.Host},
		{Path: prefix + "user.name", Field: field.User},
		{Path: prefix + "user.id", Field: field.User},
		{Path: prefix + "enduser.id", Field: field.User},
		{Path: prefix + "tls.protocol.version", Field: field.TLS},
		{Path: prefix + "tls.cipher", Field: field.Cipher},
		{Path: prefix + "tls.client.subject", Field: field.Subject},
		{Path: prefix + "tls.client.ja3", Field: field.Print},
		{Path: prefix + "url.scheme", Field: field.Scheme},
		{Path: prefix + "http.request.header.x_forwarded_for", Field: field.Chain},
		{Path: prefix + "http.request.header.x_api_key", Field: field.Key},
	}
	return append(out, headers(prefix+"http.request.header.")...)
}

// otelEntries are a log record's own fields and its attributes, which stand beside
// them or below "attributes", as an object or as OTLP's array of pairs
// (https://opentelemetry.io/docs/specs/otel/logs/data-model/).
func otelEntries() []object.Entry {
	out := []object.Entry{
		{Path: "time", Field: field.Time},
		{Path: "timestamp", Field: field.Time},
		{Path: "@timestamp", Field: field.Time},
		{Path: "Timestamp", Field: field.Time},
		{Path: "timeUnixNano", Field: field.Time},
		{Path: "observedTimeUnixNano", Field: field.Time},
		{Path: "traceId", Field: field.RequestID},
		{Path: "trace_id", Field: field.RequestID},
		{Path: "TraceId", Field: field.RequestID},
	}
	for _, prefix := range []string{"", "attributes.", "Attributes."} {
		out = append(out, otelAttributes(prefix)...)
	}
	return out
}

func init() {
	table{plan: object.Map{Timed: true}, entries: otelEntries(), vouch: "client.address", vouched: "client.address"}.register("otel",
		"objects with OpenTelemetry's attributes for HTTP servers, as they are or below \"attributes\"; they need network.peer.address, or client.address as argument",
		`{"time":"2026-11-23T13:03:36.694Z","network.peer.address":"203.0.113.7","http.request.method":"GET","url.path":"/orders/4711","url.query":"a=b","http.response.status_code":200,"user_agent.original":"curl/8.5.0","network.protocol.version":"1.1"}`)
}
