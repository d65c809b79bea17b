package format

import (
	"time"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// modsecEntries are the fields of the audit log in JSON of ModSecurity 3
// (Transaction::toJSON in src/transaction.cc, SecAuditLogFormat JSON,
// https://github.com/owasp-modsecurity/ModSecurity/wiki/Reference-Manual-%28v3.x%29) and of
// Coraza (internal/auditlog, https://coraza.io/docs/seclang/directives/), whose unix_timestamp
// is in nanoseconds. time_stamp is asctime in the zone of the gateway's machine, which is
// taken to be this machine's unless "zone=" says otherwise.
var modsecEntries = append([]object.Entry{
	{Path: "transaction.client_ip", Field: field.Peer},
	{Path: "transaction.unix_timestamp", Field: field.Msec},
	{Path: "transaction.time_stamp", Field: field.Time},
	{Path: "transaction.timestamp", Field: field.Time},
	{Path: "transaction.unique_id", Field: field.RequestID},
	{Path: "transaction.id", Field: field.RequestID},
	{Path: "transaction.request.method", Field: field.Method},
	{Path: "transaction.request.uri", Field: field.RequestURI},
	{Path: "transaction.request.http_version", Field: field.Protocol},
	{Path: "transaction.request.body", Field: field.Body},
	{Path: "transaction.response.http_code", Field: field.StatusCode},
	{Path: "transaction.response.status", Field: field.StatusCode},
}, headers("transaction.request.headers.")...)

func init() {
	table{plan: object.Map{Timed: true, Zone: time.Local}, entries: modsecEntries, zoned: true}.register("modsecurity",
		"audit log of ModSecurity 3 or Coraza in JSON (SecAuditLogFormat JSON), one transaction a line",
		`{"transaction":{"client_ip":"203.0.113.7","time_stamp":"Mon Nov 23 13:34:08 2026","client_port":50578,"unique_id":"179544084816.083403","request":{"method":"GET","http_version":1.1,"uri":"/orders/4711","headers":{"Host":"shop.example","User-Agent":"curl/8.5.0"}},"response":{"http_code":200,"headers":{}},"messages":[]}}`)
}
