package main

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/ingest/decode"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
)

// engineOptions are what run and replay set differently.
type engineOptions struct {
	formats map[string]string // by source
	create  bool              // make the installation's secret where there is none
	workers int               // 0: as the settings say
	live    bool
	emit    func(detect.Finding)
	saw     func(detect.Sighting)
	now     func() int64 // wall clock in Unix seconds; nil in a replay
	noTime  func() int64
	log     *slog.Logger
}

// newEngine makes the engine that the settings describe.
func newEngine(s *Settings, o engineOptions) (*detect.Engine, error) {
	key, err := secretOf(s.StateDir, o.create)
	if err != nil {
		return nil, err
	}
	plan, err := newPlan(s, o, key)
	if err != nil {
		return nil, err
	}
	redact := identity.NewRedactor(key[:])
	workers := s.Engine.Workers
	if o.workers > 0 {
		workers = o.workers
	}
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return detect.New(detect.Config{
		Rules: s.rules(), Inspect: s.Inspect,
		LateSeconds: int64(s.Engine.Late.Seconds()), IdleSeconds: int64(s.Engine.Idle.Seconds()),
		MaxClients: s.Engine.MaxClients, Workers: workers, Seed: seedOf(key),
		Live: o.live, Emit: o.emit, Saw: o.saw, Now: o.now,
		Redact:     func(line string) string { return strings.Clone(redact.Line(line)) },
		NewDecoder: func() (detect.Decoder, error) { return plan.New() },
	})
}

// newPlan is how the sources' lines are read.
func newPlan(s *Settings, o engineOptions, key [identity.KeyBytes]byte) (*decode.Plan, error) {
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
	ident := s.Identity
	ident.Key = key
	return decode.NewPlan(formats, ident, decode.Options{Routes: s.Routes, NoTime: o.noTime, Say: sayFormat(o.log)}), nil
}

// newEngineTimer reads the times of lines ahead of the engine, where several
// sources are merged. It says nothing of its own: the engine's decoder does.
func newEngineTimer(s *Settings, formats map[string]string) (*timer, error) {
	key, err := secretOf(s.StateDir, false)
	if err != nil {
		return nil, err
	}
	plan, err := newPlan(s, engineOptions{formats: formats, log: slog.New(slog.DiscardHandler)}, key)
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
