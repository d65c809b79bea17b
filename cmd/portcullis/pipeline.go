package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/gateway"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/identity"
)

// pipeline is everything that "portcullis run" runs: sources, bus, engine,
// store, enforcer, console. Its goroutines start in run and are joined there.
type pipeline struct {
	settings *Settings
	log      *slog.Logger
	quiet    *slog.Logger // what may come to speak of clients; log, unless addresses are hidden
	cloak    *identity.Cloak
	hide     bool // whether addresses are hidden in what is stored and shown
	db       *store.DB
	ledger   *enforce.Ledger
	engine   *detect.Engine
	enforcer *enforce.Enforcer
	sources  []*liveSource
	enrich   *enrich.Enricher
	redact   *identity.Redactor // of lines before the bus; nil: none
	bus      *bus.Memory
	ahead    *timer        // reads times for the aligner
	marks    []ingest.Mark // where the sources resume
	started  time.Time
	web      atomic.Pointer[console.Server] // once it is made
	good     atomic.Int64
	emitted  atomic.Bool            // findings wait to be saved
	unsaved  atomic.Pointer[string] // why the state cannot be saved; nil: it can
	books    atomic.Pointer[books]
	onEvent  func(detect.Finding) // for the demo; nil otherwise
}

// books are the figures of the sources as of the last look.
type books struct {
	rows  []ingest.LedgerRow
	rate  float64 // lines a second
	at    time.Time
	lines int64
}

const accessTopic = "portcullis.access"

// open makes the parts. What fails names what an operator can do.
func openPipeline(ctx context.Context, s *Settings, log *slog.Logger) (*pipeline, error) {
	if err := s.workable(); err != nil {
		return nil, err
	}
	p := &pipeline{settings: s, log: log, quiet: log, started: now()}
	p.books.Store(&books{})
	if err := p.openState(ctx); err != nil {
		p.close()
		return nil, err
	}
	for i := range s.Sources {
		src, err := s.Sources[i].open(s.StateDir, log)
		if err != nil {
			p.close()
			return nil, err
		}
		p.sources = append(p.sources, src)
	}
	// One partition: order counts among the sources too, and the mark of a batch
	// may only be saved when every batch before it was taken in.
	p.bus = bus.NewMemory(bus.MemoryConfig{Partitions: 1})
	return p, nil
}

func (p *pipeline) openState(ctx context.Context) error {
	s := p.settings
	formats := map[string]string{}
	for i := range s.Sources {
		formats[s.Sources[i].name()] = s.Sources[i].format()
	}
	// The key comes first: it makes the folder.
	_, err := ringOf(s.StateDir, true)
	if err != nil {
		return err
	}
	if p.db, err = store.Open(filepath.Join(s.StateDir, storeFile)); err != nil {
		return err
	}
	if err = p.conceal(); err != nil {
		return err
	}
	if p.enrich, err = newEnricher(s, true, p.quiet); err != nil {
		return err
	}
	if p.engine, err = newEngine(s, engineOptions{formats: formats, create: true, live: true, log: p.quiet, hide: p.idText(), enrich: p.enrich, sealed: s.Identity.Redact.Bus,
		emit: p.emit, saw: p.saw, now: func() int64 { return now().Unix() }, noTime: func() int64 { return now().UnixNano() }}); err != nil {
		return err
	}
	if s.Identity.Redact.Bus {
		_, ident, err := identityOf(s, false)
		if err != nil {
			return err
		}
		if p.redact, err = ident.Redactor(); err != nil {
			return err
		}
	}
	if p.ahead, err = newEngineTimer(s, formats); err != nil {
		return err
	}
	saved, err := p.db.Load(ctx)
	if err != nil {
		return err
	}
	if err := p.engine.Restore(detect.Snapshot{Blobs: saved.Blobs, Ledger: saved.Ledger, Marks: saved.Marks}); err != nil {
		return err
	}
	p.marks = saved.Marks
	ledger, err := enforce.OpenLedger(ctx, p.db.SQL())
	if err != nil {
		return err
	}
	p.ledger = ledger.ReadFrom(p.db.Reader()).Conceal(p.cloak, p.hide)
	if err := p.concealStored(ctx); err != nil {
		return err
	}
	return p.openEnforcer()
}

