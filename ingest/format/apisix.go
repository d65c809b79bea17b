package format

import (
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// apisixEntries are the fields of the object that APISIX's log plugins write by
// default (apisix/utils/log-util.lua, https://apisix.apache.org/docs/apisix/plugins/http-logger/).
// client_ip is NGINX's $remote_addr. An object made by log_format is read as nginx-json.
var apisixEntries = append([]object.Entry{
	{Path: "client_ip", Field: field.Peer},
	{Path: "start_time", Field: field.Started, Unit: object.Millis},
	{Path: "latency", Field: field.Duration, Unit: object.Millis},
	{Path: "upstream_latency", Field: field.UpstreamTime, Unit: object.Millis},
	{Path: "request.method", Field: field.Method},
	{Path: "request.uri", Field: field.RequestURI},
	{Path: "request.url", Field: field.URL},
	{Path: "request.size", Field: field.BytesIn},
	{Path: "request.body", Field: field.Body},
	{Path: "response.status", Field: field.StatusCode},
	{Path: "response.size", Field: field.BytesAll},
	{Path: "consumer.username", Field: field.Consumer},
}, headers("request.headers.")...)

func init() {
	table{plan: object.Map{Timed: true, Array: true}, entries: apisixEntries}.register("apisix",
		"what APISIX's log plugins write without a log_format (http-logger, kafka-logger, file-logger …)",
		`{"client_ip":"203.0.113.7","start_time":1795439016694,"latency":12.000083923,"upstream_latency":11,"request":{"method":"GET","uri":"/orders/4711","url":"http://shop.example:9080/orders/4711","size":"231","querystring":{},"headers":{"host":"shop.example","user-agent":"curl/8.5.0"}},"response":{"status":200,"size":"612","headers":{}},"route_id":"1","service_id":""}`)
}
