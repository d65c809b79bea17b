package backfill_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source/backfill"
)

func BenchmarkBackfill(b *testing.B) {
	line := ` - - [10/Oct/2025:13:55:36 +0000] "GET /api/orders/%d?page=2 HTTP/1.1" 200 %d "-" "Mozilla/5.0 (X11; Linux x86_64)"`
	var sb strings.Builder
	n := 0
	for ; sb.Len() < 64<<20; n++ {
		fmt.Fprintf(&sb, "%d 203.0.113.%d"+line+"\n", day.Unix()+int64(n/1000), n%251, n*7919%100_003, n*31%5000)
	}
	for _, c := range []struct{ kind, since string }{{"", ""}, {"gz", ""}, {"zst", ""}, {"gz", "2026-01-01"}, {"zst", "2026-01-01"}} {
		name := "plain"
		if c.kind != "" {
			name = c.kind
		}
		if c.since != "" {
			name += ", span"
		}
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			put(b, filepath.Join(dir, "log"), 999, pack(b, c.kind, sb.String()))
			b.SetBytes(int64(sb.Len()))
			b.ReportAllocs()
			for b.Loop() {
				src, err := backfill.New(backfill.Config{Paths: []string{dir}, Since: c.since, TimeOf: timeOf})
				if err != nil {
					b.Fatal(err)
				}
				got := 0
				err = src.Run(b.Context(), nil, func(_ context.Context, batch *ingest.Batch) error {
					got += len(batch.Data)
					batch.Release()
					return nil
				})
				if err != nil || got != sb.Len() {
					b.Fatal(err, got)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
