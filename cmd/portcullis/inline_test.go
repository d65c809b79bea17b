package main

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/config"
)

// TestStandbyAnswers: where no enforcer pushes to it, authz and the bouncers' list follow
// the ledger that another one writes, and the panic switch.
func TestStandbyAnswers(t *testing.T) {
	app := &App{Environ: []string{"HOME=" + t.TempDir()}}
	s := app.newSettings()
	text := "state_dir: " + t.TempDir() + "\nauthz: {listen: \"127.0.0.1:0\"}\nlapi: {listen: \"127.0.0.1:0\"}\n" + acting
	if err := config.Load("test", []byte(text), nil, s); err != nil {
		t.Fatal(err)
	}
	if err := (&KeysBouncerAddCmd{Name: "edge"}).Run(&App{Globals: Globals{StateDir: s.StateDir}, Out: new(spoken), Environ: app.Environ}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	b, err := openBase(ctx, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	defer wg.Wait()
	defer cancel()
	active, err := b.newEnforcer(nil, func() enforce.Inputs { return enforce.Inputs{} }) // made before the parts: it pushes to nobody
	if err != nil {
		t.Fatal(err)
	}
	if err := b.openInline(func() bool { return false }); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { _ = active.Run(ctx) })
	wg.Go(func() { _ = b.inline.follow(ctx) })
	holds := func(what string, n int) {
		t.Helper()
		await(t, what, func() string { return "" }, func() bool {
			items, _ := b.inline.book.All()
			return b.inline.authz.Stats().Entries == n && b.inline.authz.Health() == nil && b.inline.book.Ready() && len(items) == n
		})
	}
	holds("an empty list", 0)
	at := now().UnixNano()
	active.Offer(detect.Finding{ID: "f1", Rule: "injection", Family: detect.Injection, Severity: detect.High, Confidence: 1,
		Subject: detect.Subject{Kind: "ip", Value: "203.0.113.5"}, FiredAt: at, LastSeen: at, Why: "a test"})
	holds("the decision of the other", 1)
	if _, err := b.ledger.Post(ctx, enforce.Command{Who: "test", Verb: enforce.VerbPanic, Why: "a test", At: at + int64(time.Second)}); err != nil {
		t.Fatal(err)
	}
	holds("nothing, in a panic", 0)
}
