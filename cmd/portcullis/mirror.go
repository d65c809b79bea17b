package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/index"
	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/enforce/indexed"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// mirror copies what one process found and decided to Elasticsearch, where there is no
// Kafka between. The database is what it copies from: what waits in memory is lost with
// the process, and all findings are written again at the next start, over themselves.
// Requests are copied as they pass; while Elasticsearch does not keep up they are the
// first to be left out, and counted.
type mirror struct {
	p     *pipeline
	store *elastic.Store
	index *indexed.Index

	mu       sync.Mutex
	findings map[string]detect.Finding
	rollups  map[[2]string]detect.Rollup // by minute and route

	requests chan *bus.Message
	leftOut  atomic.Int64 // lines of requests that were not copied
}

// Bounds of what waits in memory. Beyond mirrorMost findings the oldest are left to
// the next start.
const (
	mirrorEvery = time.Second
	mirrorMost  = 100_000
	mirrorAhead = 16 // batches of requests
	stepsAtOnce = 500
)

// The keys under which it is noted how far the ledger was copied.
const (
	mirroredSteps    = "mirrored_changes"
	mirroredCommands = "mirrored_commands"
)

// newMirror makes a mirror where the settings want one, else nil.
func newMirror(p *pipeline) (*mirror, error) {
	m := &mirror{p: p, findings: map[string]detect.Finding{}, rollups: map[[2]string]detect.Rollup{}}
	var err error
	if m.store, err = p.newElastic(func(_ context.Context, d elastic.Doc, reason string) error {
		return p.rejects.add(p.settings.StateDir, "", d, reason)
	}); err != nil || m.store == nil {
		return nil, err
	}
	m.index = indexed.New(m.store, p.cloak)
	if p.settings.Elasticsearch.Index.Access != elastic.AccessNone {
		m.requests = make(chan *bus.Message, mirrorAhead)
	}
	return m, nil
}

// offer takes what was saved in the database.
func (m *mirror) offer(findings []detect.Finding, rollups []detect.Rollup) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range findings {
		if _, known := m.findings[f.ID]; known || len(m.findings) < mirrorMost {
			m.findings[f.ID] = f
		}
	}
	for _, r := range rollups {
		if len(m.rollups) < mirrorMost {
			m.rollups[[2]string{strconv.FormatInt(r.Minute, 10), r.Route}] = r
		}
	}
}

// tap copies a batch of lines on its way to detection, if there is room.
func (m *mirror) tap(b *ingest.Batch) {
	if m == nil || m.requests == nil || len(b.Data) == 0 {
		return
	}
	c := *b
	c.Data, c.Free = bytes.Clone(b.Data), nil
	msg, err := bus.FromBatch(accessTopic, &c)
	if err != nil {
		return // it is that of the batch itself, which is told where that is published
	}
	select {
	case m.requests <- &msg:
	default:
		m.leftOut.Add(int64(b.Lines()))
	}
}

