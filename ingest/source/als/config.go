// Package als takes the access logs that Envoy streams over gRPC: the access log
// service, version 3
// (https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/accesslog/v3/als.proto).
//
// Each entry becomes one line, the input of the format "envoy-als": a JSON object
// with the names and values of protobuf's JSON mapping of HTTPAccessLogEntry, in
// the order of the fields' numbers, absent and zero values left out, followed by
// "identifier" with "logName" and the "node" ("id", "cluster") that the stream
// named in its first message. Typed messages inside (filterStateObjects,
// metadata.typedFilterMetadata) keep their encoding: {"@type":URL,"value":BASE64}.
// Bytes that are not UTF-8 are U+FFFD. An entry of a TCP connection is written
// too, with "connectionProperties" and no "request": the format counts it as
// not_a_request.
//
// The protocol has no acknowledgement: what Envoy has sent when either side dies
// is lost unless it was stored, and only Envoy knows. While the spool is full, or
// its disk fails, a stream is not read: HTTP/2 flow control stops Envoy, which
// then keeps, and at its own limit drops, what it has. An entry that was read is
// held until it can be stored.
package als

import (
	"log/slog"

	"github.com/portcullis/portcullis/ingest/source/serve"
)

// Config is the "als" part of a source's settings.
type Config struct {
	Listen     string `yaml:"listen" default:"127.0.0.1:9001" doc:"address for Envoy's gRPC access log; one that other machines reach needs TLS and keys or client certificates"`
	MaxMessage int    `yaml:"max_message" default:"4MiB" unit:"bytes" doc:"largest message; Envoy sends at 16 KiB unless buffer_size_bytes says otherwise, but never cuts an entry"`
	MaxLine    int    `yaml:"max_line" default:"1MiB" unit:"bytes" doc:"longest line that an entry may become; a longer one is rejected, the others are kept"`
	Streams    int    `yaml:"max_streams" default:"256" doc:"streams open at once; Envoy opens one for each worker thread and log; each holds max_message at most"`

	Access serve.Access `yaml:",inline"`

	Log *slog.Logger `yaml:"-"` // nil: slog.Default
}

// withDefaults fills in what was left at zero.
func (c Config) withDefaults() Config {
	serve.Default(&c.Listen, "127.0.0.1:9001")
	serve.Default(&c.MaxMessage, 4<<20)
	serve.Default(&c.MaxLine, 1<<20)
	serve.Default(&c.Streams, 256)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Check reports what is wrong with the settings, by key.
func (c Config) Check(report func(key, message string)) {
	c = c.withDefaults()
	c.Access.CheckFor(report, "listen", c.Listen)
	if c.MaxMessage < 64<<10 || c.MaxMessage > 256<<20 {
		report("max_message", "must be from 64KiB to 256MiB: a message is held in memory whole")
	}
	if c.MaxLine < 1<<10 || c.MaxLine > 64<<20 {
		report("max_line", "must be from 1KiB to 64MiB")
	}
	if c.Streams < 1 || c.Streams > 1<<16 {
		report("max_streams", "must be from 1 to 65536")
	}
}
