// Package push takes log lines over HTTP from whatever can POST: Kong http-log,
// APISIX http-logger, Vector, Fluent Bit, curl.
//
// A request is answered with 200 only after all of its records are in the spool.
// Up to Config.Memory it is stored whole or not at all; a larger one is stored in
// parts, and an answer other than 200 says how far it came ("next", the index of
// the first record to send again). A record that cannot be one is named by its
// index in the answer, counted and left out; the others are kept. What a record
// means is not looked at here: the parser of the source's format does that, and
// counts what it cannot read.
//
// Memory is bounded by Config.Requests times Config.Memory plus one line each.
package push

import (
	"log/slog"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ingest/source/serve"
)

// Config is the "push" part of a source's settings.
type Config struct {
	Listen   string        `yaml:"listen" default:"127.0.0.1:8088" doc:"address to listen on; one that other machines reach needs TLS and keys"`
	Path     string        `yaml:"path" default:"/" doc:"path that takes POST requests; any other is 404"`
	MaxBody  int64         `yaml:"max_body" default:"16MiB" unit:"bytes" doc:"largest request body as sent, that is compressed; a larger one is 413"`
	MaxPlain int64         `yaml:"max_plain" default:"64MiB" unit:"bytes" doc:"largest request body after decompression; a larger one is 413"`
	MaxLine  int           `yaml:"max_line" default:"1MiB" unit:"bytes" doc:"longest record; a longer one is rejected, the others of its request are kept"`
	Memory   int           `yaml:"memory" default:"12MiB" unit:"bytes" doc:"bytes of one request held at once: up to this much is stored whole or not at all (the largest batch that Vector sends by itself is 10 MB)"`
	Requests int           `yaml:"max_requests" default:"16" doc:"requests read at once; more wait a few seconds, then get 429"`
	Timeout  time.Duration `yaml:"timeout" default:"1m" doc:"how long a request may take to arrive"`
	Retry    time.Duration `yaml:"retry_after" default:"5s" doc:"what 429 and 503 tell the sender to wait"`

	Access serve.Access `yaml:",inline"`

	Log *slog.Logger `yaml:"-"` // nil: slog.Default
}

// withDefaults fills in what was left at zero.
func (c Config) withDefaults() Config {
	serve.Default(&c.Listen, "127.0.0.1:8088")
	serve.Default(&c.Path, "/")
	serve.Default(&c.MaxBody, 16<<20)
	serve.Default(&c.MaxPlain, 64<<20)
	serve.Default(&c.MaxLine, 1<<20)
	serve.Default(&c.Memory, 12<<20)
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
	c.Access.CheckFor(report, "listen", c.Listen)
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "?# ") {
		report("path", "must begin with / and hold no query, such as /logs")
	}
	if c.MaxBody < 1<<10 || c.MaxBody > 1<<30 {
		report("max_body", "must be from 1KiB to 1GiB")
	}
	if c.MaxPlain < c.MaxBody || c.MaxPlain > 16<<30 {
		report("max_plain", "must be from max_body to 16GiB")
	}
	if c.MaxLine < 1<<10 || c.MaxLine > 64<<20 {
		report("max_line", "must be from 1KiB to 64MiB: records are held in memory whole")
	}
	if c.Memory < 64<<10 || c.Memory > 1<<30 {
		report("memory", "must be from 64KiB to 1GiB")
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
