package enrich

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// Config is the "enrich" section of the config file.
type Config struct {
	GeoIP    GeoConfig      `yaml:"geoip" doc:"Where client addresses are registered, from MaxMind DB files that you bring."`
	Agents   AgentsConfig   `yaml:"agents" doc:"What kind of program a user agent names."`
	Crawlers CrawlersConfig `yaml:"crawlers" doc:"Whether a crawler is the one it says it is."`
}

// Options are what an Enricher takes besides its config; each may be left out.
type Options struct {
	Say      func(message string) // hears which files were loaded and what is wrong with them; called by one goroutine at a time
	Resolver Resolver             // for crawlers.verify; nil: the system's
	Now      func() time.Time     // the age of DNS answers; nil: time.Now
}

// Enricher is what all workers of a process share. It is safe for concurrent use.
type Enricher struct {
	geo      *Geo
	agents   agentTable
	crawlers *crawlers
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// New opens the files of the config and starts what keeps them fresh and, with
// crawlers.verify, what asks DNS; Close ends it. A file that cannot be read is told to
// o.Say and tried again: requests are judged without it, which is better than not at all.
func New(cfg Config, o Options) (*Enricher, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Resolver == nil {
		o.Resolver = systemResolver()
	}
	cfg.Crawlers.fill()
	var dns *verifier
	if cfg.Crawlers.Verify {
		var err error
		if dns, err = newVerifier(cfg.Crawlers, o.Resolver, o.Now); err != nil {
			return nil, err
		}
	}
	e := &Enricher{geo: NewGeo(cfg.GeoIP, o.Say), agents: newAgentTable(cfg.Agents), crawlers: newCrawlers(cfg.Crawlers, dns)}
	e.crawlers.reload(o.Say)
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	if every := cfg.GeoIP.Reload; every > 0 && (e.geo.any() || len(e.crawlers.lists) > 0) {
		e.done.Add(1)
		go e.keepFresh(ctx, every, o.Say)
	}
	return e, nil
}

// fill gives settings that were made without the config package their defaults.
func (c *CrawlersConfig) fill() {
	if c.Timeout <= 0 {
		c.Timeout = 3 * time.Second
	}
	if c.Workers <= 0 {
		c.Workers = 4
	}
	if c.Queue <= 0 {
		c.Queue = 1024
	}
	if c.Cache <= 0 {
		c.Cache = 16384
	}
}

// keepFresh takes over files that changed, until ctx ends.
func (e *Enricher) keepFresh(ctx context.Context, every time.Duration, say func(string)) {
	defer e.done.Done()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.geo.Reload(say)
			e.crawlers.reload(say)
		}
	}
}

// Close ends the goroutines of the Enricher and waits for them. Workers may still be used:
// they see what was known last.
func (e *Enricher) Close() {
	e.stop()
	e.done.Wait()
	if e.crawlers.dns != nil {
		e.crawlers.dns.close()
	}
}

// Describe tells what the GeoIP files know of an address, for consoles and explanations.
func (e *Enricher) Describe(a netip.Addr) Place { return e.geo.Describe(a) }

// CrawlerStats counts what was asked of DNS since the start.
type CrawlerStats struct {
	Asked    uint64 `json:"asked"`    // clients that were looked up
	Verified uint64 `json:"verified"` // that were whom they named
	Fake     uint64 `json:"fake"`     // that were not
	Failed   uint64 `json:"failed"`   // where DNS gave no answer
	Dropped  uint64 `json:"dropped"`  // not looked up since the queue was full
	Waiting  int    `json:"waiting"`  // in the queue now
}

// CrawlerStats returns the counts; all are zero while crawlers.verify is off.
func (e *Enricher) CrawlerStats() CrawlerStats {
	v := e.crawlers.dns
	if v == nil {
		return CrawlerStats{}
	}
	return CrawlerStats{Asked: v.asked.Load(), Verified: v.verified.Load(), Fake: v.refused.Load(),
		Failed: v.failed.Load(), Dropped: v.dropped.Load(), Waiting: len(v.queue)}
}

// Worker adds to events for one goroutine.
type Worker struct {
	geo      *GeoWorker
	agents   *agentMemo
	crawlers *crawlers
}

// Worker returns a Worker for one goroutine; it takes about two megabytes when its
// memories are full.
func (e *Enricher) Worker() *Worker {
	return &Worker{geo: e.geo.Worker(), agents: newAgentMemo(e.agents), crawlers: e.crawlers}
}

// Resolve sets the event's Country, ASN, Class and Crawler from its Client and Agent. It
// never waits. Country, ASN and Class depend on the event, the config and the files. Crawler
// depends on DNS too if crawlers.verify is on: a client is CrawlerUnknown until the answer
// is there. So a replay keeps it off, and detection must not depend on Crawler.
func (w *Worker) Resolve(ev *ingest.Event) {
	ev.Country, ev.ASN = w.geo.Locate(ev.Client)
	var bot uint8
	ev.Class, bot = w.agents.classify(ev.Agent)
	ev.Crawler = ingest.CrawlerNo
	if bot != 0 {
		ev.Crawler = w.crawlers.judge(bot, ev.Client, ev.ASN)
	}
}
