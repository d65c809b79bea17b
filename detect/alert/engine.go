package alert

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"text/template"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// Options are what an Engine works with.
type Options struct {
	Config Config
	Store  Store
	// Backlog reads the stored findings whose last request is at or after since.
	Backlog func(ctx context.Context, since int64, each func(detect.Finding) error) error
	// Tags are those of a rule; nil = none.
	Tags    func(rule string) []string
	Now     func() time.Time
	Log     *slog.Logger
	Version string // of the program
	Ready   func() // called when Run works; nil: nobody asks
	// Whole has all that the store holds written again at the start: where it is new that
	// others read it too.
	Whole bool
}

// Engine makes alerts of findings and sends notices. Note, Stats and Changed may be called
// from any goroutine; Run once.
type Engine struct {
	Options
	parsed
	channels []*channel
	byName   map[string]*channel

	feed feed

	mu       sync.Mutex // guards all below
	alerts   map[string]*Alert
	open     map[string]*Alert // by key
	recent   map[string]*Alert // the last one that was resolved, by key
	tallies  map[string]*tally // of open alerts, by id
	where    map[string]string // the alert that a finding is counted in, by ids
	silences map[string]*Silence
	acks     map[string]*Ack
	place    place
	people   int64 // how far the records of people were read
	anew     bool  // until the stored findings were counted again
	dirty    map[[2]string]bool
	stats    Stats

	writing sync.Mutex // one write to the store at a time, in order
}

// channel is one that is told.
type channel struct {
	cfg         *ChannelConfig
	spec        Spec
	name        string
	to          Notifier
	title, text *template.Template
	wake        chan struct{} // something is due; a full one is enough

	// of the engine's mu
	saved  channelState
	fails  int // in a row
	paused time.Time
	why    string // of the last failure; "" = it works
	byKind map[Kind]int64
}

// channelState is what of a channel outlives a restart.
type channelState struct {
	Tokens  float64 `json:"tokens"` // of the rate limit
	At      int64   `json:"at"`     // when there were so many
	Digests int64   `json:"digests"`
}

// Bounds. Beyond openMost alerts the findings of another are added to the one that says
// so; beyond the parts an alert counts "at least".
const (
	openMost      = 5_000
	partsMost     = 50_000
	partsMostEver = 500_000
	stepEvery     = time.Second
	backlogMore   = time.Hour // how much more than what was not seen yet is read after a restart
)

// New makes an Engine. It sends nothing until Run.
func New(o Options) (*Engine, error) {
	e := &Engine{Options: o, byName: map[string]*channel{}, alerts: map[string]*Alert{}, open: map[string]*Alert{}, recent: map[string]*Alert{},
		tallies: map[string]*tally{}, where: map[string]string{}, silences: map[string]*Silence{}, acks: map[string]*Ack{}, dirty: map[[2]string]bool{}}
	var err error
	if e.parsed, err = o.Config.parse(); err != nil {
		return nil, err
	}
	for i := range o.Config.Channels {
		ch, err := openChannel(&o.Config.Channels[i])
		if err != nil {
			return nil, err
		}
		e.channels = append(e.channels, ch)
		e.byName[ch.name] = ch
	}
	return e, nil
}

func openChannel(cfg *ChannelConfig) (*channel, error) {
	ch := &channel{cfg: cfg, name: cfg.ID(), wake: make(chan struct{}, 1), byKind: map[Kind]int64{}}
	var err error
	if ch.spec, err = Lookup(cfg.Type); err != nil {
		return nil, err
	}
	if err := settled(ch.name, cfg.section()); err != nil {
		return nil, err
	}
	if ch.to, err = ch.spec.Open(cfg.section()); err != nil {
		return nil, fmt.Errorf("alert: channel %s: %w", ch.name, err)
	}
	if ch.title, err = parseTemplate("title", cfg.Title); err != nil {
		return nil, fmt.Errorf("alert: channel %s: title: %w", ch.name, err)
	}
	if ch.text, err = parseTemplate("text", cfg.Text); err != nil {
		return nil, fmt.Errorf("alert: channel %s: text: %w", ch.name, err)
	}
	return ch, nil
}

// redacts reports whether the channel is told no addresses and paths.
func (ch *channel) redacts() bool {
	return ch.cfg.Redact == "yes" || ch.cfg.Redact != "no" && ch.spec.Redacts
}

// Note hears of findings that are new or changed. It never waits: when too many wait they
// are read from the store later.
func (e *Engine) Note(list ...detect.Finding) { e.feed.add(list) }

