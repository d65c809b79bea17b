package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/portcullis/portcullis/fixtures/traffic"
)

// Options of the demo's traffic. The zero value of a field is its default.
type Options struct {
	Longest  time.Duration  // the whole never takes longer; 0 = 25 s
	Rate     float64        // ordinary requests a second; 0 = 70
	Seed     uint64         // of the ordinary clients
	Patience time.Duration  // how long an attacker tries without being denied; 0 = 9 s
	Persist  time.Duration  // how long it goes on once denied, for the block to be seen to hold; 0 = 4 s
	Progress func(Progress) // told as things happen, one call at a time; may be nil
}

func (o Options) withDefaults() Options {
	if o.Longest <= 0 {
		o.Longest = 25 * time.Second
	}
	if o.Rate <= 0 {
		o.Rate = 70
	}
	if o.Patience <= 0 {
		o.Patience = 9 * time.Second
	}
	if o.Persist <= 0 {
		o.Persist = 4 * time.Second
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o
}

// The steps of an attacker.
const (
	Starts = "starts" // its first request is about to go out
	Denied = "denied" // it saw its first 403 or 429
	Stops  = "stops"  // it is done
)

// Progress is one thing to narrate.
type Progress struct {
	Step     string
	Attacker AttackerReport // as it stands
	Took     time.Duration  // with Denied: since its first request
}

// AttackerReport is what one attacker did and saw.
type AttackerReport struct {
	Kind       traffic.Kind
	Addr       netip.Addr
	Doing      string      // in words
	Sent       []time.Time // every request, when it was sent
	FirstDeny  time.Time   // answer of the first 403 or 429; zero = never
	DenyStatus int         // of that answer
	Denied     int         // answers 403 or 429
	Passed     int         // other answers after the first denial
	Errors     int         // no answer at all
}

// OrdinaryReport is what the ordinary clients saw. Denied has to be 0.
type OrdinaryReport struct {
	Addresses int // distinct ones that sent something
	Requests  int
	Denied    int    // answers 403 or 429
	Refused   int    // answers 401: forgetful people
	Errors    int    // no answer even at the second try
	Example   string // the first one denied, for the search
}

// Report is the result of the traffic.
type Report struct {
	Ordinary  OrdinaryReport
	Attackers []AttackerReport
	Took      time.Duration
}

// Traffic drives ordinary clients and the four attackers against the gateway
// at base until every attacker is done, Longest is over or ctx ends, which is
// no error: the report holds what happened until then.
func Traffic(ctx context.Context, base string, o Options) (Report, error) {
	o = o.withDefaults()
	if u, err := url.Parse(base); err != nil || u.Host == "" {
		return Report{}, fmt.Errorf("demo: %q is no address of a gateway", base)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, o.Longest)
	defer cancel()
	d := &driver{base: base, o: o, began: began}
	ordinary, stopOrdinary := context.WithCancel(ctx)
	defer stopOrdinary()
	crowd := newCrowd(d)
	var people, raiders sync.WaitGroup
	people.Go(func() { crowd.run(ordinary) })
	attackers := cast()
	for _, a := range attackers {
		raiders.Go(func() { d.raid(ctx, a) })
	}
	raiders.Wait()
	// A moment more of honest traffic behind the last block.
	rest := time.NewTimer(time.Second)
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
	rest.Stop()
	stopOrdinary()
	people.Wait()
	r := Report{Ordinary: crowd.report(), Took: time.Since(began)}
	for _, a := range attackers {
		r.Attackers = append(r.Attackers, a.report)
	}
	return r, nil
}

// driver is what all clients share.
type driver struct {
	base  string
	o     Options
	began time.Time
	mu    sync.Mutex // one Progress at a time
}

// tell passes a step on.
func (d *driver) tell(p Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.o.Progress(p)
}

// newClient makes an HTTP client with connections of its own, as many as it
// keeps alive.
func newClient(connections int) *http.Client {
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// call is one request of somebody.
type call struct {
	client         netip.Addr
	method, target string
	agent, referer string
	body           string
}

// send sends a call and returns the status. The target goes out as it is
// written: attackers do not care for what is a valid URL.
func (d *driver) send(ctx context.Context, c *http.Client, q call) (int, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, d.base, strings.NewReader(q.body))
	if err != nil {
		return 0, fmt.Errorf("demo: %w", err)
	}
	if q.body == "" {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	}
	path, query, _ := strings.Cut(q.target, "?")
	req.URL.Opaque = path
	req.URL.RawQuery = query
	req.Host = "shop.example.com"
	req.Header.Set("X-Forwarded-For", q.client.String())
	req.Header.Set("User-Agent", q.agent)
	if q.referer != "" && q.referer != "-" {
		req.Header.Set("Referer", q.referer)
	}
	if q.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// denied tells whether a status is one that enforcement answers with.
func denied(status int) bool {
	return status == http.StatusForbidden || status == http.StatusTooManyRequests
}
