package otlp

import (
	"testing"

	"github.com/portcullis/portcullis/ingest/source/serve"
	"github.com/portcullis/portcullis/internal/config"
)

// TestDefaults: the defaults that the reference page shows are those of settings
// built in code, and they pass their own check.
func TestDefaults(t *testing.T) {
	var got Config
	if err := config.Load("test.yaml", nil, nil, &got); err != nil {
		t.Fatal(err)
	}
	want := Config{Access: serve.Access{Connections: 256}}.withDefaults()
	want.Log = nil
	if got != want {
		t.Errorf("the tags say %+v\nthe code says %+v", got, want)
	}
	if err := serve.First("otlp", got.Check); err != nil {
		t.Error(err)
	}
	if err := config.Load("test.yaml", []byte("max_connections: -1\n"), nil, &got); err == nil {
		t.Error("a negative number of connections was accepted")
	}
}
