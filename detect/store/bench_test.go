package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/ingest"
)

func benchDB(b *testing.B) *store.DB {
	b.Helper()
	db, err := store.Open(filepath.Join(b.TempDir(), "portcullis.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// long skips what writes a quarter of a gigabyte a round.
func long(b *testing.B) {
	b.Helper()
	if os.Getenv("PORTCULLIS_BENCH") == "" {
		b.Skip("writes a gigabyte: set PORTCULLIS_BENCH=1")
	}
}

// A whole snapshot: 256 shards of 1 MB, and one of a quiet moment.
func BenchmarkSnapshot(b *testing.B) {
	for _, c := range []struct{ parts, size int }{{256, 1 << 20}, {256, 1 << 16}, {16, 1 << 12}} {
		b.Run(fmt.Sprintf("%dx%dKB", c.parts, c.size>>10), func(b *testing.B) {
			if c.size == 1<<20 {
				long(b)
			}
			db := benchDB(b)
			s := store.State{Blobs: map[string][]byte{}, Marks: []ingest.Mark{{Source: "a"}}}
			b.SetBytes(int64(c.parts * c.size))
			for i := range b.N {
				for p := range c.parts {
					s.Blobs[fmt.Sprintf("shard/%03d", p)] = bytes.Repeat([]byte{byte(i + p)}, c.size)
				}
				s.Marks[0].Offset = int64(i)
				if err := db.Save(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// How long another write to the same file waits while a whole snapshot is saved.
func BenchmarkWaitBesideSnapshot(b *testing.B) {
	long(b)
	db := benchDB(b)
	s := store.State{Blobs: map[string][]byte{}}
	for p := range 256 {
		s.Blobs[fmt.Sprintf("shard/%03d", p)] = bytes.Repeat([]byte{byte(p)}, 1<<20)
	}
	longest, writes := time.Duration(0), 0
	for range b.N {
		saved := make(chan error, 1)
		go func() { saved <- db.Save(b.Context(), s) }()
		for done := false; !done; {
			begin := time.Now()
			if err := db.SetMeta(b.Context(), "beside", "x"); err != nil {
				b.Fatal(err)
			}
			longest, writes = max(longest, time.Since(begin)), writes+1
			select {
			case err := <-saved:
				if err != nil {
					b.Fatal(err)
				}
				done = true
			default:
			}
		}
	}
	b.ReportMetric(float64(longest.Milliseconds()), "longest-ms")
	b.ReportMetric(float64(writes)/float64(b.N), "writes/save")
}

func BenchmarkLoadSnapshot256MB(b *testing.B) {
	long(b)
	db := benchDB(b)
	s := store.State{Blobs: map[string][]byte{}}
	for p := range 256 {
		s.Blobs[fmt.Sprintf("shard/%03d", p)] = bytes.Repeat([]byte{byte(p)}, 1<<20)
	}
	if err := db.Save(b.Context(), s); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(256 << 20)
	for b.Loop() {
		if _, err := db.Load(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSave1000Findings(b *testing.B) {
	db := benchDB(b)
	var fs []detect.Finding
	for n := range 1000 {
		fs = append(fs, finding(n))
	}
	for b.Loop() {
		if err := db.SaveFindings(b.Context(), fs); err != nil {
			b.Fatal(err)
		}
	}
}
