package format

import (
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// envoyEntries are the names that Envoy's documentation, Istio, Contour and Envoy
// Gateway give to Envoy's command operators in a json_format
// (https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage,
// https://istio.io/latest/docs/tasks/observability/logs/access-log/). Durations are in
// milliseconds.
//
// %DOWNSTREAM_REMOTE_ADDRESS% comes from X-Forwarded-For unless use_remote_address is set,
// so that only %DOWNSTREAM_DIRECT_REMOTE_ADDRESS% says who connected. "use_remote_address"
// as argument says that it is set and that xff_num_trusted_hops is 0.
var envoyEntries = append([]object.Entry{
	{Path: "downstream_direct_remote_address", Field: field.Peer},
	{Path: "downstream_direct_remote_address_without_port", Field: field.Peer},
	{Path: "downstream_remote_address", Field: field.Chain, Unit: object.Guess},
	{Path: "downstream_remote_address_without_port", Field: field.Chain, Unit: object.Guess},
	{Path: "start_time", Field: field.Started},
	{Path: "@timestamp", Field: field.Started},
	{Path: "method", Field: field.Method},
	{Path: "path", Field: field.RequestURI},
	{Path: "x-envoy-origin-path", Field: field.RequestURI},
	{Path: "protocol", Field: field.Protocol},
	{Path: "response_code", Field: field.StatusCode},
	{Path: "bytes_sent", Field: field.BytesBody},
	{Path: "bytes_received", Field: field.BytesIn},
	{Path: "duration", Field: field.Duration, Unit: object.Millis},
	{Path: "upstream_service_time", Field: field.UpstreamTime, Unit: object.Millis},
	{Path: "x-envoy-upstream-service-time", Field: field.UpstreamTime, Unit: object.Millis},
	{Path: "x_forwarded_for", Field: field.Chain},
	{Path: "user_agent", Field: field.Agent},
	{Path: "request_id", Field: field.RequestID},
	{Path: "authority", Field: field.Host},
	{Path: ":authority", Field: field.Host},
	{Path: "api_key", Field: field.Key},
	{Path: "x_api_key", Field: field.Key},
	{Path: "downstream_tls_version", Field: field.TLS},
	{Path: "downstream_tls_cipher", Field: field.Cipher},
	{Path: "downstream_peer_subject", Field: field.Subject},
	{Path: "tls_ja3_fingerprint", Field: field.Print},
	{Path: "tls_ja4_fingerprint", Field: field.Print},
}, headers("")...)

func init() {
	table{plan: object.Map{Timed: true}, entries: envoyEntries, vouch: "use_remote_address", vouched: "downstream_remote_address"}.register("envoy-json",
		"Envoy's access log in JSON, Istio's too; it needs downstream_direct_remote_address, or use_remote_address as argument",
		`{"start_time":"2026-11-23T13:03:36.508Z","downstream_direct_remote_address":"203.0.113.7:60362","method":"GET","path":"/orders/4711","protocol":"HTTP/1.1","response_code":200,"bytes_sent":12,"bytes_received":0,"duration":4,"user_agent":"curl/8.5.0","authority":"shop.example"}`)
}
