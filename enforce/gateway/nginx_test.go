package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce"
)

func TestNginxBlocks(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := s.gateway()
	if err := g.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	done := apply(t, g, block("192.0.2.1/32"), block("198.51.100.0/24"), block("2001:db8:1::/48"), block("2001:db8:2::7/128"))
	if done.Entries != 4 || done.Changed != 4 || done.Took <= 0 || done.At.IsZero() {
		t.Errorf("applied %+v, want 4 entries, 4 changed", done)
	}
	s.want(403, "192.0.2.1", "198.51.100.0", "198.51.100.255", "2001:db8:1::1", "2001:db8:1:ffff::1", "2001:db8:2::7")
	s.want(200, "192.0.2.2", "198.51.101.0", "2001:db8:3::1", "2001:db8:2::8", "127.0.0.1")
	if got := s.fetch("192.0.2.1", "/").Header.Get("X-Site"); got != "kept" {
		t.Errorf("the site's own header is %q on a 403, want it kept", got)
	}

	if done := apply(t, g, block("2001:db8:1::/48"), block("203.0.113.5/32")); done.Changed != 4 || done.Entries != 2 {
		t.Errorf("applied %+v, want 2 entries, 4 changed (3 removed, 1 added)", done)
	}
	s.want(200, "192.0.2.1", "198.51.100.77", "2001:db8:2::7")
	s.want(403, "2001:db8:1::1", "203.0.113.5")
	apply(t, g)
	s.want(200, "2001:db8:1::1", "203.0.113.5")
}

func TestNginxRepeatIsFree(t *testing.T) {
	s := newSite(t, "")
	s.start()
	want := []enforce.Entry{block("192.0.2.1/32"), throttle("192.0.2.9/32", 5, 0)}
	apply(t, s.gateway(), want...)
	pid, err := s.gateway().masterPID(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	before, err := workersOf(pid)
	if err != nil || len(before) != 2 {
		t.Fatalf("workers %v, %v", before, err)
	}
	// Another gateway value stands for a restarted Portcullis.
	for _, order := range [][]enforce.Entry{want, {want[1], want[0]}, {want[1], want[0], want[0]}} {
		if done := apply(t, s.gateway(), order...); done.Changed != 0 || done.Entries != 2 {
			t.Errorf("repeated: %+v, want nothing changed", done)
		}
	}
	if after, _ := workersOf(pid); !maps.Equal(before, after) {
		t.Errorf("workers changed from %v to %v: nginx was reloaded for nothing", before, after)
	}
}

func TestNginxThrottles(t *testing.T) {
	s := newSite(t, `location /own { add_header X-Own 1 always; empty_gif; }
		location /both { add_header X-Own 1 always; include `+"portcullis/portcullis-headers.conf"+`; empty_gif; }`)
	s.start()
	apply(t, s.gateway(), throttle("192.0.2.9/32", 0.1, 5), throttle("2001:db8:9::/64", 0.5, 0), throttle("198.51.100.3/32", 0.7, 0))
	passed := 0
	for range 20 {
		if s.get("192.0.2.9") == 200 {
			passed++
		}
	}
	if passed != 6 { // one, and a burst of five; the next is due after ten seconds
		t.Errorf("%d of 20 requests passed at 0.1/s with burst 5, want exactly 6", passed)
	}
	h := s.fetch("192.0.2.9", "/").Header
	if h.Get("Retry-After") != "10" || h.Get("RateLimit") != `"portcullis";r=0;t=10` || h.Get("RateLimit-Policy") != `"portcullis";q=1;w=10` || h.Get("X-Site") != "kept" {
		t.Errorf("headers of a 429: %v", h)
	}
	// The whole /64 shares one budget: changing the address does not help.
	s.want(200, "2001:db8:9::1")
	s.want(429, "2001:db8:9::1", "2001:db8:9::2", "2001:db8:9:0:ffff::3")
	s.want(200, "2001:db8:9:1::1", "192.0.2.10", "192.0.2.10", "192.0.2.10")
	// 0.7/s is rounded down to 0.5/s, never up.
	s.want(200, "198.51.100.3")
	if got := s.fetch("198.51.100.3", "/own"); got.StatusCode != 429 || got.Header.Get("X-Own") != "1" || got.Header.Get("Retry-After") != "" {
		t.Errorf("a location with its own headers: %d %v", got.StatusCode, got.Header)
	}
	if got := s.fetch("198.51.100.3", "/both"); got.StatusCode != 429 || got.Header.Get("X-Own") != "1" || got.Header.Get("Retry-After") != "2" {
		t.Errorf("a location that includes the headers: %d %v", got.StatusCode, got.Header)
	}
	if h := s.fetch("192.0.2.77", "/").Header; h.Get("Retry-After")+h.Get("RateLimit")+h.Get("RateLimit-Policy") != "" {
		t.Errorf("an ordinary client gets throttle headers: %v", h)
	}
	apply(t, s.gateway())
	s.want(200, "192.0.2.9", "192.0.2.9", "192.0.2.9")
}

func TestNginxThrottleRate(t *testing.T) {
	s := newSite(t, "")
	s.start()
	apply(t, s.gateway(), throttle("192.0.2.9/32", 20, 0))
	start := time.Now()
	passed := 0
	for time.Since(start) < 1500*time.Millisecond {
		if s.get("192.0.2.9") == 200 {
			passed++
		}
	}
	most := 1 + int(time.Since(start).Seconds()*20)
	if passed > most || passed < most/2 {
		t.Errorf("%d requests passed, want %d at most and at least half of that", passed, most)
	}
}

func TestNginxRefusedRollsBack(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := s.gateway()
	apply(t, g, block("192.0.2.1/32"))
	good, err := os.ReadFile(g.path(NginxHTTPFile))
	if err != nil {
		t.Fatal(err)
	}
	stop := s.honestTraffic()
	s.write("nginx.conf", readString(t, s.cfg.Conf)+"\nno_such_directive on;\n")
	_, err = g.Apply(context.Background(), []enforce.Entry{block("192.0.2.2/32")})
	wantError(t, err, "unknown directive", "no_such_directive", "without our change too")
	if got, _ := os.ReadFile(g.path(NginxHTTPFile)); string(got) != string(good) {
		t.Error("the include file was not rolled back")
	}
	s.want(403, "192.0.2.1")
	s.want(200, "192.0.2.2")
	s.writeConf("")
	if done := apply(t, g, block("192.0.2.2/32")); done.Changed != 2 {
		t.Errorf("after the repair: %+v, want 2 changed", done)
	}
	s.want(200, "192.0.2.1")
	s.want(403, "192.0.2.2")
	if bad := stop(); bad != 0 {
		t.Errorf("%d honest requests failed meanwhile", bad)
	}
	left, err := filepath.Glob(filepath.Join(s.cfg.Dir, ".*.last"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNginxRefusedDuplicateStatus(t *testing.T) {
	s := newSite(t, "limit_req_status 503;")
	_, err := s.gateway().Apply(context.Background(), []enforce.Entry{block("192.0.2.2/32")})
	wantError(t, err, "limit_req_status", "duplicate", "take it out")
}

// honestTraffic asks as ordinary clients until stopped, and counts what is not 200.
func (s *site) honestTraffic() (stop func() int64) {
	var bad atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := s.request(fmt.Sprintf("203.0.113.%d", 10+i), "/")
				if err != nil || resp.StatusCode != 200 {
					bad.Add(1)
				}
			}
		})
	}
	return func() int64 {
		cancel()
		wg.Wait()
		return bad.Load()
	}
}

