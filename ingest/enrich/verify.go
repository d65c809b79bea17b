package enrich

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/portcullis/portcullis/ingest"
)

// Resolver asks DNS; *net.Resolver is one. It is called by several goroutines.
type Resolver interface {
	LookupAddr(ctx context.Context, addr string) (names []string, err error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// systemResolver is the one in Go, with the name servers of the system. A question of it ends
// when its context does; one of the C library would not.
func systemResolver() Resolver { return &net.Resolver{PreferGo: true, Dial: dialUntil} }

// dialUntil closes the connection when the context ends: net.Resolver would wait for the
// answer up to its own timeout.
func dialUntil(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err == nil {
		context.AfterFunc(ctx, func() { _ = conn.Close() })
	}
	return conn, err
}

// How long an answer counts. A crawler's address stays its operator's for long; a refusal
// may be of an address that is new; an error says nothing, but asking again at once
// would only add to it.
const (
	confirmedFor = 24 * time.Hour
	refusedFor   = time.Hour
	unsureFor    = 5 * time.Minute
)

// Bounds of one verification.
const (
	maxNames   = 8  // reverse names that are looked at
	maxForward = 64 // addresses of a name that are looked at
)

// claim is a client and the number of the crawler it says it is.
type claim struct {
	client netip.Addr
	bot    uint8
}

// verdict is what DNS said, and until when it counts. CrawlerUnknown means that the claim is
// in the queue, or that DNS gave no answer.
type verdict struct {
	state ingest.Crawler
	until int64 // Unix nanoseconds
}

// verifier confirms claims by reverse and forward DNS (the way is described by Google,
// developers.google.com/crawling/docs/crawlers-fetchers/verify-google-requests). state never waits:
// a claim that is not known goes to a bounded queue. When that is full the claim is
// dropped, counted in dropped, and queued by a later request.
type verifier struct {
	resolver Resolver
	timeout  time.Duration
	now      func() time.Time
	queue    chan claim
	stop     context.CancelFunc
	workers  sync.WaitGroup

	// Confirmed claims have a cache of their own: who makes up thousands of fakes
	// pushes out other fakes.
	confirmed *lru.Cache[claim, verdict]
	others    *lru.Cache[claim, verdict]

	asked, dropped, failed atomic.Uint64
	verified, refused      atomic.Uint64
}

// newVerifier starts the workers; close ends them.
func newVerifier(cfg CrawlersConfig, r Resolver, now func() time.Time) (*verifier, error) {
	v := &verifier{resolver: r, timeout: cfg.Timeout, now: now, queue: make(chan claim, max(1, cfg.Queue))}
	var err error
	if v.confirmed, err = lru.New[claim, verdict](cfg.Cache); err == nil {
		v.others, err = lru.New[claim, verdict](cfg.Cache)
	}
	if err != nil {
		return nil, fmt.Errorf("enrich: crawlers.cache: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	for range max(1, cfg.Workers) {
		v.workers.Add(1)
		go v.work(ctx)
	}
	return v, nil
}

// close ends the workers and waits for them; what is queued is forgotten.
func (v *verifier) close() {
	v.stop()
	v.workers.Wait()
}

// state returns what is known of a claim, and sees to it that more is known later.
func (v *verifier) state(client netip.Addr, bot uint8) ingest.Crawler {
	c, now := claim{client, bot}, v.now().UnixNano()
	if known, ok := v.confirmed.Get(c); ok && now < known.until {
		return known.state
	}
	if known, ok := v.others.Get(c); ok && now < known.until {
		return known.state
	}
	// It is noted before it is queued, so that its next request does not queue it again.
	v.others.Add(c, verdict{ingest.CrawlerUnknown, now + int64(unsureFor)})
	select {
	case v.queue <- c:
	default:
		v.others.Remove(c)
		v.dropped.Add(1)
	}
	return ingest.CrawlerUnknown
}

func (v *verifier) work(ctx context.Context) {
	defer v.workers.Done()
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-v.queue:
			v.settle(ctx, c)
		}
	}
}

// settle asks DNS and remembers the answer.
func (v *verifier) settle(ctx context.Context, c claim) {
	v.asked.Add(1)
	state := v.ask(ctx, c)
	if ctx.Err() != nil {
		return
	}
	now := v.now().UnixNano()
	switch state {
	case ingest.CrawlerVerified:
		v.verified.Add(1)
		v.confirmed.Add(c, verdict{state, now + int64(confirmedFor)})
		v.others.Remove(c)
		return
	case ingest.CrawlerFake:
		v.refused.Add(1)
		v.others.Add(c, verdict{state, now + int64(refusedFor)})
	default:
		v.failed.Add(1)
		v.others.Add(c, verdict{state, now + int64(unsureFor)})
	}
	v.confirmed.Remove(c)
}

// ask is the verification itself: a reverse name within the crawler's domains that leads
// back to the address. No name, or none that does, is a fake; no answer is no verdict.
func (v *verifier) ask(ctx context.Context, c claim) ingest.Crawler {
	ask, cancel := context.WithTimeout(ctx, v.timeout)
	names, err := v.resolver.LookupAddr(ask, c.client.String())
	cancel()
	if err != nil && len(names) == 0 {
		return unlessFound(err)
	}
	state := ingest.CrawlerFake
	for _, name := range names[:min(len(names), maxNames)] {
		if !within(name, bots[c.bot].domains) {
			continue
		}
		switch v.forward(ctx, name, c.client) {
		case ingest.CrawlerVerified:
			return ingest.CrawlerVerified
		case ingest.CrawlerUnknown:
			state = ingest.CrawlerUnknown
		}
	}
	return state
}

// forward tells whether a name leads to the address.
func (v *verifier) forward(ctx context.Context, name string, client netip.Addr) ingest.Crawler {
	ask, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	network := "ip6"
	if client.Is4() {
		network = "ip4"
	}
	// The dot at the end keeps the search list of resolv.conf out of it.
	addrs, err := v.resolver.LookupNetIP(ask, network, strings.TrimSuffix(name, ".")+".")
	if err != nil {
		return unlessFound(err)
	}
	for _, a := range addrs[:min(len(addrs), maxForward)] {
		if a.Unmap() == client {
			return ingest.CrawlerVerified
		}
	}
	return ingest.CrawlerFake
}

// unlessFound reads an error: that there is no such name is an answer.
func unlessFound(err error) ingest.Crawler {
	var e *net.DNSError
	if errors.As(err, &e) && e.IsNotFound && !e.IsTimeout && !e.IsTemporary {
		return ingest.CrawlerFake
	}
	return ingest.CrawlerUnknown
}

// within tells whether a name is one of the domains or below.
func within(name string, domains []string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for _, d := range domains {
		if head, ok := strings.CutSuffix(name, d); ok && (head == "" || head[len(head)-1] == '.') {
			return true
		}
	}
	return false
}
