package authn

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func counted(g *Guard, consumer, plan string, now time.Time) Usage {
	return g.Use(&Identity{Kind: NeedKey, Consumer: consumer, Plan: plan}, now, 1)
}

func quotaGuard(t *testing.T, path string, list ...Quota) *Guard {
	t.Helper()
	g, err := New(Config{Quotas: list}, Deps{Quotas: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	g.Load()
	return g
}

// TestQuotas: the calendar is that of UTC, and the tighter of day and month tells.
func TestQuotas(t *testing.T) {
	at := time.Date(2026, 2, 28, 22, 0, 0, 0, time.UTC)
	g := quotaGuard(t, "", Quota{Consumer: "acme", Day: 2, Month: 3}, Quota{Plan: "free", Day: 1}, Quota{Consumer: "*", Month: 1})
	for i, c := range []struct {
		consumer, plan string
		at             time.Time
		want           Usage
	}{
		{"acme", "", at, Usage{"day", 2, 1, 2 * time.Hour, false}},
		{"acme", "free", at, Usage{"day", 2, 0, 2 * time.Hour, false}},
		{"acme", "", at, Usage{"day", 2, 0, 2 * time.Hour, true}},
		{"acme", "", at.In(time.FixedZone("east", 9*3600)), Usage{"day", 2, 0, 2 * time.Hour, true}},
		{"acme", "", at.Add(2 * time.Hour), Usage{"day", 2, 1, 24 * time.Hour, false}}, // a day and a month later
		{"acme", "", at.Add(time.Hour), Usage{"day", 2, 0, time.Hour, false}},          // the clock went back: still March's
		{"acme", "", at.Add(26 * time.Hour), Usage{"month", 3, 0, 30 * 24 * time.Hour, false}},
		{"acme", "", at.Add(50 * time.Hour), Usage{"month", 3, 0, 29 * 24 * time.Hour, true}},
		{"other", "free", at, Usage{"day", 1, 0, 2 * time.Hour, false}},
		{"third", "", at, Usage{"month", 1, 0, 2 * time.Hour, false}},
		{"third", "", at, Usage{"month", 1, 0, 2 * time.Hour, true}},
		{"", "", at, Usage{}},
	} {
		if got := counted(g, c.consumer, c.plan, c.at); got != c.want {
			t.Errorf("request %d: %+v, want %+v", i+1, got, c.want)
		}
	}
	if got := quotaGuard(t, "", Quota{Consumer: "acme", Day: 1}); counted(got, "other", "", at) != (Usage{}) {
		t.Error("who has no quota is counted")
	}
}

// TestQuotasKept: counts outlive a restart, and no request is counted twice or not at all.
func TestQuotasKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "quotas.json")
	quota := Quota{Consumer: "acme", Day: 1000}
	var passed atomic.Int64
	for range 2 {
		g := quotaGuard(t, path, quota)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); g.Run(ctx) }()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 200 {
					if !counted(g, "acme", "", noon).Over {
						passed.Add(1)
					}
				}
			})
		}
		wg.Wait()
		cancel()
		<-done
	}
	if passed.Load() != 1000 {
		t.Errorf("%d of 1600 requests passed, want 1000", passed.Load())
	}
	if got := counted(quotaGuard(t, path, quota), "acme", "", noon.AddDate(0, 0, 1)); got.Left != 999 {
		t.Errorf("the next day: %+v", got)
	}
}
