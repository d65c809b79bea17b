package format

import (
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

func init() {
	for spec, w := range cloudWriters {
		jsonWriters[spec] = w
	}
}

// cloudWriters are the formats of clouds and schemas.
var cloudWriters = map[string]func(r *jsonRequest) (members, ingest.Event){
	"aws-apigw": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.BytesIn, ev.Consumer, ev.RequestID, ev.User = 0, r.key, r.id, r.user
		return members{{"requestId", r.id}, {"ip", r.peer.String()}, {"user", or(r.user, "-")}, {"requestTime", r.at.Format("02/Jan/2006:15:04:05 -0700")},
			{"requestTimeEpoch", fmt.Sprint(r.at.UnixMilli())}, {"httpMethod", r.method}, {"resourcePath", "/{proxy+}"}, {"path", r.target}, {"status", fmt.Sprint(r.status)},
			{"protocol", "HTTP/1.1"}, {"responseLength", fmt.Sprint(r.bytes)}, {"responseLatency", fmt.Sprint(r.took)}, {"userAgent", r.ua}, {"principalId", r.key}}, ev
	},
	"azure-apim": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Chain, ev.Consumer, ev.RequestID, ev.Host = r.xff, r.key, r.id, "h.example"
		headers := members{{"Accept", "*/*"}}
		for _, h := range (members{{"X-Forwarded-For", r.xff}, {"User-Agent", r.ua}}) {
			if h.value != "" {
				headers = append(headers, h)
			}
		}
		return members{{"time", r.list}, {"category", "GatewayLogs"}, {"callerIpAddress", r.peer.String()}, {"correlationId", r.id}, {"durationMs", r.took},
			{"properties", members{{"method", r.method}, {"url", "https://h.example" + r.target}, {"clientProtocol", "HTTP/1.1"}, {"responseCode", r.status}, {"requestSize", r.length},
				{"responseSize", r.bytes}, {"apimSubscriptionId", r.key}, {"requestHeaders", headers}, {"backendUrl", "http://9.9.9.9/"}}}}, ev
	},
	"gcp-lb": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Referer, ev.RequestID, ev.Host = r.ref, r.id, "h.example"
		return members{{"timestamp", r.list}, {"insertId", r.id}, {"severity", "INFO"}, {"jsonPayload", members{{"statusDetails", "response_sent_by_backend"}}},
			{"httpRequest", members{{"remoteIp", r.peer.String()}, {"requestMethod", r.method}, {"requestUrl", "https://h.example" + r.target}, {"protocol", "HTTP/1.1"}, {"status", r.status},
				{"requestSize", fmt.Sprint(r.length)}, {"responseSize", fmt.Sprint(r.bytes)}, {"latency", fmt.Sprintf("%d.%03ds", r.took/1000, r.took%1000)}, {"userAgent", r.ua},
				{"referer", r.ref}, {"serverIp", "9.9.9.9"}}}}, ev
	},
	"ecs": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Referer, ev.User, ev.RequestID = r.ref, r.user, r.id
		return members{{"@timestamp", r.list}, {"source", members{{"ip", r.peer.String()}}}, {"client.ip", "9.9.9.9"}, {"http.version", "1.1"},
			{"http", members{{"request", members{{"method", r.method}, {"bytes", r.length}, {"referrer", r.ref}, {"id", []any{r.id, "other"}}}},
				{"response.status_code", r.status}, {"response", members{{"body", members{{"bytes", r.bytes}}}}}}},
			{"url", members{{"original", r.target}, {"path", "/elsewhere"}}}, {"user_agent.original", r.ua}, {"user.name", r.user}, {"event.duration", r.took * 1e6}}, ev
	},
	"otel": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Chain, ev.Key = "192.0.2.66", r.key
		path, query, _ := strings.Cut(r.target, "?")
		if ev.Target = path; query != "" {
			ev.Target += "?" + strings.TrimPrefix(query, "?")
		}
		if query == "-" {
			ev.Target = path
		}
		var pairs []any
		for _, a := range (members{{"network.peer.address", r.peer.String()}, {"client.address", "192.0.2.66"}, {"http.request.method", r.method}, {"url.path", path}, {"url.query", query},
			{"network.protocol.version", "1.1"}, {"user_agent.original", r.ua}}) {
			pairs = append(pairs, members{{"key", a.key}, {"value", members{{"stringValue", a.value}}}})
		}
		for _, a := range (members{{"http.response.status_code", r.status}, {"http.response.body.size", r.bytes}, {"http.request.size", r.length}}) {
			pairs = append(pairs, members{{"value", members{{"intValue", fmt.Sprint(a.value)}}}, {"key", a.key}})
		}
		pairs = append(pairs, members{{"key", "http.server.request.duration"}, {"value", members{{"doubleValue", fmt.Sprintf("%d.%03d", r.took/1000, r.took%1000)}}}},
			members{{"key", "http.request.header.x-api-key"}, {"value", members{{"arrayValue", members{{"values", []any{members{{"stringValue", r.key}}}}}}}}})
		return members{{"timeUnixNano", fmt.Sprint(r.at.UnixNano())}, {"attributes", pairs}}, ev
	},
	"modsecurity:zone=UTC": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Time, ev.BytesIn, ev.BytesOut, ev.Duration = r.at.Unix()*1e9, 0, 0, 0
		ev.Chain, ev.Referer, ev.Key, ev.RequestID = r.xff, r.ref, r.key, r.id
		return members{{"transaction", members{{"client_ip", r.peer.String()}, {"time_stamp", r.at.UTC().Format(time.ANSIC)}, {"unique_id", r.id},
			{"request", members{{"method", r.method}, {"http_version", "1.1"}, {"uri", r.target}, {"headers", members{{"X-Forwarded-For", r.xff}, {"referer", r.ref},
				{"User-Agent", r.ua}, {"X-API-KEY", r.key}}}}},
			{"response", members{{"http_code", r.status}, {"headers", members{{"X-Forwarded-For", "9.9.9.9"}}}}},
			{"messages", []any{members{{"message", `","client_ip":"9.9.9.9"`}, {"details", members{{"data", r.target}}}}}}}}}, ev
	},
}