// Run makes alerts and sends until ctx ends, or until the store says that somebody else
// sends now. It starts one goroutine a channel and joins them.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.load(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, ch := range e.channels {
		wg.Go(func() {
			if err := e.serve(ctx, ch); err != nil {
				cancel(err)
			}
		})
	}
	tick := time.NewTicker(stepEvery)
	defer tick.Stop()
	for {
		if err := e.step(ctx, e.Now()); err != nil {
			cancel(err)
			return err
		}
		if e.Ready != nil {
			e.Ready()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// load reads what was remembered, and the findings that its alerts were made of.
func (e *Engine) load(ctx context.Context) error {
	recs, err := e.Store.Load(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	for _, r := range recs {
		if err := e.remember(r); err != nil {
			e.Log.Warn("a stored record of alerts cannot be read and is left out", "error", err)
			continue
		}
		if e.Whole {
			e.touch(r.Kind, r.Key)
		}
	}
	since := e.since(e.Now())
	e.mu.Unlock()
	if err := e.flush(ctx); err != nil { // from now on nothing is of the past
		return err
	}
	return e.countAgain(ctx, since)
}

// countAgain makes the sums of open alerts anew, of the stored findings. What was counted
// and is stored no longer is added to them.
func (e *Engine) countAgain(ctx context.Context, since int64) error {
	found := map[string]detect.Finding{}
	if e.Backlog != nil {
		err := e.Backlog(ctx, since, func(f detect.Finding) error { found[f.ID] = f; return nil })
		if err != nil {
			return fmt.Errorf("alert: read the stored findings: %w", err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	stored := map[string]counts{}
	for _, a := range e.open {
		stored[a.ID] = counts{a.Findings, a.Requests, a.Clients}
	}
	e.anew = true
	e.group(found, e.Now())
	e.anew = false
	for _, a := range e.open {
		t, was := e.tallies[a.ID], stored[a.ID]
		t.sum(a)
		t.base = counts{max(0, was.findings-a.Findings), max(0, was.requests-a.Requests), max(0, was.clients-a.Clients)}
		t.sum(a)
	}
	return nil
}

// since is from when on findings may not have been seen yet, or belong to an open alert.
// The first time there is nothing of the past to tell.
func (e *Engine) since(now time.Time) int64 {
	if e.place.At == 0 {
		e.place.At = now.UnixNano()
		e.touch(kindEngine, "place")
		return now.UnixNano()
	}
	since := e.place.At - int64(backlogMore)
	if e.place.Seen > 0 {
		since = min(since, e.place.Seen-int64(backlogMore))
	}
	for _, a := range e.open {
		since = min(since, a.First)
	}
	return max(since, now.Add(-e.Config.MaxAge-e.Config.Keep).UnixNano())
}

// remember takes a record in.
func (e *Engine) remember(r Record) error {
	switch r.Kind {
	case kindAlert:
		a, err := decode[Alert](r)
		if err != nil {
			return err
		}
		e.alerts[a.ID] = a
		e.list(a)
	case kindSilence:
		s, err := decode[Silence](r)
		if err != nil {
			return err
		}
		e.silences[s.ID] = s
	case kindAck:
		k, err := decode[Ack](r)
		if err != nil {
			return err
		}
		e.acks[k.Alert] = k
	case kindChannel:
		s, err := decode[channelState](r)
		if err != nil {
			return err
		}
		if ch := e.byName[r.Key]; ch != nil {
			ch.saved = *s
		}
	case kindEngine:
		p, err := decode[place](r)
		if err != nil {
			return err
		}
		e.place = *p
	}
	return nil
}

// list puts an alert where it is found by its key.
func (e *Engine) list(a *Alert) {
	if a.State == Open {
		e.open[a.Key] = a
		if e.tallies[a.ID] == nil {
			t := newTally()
			e.tallies[a.ID] = t
		}
		return
	}
	if o := e.recent[a.Key]; o == nil || o.Closed < a.Closed {
		e.recent[a.Key] = a
	}
}

// touch marks a record to be written.
func (e *Engine) touch(kind, key string) { e.dirty[[2]string{kind, key}] = true }

// Changed has records written again that somebody who may not send any more wrote over.
func (e *Engine) Changed(recs []Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range recs {
		e.touch(r.Kind, r.Key)
	}
}

// flush writes what changed. What the store does not take is written with the next one.
func (e *Engine) flush(ctx context.Context) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	e.mu.Lock()
	recs := make([]Record, 0, len(e.dirty))
	for k := range e.dirty {
		r, err := e.encode(k[0], k[1])
		if err != nil {
			e.mu.Unlock()
			return err
		}
		recs = append(recs, r)
	}
	clear(e.dirty)
	e.mu.Unlock()
	if len(recs) == 0 {
		return nil
	}
	if err := e.Store.Put(ctx, recs); err != nil {
		e.Changed(recs)
		return err
	}
	return nil
}

// encode is a record as it stands now; one that is gone is deleted.
func (e *Engine) encode(kind, key string) (Record, error) {
	gone := Record{Kind: kind, Key: key}
	switch kind {
	case kindAlert:
		if a := e.alerts[key]; a != nil {
			return recordOf(kind, key, a)
		}
	case kindChannel:
		if ch := e.byName[key]; ch != nil {
			return recordOf(kind, key, ch.saved)
		}
	case kindEngine:
		return recordOf(kind, key, e.place)
	case kindSilence:
		if s := e.silences[key]; s != nil {
			return recordOf(kind, key, s)
		}
	case kindAck:
		if k := e.acks[key]; k != nil {
			return recordOf(kind, key, k)
		}
	}
	return gone, nil
}