func (p *pipeline) openEnforcer() error {
	s := p.settings
	var gateways []enforce.Gateway
	if s.Gateways.Nginx.Enabled {
		gw, err := gateway.NewNginx(s.Gateways.Nginx.NginxConfig)
		if err != nil {
			return err
		}
		gateways = append(gateways, gw)
	}
	cfg := s.Enforce
	cfg.Guard.Untouchable = append(append([]string(nil), cfg.Guard.Untouchable...), s.Identity.TrustedProxies...)
	var err error
	if p.enforcer, err = enforce.New(cfg, p.ledger, gateways, p.engine, p.quiet, now); err != nil {
		return err
	}
	p.enforcer.SetInputs(p.inputs)
	p.enforcer.SetBacklog(func(ctx context.Context, since int64) ([]detect.Finding, error) {
		var all []detect.Finding
		err := eachFinding(ctx, p.db, store.FindingQuery{SeenSince: since}, 0, func(f detect.Finding) error {
			all = append(all, p.subjectShown(f))
			return nil
		})
		return all, err
	})
	return nil
}

// emit hears of findings from the workers.
func (p *pipeline) emit(f detect.Finding) {
	p.emitted.Store(true)
	if p.onEvent != nil {
		p.onEvent(f)
	}
	p.enforcer.Offer(f)
}

func (p *pipeline) saw(s detect.Sighting) { p.enforcer.Saw(s) }

// close gives back what open took.
func (p *pipeline) close() {
	if p.engine != nil {
		p.engine.Close()
	}
	if p.enrich != nil {
		p.enrich.Close()
	}
	for _, s := range p.sources {
		if err := s.close(); err != nil {
			p.log.Error("close a source", "source", s.name, "error", err)
		}
	}
	if p.db != nil {
		if err := p.db.Close(); err != nil {
			p.log.Error("close the store", "error", err)
		}
	}
}

// run works until ctx ends, then saves and returns. An error is one that keeps
// it from working at all.
func (p *pipeline) run(ctx context.Context) error {
	defer p.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reader, err := p.bus.Subscribe(ctx, accessTopic, "detect")
	if err != nil {
		return err
	}
	var sources, rest sync.WaitGroup
	start := func(wg *sync.WaitGroup, what string, work func(context.Context) error) {
		wg.Go(func() {
			if err := work(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, bus.ErrClosed) {
				if !strings.HasPrefix(err.Error(), what+": ") {
					err = fmt.Errorf("%s: %w", what, err)
				}
				cancel(err)
			}
		})
	}
	p.startSources(func(what string, work func(context.Context) error) { start(&sources, what, work) })
	start(&rest, "enforcer", p.enforcer.Run)
	start(&rest, "console", p.serveConsole)
	start(&rest, "bookkeeping", p.keepBooks)
	p.log.Info("running", "sources", len(p.sources), "gateways", p.settings.gateways(), "state", p.settings.StateDir)
	detectErr := p.detect(ctx, reader)
	cancel(detectErr)
	sources.Wait()
	rest.Wait()
	err = errors.Join(p.bus.Close(), p.farewell(detectErr == nil))
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// farewell saves for the last time, trying for ten seconds, and leaves a
// heartbeat that says that nobody is here any more. After a save that failed
// there is no other: it would hold the marks without all that they cover, and
// the log is read again from the state before.
func (p *pipeline) farewell(save bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var err error
	if save {
		err = p.save(ctx, p.engine.Snapshot())
	}
	return errors.Join(err, p.beat(ctx, time.Unix(0, 1)))
}

func (p *pipeline) startSources(start func(string, func(context.Context) error)) {
	publish := func(ctx context.Context, b *ingest.Batch) error {
		if p.redact != nil {
			p.redact.Batch(b)
		}
		m, err := bus.FromBatch(accessTopic, b)
		if err != nil {
			return err
		}
		m.Key = []byte(b.Source)
		return p.bus.Publish(ctx, m)
	}
	a := newAligner(len(p.sources), p.ahead, publish)
	if len(p.sources) > 1 {
		start("aligner", a.run)
	}
	for i, f := range p.sources {
		var from []ingest.Mark
		for _, m := range p.marks {
			if m.Source == f.name {
				from = append(from, m)
			}
		}
		start("source "+f.name, func(ctx context.Context) error {
			return f.Run(ctx, from, func(ctx context.Context, b *ingest.Batch) error { return a.put(ctx, i, b) })
		})
	}
}
