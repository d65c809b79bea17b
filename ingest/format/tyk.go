package format

import (
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

// tykEntries are the fields of Tyk's analytics record as tyk-pump writes it to stdout
// ("tyk-analytics-record") and Kafka (analytics/analytics.go, pumps/stdout.go and
// pumps/kafka.go of tyk-pump; https://tyk.io/docs/api-management/tyk-pump).
//
// Tyk takes ip_address from X-Real-IP or X-Forwarded-For where a request has them
// (request.RealIP), so that anybody can write it; "ip_address" as argument says that
// Tyk is only reached through a proxy that sets or removes both. The paths hold no
// query: raw_request, which enable_detailed_recording adds, does.
func tykEntries(prefix string) []object.Entry {
	return []object.Entry{
		{Path: prefix + "ip_address", Field: field.Chain, Unit: object.Guess},
		{Path: prefix + "timestamp", Field: field.Time},
		{Path: prefix + "method", Field: field.Method},
		{Path: prefix + "raw_request", Field: field.Request, Unit: object.Raw},
		{Path: prefix + "raw_path", Field: field.URI},
		{Path: prefix + "path", Field: field.URI},
		{Path: prefix + "host", Field: field.Host},
		{Path: prefix + "content_length", Field: field.BytesIn},
		{Path: prefix + "user_agent", Field: field.Agent},
		{Path: prefix + "response_code", Field: field.StatusCode},
		{Path: prefix + "api_key", Field: field.Key},
		{Path: prefix + "request_time", Field: field.Duration, Unit: object.Millis},
		{Path: prefix + "latency.total", Field: field.Duration, Unit: object.Millis},
		{Path: prefix + "latency.upstream", Field: field.UpstreamTime, Unit: object.Millis},
		{Path: prefix + "alias", Field: field.Consumer},
		{Path: prefix + "oauth_id", Field: field.Consumer},
	}
}

func init() {
	table{
		plan:    object.Map{Timed: true},
		entries: append(tykEntries(""), tykEntries("tyk-analytics-record.")...),
		vouch:   "ip_address", vouched: "ip_address",
		warning: "no address that Tyk itself saw: it takes ip_address from X-Real-IP and X-Forwarded-For, so every line is refused as no_client; " +
			"if Tyk is only reached through a proxy that sets both, write tyk:ip_address, else read the log of that proxy",
	}.register("tyk", "Tyk's analytics records as tyk-pump writes them; tyk:ip_address vouches for its client address",
		`{"timestamp":"2026-11-23T13:03:36.694Z","method":"GET","path":"/orders/4711","raw_path":"/orders/4711","response_code":200,"ip_address":"203.0.113.7","host":"shop.example","user_agent":"curl/8.5.0","request_time":12,"latency":{"total":12,"upstream":11},"api_key":"","alias":"acme"}`)
}
