package format

import (
	"errors"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object"
)

var errNoArgument = errors.New("takes no argument; for a string of your own write nginx:STRING")

func init() {
	Register("nginx-json", Spec{
		Doc:     "one JSON object a line under well-known keys, as log_format escape=json writes it, in any order",
		Example: `{"time":"2026-11-23T13:03:36+00:00","remote_addr":"203.0.113.7","request":"GET /orders/4711 HTTP/1.1","status":200,"bytes":512,"referer":"","ua":"curl/8.5.0"}`,
		Compile: func(arg string) (Format, error) {
			if arg != "" {
				return Format{}, errNoArgument
			}
			return openObject(&object.Map{Lookup: wellKnownKey, Timed: true}), nil
		},
	})
}

// wellKnownKey says what people call nginx's variables in their JSON formats.
func wellKnownKey(key string) field.Field {
	switch key {
	case "realip_remote_addr":
		return field.Peer
	case "remote_addr":
		return field.RealPeer
	case "client_ip", "client":
		return field.ClientIP
	case "time", "@timestamp", "timestamp":
		return field.Time
	case "time_iso8601":
		return field.TimeISO
	case "time_local":
		return field.TimeLocal
	case "msec":
		return field.Msec
	case "xff", "x_forwarded_for", "http_x_forwarded_for":
		return field.Chain
	case "user", "remote_user":
		return field.User
	case "request":
		return field.Request
	case "method", "request_method":
		return field.Method
	case "request_uri":
		return field.RequestURI
	case "uri":
		return field.URI
	case "args", "query_string":
		return field.Args
	case "proto", "server_protocol":
		return field.Protocol
	case "status":
		return field.StatusCode
	case "bytes", "body_bytes_sent":
		return field.BytesBody
	case "bytes_sent":
		return field.BytesAll
	case "req_len", "request_length":
		return field.BytesIn
	case "request_time":
		return field.Duration
	case "upstream_time", "upstream_response_time":
		return field.UpstreamTime
	}
	return wellKnownHeader(key)
}

func wellKnownHeader(key string) field.Field {
	switch key {
	case "referer", "http_referer", "referrer":
		return field.Referer
	case "ua", "user_agent", "http_user_agent":
		return field.Agent
	case "host":
		return field.Host
	case "http_host":
		return field.HTTPHost
	case "server_name":
		return field.ServerName
	case "api_key", "x_api_key", "http_x_api_key":
		return field.Key
	case "http_authorization", "authorization":
		return field.Token
	case "http_cookie", "cookie":
		return field.Session
	case "http_forwarded", "forwarded":
		return field.Forwarded
	case "http_x_real_ip", "x_real_ip", "http_cf_connecting_ip", "http_true_client_ip", "proxy_protocol_addr":
		return field.RealIP
	case "request_id":
		return field.RequestID
	case "request_body":
		return field.Body
	case "tls", "ssl_protocol":
		return field.TLS
	case "scheme":
		return field.Scheme
	case "cipher", "ssl_cipher":
		return field.Cipher
	case "ssl_client_s_dn":
		return field.Subject
	case "http_ssl_ja3", "http_ssl_ja3_hash", "ssl_ja3", "ssl_ja3_hash", "ja3", "ja4":
		return field.Print
	case "consumer_name", "portcullis_consumer": // of APISIX and of authz
		return field.Consumer
	}
	return field.Skip
}
