package main

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest/decode"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/ingest/openapi"
)

// engineOptions are what run and replay set differently.
type engineOptions struct {
	formats map[string]string // by source
	create  bool              // make the installation's secret where there is none
	workers int               // 0: as the settings say
	live    bool
	forward bool // level two is elsewhere
	emit    func(detect.Finding)
	saw     func(detect.Sighting)
	now     func() int64 // wall clock in Unix seconds; nil in a replay
	noTime  func() int64
	costs   *detect.Costs // adds up what detectors take; nil: none are timed
	log     *slog.Logger
	clients bool                                          // only whose the lines are is asked: no documents of the API are read
	sealed  bool                                          // the lines' secrets were replaced before the bus
	enrich  *enrich.Enricher                              // nil: nothing is added
	hide    func(string) string                           // see detect.Config; nil: nothing is hidden
	rules   func([]detect.RuleConfig) []detect.RuleConfig // changes the detectors; nil: they stay as the settings say
}

// newEngine makes the engine that the settings describe.
func newEngine(s *Settings, o engineOptions) (*detect.Engine, error) {
	ring, ident, err := identityOf(s, o.create)
	if err != nil {
		return nil, err
	}
	ident.Sealed = o.sealed
	plan, err := newPlan(s, o, ident)
	if err != nil {
		return nil, err
	}
	redact, err := ident.Redactor()
	if err != nil {
		return nil, err
	}
	workers := s.Engine.Workers
	if o.workers > 0 {
		workers = o.workers
	}
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	cfg := engineConfig(s, o, seedOf(ring.Root))
	cfg.Workers, cfg.Forward = workers, o.forward
	cfg.Redact = func(line string) string { return strings.Clone(redact.Line(line)) }
	cfg.NewDecoder = func() (detect.Decoder, error) { return plan.New() }
	return detect.New(cfg)
}

// engineConfig is what both levels of the detection are made of.
func engineConfig(s *Settings, o engineOptions, seed uint64) detect.Config {
	rules := s.rules()
	if o.rules != nil {
		rules = o.rules(rules)
	}
	return detect.Config{
		Rules: rules, Inspect: s.Inspect,
		LateSeconds: int64(s.Engine.Late.Seconds()), IdleSeconds: int64(s.Engine.Idle.Seconds()),
		MaxClients: s.Engine.MaxClients, Seed: seed,
		Live: o.live, Emit: o.emit, Saw: o.saw, Now: o.now, Hide: o.hide, Costs: o.costs,
	}
}

// newWide makes a level two for so many partitions of level one.
func newWide(s *Settings, partitions int, o engineOptions) (*detect.Wide, error) {
	ring, _, err := identityOf(s, false)
	if err != nil {
		return nil, err
	}
	return detect.NewWide(engineConfig(s, o, seedOf(ring.Root)), partitions)
}

// identityOf is the identity section with the installation's keys in it.
func identityOf(s *Settings, create bool) (identity.Ring, identity.Config, error) {
	ident := s.Identity
	ring, err := ringOf(s.StateDir, create)
	if err == nil {
		ring.Apply(&ident, now())
	}
	return ring, ident, err
}

// newEnricher loads what the settings say is known of clients. What a replay finds
// must not depend on how fast a name server answers, so it asks none.
func newEnricher(s *Settings, live bool, log *slog.Logger) (*enrich.Enricher, error) {
	cfg := s.Enrich
	cfg.Crawlers.Verify = cfg.Crawlers.Verify && live
	return enrich.New(cfg, enrich.Options{Say: func(m string) { log.Info("enrich", "message", m) }})
}

// planOf is how lines are read beside an engine, with the installation's keys.
func planOf(s *Settings, o engineOptions) (*decode.Plan, error) {
	_, ident, err := identityOf(s, false)
	if err != nil {
		return nil, err
	}
	ident.Sealed = o.sealed
	return newPlan(s, o, ident)
}

// newPlan is how the sources' lines are read.
func newPlan(s *Settings, o engineOptions, ident identity.Config) (*decode.Plan, error) {
	formats := map[string]format.Format{}
	for name, spec := range o.formats {
		f, err := format.Open(spec)
		if err != nil {
			return nil, usageError{err: err}
		}
		for _, w := range f.Warnings {
			o.log.Warn("format", "source", name, "warning", w)
		}
		formats[name] = f
	}
	var api *openapi.API
	if !o.clients {
		var err error
		if api, err = s.described(); err != nil {
			return nil, err
		}
	}
	return decode.NewPlan(formats, ident, decode.Options{Routes: s.Routes, API: api, Enrich: o.enrich, NoTime: o.noTime, Say: sayFormat(o.log)}), nil
}

// newEngineTimer reads the times of lines ahead of the engine, where several
// sources are merged. It says nothing of its own: the engine's decoder does.
func newEngineTimer(s *Settings, formats map[string]string) (*timer, error) {
	plan, err := planOf(s, engineOptions{formats: formats, clients: true, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	d, err := plan.New()
	return &timer{d}, err
}

func sayFormat(log *slog.Logger) func(source, name, why string) {
	return func(source, name, why string) {
		if name == "" {
			log.Warn("format not recognised: its lines are rejected until it is", "source", source, "why", why)
			return
		}
		log.Info("format recognised", "source", source, "format", name, "why", fmt.Sprintf("%.200s", why))
	}
}
