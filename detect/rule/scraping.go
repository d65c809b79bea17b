package rule

import (
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

func init() {
	detect.Register("scraping", detect.Spec{
		Doc:     "one client reads far more different objects than people do, hardly any twice",
		Family:  detect.Rate,
		Tags:    []string{"owasp:api6:2023", "owasp:api4:2023", "attack:T1213", "attack:T1119", "oat:011"},
		Needs:   "client address, path with ids of any kind; user agent tells people who share an address from one program",
		State:   "about 150 bytes and 4 for each of up to 64 objects a minute and 64 since the last pause, only for clients with 50 good requests; nothing for others",
		Evasion: "stays silent below objects between two pauses of a minute, for a fleet, for a client that uses many agents or many users, and for what comes in batches of less than seven minutes; low for a consumer that the gateway knows",
		Concern: detect.Any,
		Config:  func() any { return new(ScrapingConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			r := &scraping{env: env, cfg: cfg.(*ScrapingConfig)}
			env.Shape("scrape1")
			r.state = detect.NewSparse(env, (*reader).code).Ordinary()
			return r, nil
		},
	})
}

// ScrapingConfig is the "scraping" section of the config file.
type ScrapingConfig struct {
	Objects   int `yaml:"objects" default:"400" doc:"different objects that one person reads, in seven minutes or more without one in which nothing is read (half of both under the name of a browser, which jobs do not take), from which it is scraping: an hour of one page every nine seconds, without a page read twice. A guess: no public data set has labelled scrapers of an API"`
	PeopleCap int `yaml:"people_cap" default:"64" doc:"that is multiplied by the people or agents behind the client, at most by so many"`
}

// Check implements validation for the config loader.
func (c *ScrapingConfig) Check(report func(key, message string)) {
	if c.Objects < 100 {
		report("objects", "must be at least 100: people browse")
	}
	if c.PeopleCap < 1 {
		report("people_cap", "must be at least 1")
	}
}

// scrapeRun is how many minutes without a pause tell a scraper from a job's batch.
const scrapeRun = 7

// How often a scraper reads an object at most, on average: people come back, all of them to
// the same few, which the sample may not have.
const (
	scrapeMean = 1.15 // of a sample
	scrapeAll  = 1.35 // of all, by an estimate of how many there are
)

// scrapeKnown is how many good requests make a client worth looking at.
const scrapeKnown = 50

// reader is what is kept of one client.
type reader struct {
	open  []read // minutes that are not closed
	all   read   // of the minutes since the last pause
	run   int64  // so many they are
	last  int64  // end of the last of them
	first int64
	now   episode
}

// read is what a client read in a time.
type read struct {
	minute  int64
	n       int64
	writes  int64 // of them
	browser int64 // under the name of a browser
	named   int64 // by a consumer whom the gateway knows
	objects window.Visits
	agents  window.Mins
}

type scraping struct {
	env   *detect.Env
	cfg   *ScrapingConfig
	state *detect.Sparse[reader]
}

// Observe implements detect.Rule.
func (r *scraping) Observe(ev *ingest.Event, slot detect.Slot) {
	if ev.Status >= 300 && ev.Status != 404 || ev.Crawler == ingest.CrawlerVerified {
		return
	}
	id := r.env.Object(ev)
	sec := ev.Time / 1e9
	if id == "" || r.env.Standing(slot, sec).Successes < scrapeKnown {
		return
	}
	s := r.state.At(slot)
	m := s.minute(sec / 60)
	if m.n == 0 {
		r.env.Wake(slot, sec-sec%60+59)
	}
	m.n++
	if ev.Method != "GET" && ev.Method != "HEAD" {
		m.writes++
	}
	if ev.Class == ingest.AgentBrowser {
		m.browser++
	}
	if ev.Consumer != "" && ev.Flags&ingest.FlagClaimed == 0 {
		m.named++
	}
	m.objects.Add(hashText(id) ^ hashText(ev.Route)>>1)
	m.agents.Add(hashText(ev.Agent))
}

func (s *reader) minute(minute int64) *read {
	for i := range s.open {
		if s.open[i].minute == minute {
			return &s.open[i]
		}
	}
	s.open = append(s.open, read{minute: minute})
	return &s.open[len(s.open)-1]
}

// Explain implements detect.Explainer.
func (r *scraping) Explain(ev *ingest.Event) (bool, string) {
	if r.env.Object(ev) == "" || ev.Status >= 300 {
		return false, "no object was read"
	}
	return true, fmt.Sprintf("one object read; a finding from %d different ones without a pause, for each person", r.cfg.Objects)
}

// Close implements detect.Rule.
func (r *scraping) Close(slot detect.Slot, sec int64) {
	s := r.state.Get(slot)
	if s == nil {
		return
	}
	if len(s.open) == 0 && sec > s.last && s.now.start/1e9+detect.FindingWindow <= sec {
		r.state.Drop(slot)
		return
	}
	i := slices.IndexFunc(s.open, func(m read) bool { return m.minute == sec/60 })
	if i < 0 || sec%60 != 59 {
		return
	}
	m := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	if s.last != sec-60 { // a pause: people rest, and so do jobs
		*s = reader{open: s.open, first: sec - 59, now: s.now}
	}
	s.last = sec
	s.run++
	r.env.Wake(slot, sec+60)
	s.all.n += m.n
	s.all.writes += m.writes
	s.all.named += m.named
	s.all.browser += m.browser
	s.all.objects.Merge(&m.objects)
	s.all.agents.Merge(&m.agents)
	r.judge(s, slot, sec)
}

func (r *scraping) judge(s *reader, slot detect.Slot, sec int64) {
	known := r.env.Standing(slot, sec)
	people := max(1, min(int64(r.cfg.PeopleCap), max(known.People, s.all.agents.Count())))
	objects := s.all.objects.Count()
	limit, run := int64(r.cfg.Objects)*people, int64(scrapeRun)
	if s.all.browser*2 > s.all.n { // people with browsers look around, jobs have none
		limit, run = limit/2, scrapeRun/2
	}
	if objects < limit || s.all.objects.Mean() > scrapeMean || float64(s.all.n) > scrapeAll*float64(objects) || s.run < run || s.all.writes*10 > s.all.n {
		return
	}
	if start := detect.WindowOf(sec); s.now.start != start {
		s.now = episode{start: start, fired: sec, first: s.first, standing: known}
	}
	s.now.last, s.now.count = sec, s.all.n
	f := s.now.finding()
	times := float64(objects) / float64(limit)
	f.Severity, f.Confidence = detect.Medium, surer(0.7, 0.9, times, 5)
	if s.all.named*2 > s.all.n {
		f.Severity = detect.Low // somebody who is known, and can be asked
	}
	f.Why = fmt.Sprintf("about %d different objects read since %s with %d requests, for %d minutes without a pause; a person reads fewer than %d",
		objects, clock(s.first), s.all.n, s.run, r.cfg.Objects)
	r.env.Report(slot, f)
}

func (m *read) code(k *window.Codec) {
	k.I64(&m.minute)
	k.I64(&m.n)
	k.I64(&m.writes)
	k.I64(&m.named)
	k.I64(&m.browser)
	m.objects.Code(k)
	m.agents.Code(k)
}

func (s *reader) code(k *window.Codec) {
	n := k.Len(len(s.open))
	if k.Reading() {
		s.open = make([]read, n)
	}
	for i := range s.open {
		s.open[i].code(k)
	}
	s.all.code(k)
	for _, p := range []*int64{&s.run, &s.last, &s.first} {
		k.I64(p)
	}
	s.now.code(k)
}
