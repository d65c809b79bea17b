package format

import (
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// ecsEntries are fields of the Elastic Common Schema
// (https://www.elastic.co/docs/reference/ecs/ecs-field-reference), nested or with dots in
// their names. source is who connected; client is used where it is missing;
// network.forwarded_ip is a claim. Headers are not in the schema but often beside it.
var ecsEntries = append([]object.Entry{
	{Path: "source.ip", Field: field.Peer},
	{Path: "source.address", Field: field.Peer},
	{Path: "client.ip", Field: field.ClientIP},
	{Path: "client.address", Field: field.ClientIP},
	{Path: "network.forwarded_ip", Field: field.Chain, Unit: object.Guess},
	{Path: "@timestamp", Field: field.Time},
	{Path: "event.start", Field: field.Started},
	{Path: "event.duration", Field: field.Duration, Unit: object.Nanos},
	{Path: "http.request.method", Field: field.Method},
	{Path: "url.original", Field: field.URL},
	{Path: "url.full", Field: field.URL},
	{Path: "url.path", Field: field.URI},
	{Path: "url.query", Field: field.Args},
	{Path: "url.domain", Field: field.HTTPHost},
	{Path: "http.version", Field: field.Protocol},
	{Path: "http.response.status_code", Field: field.StatusCode},
	{Path: "http.response.body.bytes", Field: field.BytesBody},
	{Path: "http.response.bytes", Field: field.BytesAll},
	{Path: "http.request.bytes", Field: field.BytesIn},
	{Path: "http.request.body.bytes", Field: field.BytesIn},
	{Path: "http.request.body.content", Field: field.Body},
	{Path: "http.request.referrer", Field: field.Referer},
	{Path: "user_agent.original", Field: field.Agent},
	{Path: "user.name", Field: field.User},
	{Path: "source.user.name", Field: field.User},
	{Path: "http.request.id", Field: field.RequestID},
	{Path: "trace.id", Field: field.RequestID},
	{Path: "tls.version", Field: field.TLS},
	{Path: "tls.cipher", Field: field.Cipher},
	{Path: "tls.client.subject", Field: field.Subject},
	{Path: "tls.client.ja3", Field: field.Print},
	{Path: "url.scheme", Field: field.Scheme},
	// What our own documents say beside the schema.
	{Path: "portcullis.detail.consumer", Field: field.Consumer},
	{Path: "portcullis.detail.key", Field: field.Key},
	{Path: "portcullis.detail.token", Field: field.Token},
	{Path: "portcullis.detail.session", Field: field.Session},
	{Path: "portcullis.fingerprint", Field: field.Print},
}, headers("http.request.headers.")...)

func init() {
	table{plan: object.Map{Timed: true}, entries: ecsEntries}.register("ecs",
		"objects with the fields of the Elastic Common Schema, nested or with dots in their names",
		`{"@timestamp":"2026-11-23T13:03:36.694Z","source":{"ip":"203.0.113.7"},"http":{"request":{"method":"GET"},"response":{"status_code":200,"body":{"bytes":512}},"version":"1.1"},"url":{"original":"/orders/4711"},"user_agent":{"original":"curl/8.5.0"}}`)
}
