//go:build record

package demo

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"testing"
	"time"
)

// TestRecord makes recorded.log.gz anew from a run without enforcement:
//
//	go test -tags record -run Record ./deploy/demo
func TestRecord(t *testing.T) {
	s := startSite(t)
	if _, err := Traffic(context.Background(), s.URL, Options{Patience: 8 * time.Second}); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(s.Log)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(log); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("recorded.log.gz", b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
