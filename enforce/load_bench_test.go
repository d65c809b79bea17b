package enforce_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// loadDecisions are made in a minute, some of them each tick.
const (
	loadDecisions = 100_000
	loadPerTick   = 167
	loadTick      = 100 * time.Millisecond
)

// BenchmarkDecisionLoad offers as many findings in a minute as make a hundred thousand
// decisions, each finding three times, to an enforcer with a ledger on the disk and a
// gateway that lists addresses: how long until the last is in force after it was offered,
// and what memory is held at a half and at the end. Set PORTCULLIS_BENCH; it takes
// minutes.
func BenchmarkDecisionLoad(b *testing.B) {
	if os.Getenv("PORTCULLIS_BENCH") == "" {
		b.Skip("takes minutes: set PORTCULLIS_BENCH=1")
	}
	for b.Loop() {
		e, stop := loadedEnforcer(b)
		every := time.NewTicker(loadTick)
		began := time.Now()
		worst := offerLoad(b, e, every.C)
		last := time.Now()
		for n := 0; n < loadDecisions; <-every.C {
			if n = e.Health().Gateways[0].Entries; time.Since(last) > time.Minute {
				b.Fatalf("%d entries of %d a minute after the last finding", n, loadDecisions)
			}
		}
		every.Stop()
		b.ReportMetric(time.Since(last).Seconds(), "s-to-last-push")
		b.ReportMetric(worst.Seconds(), "s-of-findings-waiting")
		b.ReportMetric(heldMB(), "MB-end")
		b.ReportMetric(time.Since(began).Seconds(), "s")
		stop()
	}
}

func loadedEnforcer(b *testing.B) (*enforce.Enforcer, func()) {
	b.Helper()
	db, err := store.Open(filepath.Join(b.TempDir(), "portcullis.db"))
	if err != nil {
		b.Fatal(err)
	}
	ledger, err := enforce.OpenLedger(b.Context(), db.SQL())
	if err != nil {
		b.Fatal(err)
	}
	cfg := enforceAll()
	cfg.Push.Poll = 200 * time.Millisecond
	cfg.Guard.PerMinute, cfg.Guard.Live = 2*loadDecisions, 2*loadDecisions
	sim := enforcetest.NewSim("gw", time.Now)
	e, err := enforce.New(cfg, ledger.ReadFrom(db.Reader()), []enforce.Gateway{sim}, nil, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return e, func() {
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// offerLoad offers the findings and returns how long the queue of them was at most.
func offerLoad(b *testing.B, e *enforce.Enforcer, every <-chan time.Time) (worst time.Duration) {
	b.Helper()
	for i := 0; i < loadDecisions; {
		<-every
		for range min(loadPerTick, loadDecisions-i) {
			f := finding(fmt.Sprint("f", i), fmt.Sprintf("198.%d.%d.%d", 18+i>>16, i>>8&255, i&255))
			for n := range 3 {
				f.Count = int64(n)
				e.Offer(f)
			}
			i++
		}
		if i == loadDecisions/2/loadPerTick*loadPerTick {
			b.ReportMetric(heldMB(), "MB-half")
		}
		h := e.Health()
		if h.Overflowed > 0 {
			b.Fatalf("%d findings found the queue full after %d", h.Overflowed, i)
		}
		worst = max(worst, time.Duration(h.Queue)*loadTick/loadPerTick)
	}
	return worst
}

func heldMB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}
