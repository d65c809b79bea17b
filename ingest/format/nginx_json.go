package format

import (
	"errors"

	"github.com/portcullis/portcullis/ingest"
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
			p := &plan{mode: escJSON, multi: true, byKey: true, timed: true, lookup: wellKnownKey}
			return Format{New: func() ingest.Parser { return newLineParser(p) }}, nil
		},
	})
}

// wellKnownKey says what people call nginx's variables in their JSON formats.
func wellKnownKey(key string) field {
	switch key {
	case "remote_addr":
		return fPeer
	case "realip_remote_addr":
		return fRealPeer
	case "client_ip", "client":
		return fClientIP
	case "time", "@timestamp", "timestamp":
		return fTimeAny
	case "time_iso8601":
		return fTimeISO
	case "time_local":
		return fTimeLocal
	case "msec":
		return fMsec
	case "xff", "x_forwarded_for", "http_x_forwarded_for":
		return fChain
	case "user", "remote_user":
		return fUser
	case "request":
		return fRequest
	case "method", "request_method":
		return fMethod
	case "request_uri":
		return fRequestURI
	case "uri":
		return fURI
	case "args", "query_string":
		return fArgs
	case "proto", "server_protocol":
		return fProtocol
	case "status":
		return fStatus
	case "bytes", "body_bytes_sent":
		return fBytesBody
	case "bytes_sent":
		return fBytesAll
	case "req_len", "request_length":
		return fBytesIn
	case "request_time":
		return fDuration
	case "upstream_time", "upstream_response_time":
		return fUpstream
	}
	return wellKnownHeader(key)
}

func wellKnownHeader(key string) field {
	switch key {
	case "referer", "http_referer", "referrer":
		return fReferer
	case "ua", "user_agent", "http_user_agent":
		return fAgent
	case "host":
		return fHost
	case "http_host":
		return fHTTPHost
	case "server_name":
		return fServerName
	case "api_key", "x_api_key", "http_x_api_key":
		return fKey
	case "request_id":
		return fRequestID
	case "request_body":
		return fBody
	case "tls", "ssl_protocol":
		return fTLS
	case "cipher", "ssl_cipher":
		return fCipher
	}
	return fSkip
}
