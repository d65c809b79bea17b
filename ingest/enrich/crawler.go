package enrich

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"

	"github.com/portcullis/portcullis/ingest"
)

// CrawlersConfig is the "crawlers" part of the "enrich" section.
//
// Networks from files and the AS number from the GeoIP file are looked up at once, so
// they give a replay what they gave the live run, as long as the files are the same. DNS is
// different: its answer comes later, or not, so a replay keeps Verify off and no
// detection may depend on it.
type CrawlersConfig struct {
	Verify  bool              `yaml:"verify" default:"false" doc:"Ask DNS whether a client that calls itself a well-known crawler is one (forward-confirmed reverse DNS). Off by default because the questions go out to your resolver and show it client addresses."`
	Lists   map[string]string `yaml:"lists" doc:"Files with the networks that a crawler's operator publishes, by the crawler's name, such as duckduckbot: /etc/portcullis/duckduckbot.json. JSON as Google, Bing, Apple and OpenAI publish it, or a network a line. Works without DNS; keep the files fresh, they are read again as often as enrich.geoip.reload says."`
	Timeout time.Duration     `yaml:"timeout" default:"3s" min:"100ms" max:"1m" doc:"How long one question to DNS may take."`
	Workers int               `yaml:"workers" default:"4" min:"1" max:"64" doc:"Questions under way at the same time; more clients wait."`
	Queue   int               `yaml:"queue" default:"1024" min:"1" max:"100000" doc:"Clients that wait to be looked up; when it is full, a client is looked up at a later request of its."`
	Cache   int               `yaml:"cache" default:"16384" min:"16" max:"1000000" doc:"Clients whose answer is remembered, about 200 bytes each; as many again that were confirmed, so that fakes do not push them out."`
}

// Check reports crawlers that are not known.
func (c *CrawlersConfig) Check(report func(key, message string)) {
	for _, name := range slices.Sorted(maps.Keys(c.Lists)) {
		if i := botNamed(name); i == 0 || !bots[i].list {
			report("lists", fmt.Sprintf("%.80q is no crawler whose operator publishes its networks; those are %s", name, strings.Join(listed(), ", ")))
		} else if c.Lists[name] == "" {
			report("lists", fmt.Sprintf("%s has no file: write its path", name))
		}
	}
}

// botNamed returns the number of a crawler, or 0.
func botNamed(name string) int {
	return max(0, slices.IndexFunc(bots, func(b bot) bool { return b.name != "" && b.name == name }))
}

// listed names the crawlers whose operators publish their networks.
func listed() (names []string) {
	for _, b := range bots {
		if b.list {
			names = append(names, b.name)
		}
	}
	return names
}

// crawlers verifies for all workers.
type crawlers struct {
	lists []botList
	dns   *verifier // nil: off
}

// botList is the published networks of one crawler.
type botList struct {
	bot  int
	file watched[*bart.Lite]
	nets atomic.Pointer[bart.Lite]
}

func newCrawlers(cfg CrawlersConfig, dns *verifier) *crawlers {
	c := &crawlers{dns: dns}
	for _, name := range slices.Sorted(maps.Keys(cfg.Lists)) {
		if i := botNamed(name); i > 0 && cfg.Lists[name] != "" {
			c.lists = append(c.lists, botList{bot: i, file: watched[*bart.Lite]{
				key: "enrich.crawlers.lists." + name, path: cfg.Lists[name], most: maxListFile, parse: parseNetworks}})
		}
	}
	return c
}

// reload takes over list files that changed.
func (c *crawlers) reload(say func(string)) {
	for i := range c.lists {
		l := &c.lists[i]
		fresh, tell := l.file.poll()
		if fresh {
			l.nets.Store(l.file.value)
		}
		if tell != "" && say != nil {
			say(tell)
		}
	}
}

// judge tells what is known of a client that names itself crawler number n. It never waits.
func (c *crawlers) judge(n uint8, client netip.Addr, asn uint32) ingest.Crawler {
	if n == 0 {
		return ingest.CrawlerNo
	}
	// An address of one's own network says that the real one is not known here.
	if n == unverifiable || !client.IsGlobalUnicast() || client.IsPrivate() {
		return ingest.CrawlerUnknown
	}
	b := &bots[n]
	client = client.Unmap().WithZone("")
	inList := ingest.CrawlerUnknown
	for i := range c.lists {
		if nets := c.lists[i].nets.Load(); c.lists[i].bot == int(n) && nets != nil {
			if nets.Contains(client) {
				return ingest.CrawlerVerified
			}
			inList = ingest.CrawlerFake
		}
	}
	switch {
	case b.asn != 0 && asn != 0 && asn == b.asn:
		return ingest.CrawlerVerified
	case b.asn != 0 && asn != 0:
		return ingest.CrawlerFake
	case len(b.domains) > 0:
		// Such lists hold some of the operator's crawlers, its domain all of them.
		if c.dns == nil || b.only4 && client.Is6() {
			return ingest.CrawlerUnknown
		}
		return c.dns.state(client, n)
	}
	return inList
}
