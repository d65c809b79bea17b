package source_test

import (
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
	"github.com/portcullis/portcullis/ingest/source"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestFileContract(t *testing.T) {
	ingesttest.Source(t, func(path string) (ingest.Source, error) {
		return source.NewFile(source.FileConfig{Name: "gw", Path: path, PollOnly: true, Log: quiet})
	})
}

// TestFileSoak is short by default; PORTCULLIS_SOAK runs it at 10 000 lines a
// second for 12 seconds, with a rotation every second.
func TestFileSoak(t *testing.T) {
	soak := ingesttest.Soak{Rotations: 12, Lines: 2000, Kills: 3, Deadline: 30 * time.Second}
	seeds := uint64(2)
	if os.Getenv("PORTCULLIS_SOAK") != "" {
		soak.Lines, soak.Every, seeds = 10_000, time.Second, 1
	}
	for name, copyTruncate := range map[string]bool{"rename": false, "copytruncate": true} {
		t.Run(name, func(t *testing.T) {
			for soak.Seed = 1; soak.Seed <= seeds; soak.Seed++ {
				soak.CopyTruncate = copyTruncate
				ingesttest.SourceSoak(t, func(path string) (ingest.Source, error) {
					return source.NewFile(source.FileConfig{
						Name: "gw", Path: path, Grace: 20 * time.Millisecond, Poll: 20 * time.Millisecond, Log: quiet,
					})
				}, soak)
			}
		})
	}
}
