package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// base is what every service has, whatever its roles: settings, log, database.
type base struct {
	settings *Settings
	log      *slog.Logger
	quiet    *slog.Logger // what may come to speak of clients; log, unless addresses are hidden
	cloak    *identity.Cloak
	hide     bool // whether addresses are hidden in what is stored and shown
	db       *store.DB
	ledger   *enforce.Ledger
	alerts   *alert.Table
	alerting *alerting // nil: nobody is told, or not by this process
	outputs  *outputs  // nil: none, or not by this process
	rejects  rejectedFile
	inline   *inline // what others ask; nil: not in this process
	meters   *meters
	costs    *detect.Costs // of the detectors in this process
	started  time.Time
	web      atomic.Pointer[console.Server] // once it is made
}

// openBase opens the database in the state folder, which it makes.
func openBase(ctx context.Context, s *Settings, log *slog.Logger) (*base, error) {
	b := &base{settings: s, log: log, quiet: log, started: now(), costs: newCosts()}
	var err error
	if b.meters, err = newMeters(now); err != nil {
		return nil, err
	}
	// The key comes first: it makes the folder.
	_, err = ringOf(s.StateDir, true)
	if err != nil {
		return nil, err
	}
	if b.db, err = store.Open(filepath.Join(s.StateDir, storeFile)); err != nil {
		return nil, err
	}
	if err := b.openLedger(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *base) openLedger(ctx context.Context) error {
	if err := b.conceal(); err != nil {
		return err
	}
	ledger, err := enforce.OpenLedger(ctx, b.db.SQL())
	if err != nil {
		return err
	}
	b.ledger = ledger.ReadFrom(b.db.Reader()).Conceal(b.cloak, b.hide)
	if b.alerts, err = alert.OpenTable(ctx, b.db.SQL(), b.db.Reader(), b.idText()); err != nil {
		return err
	}
	return b.concealStored(ctx)
}

func (b *base) close() {
	if err := b.db.Close(); err != nil {
		b.log.Error("close the store", "error", err)
	}
}

// enforcement is how decisions are made: the trusted hops are never touched.
func (s *Settings) enforcement() enforce.Config {
	cfg := s.Enforce
	cfg.Guard.Untouchable = append(slices.Clone(cfg.Guard.Untouchable), s.Identity.TrustedProxies...)
	return cfg
}

// newEnforcer makes the enforcer of the settings, with their gateways.
func (b *base) newEnforcer(watch enforce.Watcher, inputs func() enforce.Inputs) (*enforce.Enforcer, error) {
	s := b.settings
	gateways, err := s.openGateways()
	if err != nil {
		return nil, err
	}
	gateways = append(gateways, b.inline.gateways()...)
	cfg := s.enforcement()
	e, err := enforce.New(cfg, b.ledger, gateways, watch, b.quiet, now)
	if err != nil {
		return nil, err
	}
	e.SetInputs(inputs)
	e.SetMeter(b.meters)
	e.SetBacklog(func(ctx context.Context, since int64) ([]detect.Finding, error) {
		var all []detect.Finding
		err := eachFinding(ctx, b.db, store.FindingQuery{SeenSince: since}, 0, func(f detect.Finding) error {
			all = append(all, b.subjectShown(f))
			return nil
		})
		return all, err
	})
	return e, nil
}

// serve serves the console until ctx ends; what deps leaves open is the database's.
func (b *base) serve(ctx context.Context, metrics *telemetry.Collector, deps console.Deps) error {
	registry := telemetry.NewRegistry(buildInfo().Version)
	if err := b.register(registry, metrics); err != nil {
		return err
	}
	if deps.Findings == nil {
		deps.Findings = b.db
	}
	if deps.Decisions == nil {
		deps.Decisions = b.ledger
	}
	deps.Allowed, deps.Poster, deps.Audit, deps.Log = b.ledger, b.ledger, b.ledger, b.quiet
	deps.Alerts = b.alerts
	deps.Rules, deps.KeysFile = b.settings.consoleRules, b.settings.consoleKeys()
	deps.SessionsFile = filepath.Join(b.settings.StateDir, consoleSessionsFile)
	deps.Costs = b.costs.PerLine
	deps.Metrics = telemetry.MetricsHandler(registry, b.log)
	desk, err := b.openBacktests()
	if err != nil {
		return err
	}
	if desk != nil {
		defer desk.Close()
		deps.Backtests, deps.BacktestOffer = desk, b.settings.backtestOffer
	}
	deps.Tags = func(rule string) []string { s, _ := detect.SpecOf(rule); return s.Tags }
	srv, err := console.New(b.settings.Console, deps)
	if err != nil {
		return err
	}
	b.web.Store(srv)
	return srv.Run(ctx)
}

// register adds the figures of all parts to a registry.
func (b *base) register(registry *prometheus.Registry, metrics *telemetry.Collector) error {
	all := []prometheus.Collector{metrics, b.meters}
	if b.inline != nil {
		m, err := b.inline.metrics()
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

func (b *base) consoleURL() string {
	if srv := b.web.Load(); srv != nil && srv.Addr() != nil {
		return srv.URL()
	}
	return ""
}
