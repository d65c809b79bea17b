package format

import (
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// kongEntries are the fields of Kong's log serializer, which the plugins file-log,
// http-log, tcp-log, udp-log and kafka-log write (kong.log.serialize in kong/pdk/log.lua,
// https://developer.konghq.com/gateway/pdk/reference/kong.log/). client_ip is NGINX's
// $remote_addr: who connected, or who the proxies in trusted_ips vouch for.
var kongEntries = append([]object.Entry{
	{Path: "client_ip", Field: field.Peer},
	{Path: "started_at", Field: field.Started, Unit: object.Millis},
	{Path: "request.method", Field: field.Method},
	{Path: "request.uri", Field: field.RequestURI},
	{Path: "request.url", Field: field.URL},
	{Path: "request.size", Field: field.BytesIn},
	{Path: "request.id", Field: field.RequestID},
	{Path: "request.body", Field: field.Body},
	{Path: "request.tls.version", Field: field.TLS},
	{Path: "request.tls.cipher", Field: field.Cipher},
	{Path: "response.status", Field: field.StatusCode},
	{Path: "response.size", Field: field.BytesAll},
	{Path: "latencies.request", Field: field.Duration, Unit: object.Millis},
	{Path: "latencies.proxy", Field: field.UpstreamTime, Unit: object.Millis},
	{Path: "consumer.username", Field: field.Consumer},
	{Path: "consumer.custom_id", Field: field.Consumer},
	{Path: "consumer.id", Field: field.Consumer},
	{Path: "authenticated_entity.consumer_id", Field: field.Consumer},
	{Path: "authenticated_entity.id", Field: field.Consumer},
}, headers("request.headers.")...)

func init() {
	table{plan: object.Map{Timed: true, Array: true}, entries: kongEntries}.register("kong",
		"what Kong's log plugins write (file-log, http-log, kafka-log …), one object a line",
		`{"client_ip":"203.0.113.7","started_at":1795439016694,"request":{"method":"GET","uri":"/orders/4711","url":"http://shop.example:8000/orders/4711","size":231,"querystring":{},"headers":{"host":"shop.example","user-agent":"curl/8.5.0"}},"response":{"status":200,"size":612,"headers":{}},"latencies":{"request":12,"kong":1,"proxy":11},"consumer":{"username":"acme"}}`)
}
