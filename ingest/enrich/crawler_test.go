package enrich

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/ingest"
)

// waitFor polls, since DNS answers when it likes.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// clock is a wall clock that tests move.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1795439016, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func verifying(t *testing.T, z *zone, cfg CrawlersConfig, c *clock) *Enricher {
	t.Helper()
	cfg.Verify = true
	e, err := New(Config{Crawlers: cfg}, Options{Resolver: z.resolver(), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func crawlerOf(w *Worker, addr, agent string) ingest.Crawler {
	ev := ingest.Event{Client: netip.MustParseAddr(addr), Agent: agent}
	w.Resolve(&ev)
	return ev.Crawler
}

const googleAgent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

func TestVerifyByDNS(t *testing.T) {
	z := startZone(t)
	z.has("66.249.66.1", "crawl-66-249-66-1.googlebot.com", "66.249.66.1")
	z.has("66.249.90.77", "rate-limited-proxy-66-249-90-77.GOOGLE.com", "66.249.90.7", "66.249.90.77")
	z.has("203.0.113.1", "crawl-203-0-113-1.googlebot.com.evil.example", "203.0.113.1")
	z.has("203.0.113.2", "evilgooglebot.com", "203.0.113.2")
	z.has("203.0.113.3", "crawl-1.googlebot.com", "66.249.66.3") // a reverse name is anybody's to write
	z.has("203.0.113.4", "host.isp.example", "203.0.113.4")
	z.has("203.0.113.4", "crawl-4.googlebot.com", "203.0.113.4")
	z.has("203.0.113.5", "crawl-5.googlebot.com")
	z.ails("203.0.113.6", "servfail")
	z.has("203.0.113.7", "crawl-7.googlebot.com", "203.0.113.7")
	z.ails("crawl-7.googlebot.com", "servfail")
	z.ails("203.0.113.8", "silent")
	z.has("2001:4860:4801::1", "crawl-v6.googlebot.com", "2001:4860:4801::1")
	z.has("2001:db8::2", "crawl-v6.googlebot.com")
	z.has("157.55.39.1", "msnbot-157-55-39-1.search.msn.com", "157.55.39.1")
	z.has("17.58.98.1", "17-58-98-1.applebot.apple.com", "17.58.98.1")
	e := verifying(t, z, CrawlersConfig{Timeout: 300 * time.Millisecond}, &clock{})
	w := e.Worker()
	for _, c := range []struct {
		addr, agent string
		want        ingest.Crawler
	}{
		{"66.249.66.1", googleAgent, ingest.CrawlerVerified},
		{"::ffff:66.249.66.1", googleAgent, ingest.CrawlerVerified},
		{"66.249.90.77", googleAgent, ingest.CrawlerVerified},
		{"66.249.66.1", "Mozilla/5.0 (compatible; bingbot/2.0)", ingest.CrawlerFake}, // somebody's, but not Bing's
		{"203.0.113.1", googleAgent, ingest.CrawlerFake},
		{"203.0.113.2", googleAgent, ingest.CrawlerFake},
		{"203.0.113.3", googleAgent, ingest.CrawlerFake},
		{"203.0.113.4", googleAgent, ingest.CrawlerVerified},
		{"203.0.113.5", googleAgent, ingest.CrawlerFake},
		{"203.0.113.6", googleAgent, ingest.CrawlerUnknown},
		{"203.0.113.7", googleAgent, ingest.CrawlerUnknown},
		{"203.0.113.8", googleAgent, ingest.CrawlerUnknown},
		{"203.0.113.9", googleAgent, ingest.CrawlerFake}, // no reverse name at all
		{"2001:4860:4801::1", googleAgent, ingest.CrawlerVerified},
		{"2001:db8::2", googleAgent, ingest.CrawlerFake},
		{"157.55.39.1", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", ingest.CrawlerVerified},
		{"17.58.98.1", "Mozilla/5.0 (Applebot/0.1)", ingest.CrawlerVerified},
	} {
		before := e.CrawlerStats()
		if first := crawlerOf(w, c.addr, c.agent); first != ingest.CrawlerUnknown && !strings.HasPrefix(c.addr, "::ffff") {
			t.Errorf("%s, %q: %d before DNS was asked", c.addr, c.agent, first)
		}
		waitFor(t, "the verdict on "+c.addr, func() bool {
			s := e.CrawlerStats()
			return s.Verified+s.Fake+s.Failed > before.Verified+before.Fake+before.Failed || strings.HasPrefix(c.addr, "::ffff")
		})
		for range 2 { // remembered
			waitFor(t, "the state of "+c.addr, func() bool { return crawlerOf(w, c.addr, c.agent) == c.want })
		}
	}
	if s := e.CrawlerStats(); s.Asked != s.Verified+s.Fake+s.Failed || s.Failed != 3 || s.Dropped != 0 {
		t.Errorf("counted %+v", s)
	}
}

// TestNotAsked: what cannot be verified is not asked for, and nothing is while it is off.
func TestNotAsked(t *testing.T) {
	z := startZone(t)
	on := verifying(t, z, CrawlersConfig{}, &clock{}).Worker()
	off, err := New(Config{}, Options{Resolver: z.resolver()})
	if err != nil {
		t.Fatal(err)
	}
	defer off.Close()
	for _, c := range []struct {
		w           *Worker
		addr, agent string
		want        ingest.Crawler
	}{
		{on, "203.0.113.1", "curl/8.5.0", ingest.CrawlerNo},
		{on, "203.0.113.1", "", ingest.CrawlerNo},
		{on, "203.0.113.1", "SomeOtherBot/1.0", ingest.CrawlerUnknown},
		{on, "203.0.113.1", "DuckDuckBot/1.1", ingest.CrawlerUnknown},
		{on, "203.0.113.1", "facebookexternalhit/1.1", ingest.CrawlerUnknown},
		{on, "2001:db8::1", "CCBot/2.0", ingest.CrawlerUnknown}, // documented for IPv4
		{on, "10.0.0.1", googleAgent, ingest.CrawlerUnknown},
		{on, "127.0.0.1", googleAgent, ingest.CrawlerUnknown},
		{on, "fe80::1%eth0", googleAgent, ingest.CrawlerUnknown},
		{off.Worker(), "203.0.113.1", googleAgent, ingest.CrawlerUnknown},
	} {
		for range 2 {
			if got := crawlerOf(c.w, c.addr, c.agent); got != c.want {
				t.Errorf("%s, %q: %d, want %d", c.addr, c.agent, got, c.want)
			}
		}
	}
	if n := z.queries.Load(); n != 0 {
		t.Errorf("DNS was asked %d times", n)
	}
}

// TestAnswersAge: 24 hours, one hour, five minutes.
func TestAnswersAge(t *testing.T) {
	z, now := startZone(t), &clock{}
	z.has("66.249.66.1", "a.googlebot.com", "66.249.66.1")
	z.ails("203.0.113.6", "servfail")
	e := verifying(t, z, CrawlersConfig{}, now)
	w := e.Worker()
	settle := func(addr string, want uint64) {
		t.Helper()
		crawlerOf(w, addr, googleAgent)
		waitFor(t, "DNS about "+addr, func() bool {
			s := e.CrawlerStats()
			return s.Asked == want && s.Verified+s.Fake+s.Failed == want
		})
	}
	settle("66.249.66.1", 1)
	settle("203.0.113.9", 2)
	settle("203.0.113.6", 3)
	now.advance(unsureFor - time.Second)
	settle("203.0.113.6", 3)
	now.advance(2 * time.Second)
	settle("203.0.113.6", 4)
	settle("203.0.113.9", 4)
	now.advance(refusedFor)
	settle("203.0.113.9", 5)
	settle("66.249.66.1", 5)
	z.mu.Lock()
	delete(z.names, reverse(netip.MustParseAddr("66.249.66.1"))) // given back by Google
	z.mu.Unlock()
	now.advance(confirmedFor)
	settle("66.249.66.1", 6)
	if got := crawlerOf(w, "66.249.66.1", googleAgent); got != ingest.CrawlerFake {
		t.Errorf("an address that is the crawler's no longer is %d", got)
	}
}

// TestQueueIsBounded: nobody waits when DNS is slow, and Close does not either.
func TestQueueIsBounded(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	z := startZone(t)
	for i := range 100 {
		z.ails(fmt.Sprintf("203.0.113.%d", i), "silent")
	}
	cfg := CrawlersConfig{Verify: true, Queue: 2, Workers: 1, Cache: 16, Timeout: time.Minute}
	e, err := New(Config{Crawlers: cfg}, Options{Resolver: z.resolver()})
	if err != nil {
		t.Fatal(err)
	}
	w := e.Worker()
	crawlerOf(w, "203.0.113.0", googleAgent)
	waitFor(t, "the only worker to be busy", func() bool { return e.CrawlerStats().Asked == 1 })
	for i := 1; i < 100; i++ {
		if got := crawlerOf(w, fmt.Sprintf("203.0.113.%d", i), googleAgent); got != ingest.CrawlerUnknown {
			t.Errorf("client %d: %d", i, got)
		}
	}
	crawlerOf(w, "203.0.113.1", googleAgent) // waits already
	if s := e.CrawlerStats(); s.Waiting != 2 || s.Dropped != 97 || s.Asked != 1 {
		t.Errorf("counted %+v, want 2 waiting and 97 dropped", s)
	}
	if n := e.crawlers.dns.others.Len(); n > 16 {
		t.Errorf("%d clients are remembered, the bound is 16", n)
	}
	e.Close()
	_ = z.conn.Close()
	z.done.Wait()
	if got := crawlerOf(w, "203.0.113.99", googleAgent); got != ingest.CrawlerUnknown {
		t.Errorf("after Close: %d", got)
	}
}

// TestFakesDoNotPushOut: confirmed crawlers stay remembered under a flood of fakes.
func TestFakesDoNotPushOut(t *testing.T) {
	z := startZone(t)
	z.has("66.249.66.1", "a.googlebot.com", "66.249.66.1")
	e := verifying(t, z, CrawlersConfig{Cache: 16}, &clock{})
	w := e.Worker()
	waitFor(t, "the confirmation", func() bool { return crawlerOf(w, "66.249.66.1", googleAgent) == ingest.CrawlerVerified })
	for i := range 200 {
		crawlerOf(w, fmt.Sprintf("203.0.113.%d", i), googleAgent)
	}
	waitFor(t, "the fakes", func() bool { return e.CrawlerStats().Fake >= 200 })
	if got := crawlerOf(w, "66.249.66.1", googleAgent); got != ingest.CrawlerVerified {
		t.Errorf("the crawler is %d after 200 fakes", got)
	}
}

func TestVerifyByNumberAndList(t *testing.T) {
	asn := file(t, mmdb(t, 6, entries{
		"157.240.0.0/16": m{"autonomous_system_number": mmdbtype.Uint32(32934)}, "203.0.113.0/24": m{"autonomous_system_number": mmdbtype.Uint32(64500)}}))
	duck := filepath.Join(t.TempDir(), "duck.json")
	replace(t, duck, []byte(`{"creationTime":"2026-11-01T00:00:00","prefixes":[{"ipv4Prefix":"40.80.242.63/32"},{"ipv6Prefix":"2001:db8:d::/48"}]}`))
	google := filepath.Join(t.TempDir(), "google.txt")
	replace(t, google, []byte("# googlebot\n66.249.64.0/27\n"))
	var told says
	cfg := Config{GeoIP: GeoConfig{ASN: asn}, Crawlers: CrawlersConfig{Lists: map[string]string{"duckduckbot": duck, "googlebot": google}}}
	e, err := New(cfg, Options{Say: told.say})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	w := e.Worker()
	check := func(addr, agent string, want ingest.Crawler) {
		t.Helper()
		if got := crawlerOf(w, addr, agent); got != want {
			t.Errorf("%s, %q: %d, want %d", addr, agent, got, want)
		}
	}
	check("157.240.1.1", "facebookexternalhit/1.1", ingest.CrawlerVerified)
	check("203.0.113.1", "facebookexternalhit/1.1", ingest.CrawlerFake)
	check("198.51.100.1", "facebookexternalhit/1.1", ingest.CrawlerUnknown) // the file does not know it
	check("40.80.242.63", "DuckDuckBot/1.1", ingest.CrawlerVerified)
	check("2001:db8:d::1", "DuckDuckBot/1.1", ingest.CrawlerVerified)
	check("40.80.242.64", "DuckDuckBot/1.1", ingest.CrawlerFake)
	check("66.249.64.1", googleAgent, ingest.CrawlerVerified)
	check("66.249.90.77", googleAgent, ingest.CrawlerUnknown) // not in the list, and DNS is off
	replace(t, duck, []byte("40.80.242.64 # moved\n"))
	e.crawlers.reload(told.say)
	check("40.80.242.64", "DuckDuckBot/1.1", ingest.CrawlerVerified)
	check("40.80.242.63", "DuckDuckBot/1.1", ingest.CrawlerFake)
	replace(t, duck, []byte("40.80.242.64\nnonsense\n"))
	e.crawlers.reload(told.say)
	e.crawlers.reload(told.say)
	check("40.80.242.64", "DuckDuckBot/1.1", ingest.CrawlerVerified)
	if text := strings.Join(told, "\n"); strings.Count(text, "line 2") != 1 || strings.Count(text, "is loaded") != 4 {
		t.Errorf("told:\n%s", text)
	}
}

func TestParseNetworks(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "holds no network",
		"# nothing\n\n":                     "holds no network",
		"{}":                                "holds no network",
		`{"prefixes":[{}]}`:                 "holds no network",
		`{"prefixes":`:                      "no JSON",
		`{"prefixes":[{"ipv4Prefix":"x"}]}`: `prefixes[0]: "x" is no network`,
		"192.0.2.0/24\n192.0.2.1.5\n":       `line 2: "192.0.2.1.5" is no network`,
		"0.0.0.0/0":                         "wider than a /8",
		"::/0":                              "wider than a /16",
		"fe80::1%eth0":                      "is no network",
		"::ffff:192.0.2.0/120":              "mixes IPv4 and IPv6",
		strings.Repeat("y", 500):            `y" is no network`,
	} {
		if _, err := parseNetworks([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
	nets, err := parseNetworks([]byte(`{"prefixes":[{"ip_prefix":"192.0.2.0/24"},{"ipv6Prefix":"2001:db8::/32"}]}`))
	if err != nil || !nets.Contains(netip.MustParseAddr("192.0.2.7")) || !nets.Contains(netip.MustParseAddr("2001:db8::7")) || nets.Contains(netip.MustParseAddr("192.0.3.7")) {
		t.Errorf("%v", err)
	}
}

func FuzzNetworks(f *testing.F) {
	f.Add([]byte("192.0.2.0/24 # x\n2001:db8::1\n"))
	f.Add([]byte(`{"prefixes":[{"ipv4Prefix":"192.0.2.0/24"},{"ipv6Prefix":"2001:db8::/32"}]}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		nets, err := parseNetworks(data)
		if (nets == nil) != (err != nil) {
			t.Fatalf("%v and %v", nets, err)
		}
		if err == nil && nets.Contains(netip.MustParseAddr("127.0.0.1")) && nets.Contains(netip.MustParseAddr("203.0.113.1")) &&
			len(data) < 16 && !strings.Contains(string(data), "\n") {
			t.Errorf("%q: one network has both", data)
		}
		if err != nil && len(err.Error()) > 600 {
			t.Errorf("a message of %d bytes", len(err.Error()))
		}
	})
}

// TestTable: the shipped table can be used and says where it is from.
func TestTable(t *testing.T) {
	data, err := os.ReadFile("data/crawlers.txt")
	if err != nil {
		t.Fatal(err)
	}
	if rows := strings.Count("\n"+string(data), "\n") - strings.Count("\n"+string(data), "\n#") - 1; rows != len(bots)-1 {
		t.Errorf("%d rows, %d crawlers", rows, len(bots)-1)
	}
	for _, b := range bots[1:] {
		if !strings.HasPrefix(b.source, "https://") || len(b.domains) == 0 && b.asn == 0 && !b.list {
			t.Errorf("%+v has no source, or no way of verifying", b)
		}
		for _, d := range b.domains {
			if d != strings.ToLower(d) || strings.HasPrefix(d, ".") || !strings.Contains(d, ".") {
				t.Errorf("%s: %q is no domain", b.name, d)
			}
		}
	}
}
