package push

import (
	"testing"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

func TestDefaults(t *testing.T) {
	want := Config{Access: serve.Access{Connections: 256}}.withDefaults()
	want.Log = nil
	servetest.Defaults(t, new(Config), want, func(c *Config) error { return serve.First("push", c.Check) })
}
