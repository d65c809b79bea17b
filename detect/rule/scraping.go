package rule

import (
	"fmt"

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
		Fields:  []ingest.Fields{ingest.FieldMethod, ingest.FieldTarget},
		Helps:   ingest.FieldAgent | ingest.FieldStatus,
		State:   "about 250 bytes and 8 for each of up to 64 objects since the last pause, for clients that sent eight requests, and a line in 64 as evidence",
		Evasion: "stays silent below objects between two pauses of a minute, for a fleet, for a client that uses many agents or many users, below four times as many objects for one that asks for other things as often as people do, and for what comes in batches of less than seven minutes; low for a consumer that the gateway knows",
		Concern: detect.Any | detect.Held,
		Config:  func() any { return new(ScrapingConfig) },
		New: func(env *detect.Env, cfg any) (detect.Rule, error) {
			env.Shape("scrape4")
			r := &scraping{env: env, cfg: cfg.(*ScrapingConfig), lines: newKeeper(env)}
			r.state = detect.NewSparse(env, (*reader).code).Ordinary()
			return r, nil
		},
	})
}

// ScrapingConfig is the "scraping" section of the config file.
type ScrapingConfig struct {
	Objects   int `yaml:"objects" default:"400" doc:"different objects that one person reads, in seven minutes or more without one in which nothing is read (half of both under the name of a browser, which jobs do not take, if they are of one kind), from which it is scraping: an hour of one page every nine seconds, without a page read twice. A guess: no public data set has labelled scrapers of an API"`
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

// Who asks for other things, such as lists, searches and baskets, once or oftener while it reads three
// objects does what people do, and people share addresses: it may read so many times more.
// Those behind the carriers' addresses of the scenarios do it twice to six times while they
// read three; scrapers once while they read twenty or more, since each costs them time.
const (
	scrapeMixed = 3
	scrapeCrowd = 4
)

// reader is what is kept of one client: what it read since the last pause.
type reader struct {
	last    int64 // end of the latest minute
	first   int64
	run     int64 // so many minutes there are
	n       int64
	others  int64 // requests for something else that were served
	writes  int64 // of n
	browser int64 // of n, under the name of a browser
	named   int64 // of n, by a consumer whom the gateway knows
	objects window.Visits
	agents  window.Mins
	route   uint32 // that most objects are of, if one is of most
	lead    int64  // of it, by the majority vote of Boyer and Moore 1981
	now     episode
}

type scraping struct {
	env   *detect.Env
	cfg   *ScrapingConfig
	state *detect.Sparse[reader]
	lines *keeper
}

// scrapeTidy is how often it is looked whether a client still reads, in seconds.
const scrapeTidy = 600

// Observe implements detect.Rule: it samples lines, requests are looked at in Digest.
func (r *scraping) Observe(ev *ingest.Event, slot detect.Slot) {
	if reads(r.env.Request()) {
		r.lines.pick(ev, slot, 6)
	}
}

// reads reports whether a request reads an object, or tries to.
func reads(x *detect.Request) bool {
	return x.Flags&(detect.RequestObject|detect.RequestProven) == detect.RequestObject && (x.Status < 300 || x.Status == 404)
}

// Digest implements detect.Digester.
func (r *scraping) Digest(list []detect.Request, slot detect.Slot, upto int64) bool {
	n := len(list)
	for n > 0 && !reads(&list[n-1]) {
		n--
	}
	s := r.state.Get(slot)
	if n == 0 {
		if s == nil {
			return false
		}
		s.take(list)
		return r.near(s)
	}
	if end := minuteEnd(&list[n-1]); end+60 <= upto { // then came a pause
		if s != nil && !s.fired(upto) {
			r.state.Drop(slot)
		}
		return false
	}
	if s == nil {
		s = r.state.At(slot)
		r.env.Wake(slot, upto-upto%scrapeTidy+scrapeTidy)
	}
	s.take(list)
	if !r.near(s) {
		return false
	}
	if s.last >= upto {
		r.env.Wake(slot, s.last)
	}
	return true
}

// near reports whether HeldMost more objects could be too many. Where their number is
// an estimate, it could grow by half.
func (r *scraping) near(s *reader) bool {
	objects := s.objects.Count()
	if objects >= window.MinsLimit {
		objects += objects / 2
	}
	objects += detect.HeldMost
	return objects >= int64(r.cfg.Objects)/2 && float64(s.n) <= scrapeAll*float64(objects)
}

// take takes in requests of one client.
func (s *reader) take(list []detect.Request) {
	for i := range list {
		if x := &list[i]; reads(x) {
			s.add(x)
		} else if x.Status < 400 && x.Flags&detect.RequestProven == 0 {
			s.others++
		}
	}
}

func minuteEnd(x *detect.Request) int64 { return int64(x.Sec) - int64(x.Sec)%60 + 59 }

func (s *reader) add(x *detect.Request) {
	switch end := minuteEnd(x); s.last {
	case end:
	case end - 60:
		s.last = end
		s.run++
	default: // a pause: people rest, and so do jobs
		*s = reader{last: end, first: end - 59, run: 1, now: s.now}
	}
	s.n++
	switch {
	case s.lead == 0:
		s.route, s.lead = x.Route, 1
	case s.route == x.Route:
		s.lead++
	default:
		s.lead--
	}
	for _, c := range [...]struct {
		flag uint16
		n    *int64
	}{{detect.RequestWrites, &s.writes}, {detect.RequestBrowser, &s.browser}, {detect.RequestNamed, &s.named}} {
		if x.Flags&c.flag != 0 {
			*c.n++
		}
	}
	s.objects.Add(x.Object ^ uint64(x.Route)<<32)
	s.agents.Add(uint64(x.Agent))
}

// fired reports whether there is a finding that may still grow.
func (s *reader) fired(sec int64) bool { return s.now.start/1e9+detect.FindingWindow > sec }

// Explain implements detect.Explainer.
func (r *scraping) Explain(ev *ingest.Event) (bool, string) {
	if r.env.Object(ev) == "" || ev.Status >= 300 {
		return false, "no object was read"
	}
	return true, fmt.Sprintf("one object read; a finding from %d different ones without a pause, for each person", r.cfg.Objects)
}

// Close implements detect.Rule.
func (r *scraping) Close(slot detect.Slot, sec int64) {
	defer r.lines.forget(slot, sec)
	s := r.state.Get(slot)
	switch {
	case s == nil:
	case s.last == sec:
		r.judge(s, slot, sec)
	case s.last+60 <= sec && !s.fired(sec):
		r.state.Drop(slot)
	case sec%scrapeTidy == 0:
		r.env.Wake(slot, sec+scrapeTidy)
	}
}

func (r *scraping) judge(s *reader, slot detect.Slot, sec int64) {
	known := r.env.Standing(slot, sec)
	people := max(1, min(int64(r.cfg.PeopleCap), max(known.People, s.agents.Count())))
	objects := s.objects.Count()
	limit, run := int64(r.cfg.Objects)*people, int64(scrapeRun)
	if s.browser*2 > s.n && s.lead*2 > s.n { // people with browsers look around, at several kinds of things; jobs have none
		limit, run = limit/2, scrapeRun/2
	}
	if s.others*scrapeMixed > s.n {
		limit *= scrapeCrowd
	}
	if objects < limit || s.objects.Mean() > scrapeMean || float64(s.n) > scrapeAll*float64(objects) || s.run < run || s.writes*10 > s.n {
		return
	}
	if start := detect.WindowOf(sec); s.now.start != start {
		s.now = episode{start: start, fired: sec, first: s.first, shown: r.lines.from(s.first, sec), standing: known}
	}
	s.now.last, s.now.count = sec, s.n
	r.lines.show(&s.now, slot, sec)
	f := s.now.finding()
	times := float64(objects) / float64(limit)
	f.Severity, f.Confidence = detect.Medium, surer(0.7, 0.9, times, 5)
	if s.named*2 > s.n {
		f.Severity = detect.Low // somebody who is known, and can be asked
	}
	f.Why = fmt.Sprintf("about %d different objects read since %s with %d requests, for %d minutes without a pause; a person reads fewer than %d",
		objects, clock(s.first), s.n, s.run, r.cfg.Objects)
	r.env.Report(slot, f)
}

func (s *reader) code(k *window.Codec) {
	for _, p := range []*int64{&s.last, &s.first, &s.run, &s.n, &s.others, &s.writes, &s.browser, &s.named, &s.lead} {
		k.I64(p)
	}
	k.U32(&s.route)
	s.objects.Code(k)
	s.agents.Code(k)
	s.now.code(k)
}
