package authz

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/fixtures/gateways"
)

// TestLiveKeyRotation: client keys are rotated with overlap under load. Whoever shows one
// that is good is let in, the new one at the moment at which it is there, and the earlier one
// is dead at its hour.
func TestLiveKeyRotation(t *testing.T) {
	gateways.Need(t, "nginx")
	g := newGuarded(t, authn.Config{Default: authn.NeedKey})
	g.url = gateways.Start(t, "nginx", closedFronts[0].o(t, g.http, g.grpc)).URL
	var current atomic.Pointer[string]
	first := g.issue(authn.Key{Name: "a", Consumer: "acme"})
	current.Store(&first)
	status := func(key string) int {
		resp, _ := g.ask("GET", "/api/v1/orders/1", "X-Api-Key", key)
		return resp.StatusCode
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if got := status(*current.Load()); got != 200 {
					t.Errorf("an honest request was answered %d", got)
				}
				asked.Add(1)
			}
		})
	}
	const overlap = 700 * time.Millisecond
	for range 4 {
		old := *current.Load()
		at := time.Now()
		next := g.keyFile(func(k *authn.Keys) (string, error) { return k.Rotate([32]byte{3}, "a", at, overlap) })
		current.Store(&next)
		g.await("the earlier key is refused", func() bool {
			before := time.Now()
			if status(old) == 401 {
				return true
			}
			if before.After(at.Add(overlap)) {
				t.Errorf("the earlier key was good %s after its hour", before.Sub(at.Add(overlap)))
			}
			return false
		})
		if after := time.Now(); after.Before(at.Add(overlap)) {
			t.Errorf("the earlier key was refused %s before its hour", at.Add(overlap).Sub(after))
		}
	}
	stop()
	wg.Wait()
	t.Logf("%d requests over 4 rotations, none refused", asked.Load())
}
