package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/internal/config"
)

// halted is a service whose parts were made and do not run.
func halted(t *testing.T) *pipeline {
	t.Helper()
	s := &Settings{Detectors: sections()}
	if err := config.Load("defaults", nil, nil, s); err != nil {
		t.Fatal(err)
	}
	s.StateDir, s.Console.Listen = t.TempDir(), ""
	src := SourceSettings{Format: "nginx-combined"}
	src.Name, src.Path = "nginx", filepath.Join(s.StateDir, "access.log")
	s.Sources = []SourceSettings{src}
	if err := os.WriteFile(src.Path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := openPipeline(t.Context(), s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// requests are a batch of the log, the first or one behind it.
func requests(n int) *ingest.Batch {
	b := &ingest.Batch{Source: "nginx", File: 1}
	for i := range 100 {
		b.Data = fmt.Appendf(b.Data, "198.18.%d.%d - - [20/Mar/2026:10:%02d:%02d +0000] \"GET /orders/%d HTTP/1.1\" 200 12 \"-\" \"curl/8\"\n", n, i, n, i%60, i)
	}
	b.Offset = int64(n * len(b.Data))
	b.Mark = ingest.Mark{Source: "nginx", File: 1, Offset: b.Offset + int64(len(b.Data))}
	return b
}

// savedUpTo is where the log is read on after a start.
func savedUpTo(t *testing.T, p *pipeline) int64 {
	t.Helper()
	saved, err := p.db.Load(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(saved.Marks) == 0 {
		return 0
	}
	return saved.Marks[0].Offset
}

// TestFarewellTakesItsTime: a last save that takes all the time that there is to try it
// again is no failure, and the heartbeat behind it says that the service was stopped.
func TestFarewellTakesItsTime(t *testing.T) {
	p := halted(t)
	b := requests(0)
	p.engine.Feed(b)
	if err := p.farewell(true, 0); err != nil {
		t.Errorf("all is saved, and it says %v", err)
	}
	if at := savedUpTo(t, p); at != b.Mark.Offset {
		t.Errorf("saved up to %d, want %d", at, b.Mark.Offset)
	}
	h, err := lastHeartbeat(t.Context(), p.db)
	if err != nil || h == nil || h.At != detect.FormatTime(1) {
		t.Errorf("the last heartbeat is %+v, %v", h, err)
	}
}

// TestFarewellSaysWhatIsNotSaved: where the state cannot be saved, the service has failed.
func TestFarewellSaysWhatIsNotSaved(t *testing.T) {
	p := halted(t)
	p.engine.Feed(requests(0))
	if err := p.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.farewell(true, 0); err == nil {
		t.Error("nothing is saved, and it says nothing")
	}
}

// TestFarewellSavesWhatIsNew stops detection right behind a save, and after one more batch.
func TestFarewellSavesWhatIsNew(t *testing.T) {
	for name, more := range map[string]bool{"all is saved": false, "something is new": true} {
		t.Run(name, func(t *testing.T) {
			p := halted(t)
			p.settings.Snapshot = time.Hour // after the first
			reader, err := p.bus.Subscribe(t.Context(), accessTopic, "detect")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- p.detect(ctx, reader) }()
			want := hand(t, p, requests(0))
			awaitFor(t, time.Minute, "the first batch is saved", func() string { return "" }, func() bool { return savedUpTo(t, p) == want })
			if more {
				want = hand(t, p, requests(1))
				awaitFor(t, time.Minute, "the second batch is taken in", func() string { return "" }, func() bool { return p.engine.Stats().Newest == time.Date(2026, 3, 20, 10, 1, 59, 0, time.UTC).Unix() })
			}
			stop()
			if err := <-ended; err != nil || p.kept == more {
				t.Fatalf("detection ended with %v, and all is saved: %v", err, p.kept)
			}
			if !more { // so that a save would fail
				if err := p.db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.farewell(true, 0); err != nil {
				t.Error(err)
			}
			if more && savedUpTo(t, p) != want {
				t.Errorf("saved up to %d, want %d", savedUpTo(t, p), want)
			}
		})
	}
}

// hand puts a batch on the bus and returns its end.
func hand(t *testing.T, p *pipeline, b *ingest.Batch) int64 {
	t.Helper()
	end := b.Mark.Offset
	m, err := bus.FromBatch(accessTopic, b)
	if err != nil {
		t.Fatal(err)
	}
	m.Key = []byte(b.Source)
	if err := p.bus.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return end
}

// TestStopInTheMiddleOfGrouping: campaigns that are not made in time do not keep the state
// from being saved.
func TestStopInTheMiddleOfGrouping(t *testing.T) {
	p := halted(t)
	p.groups.note(detect.Finding{ID: "f", Window: now().Unix() / detect.FindingWindow * hourNanos})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	l := &detectLoop{p: p, next: now().Add(time.Hour), idleSince: now()}
	if err := l.chores(ctx); err != nil {
		t.Errorf("detection fails by being stopped: %v", err)
	}
	if err := p.groups.group(ctx, now(), nil); err == nil {
		t.Error("nothing was to be grouped: the test shows nothing")
	}
}
