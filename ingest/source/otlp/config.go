// Package otlp takes OpenTelemetry log records over gRPC and HTTP, as the OTLP
// specification 1.10 has it (https://opentelemetry.io/docs/specs/otlp/).
//
// Each record becomes one line:
//
//   - A record whose body is a string and that has no HTTP attribute (http.* or
//     url.*) is that string, as a collector's filelog receiver sends what a
//     gateway wrote; its format is the gateway's own.
//   - Any other becomes a flat JSON object, the input of the format "otel":
//     "time" (RFC 3339 with nanoseconds, UTC; the observed time where the record
//     has none), "severity" (text, else number), "event", "trace_id" and "span_id"
//     in hex, then the record's attributes under their own keys, the resource's
//     under "resource.KEY", then "body". Absent values are left out. Bytes are
//     base64, arrays and maps are JSON, nested at most 32 deep. An attribute that
//     has one of those names itself is found under "attributes.KEY".
//
// The keys to expect are those of the HTTP semantic conventions 1.23 and later:
// http.request.method (http.request.method_original beside _OTHER), url.path,
// url.query, url.full, url.scheme, http.response.status_code, client.address,
// network.peer.address, network.protocol.version, user_agent.original,
// server.address, http.route, http.request.header.NAME (arrays),
// http.request.body.size, http.response.body.size, enduser.id; and, before them,
// http.method, http.target, http.url, http.scheme, http.status_code,
// http.client_ip, net.sock.peer.addr (earlier net.peer.ip), http.flavor or
// net.protocol.version, http.user_agent, net.host.name, http.server_name,
// http.request_content_length, http.response_content_length
// (https://opentelemetry.io/docs/specs/semconv/non-normative/http-migration/).
//
// A request is acknowledged after all of its records are in the spool. A full
// spool is UNAVAILABLE with RetryInfo, which the specification names for this and
// which every client retries (RESOURCE_EXHAUSTED is dropped by those that do not
// look for RetryInfo), or HTTP 429 with Retry-After. Records that can be no line
// are counted in partial_success, the others are kept.
package otlp

import (
	"log/slog"
	"time"

	"github.com/portcullis/portcullis/ingest/source/serve"
)

// Off in place of an address keeps a listener from being opened.
const Off = "off"

// Config is the "otlp" part of a source's settings. The ports and the size limit
// are those that the specification names.
type Config struct {
	GRPC     string        `yaml:"grpc" default:"127.0.0.1:4317" doc:"address for OTLP/gRPC, or off; one that other machines reach needs TLS and keys"`
	HTTP     string        `yaml:"http" default:"127.0.0.1:4318" doc:"address for OTLP/HTTP (POST /v1/logs, protobuf or JSON), or off"`
	MaxBody  int           `yaml:"max_body" default:"20MiB" unit:"bytes" doc:"largest request, as sent and after decompression"`
	MaxLine  int           `yaml:"max_line" default:"1MiB" unit:"bytes" doc:"longest line that a record may become; a longer one is rejected, the others of its request are kept"`
	Requests int           `yaml:"max_requests" default:"16" doc:"requests read at once, for gRPC and HTTP each; they hold max_body each at most, and several times that once decoded"`
	Timeout  time.Duration `yaml:"timeout" default:"1m" doc:"how long an HTTP request may take to arrive"`
	Retry    time.Duration `yaml:"retry_after" default:"5s" doc:"what senders are told to wait when the spool is full"`

	Access serve.Access `yaml:",inline"`

	Log *slog.Logger `yaml:"-"` // nil: slog.Default
}

// withDefaults fills in what was left at zero.
func (c Config) withDefaults() Config {
	serve.Default(&c.GRPC, "127.0.0.1:4317")
	serve.Default(&c.HTTP, "127.0.0.1:4318")
	serve.Default(&c.MaxBody, 20<<20)
	serve.Default(&c.MaxLine, 1<<20)
	serve.Default(&c.Requests, 16)
	serve.Default(&c.Timeout, time.Minute)
	serve.Default(&c.Retry, 5*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Check reports what is wrong with the settings, by key.
func (c Config) Check(report func(key, message string)) {
	c = c.withDefaults()
	if c.GRPC == Off && c.HTTP == Off {
		report("grpc", "and http are both off: nothing can come in")
	}
	if c.GRPC != Off {
		c.Access.CheckFor(report, "grpc", c.GRPC)
	}
	if c.HTTP != Off {
		c.Access.CheckFor(report, "http", c.HTTP)
	}
	if c.MaxBody < 1<<10 || c.MaxBody > 1<<30 {
		report("max_body", "must be from 1KiB to 1GiB: requests are held in memory whole")
	}
	if c.MaxLine < 1<<10 || c.MaxLine > 64<<20 {
		report("max_line", "must be from 1KiB to 64MiB")
	}
	if c.Requests < 1 || c.Requests > 4096 {
		report("max_requests", "must be from 1 to 4096")
	}
	if c.Timeout < time.Second || c.Timeout > time.Hour {
		report("timeout", "must be from 1s to 1h")
	}
	if c.Retry < time.Second || c.Retry > time.Hour {
		report("retry_after", "must be from 1s to 1h")
	}
}
