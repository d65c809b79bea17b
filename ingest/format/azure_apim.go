package format

import (
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// apimEntries are the fields of the resource log GatewayLogs of Azure API Management
// (https://learn.microsoft.com/azure/api-management/gateway-log-schema-reference,
// https://learn.microsoft.com/azure/azure-monitor/platform/resource-logs-schema). Times are
// in milliseconds. callerIpAddress is the immediate caller, perhaps a proxy.
var apimEntries = append([]object.Entry{
	{Path: "category", Field: field.Marker, Is: oneOf("GatewayLogs", "null")},
	{Path: "callerIpAddress", Field: field.Peer},
	{Path: "time", Field: field.Time},
	{Path: "durationMs", Field: field.Duration, Unit: object.Millis},
	{Path: "correlationId", Field: field.RequestID},
	{Path: "properties.method", Field: field.Method},
	{Path: "properties.url", Field: field.URL},
	{Path: "properties.clientProtocol", Field: field.Protocol},
	{Path: "properties.clientTlsVersion", Field: field.TLS},
	{Path: "properties.clientTlsCipherSuite", Field: field.Cipher},
	{Path: "properties.responseCode", Field: field.StatusCode},
	{Path: "properties.requestSize", Field: field.BytesIn},
	{Path: "properties.responseSize", Field: field.BytesAll},
	{Path: "properties.backendTime", Field: field.UpstreamTime, Unit: object.Millis},
	{Path: "properties.totalTime", Field: field.Duration, Unit: object.Millis},
	{Path: "properties.userId", Field: field.User},
	{Path: "properties.apimSubscriptionId", Field: field.Consumer},
	{Path: "properties.subscriptionId", Field: field.Consumer},
	{Path: "properties.requestBody", Field: field.Body},
}, headers("properties.requestHeaders.")...)

// apimColumns are the same facts as columns of the Log Analytics table
// ApiManagementGatewayLogs
// (https://learn.microsoft.com/azure/azure-monitor/reference/tables/apimanagementgatewaylogs).
func apimColumns(entries []object.Entry) []object.Entry {
	out := []object.Entry{{Path: "TimeGenerated", Field: field.Time}, {Path: "CallerIpAddress", Field: field.Peer}, {Path: "CorrelationId", Field: field.RequestID}}
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Path, "properties."); ok {
			e.Path = strings.ToUpper(name[:1]) + name[1:]
			out = append(out, e)
		}
	}
	return out
}

func init() {
	table{plan: object.Map{Timed: true}, entries: append(apimEntries[:len(apimEntries):len(apimEntries)], apimColumns(apimEntries)...)}.register("azure-apim",
		"resource log GatewayLogs of Azure API Management, as diagnostic settings or Log Analytics export it",
		`{"time":"2026-11-23T13:03:36.1234567Z","category":"GatewayLogs","callerIpAddress":"203.0.113.7","correlationId":"5f3c","durationMs":12,"properties":{"method":"GET","url":"https://shop.example/orders/4711","clientProtocol":"HTTP/1.1","responseCode":200,"requestSize":231,"responseSize":512,"backendTime":11,"clientTlsVersion":"1.2"}}`)
}