// run copies until ctx ends.
func (m *mirror) run(ctx context.Context) error {
	defer m.store.Close()
	if err := installElastic(ctx, m.store, m.p.log); err != nil || ctx.Err() != nil {
		return nil
	}
	if err := m.all(ctx); err != nil {
		return endOf(ctx, err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	if m.requests != nil {
		wg.Go(func() { m.copyRequests(ctx) })
	}
	tick := time.NewTicker(mirrorEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := m.once(ctx); err != nil {
			return endOf(ctx, err)
		}
	}
}

// endOf makes nothing of an error that is only the end.
func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("elasticsearch: %w", err)
}

// all copies the findings and the traffic of a day that are in the database.
func (m *mirror) all(ctx context.Context) error {
	rows, err := m.p.db.Rollups(ctx, now().Add(-24*time.Hour).Unix(), 0, store.AnyRoute)
	if err != nil {
		return err
	}
	m.offer(nil, rows)
	var page []detect.Finding
	err = eachFinding(ctx, m.p.db, store.FindingQuery{}, 0, func(f detect.Finding) error {
		if page = append(page, f); len(page) < stepsAtOnce {
			return nil
		}
		err := m.write(ctx, page, nil)
		page = page[:0]
		return err
	})
	if err != nil {
		return err
	}
	return m.write(ctx, page, nil)
}

// once copies what came since the last time.
func (m *mirror) once(ctx context.Context) error {
	m.mu.Lock()
	findings, rollups := make([]detect.Finding, 0, len(m.findings)), make([]detect.Rollup, 0, len(m.rollups))
	for _, f := range m.findings {
		findings = append(findings, f)
	}
	for _, r := range m.rollups {
		rollups = append(rollups, r)
	}
	clear(m.findings)
	clear(m.rollups)
	m.mu.Unlock()
	if err := m.write(ctx, findings, rollups); err != nil {
		return err
	}
	if err := m.steps(ctx); err != nil {
		return err
	}
	return m.commands(ctx)
}

func (m *mirror) write(ctx context.Context, findings []detect.Finding, rollups []detect.Rollup) error {
	docs, err := each(findings, m.store.FindingDoc)
	if err != nil {
		return err
	}
	for i := range docs {
		docs[i].Again = true
	}
	for _, r := range rollups {
		d, err := m.store.TrafficDoc(r, "")
		if err != nil {
			return err
		}
		docs = append(docs, d)
	}
	if len(docs) == 0 {
		return nil
	}
	return m.store.Write(ctx, docs)
}

// steps copies the changes that were made since the last time, and the decisions as
// they stand.
func (m *mirror) steps(ctx context.Context) error {
	for {
		from, err := m.noted(ctx, mirroredSteps)
		if err != nil {
			return err
		}
		docs, next, err := m.p.changedDecisions(ctx, m.index, from)
		if err != nil || len(docs) == 0 {
			return err
		}
		if err := m.copied(ctx, docs, mirroredSteps, next); err != nil {
			return err
		}
	}
}

// commands copies what people wanted since the last time.
func (m *mirror) commands(ctx context.Context) error {
	from, err := m.noted(ctx, mirroredCommands)
	if err != nil {
		return err
	}
	docs, next, err := m.p.answeredCommands(ctx, m.index, from)
	if err != nil || len(docs) == 0 {
		return err
	}
	return m.copied(ctx, docs, mirroredCommands, next)
}

// copied writes documents that may have been written before, and notes how far that is.
func (m *mirror) copied(ctx context.Context, docs []elastic.Doc, key string, to int64) error {
	for i := range docs {
		docs[i].Again = true
	}
	if err := m.store.Write(ctx, docs); err != nil {
		return err
	}
	return m.p.db.SetMeta(ctx, key, strconv.FormatInt(to, 10))
}

func (m *mirror) noted(ctx context.Context, key string) (int64, error) {
	text, err := m.p.db.Meta(ctx, key)
	if err != nil || text == "" {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// copyRequests copies the requests that the settings keep.
func (m *mirror) copyRequests(ctx context.Context) {
	r, err := m.p.requestsOf(m.store, m.p.settings.Elasticsearch.Keeps, engineOptions{formats: formatsOf(m.p.settings), log: m.p.quiet, enrich: m.p.enrich}, m.p.settings.Identity.Redact.Bus)
	if err != nil {
		m.p.log.Error("requests are not copied to Elasticsearch", "error", err)
		return
	}
	in := make(chan elastic.Piece)
	var wg sync.WaitGroup
	wg.Go(func() { _ = m.store.Pump(ctx, in) }) // ends with ctx; Health tells what is wrong before
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-m.requests:
			docs, err := r.Convert(msg)
			if err != nil || len(docs) == 0 {
				continue // its lines are told where they are detected on
			}
			select {
			case in <- elastic.Piece{Docs: docs}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// requestsOf makes what turns lines into documents of requests.
func (b *base) requestsOf(es *elastic.Store, keeps func(ingest.Position, bool) bool, o engineOptions, sealed bool) (*index.Requests, error) {
	_, ident, err := identityOf(b.settings, false)
	if err != nil {
		return nil, err
	}
	ident.Sealed = sealed
	plan, err := newPlan(b.settings, o, ident)
	if err != nil {
		return nil, err
	}
	decoder, err := plan.New()
	if err != nil {
		return nil, err
	}
	redact, err := ident.Redactor()
	if err != nil {
		return nil, err
	}
	return &index.Requests{Store: es, Keeps: keeps, Decoder: decoder, Inspect: inspect.New(b.settings.Inspect), Redact: redact.Line}, nil
}

// trouble is what an operator should know of it.
func (m *mirror) trouble(add func(what, why string)) {
	if m == nil {
		return
	}
	add("elasticsearch", m.store.Health().Error)
	if n := m.leftOut.Load(); n > 0 {
		add("elasticsearch", fmt.Sprintf("%d requests were not copied, because it did not keep up; findings and decisions are", n))
	}
}