func TestNginxReloadsSpareHonestTraffic(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := s.gateway()
	stop := s.honestTraffic()
	for i := range 10 {
		apply(t, g, block(fmt.Sprintf("192.0.2.%d/32", i)))
		s.want(403, fmt.Sprintf("192.0.2.%d", i))
	}
	if bad := stop(); bad != 0 {
		t.Errorf("%d honest requests failed during ten reloads", bad)
	}
}

func TestNginxKilledAndRestarted(t *testing.T) {
	s := newSite(t, "")
	s.start()
	g := s.gateway()
	apply(t, g, block("192.0.2.1/32"))
	s.stop()
	s.start()
	s.want(403, "192.0.2.1")
	if done := apply(t, g, block("192.0.2.1/32")); done.Changed != 0 {
		t.Errorf("applied again: %+v, want nothing changed", done)
	}
	if done := apply(t, g, block("192.0.2.1/32"), block("192.0.2.3/32")); done.Changed != 1 {
		t.Errorf("applied one more: %+v, want 1 changed", done)
	}
	s.want(403, "192.0.2.1", "192.0.2.3")
}

func TestNginxNotRunning(t *testing.T) {
	s := newSite(t, "")
	g := s.gateway()
	for range 2 { // nginx -t leaves an empty pid file: the second try sees another case
		_, err := g.Apply(context.Background(), []enforce.Entry{block("192.0.2.1/32")})
		wantError(t, err, "not running", "next start")
		if !errors.Is(err, ErrNotRunning) {
			t.Errorf("%v is not ErrNotRunning", err)
		}
	}
	s.write("nginx.pid", fmt.Sprint(os.Getpid()))
	_, err := g.Apply(context.Background(), []enforce.Entry{block("192.0.2.1/32")})
	wantError(t, err, "is not nginx") // and this process, which would die of a HUP, goes on
	s.start()
	s.want(403, "192.0.2.1")
	apply(t, g, block("192.0.2.1/32"))
	if done := apply(t, g, block("192.0.2.1/32")); done.Changed != 0 {
		t.Errorf("reconciled, then again: %+v", done)
	}
}

func TestNginxRefusesEntries(t *testing.T) {
	s := newSite(t, "")
	g := s.gateway()
	before := readString(t, g.path(NginxHTTPFile))
	bad := map[string]enforce.Entry{
		"no valid address prefix": {Decision: "x", Action: enforce.Block},
		"everybody":               block("0.0.0.0/0"),
		"is everybody":            block("::ffff:0.0.0.0/96"),
		"cannot \"revoke\"":       {Decision: "x", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Action: enforce.Revoke},
		"rate 0":                  throttle("192.0.2.1/32", 0, 0),
		"rate -1":                 throttle("192.0.2.1/32", -1, 0),
	}
	for part, e := range bad {
		_, err := g.Apply(context.Background(), []enforce.Entry{block("192.0.2.50/32"), e})
		wantError(t, err, part)
	}
	if readString(t, g.path(NginxHTTPFile)) != before {
		t.Error("a refused set touched the file")
	}
}

func TestNginxFileHoldsNoText(t *testing.T) {
	s := newSite(t, "")
	s.start()
	e := block("192.0.2.1/32")
	e.Why = "x\n}\nserver { return 200; } # PWNED"
	e.Decision = "1;}PWNED"
	mapped := block("192.0.2.2/32")
	mapped.Prefix = netip.PrefixFrom(netip.MustParseAddr("::ffff:198.51.100.99"), 120)
	apply(t, s.gateway(), e, mapped)
	if text := readString(t, s.gateway().path(NginxHTTPFile)); strings.Contains(text, "PWNED") {
		t.Error("the file holds text from an entry")
	}
	s.want(403, "192.0.2.1", "198.51.100.1", "198.51.100.254")
	s.want(200, "198.51.101.1")
}

func readString(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
