package format

import (
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// apigwEntries are the names that AWS's documentation and console give to $context
// variables in a JSON access log of API Gateway
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html,
// .../api-gateway-variables-for-access-logging.html). identity.sourceIp is the address of
// the TCP connection. There is no variable for the query.
var apigwEntries = []object.Entry{
	{Path: "ip", Field: field.Peer},
	{Path: "sourceIp", Field: field.Peer},
	{Path: "identity.sourceIp", Field: field.Peer},
	{Path: "requestTimeEpoch", Field: field.Msec, Unit: object.Millis},
	{Path: "requestTime", Field: field.Time},
	{Path: "httpMethod", Field: field.Method},
	{Path: "path", Field: field.URI},
	{Path: "resourcePath", Field: field.URI},
	{Path: "protocol", Field: field.Protocol},
	{Path: "status", Field: field.StatusCode},
	{Path: "responseLength", Field: field.BytesBody},
	{Path: "dataProcessed", Field: field.BytesAll},
	{Path: "responseLatency", Field: field.Duration, Unit: object.Millis},
	{Path: "integrationLatency", Field: field.UpstreamTime, Unit: object.Millis},
	{Path: "integration.latency", Field: field.UpstreamTime, Unit: object.Millis},
	{Path: "domainName", Field: field.Host},
	{Path: "userAgent", Field: field.Agent},
	{Path: "identity.userAgent", Field: field.Agent},
	{Path: "user", Field: field.User},
	{Path: "identity.user", Field: field.User},
	{Path: "principalId", Field: field.Consumer},
	{Path: "authorizer.principalId", Field: field.Consumer},
	{Path: "apiKeyId", Field: field.Consumer},
	{Path: "identity.apiKeyId", Field: field.Consumer},
	{Path: "caller", Field: field.Consumer},
	{Path: "identity.caller", Field: field.Consumer},
	{Path: "apiKey", Field: field.Key},
	{Path: "identity.apiKey", Field: field.Key},
	{Path: "clientCertSubjectDN", Field: field.Subject},
	{Path: "identity.clientCert.subjectDN", Field: field.Subject},
	{Path: "xForwardedFor", Field: field.Chain},
	{Path: "requestId", Field: field.RequestID},
	{Path: "extendedRequestId", Field: field.RequestID},
}

func init() {
	table{plan: object.Map{Timed: true}, entries: apigwEntries}.register("aws-apigw",
		"access log of AWS API Gateway (REST, HTTP, WebSocket) in JSON, with the names of AWS's documentation",
		`{"requestId":"c6af9ac6-7b61-11e6-9a41-93e8deadbeef","ip":"203.0.113.7","caller":"-","user":"-","requestTime":"23/Nov/2026:13:03:36 +0000","httpMethod":"GET","resourcePath":"/orders/{id}","path":"/prod/orders/4711","status":"200","protocol":"HTTP/1.1","responseLength":"512"}`)
}
