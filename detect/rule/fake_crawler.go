package rule

import (
	"fmt"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("fake-crawler", detect.Spec{
		Doc:     "one client calls itself a well-known crawler, and its address belongs to somebody else",
		Family:  detect.Recon,
		Tags:    []string{"owasp:api6:2023", "attack:T1036", "oat:011"},
		Needs:   "client address, user agent; enrich.agents' crawler lists, an AS number or DNS to tell whose the address is",
		Fields:  []ingest.Fields{ingest.FieldAgent},
		State:   "about 150 bytes and up to 8 lines, only for clients that say so and are not",
		Evasion: "stays silent for a client that does not claim to be a crawler, and where nothing tells the owner of its address",
		Concern: detect.Any,
		Config:  func() any { return new(FakeCrawlerConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			c := cfg.(*FakeCrawlerConfig)
			r := &fakeCrawler{surge: newSurge(env, "fake1", c.Span), medium: int64(c.Medium)}
			r.allowed = func(detect.Standing) uint32 { return 1 }
			r.judge = r.weighed
			return r, nil
		},
	})
}

// FakeCrawlerConfig is the "fake-crawler" section of the config file.
type FakeCrawlerConfig struct {
	Medium int           `yaml:"medium" default:"5" doc:"requests of a window that make the finding medium; fewer are low: people try what a site shows to crawlers"`
	Span   time.Duration `yaml:"span" default:"10m" doc:"how far evidence goes back, in event time"`
}

// Check implements validation for the config loader.
func (c *FakeCrawlerConfig) Check(report func(key, message string)) {
	if c.Medium < 1 {
		report("medium", "must be at least 1")
	}
	checkSpan(c.Span, report)
}

type fakeCrawler struct {
	*surge
	medium int64
}

// Observe implements detect.Rule.
func (r *fakeCrawler) Observe(ev *ingest.Event, slot detect.Slot) {
	if ev.Crawler == ingest.CrawlerFake {
		r.count(ev, slot, func() string { return "calls itself a crawler whose addresses are others" })
	}
}

// Explain implements detect.Explainer.
func (r *fakeCrawler) Explain(ev *ingest.Event) (bool, string) {
	if ev.Crawler != ingest.CrawlerFake {
		return false, "it claims to be no crawler, or may be it"
	}
	return true, fmt.Sprintf("claims to be a crawler and is not; medium from %d requests", r.medium)
}

func (r *fakeCrawler) weighed(e *episode) detect.Finding {
	f := e.finding()
	f.Severity, f.Confidence = detect.Low, 0.8
	if e.count >= r.medium {
		f.Severity, f.Confidence = detect.Medium, 0.9
	}
	f.Why = fmt.Sprintf("%d requests under the name of a crawler from an address that is not its", e.count)
	return f
}
