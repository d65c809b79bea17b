package enrich

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/internal/config"
)

// TestConfig: the config package takes the section, and its defaults are the documented ones.
func TestConfig(t *testing.T) {
	var cfg struct {
		Enrich Config       `yaml:"enrich"`
		Routes RoutesConfig `yaml:"routes"`
	}
	if err := config.Load("x.yaml", nil, nil, &cfg); err != nil {
		t.Fatal(err)
	}
	if c := cfg.Enrich; c.Crawlers.Verify || c.GeoIP.Reload != time.Minute || c.Crawlers.Timeout != 3*time.Second || c.Crawlers.Workers != 4 ||
		c.Crawlers.Queue != 1024 || c.Crawlers.Cache != 16384 || cfg.Routes.MaxTemplates != 2000 {
		t.Errorf("defaults: %+v", c)
	}
	text := `
enrich:
  geoip: {country: /a.mmdb, reload: 5m}
  agents: {app: [acme-shop]}
  crawlers:
    verify: true
    lists: {duckduckbot: /d.json}
routes:
  templates: ["/shops/{shop}"]
`
	if err := config.Load("x.yaml", []byte(text), nil, &cfg); err != nil {
		t.Fatal(err)
	}
	if c := cfg.Enrich; !c.Crawlers.Verify || c.Crawlers.Lists["duckduckbot"] != "/d.json" || c.GeoIP.Country != "/a.mmdb" || len(cfg.Routes.Templates) != 1 {
		t.Errorf("read: %+v", c)
	}
	bad := Config{GeoIP: GeoConfig{Reload: time.Millisecond}, Crawlers: CrawlersConfig{Lists: map[string]string{"yandexbot": "/x", "nobody": "/x", "gptbot": ""}}}
	var said []string
	note := func(key, message string) { said = append(said, key+": "+message[:min(len(message), 12)]) }
	bad.GeoIP.Check(note)
	bad.Crawlers.Check(note)
	if want := `[reload: must be 1s o lists: gptbot has n lists: "nobody" is  lists: "yandexbot" ]`; fmt.Sprint(said) != want {
		t.Errorf("said %v, want %s", said, want)
	}
}

func full(t testing.TB) *Enricher {
	t.Helper()
	path := file(t, mmdb(t, 6, entries{"203.0.113.0/24": m{"country_code": s("AT"), "asn": mmdbtype.Uint32(64500), "as_name": s("Example Net")}}))
	e, err := New(Config{GeoIP: GeoConfig{Country: path, ASN: path, Reload: time.Minute}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestResolve(t *testing.T) {
	e := full(t)
	w := e.Worker()
	old := ingest.Event{Country: [2]byte{'X', 'X'}, ASN: 9, Class: ingest.AgentScanner, Crawler: ingest.CrawlerFake}
	for _, c := range []struct {
		addr, agent string
		want        ingest.Event
	}{
		{"203.0.113.7", chromeAgent, ingest.Event{Country: [2]byte{'A', 'T'}, ASN: 64500, Class: ingest.AgentBrowser}},
		{"198.51.100.7", googleAgent, ingest.Event{Class: ingest.AgentCrawler, Crawler: ingest.CrawlerUnknown}},
		{"203.0.113.8", "", ingest.Event{Country: [2]byte{'A', 'T'}, ASN: 64500, Class: ingest.AgentNone}},
	} {
		ev := old
		ev.Client, ev.Agent = netip.MustParseAddr(c.addr), c.agent
		w.Resolve(&ev)
		c.want.Client, c.want.Agent = ev.Client, ev.Agent
		if ev != c.want {
			t.Errorf("%s, %q: %+v", c.addr, c.agent, ev)
		}
	}
	if p := e.Describe(netip.MustParseAddr("203.0.113.7")); p.Organization != "Example Net" {
		t.Errorf("%+v", p)
	}
	known := ingest.Event{Client: netip.MustParseAddr("203.0.113.7"), Agent: chromeAgent}
	if n := testing.AllocsPerRun(1000, func() { w.Resolve(&known) }); n != 0 {
		t.Errorf("%v allocations for an event", n)
	}
}

// TestKeepsFresh: workers see a new file without a restart, and Close ends what looks for it.
func TestKeepsFresh(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	path := filepath.Join(t.TempDir(), "country.mmdb")
	replace(t, path, countryFile(t, "AT"))
	e, err := New(Config{GeoIP: GeoConfig{Country: path, Reload: 5 * time.Millisecond}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var readers sync.WaitGroup
	newer := countryFile(t, "DE")
	for range 2 {
		w := e.Worker()
		readers.Go(func() {
			ev := ingest.Event{Client: netip.MustParseAddr("203.0.113.7")}
			deadline := time.Now().Add(20 * time.Second)
			for w.Resolve(&ev); ev.Country != [2]byte{'D', 'E'}; w.Resolve(&ev) {
				if ev.Country != [2]byte{'A', 'T'} || time.Now().After(deadline) {
					t.Errorf("country %q while the file is replaced", ev.Country)
					return
				}
			}
		})
	}
	replace(t, path, newer)
	readers.Wait()
}

// What a line costs when the client and the agent are known.
func BenchmarkResolve(b *testing.B) {
	w := full(b).Worker()
	ev := ingest.Event{Client: netip.MustParseAddr("203.0.113.7"), Agent: chromeAgent}
	b.ReportAllocs()
	for range b.N {
		w.Resolve(&ev)
	}
}
