package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/store"
)

// guarded is a real gateway in front of an API, and the service that guards it.
type guarded struct {
	course
	r      *rig
	addr   string // of the gateway
	tells  string // how it knows a client: "header" (X-Forwarded-For), "proxy" (PROXY protocol), "peer"
	drops  bool   // a push of it may close a connection under a request
	client *http.Client
	stdout string // file for what the gateway prints, its log; "" = none
}

// refusedSizes are how many entries the gateway holds before: few in every run, all of
// the table with PORTCULLIS_BENCH.
func refusedSizes() []int {
	if os.Getenv("PORTCULLIS_BENCH") != "" {
		return []int{10, 10_000, 100_000}
	}
	return []int{10}
}

// refusing is how the service is set: what is shipped, but for the bounds that a hundred
// thousand attackers at once go beyond.
const refusing = `enforce:
  policy: {families: {injection: enforce}, near_certain: 2, expiry: {first: 1h}}
  guard: {per_minute: 1000000, live: 1000000}
  queue: 200000
`

// TestE2ERefused measures, on each real gateway, the time from a line of the log to the
// first request that is refused, while honest clients ask without a pause: none of
// their requests may fail. Without PORTCULLIS_BENCH one gateway shows that it works:
// TestE2EWholeWay has them all. -run 'E2ERefused/envoy/100000' measures one, of one size.
func TestE2ERefused(t *testing.T) {
	bench := os.Getenv("PORTCULLIS_BENCH") != ""
	gateways := guardedGateways
	if !bench {
		gateways = gateways[:1]
	}
	for _, g := range gateways {
		t.Run(g.name, func(t *testing.T) {
			if !bench { // one after the other, so that they do not measure each other
				t.Parallel()
			}
			for _, n := range refusedSizes() {
				if n > g.most && g.most > 0 {
					t.Logf("MEASURED | %s | %d | more than it is for", g.name, n)
					continue
				}
				t.Run(fmt.Sprint(n), func(t *testing.T) { measureRefused(t, g.name, n, g.open) })
			}
		})
	}
}

func measureRefused(t *testing.T, name string, n int, open func(t *testing.T, c course) *guarded) {
	g := open(t, course{enforce: refusing})
	if g == nil { // it ran elsewhere
		return
	}
	defer g.client.CloseIdleConnections()
	honest := g.honest(5 * time.Millisecond)
	g.fill(n)
	g.settled(n)
	times := 3
	if n > 50_000 || os.Getenv("PORTCULLIS_BENCH") == "" {
		times = 2
	}
	var took []time.Duration
	for i := range times {
		took = append(took, g.once(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)})))
	}
	failed, dropped, all := honest()
	slices.Sort(took)
	t.Logf("MEASURED | %s | %d | %s | %s | %d of %d", name, n, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), failed+dropped, all)
	if failed > 0 || dropped > 0 && !g.drops {
		t.Errorf("of %d honest requests %d got a wrong answer and %d none\n%s", all, failed, dropped, g.r.said)
	}
	if all < 20 {
		t.Errorf("only %d honest requests: the load did not run", all)
	}
	g.r.down()
}

// fill has so many other clients attack, and waits until the gateway holds them all.
func (g *guarded) fill(n int) {
	t := g.r.t
	const atOnce = 5000
	for done := 0; done < n; {
		lines := make([]string, min(atOnce, n-done))
		for i := range lines {
			k := done + i
			lines[i] = attackLine(netip.AddrFrom4([4]byte{20, byte(k >> 16), byte(k >> 8), byte(k)}).String())
		}
		write(t, g.r.log, lines...)
		done += len(lines)
		awaitFor(t, 5*time.Minute, fmt.Sprintf("the gateway holds %d entries", done), func() string { return fmt.Sprintf("%+v\n%.8000s", g.r.beat(), g.r.said) }, func() bool {
			s := g.r.beat()
			return s != nil && len(s.Gateways) == 1 && s.Gateways[0].Entries >= done && !s.Gateways[0].Behind
		})
	}
}

