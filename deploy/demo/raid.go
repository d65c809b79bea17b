package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/portcullis/portcullis/fixtures/traffic"
)

// attacker is one of the four, with its pace and its n-th request.
type attacker struct {
	begin   time.Duration // after the start of the demo
	every   time.Duration // between two requests of one worker
	workers int
	ask     func(n int) call

	mu     sync.Mutex
	n      int
	report AttackerReport
}

// cast lists the attackers. They begin one after the other, so that what is
// told about each can be read, and are as fast as their kind is.
func cast() []*attacker {
	injections, scans := traffic.Injections(), traffic.ScanPaths()
	guesser, injector := netip.MustParseAddr(traffic.GuesserAddr), netip.MustParseAddr(traffic.InjectorAddr)
	scanner, flooder := netip.MustParseAddr(traffic.ScannerAddr), netip.MustParseAddr(traffic.FlooderAddr)
	return []*attacker{
		{begin: 2 * time.Second, every: 150 * time.Millisecond, workers: 1,
			report: AttackerReport{Kind: traffic.Guesser, Addr: guesser, Doing: "guesses passwords, 7 a second"},
			ask: func(n int) call {
				return call{client: guesser, method: http.MethodPost, target: "/api/v1/login", agent: traffic.GuesserAgent,
					body: loginBody(fmt.Sprintf("user%d", n%5), fmt.Sprintf("Summer%d!", 2000+n))}
			}},
		{begin: 4 * time.Second, every: 400 * time.Millisecond, workers: 1,
			report: AttackerReport{Kind: traffic.Injector, Addr: injector, Doing: "tries SQL, traversal, command and lookup injections"},
			ask: func(n int) call {
				return call{client: injector, method: http.MethodGet, target: injections[n%len(injections)], agent: traffic.InjectorAgent}
			}},
		{begin: 6 * time.Second, every: 100 * time.Millisecond, workers: 1,
			report: AttackerReport{Kind: traffic.Scanner, Addr: scanner, Doing: "looks for forgotten files and admin pages, over IPv6"},
			ask: func(n int) call {
				return call{client: scanner, method: http.MethodGet, target: scans[n%len(scans)], agent: traffic.ScannerAgent}
			}},
		{begin: 8 * time.Second, every: 16 * time.Millisecond, workers: 4,
			report: AttackerReport{Kind: traffic.Flooder, Addr: flooder, Doing: "asks for the product list 250 times a second"},
			ask: func(n int) call {
				return call{client: flooder, method: http.MethodGet, agent: traffic.FlooderAgent,
					target: fmt.Sprintf("/api/v1/products?per_page=20&page=%d", 1+n%900)}
			}},
	}
}

// deniedPace is how often a denied attacker tries on, a second and worker: to
// show that the block holds, gently.
const deniedPace = 8

// raid runs an attacker until it has been denied for Persist, its Patience is
// over, or ctx ends.
func (d *driver) raid(ctx context.Context, a *attacker) {
	if !pause(ctx, a.begin) {
		return
	}
	d.tell(Progress{Step: Starts, Attacker: a.snapshot()})
	client := newClient(a.workers)
	defer client.CloseIdleConnections()
	end := time.Now().Add(d.o.Patience)
	var workers sync.WaitGroup
	for range a.workers {
		workers.Go(func() {
			for ctx.Err() == nil && time.Now().Before(a.until(end, d.o.Persist)) {
				d.strike(ctx, client, a)
				if !pause(ctx, a.pace()) {
					return
				}
			}
		})
	}
	workers.Wait()
	d.tell(Progress{Step: Stops, Attacker: a.snapshot()})
}

// strike sends one request and notes what came of it.
func (d *driver) strike(ctx context.Context, client *http.Client, a *attacker) {
	a.mu.Lock()
	n := a.n
	a.n++
	a.report.Sent = append(a.report.Sent, time.Now())
	a.mu.Unlock()
	status, err := d.send(ctx, client, a.ask(n))
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	first := false
	switch {
	case err != nil:
		a.report.Errors++
	case denied(status):
		if first = a.report.Denied == 0; first {
			a.report.FirstDeny, a.report.DenyStatus = time.Now(), status
		}
		a.report.Denied++
	case a.report.Denied > 0:
		a.report.Passed++
	}
	a.mu.Unlock()
	if first {
		r := a.snapshot()
		d.tell(Progress{Step: Denied, Attacker: r, Took: r.FirstDeny.Sub(r.Sent[0])})
	}
}

// until says when the attacker stops, as far as is known now.
func (a *attacker) until(end time.Time, persist time.Duration) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.report.FirstDeny.IsZero() {
		return end
	}
	return a.report.FirstDeny.Add(persist)
}

// pace is the time between two requests of a worker.
func (a *attacker) pace() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.report.FirstDeny.IsZero() {
		return a.every
	}
	return max(a.every, time.Second/deniedPace)
}

// snapshot copies the report.
func (a *attacker) snapshot() AttackerReport {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.report
	r.Sent = slices.Clone(r.Sent)
	return r
}

// pause waits, and tells whether it did to the end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
