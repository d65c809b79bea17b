package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/portcullis/portcullis/fixtures/traffic"
)

// crowd are the ordinary clients: the same people as in the generated logs,
// most of them behind shared addresses, none above a few requests a second.
type crowd struct {
	d      *driver
	client *http.Client
	stream *traffic.Stream

	mu   sync.Mutex
	seen map[netip.Addr]bool
	sum  OrdinaryReport
}

const (
	crowdAddresses = 120
	crowdWorkers   = 6
)

func newCrowd(d *driver) *crowd {
	return &crowd{
		d: d, client: newClient(crowdWorkers), seen: map[netip.Addr]bool{},
		stream: traffic.NewStream(traffic.Options{Seed: d.o.Seed, Clients: crowdAddresses, Rate: d.o.Rate}),
	}
}

// run sends at a steady pace until ctx ends. When all workers are busy it
// waits: a slow gateway gets fewer requests, never a growing queue.
func (c *crowd) run(ctx context.Context) {
	calls := make(chan call)
	var workers sync.WaitGroup
	for range crowdWorkers {
		workers.Go(func() {
			for q := range calls {
				c.ask(ctx, q)
			}
		})
	}
	defer c.client.CloseIdleConnections()
	defer workers.Wait()
	defer close(calls)
	tick := time.NewTicker(time.Duration(float64(time.Second) / c.d.o.Rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case <-ctx.Done():
			return
		case calls <- c.next():
		}
	}
}

// next turns a request of the generated traffic into a real one.
func (c *crowd) next() call {
	r := c.stream.Next()
	q := call{client: r.Client, method: r.Method, target: string(r.Target), agent: r.Agent, referer: r.Referer}
	if r.Method == http.MethodPost {
		q.body = `{"product":7}`
		if q.target == "/api/v1/login" {
			password := Password
			if r.Status == http.StatusUnauthorized {
				password = "correct horse"
			}
			q.body = loginBody("ada", password)
		}
	}
	return q
}

func loginBody(user, password string) string {
	return fmt.Sprintf(`{"user":%q,"password":%q}`, user, password)
}

// ask sends one request, a second time if the connection was closed under it:
// a reload of nginx closes idle ones, and browsers try again too.
func (c *crowd) ask(ctx context.Context, q call) {
	status, err := c.d.send(ctx, c.client, q)
	if err != nil && ctx.Err() == nil {
		status, err = c.d.send(ctx, c.client, q)
	}
	if ctx.Err() != nil {
		return // cut off by the end of the demo
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[q.client] = true
	c.sum.Requests++
	switch {
	case err != nil:
		c.sum.Errors++
	case denied(status):
		if c.sum.Denied++; c.sum.Example == "" {
			c.sum.Example = fmt.Sprintf("%s %s as %s got %d", q.method, q.target, q.client, status)
		}
	case status == http.StatusUnauthorized:
		c.sum.Refused++
	}
}

// report is asked for once all is over.
func (c *crowd) report() OrdinaryReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Addresses = len(c.seen)
	return c.sum
}