// settled waits until the ledger has every decision as pushed, so that what is measured
// next has the machine for itself.
func (g *guarded) settled(n int) {
	db, err := store.OpenReadOnly(filepath.Join(g.r.state, storeFile))
	if err != nil {
		g.r.t.Fatal(err)
	}
	defer db.Close()
	pushed := 0
	awaitFor(g.r.t, 5*time.Minute, "all are written down as pushed", func() string { return fmt.Sprintf("%d of %d\n%.8000s", pushed, n, g.r.said) }, func() bool {
		err := db.Reader().QueryRow(`SELECT count(*) FROM decisions WHERE pushed_at <> 0`).Scan(&pushed)
		return err == nil && pushed >= n
	})
}

// beat is what the service said of itself last, read without a process of its own.
func (r *rig) beat() *heartbeat {
	db, err := store.OpenReadOnly(filepath.Join(r.state, storeFile))
	if err != nil {
		return nil
	}
	defer db.Close()
	b, err := lastHeartbeat(context.Background(), db)
	if err != nil {
		return nil
	}
	return b
}

// once writes one attack into the log and asks as that client until it is refused.
func (g *guarded) once(client netip.Addr) time.Duration {
	t := g.r.t
	if err := g.ask(client); err != nil {
		t.Fatalf("%s is not let through before: %v\n%s", client, err, g.r.said)
	}
	start := time.Now()
	write(t, g.r.log, attackLine(client.String()))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for err := error(nil); err == nil || !refusal(err, g.tells); <-tick.C {
		if time.Since(start) > patience {
			t.Fatalf("%s is not refused: %v\n%s", client, err, g.r.said)
		}
		err = g.ask(client)
	}
	return time.Since(start)
}

// refusal tells a client who was refused from one whose connection broke. A packet
// filter refuses by that.
func refusal(err error, tells string) bool {
	var wrong wrongStatus
	return tells == "peer" || errors.As(err, &wrong) && wrong == http.StatusForbidden
}

type wrongStatus int

func (w wrongStatus) Error() string { return fmt.Sprintf("status %d", int(w)) }

// ask sends one request as a client; nil = it was answered 200.
func (g *guarded) ask(client netip.Addr) error {
	resp, err := g.fetch(client, "/api/v1/products")
	if err == nil && resp.StatusCode != http.StatusOK {
		return wrongStatus(resp.StatusCode)
	}
	return err
}

// fetch sends one request as a client and returns the answer, of which the body is read.
func (g *guarded) fetch(client netip.Addr, target string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+g.addr+target, nil)
	if err != nil {
		return nil, err
	}
	c := g.client
	if g.tells == "header" {
		req.Header.Set("X-Forwarded-For", client.String())
	} else { // who it is stands in the connection
		c = &http.Client{Timeout: c.Timeout, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return g.dial(ctx, client, addr)
		}}}
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, errors.Join(err, resp.Body.Close())
}

func (g *guarded) dial(ctx context.Context, client netip.Addr, addr string) (net.Conn, error) {
	if g.tells == "peer" {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(client, 0))}
		return d.DialContext(ctx, "tcp4", addr)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", addr)
	if err == nil {
		_, err = fmt.Fprintf(conn, "PROXY TCP4 %s 192.0.2.255 40000 80\r\n", client)
	}
	return conn, err
}

// honest asks as ordinary clients until stopped, each with such a pause so that the machine
// has time for the rest, and counts wrong answers and requests that got none.
func (g *guarded) honest(pause time.Duration) (stop func() (failed, dropped, all int64)) {
	var failed, dropped, all atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		client := netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + i)})
		wg.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				all.Add(1)
				var wrong wrongStatus
				switch err := g.ask(client); {
				case errors.As(err, &wrong):
					failed.Add(1)
				case err != nil:
					dropped.Add(1)
				}
			}
		})
	}
	return func() (int64, int64, int64) {
		close(done)
		wg.Wait()
		return failed.Load(), dropped.Load(), all.Load()
	}
}
