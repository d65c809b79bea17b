package servetest

import (
	"testing"

	"github.com/portcullis/portcullis/internal/config"
)

// Defaults holds a receiver's settings: the defaults that the reference page shows,
// read into got, are those of settings built in code, they pass their own check, and
// what is inlined is checked too.
func Defaults[C comparable](t *testing.T, got *C, want C, check func(*C) error) {
	t.Helper()
	if err := config.Load("test.yaml", nil, nil, got); err != nil {
		t.Fatal(err)
	}
	if *got != want {
		t.Errorf("the tags say %+v\nthe code says %+v", *got, want)
	}
	if err := check(got); err != nil {
		t.Error(err)
	}
	if err := config.Load("test.yaml", []byte("max_connections: -1\n"), nil, got); err == nil {
		t.Error("a negative number of connections was accepted")
	}
}
