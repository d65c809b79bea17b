package format

import (
	"bytes"
	"time"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// caddyEntries are the fields of Caddy's access log
// (https://caddyserver.com/docs/logging, modules/caddyhttp/marshalers.go and
// server.go of Caddy 2.6 and 2.11; "remote_addr" is that of 2.4 and older).
//
// remote_ip is who connected; client_ip is who Caddy takes for the client, which with
// trusted_proxies comes from a header. Error logs (http.log.error) repeat requests that
// the access log has, so they are refused.
var caddyEntries = append([]object.Entry{
	{Path: "logger", Field: field.Marker, Is: func(v []byte) bool { return !bytes.HasPrefix(v, []byte("http.log.error")) }},
	{Path: "ts", Field: field.Time},
	{Path: "request.remote_ip", Field: field.Peer},
	{Path: "request.remote_addr", Field: field.Peer},
	{Path: "request.client_ip", Field: field.Chain, Unit: object.Guess},
	{Path: "request.proto", Field: field.Protocol},
	{Path: "request.method", Field: field.Method},
	{Path: "request.host", Field: field.Host},
	{Path: "request.uri", Field: field.RequestURI},
	{Path: "request.tls.version", Field: field.TLS},
	{Path: "request.tls.cipher_suite", Field: field.Cipher},
	{Path: "request.tls.client_common_name", Field: field.Subject},
	{Path: "bytes_read", Field: field.BytesIn},
	{Path: "user_id", Field: field.User},
	{Path: "duration", Field: field.Duration},
	{Path: "size", Field: field.BytesBody},
	{Path: "status", Field: field.StatusCode},
}, headers("request.headers.")...)

// caddyTable takes Caddy's times without a zone for UTC, which is what it writes
// unless time_local is set.
var caddyTable = table{plan: object.Map{Timed: true, Zone: time.UTC}, entries: caddyEntries, zoned: true, timed: true}

func init() {
	caddyTable.register("caddy", "Caddy's JSON access log (log { output … }), with times and durations in any of its formats",
		`{"level":"info","ts":1795439016.5,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"203.0.113.7","remote_port":"39468","client_ip":"203.0.113.7","proto":"HTTP/1.1","method":"GET","host":"shop.example","uri":"/orders/4711","headers":{"User-Agent":["curl/8.5.0"]}},"bytes_read":0,"user_id":"","duration":0.002214847,"size":12,"status":200,"resp_headers":{}}`)
}
