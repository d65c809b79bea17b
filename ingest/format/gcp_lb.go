package format

import (
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// gcpEntries are the fields of a LogEntry of Google Cloud's application load balancer
// (https://cloud.google.com/load-balancing/docs/https/https-logging-monitoring,
// https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry). httpRequest is the same
// for other products, such as Cloud Run. remoteIp is who connected.
var gcpEntries = []object.Entry{
	{Path: "httpRequest.remoteIp", Field: field.Peer},
	{Path: "jsonPayload.remoteIp", Field: field.RealPeer},
	{Path: "timestamp", Field: field.Time},
	{Path: "httpRequest.requestMethod", Field: field.Method},
	{Path: "httpRequest.requestUrl", Field: field.URL},
	{Path: "httpRequest.protocol", Field: field.Protocol},
	{Path: "httpRequest.status", Field: field.StatusCode},
	{Path: "httpRequest.requestSize", Field: field.BytesIn},
	{Path: "httpRequest.responseSize", Field: field.BytesAll},
	{Path: "httpRequest.latency", Field: field.Duration},
	{Path: "httpRequest.userAgent", Field: field.Agent},
	{Path: "httpRequest.referer", Field: field.Referer},
	{Path: "jsonPayload.tls.protocol", Field: field.TLS},
	{Path: "jsonPayload.tls.cipher", Field: field.Cipher},
	{Path: "jsonPayload.securityPolicyRequestData.tlsJa4Fingerprint", Field: field.Print},
	{Path: "jsonPayload.securityPolicyRequestData.tlsJa3Fingerprint", Field: field.Print},
	{Path: "trace", Field: field.RequestID},
	{Path: "insertId", Field: field.RequestID},
}

func init() {
	table{plan: object.Map{Timed: true}, entries: gcpEntries}.register("gcp-lb",
		"log entries of Google Cloud's application load balancer (httpRequest, jsonPayload), one object a line",
		`{"httpRequest":{"latency":"0.123456s","protocol":"HTTP/1.1","remoteIp":"203.0.113.7","requestMethod":"GET","requestSize":"231","requestUrl":"https://shop.example/orders/4711","responseSize":"512","status":200,"userAgent":"curl/8.5.0"},"insertId":"1s6hijkxyz","timestamp":"2026-11-23T13:03:36.694543Z"}`)
}
