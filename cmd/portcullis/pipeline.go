package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/enrich"
)

// pipeline is everything that "portcullis run" runs: sources, bus, engine,
// store, enforcer, console. Its goroutines start in run and are joined there.
type pipeline struct {
	*base
	engine   *detect.Engine
	enforcer *enforce.Enforcer
	intake   *intake
	enrich   *enrich.Enricher
	bus      *bus.Memory
	groups   *campaigns
	mirror   *mirror       // to Elasticsearch; nil: none
	marks    []ingest.Mark // where the sources resume
	good     atomic.Int64
	emitted  atomic.Bool            // findings wait to be saved
	kept     bool                   // detect has ended, and all that it did is saved
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
	b, err := openBase(ctx, s, log)
	if err != nil {
		return nil, err
	}
	p := &pipeline{base: b}
	p.books.Store(&books{})
	if err := p.openState(ctx); err != nil {
		p.close()
		return nil, err
	}
	if p.intake, err = openIntake(s, s.Identity.Redact.Bus, log); err != nil {
		p.close()
		return nil, err
	}
	if p.mirror, err = newMirror(p); err != nil {
		p.close()
		return nil, err
	}
	if err = p.openOutputs(ctx); err != nil {
		p.close()
		return nil, err
	}
	if p.alerting, err = p.newAlerting(); err != nil {
		p.close()
		return nil, err
	}
	// One partition: order counts among the sources too, and the mark of a batch
	// may only be saved when every batch before it was taken in.
	p.bus = bus.NewMemory(bus.MemoryConfig{Partitions: 1})
	return p, nil
}

func (p *pipeline) openState(ctx context.Context) error {
	s := p.settings
	var err error
	if p.enrich, err = newEnricher(s, true, p.quiet); err != nil {
		return err
	}
	if p.engine, err = newEngine(s, engineOptions{formats: formatsOf(s), create: true, live: true, log: p.quiet, hide: p.idText(), enrich: p.enrich, sealed: s.Identity.Redact.Bus, costs: p.costs,
		emit: p.emit, saw: p.saw, now: func() int64 { return now().Unix() }, noTime: func() int64 { return now().UnixNano() }}); err != nil {
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
	p.groups = newCampaigns(p.settings, p.db)
	if err := p.openInline(func() bool { return true }); err != nil {
		return err
	}
	p.enforcer, err = p.newEnforcer(p.engine, p.inputs)
	return err
}

// emit hears of findings from the workers.
func (p *pipeline) emit(f detect.Finding) {
	p.emitted.Store(true)
	p.meters.found(&f)
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
	if p.intake != nil {
		p.intake.close(p.log)
	}
	p.outputs.close()
	p.base.close()
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
	p.inline.start(func(what string, work func(context.Context) error) { start(&rest, what, work) })
	if p.alerting != nil {
		start(&rest, "alerts", func(ctx context.Context) error { return p.alerting.run(ctx, p.alerts, false) })
	}
	start(&rest, "console", p.serveConsole)
	start(&rest, "bookkeeping", p.keepBooks)
	if p.mirror != nil {
		start(&rest, "elasticsearch", p.mirror.run)
	}
	if p.outputs != nil {
		start(&rest, "outputs", p.sendOutputs)
	}
	p.log.Info("running", "sources", len(p.intake.sources), "gateways", p.settings.gateways(), "state", p.settings.StateDir)
	detectErr := p.detect(ctx, reader)
	cancel(detectErr)
	sources.Wait()
	rest.Wait()
	err = errors.Join(p.bus.Close(), p.farewell(detectErr == nil, lastSaveTries))
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// lastSaveTries is for how long a last save that fails is tried again.
const lastSaveTries = 10 * time.Second

// farewell saves for the last time, unless all is saved, and leaves a
// heartbeat that says that nobody is here any more. A save that fails is tried
// again within a time; one that works takes as long as it takes. After a save
// that failed there is no other: it would hold the marks without all that they
// cover, and the log is read again from the state before.
func (p *pipeline) farewell(save bool, tries time.Duration) error {
	var err error
	if save && !p.kept {
		ctx, cancel := context.WithTimeout(context.Background(), tries)
		defer cancel()
		err = p.save(ctx, p.engine.Snapshot())
	}
	p.gone(p.beat)
	return err
}

func (p *pipeline) startSources(start func(string, func(context.Context) error)) {
	p.intake.start(start, p.marks, func(ctx context.Context, b *ingest.Batch) error {
		p.mirror.tap(b)
		p.outputs.tap(b)
		m, err := bus.FromBatch(accessTopic, b)
		if err != nil {
			return err
		}
		m.Key = []byte(b.Source)
		return p.bus.Publish(ctx, m)
	})
}
