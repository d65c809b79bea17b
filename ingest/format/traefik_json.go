package format

import (
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// traefikEntries are the fields of Traefik's access log in JSON
// (https://doc.traefik.io/traefik/observe/logs-and-access-logs/, pkg/middlewares/accesslog of v3).
//
// ClientAddr is who connected. ClientHost is that without its port, or the whole
// X-Forwarded-For where there is one, so it is no peer. Headers are logged if
// accesslog.fields.headers keeps them.
var traefikEntries = append([]object.Entry{
	{Path: "ClientAddr", Field: field.Peer},
	{Path: "ClientHost", Field: field.Chain, Unit: object.Guess},
	{Path: "StartUTC", Field: field.Started},
	{Path: "time", Field: field.Time},
	{Path: "ClientUsername", Field: field.User},
	{Path: "RequestMethod", Field: field.Method},
	{Path: "RequestPath", Field: field.RequestURI},
	{Path: "RequestProtocol", Field: field.Protocol},
	{Path: "RequestHost", Field: field.Host},
	{Path: "RequestScheme", Field: field.Scheme},
	{Path: "RequestContentSize", Field: field.BytesIn},
	{Path: "DownstreamStatus", Field: field.StatusCode},
	{Path: "DownstreamContentSize", Field: field.BytesBody},
	{Path: "Duration", Field: field.Duration, Unit: object.Nanos},
	{Path: "OriginDuration", Field: field.UpstreamTime, Unit: object.Nanos},
	{Path: "TLSVersion", Field: field.TLS},
	{Path: "TLSCipher", Field: field.Cipher},
	{Path: "TLSClientSubject", Field: field.Subject},
	{Path: "TraceId", Field: field.RequestID},
}, headers("request_")...)

func init() {
	table{plan: object.Map{Timed: true, Ends: true}, entries: traefikEntries}.register("traefik-json",
		"Traefik's access log with accessLog.format json",
		`{"ClientAddr":"203.0.113.7:36350","ClientHost":"203.0.113.7","ClientUsername":"-","DownstreamContentSize":12,"DownstreamStatus":200,"Duration":9437346,"RequestHost":"shop.example","RequestMethod":"GET","RequestPath":"/orders/4711","RequestProtocol":"HTTP/1.1","StartUTC":"2026-11-23T13:03:36.575222922Z","request_User-Agent":"curl/8.5.0","time":"2026-11-23T13:03:36Z"}`)
}
