package enforce

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/portcullis/portcullis/detect"
)

// recordsCached bounds the subjects whose records stay in memory; the others
// are read from the ledger when they are needed.
const recordsCached = 16384

// Enforcer turns findings into decisions, pushes them to the gateways and
// watches whether they hold. The ledger is the truth: after a crash at any
// instant the decisions in force are pushed again, and findings that were
// already judged change nothing.
type Enforcer struct {
	cfg    Config
	policy *Policy
	guard  *Guard
	ledger *Ledger
	watch  Watcher
	log    *slog.Logger
	now    func() time.Time

	inputs  func() Inputs
	meter   Meter
	backlog func(ctx context.Context, since int64) ([]detect.Finding, error)

	queue   *queue
	tracker *tracker
	pushers []*pusher
	results chan result
	wake    chan struct{}

	mem memory // only touched by Run

	// How long the newest push took to put together, and the newest watch list, and when
	// that was; Run's, too.
	pushCost, watchCost time.Duration
	watchedAt           time.Time

	mu     sync.Mutex
	health Health
}

// New checks the configuration and builds an enforcer. watch may be nil: then
// nothing is verified. now is the clock of expiries and of the ledger.
func New(cfg Config, ledger *Ledger, gateways []Gateway, watch Watcher, log *slog.Logger, now func() time.Time) (*Enforcer, error) {
	if err := cfg.problems(); err != nil {
		return nil, err
	}
	policy, err := NewPolicy(cfg.Policy)
	if err != nil {
		return nil, err
	}
	guard, err := NewGuard(cfg.Guard)
	if err != nil {
		return nil, err
	}
	records, err := lru.New[detect.Subject, *Record](recordsCached)
	if err != nil {
		return nil, fmt.Errorf("enforce: records: %w", err)
	}
	e := &Enforcer{
		cfg: cfg, policy: policy, guard: guard, ledger: ledger, watch: watch, log: log, now: now,
		inputs:  func() Inputs { return Inputs{} },
		meter:   noMeter{},
		queue:   newQueue(cfg.Queue),
		tracker: newTracker(cfg.Verify),
		results: make(chan result),
		wake:    make(chan struct{}, 1),
		mem:     memory{records: records},
	}
	names := map[string]bool{}
	for i, gw := range gateways {
		if names[gw.Name()] {
			return nil, fmt.Errorf("enforce: two gateways are named %s: give each its own name", quoted(gw.Name()))
		}
		names[gw.Name()] = true
		e.pushers = append(e.pushers, newPusher(i, gw, cfg.Push, ledger.confirm))
		e.mem.gateways = append(e.mem.gateways, GatewayHealth{Name: gw.Name()})
	}
	return e, nil
}

// SetInputs gives the guard's view of the rest of the program; f must be quick
// and is called from Run. Call it before Run.
func (e *Enforcer) SetInputs(f func() Inputs) { e.inputs = f }

// SetBacklog gives a way to read the stored findings whose LastSeen is at or
// after a moment, the newest first if there are too many. It is asked at the start, for what was found shortly before a crash, and
// after the queue was full. Findings that were already judged change nothing.
// Call it before Run.
func (e *Enforcer) SetBacklog(f func(ctx context.Context, since int64) ([]detect.Finding, error)) {
	e.backlog = f
}

// Offer takes a finding, or a newer copy of one. It never blocks: when the
// queue is full, the finding is taken from the backlog within two minutes. It
// may be called from any goroutine, also before Run.
func (e *Enforcer) Offer(f detect.Finding) {
	e.queue.offer(f)
	signal(e.wake)
}

// Saw takes a request of a watched subject. It never blocks for longer than
// another Saw. It may be called from any goroutine.
func (e *Enforcer) Saw(s detect.Sighting) {
	e.SawAll(detect.Sightings{Sighting: s, First: s.Time, N: 1})
}

// SawAll takes requests that a detect.Coalescer reported together, as Saw does.
func (e *Enforcer) SawAll(s detect.Sightings) {
	if e.tracker.saw(s) {
		signal(e.wake)
	}
}

// Health is how the enforcer is doing.
type Health struct {
	States     map[State]int // open decisions by state
	Queue      int           // findings that wait
	Overflowed int64         // findings that found the queue full since the start
	Gateways   []GatewayHealth
	Panic      string // who switched it on and why; "" = off
	Breaker    string // why the circuit breaker is open; "" = closed
	Recent     int    // decisions put in force by the policy within the last minute
	Lag        time.Duration
	Store      string // why the ledger cannot be written; "" = it can
	Watched    int    // subjects the watcher reports on
}

// GatewayHealth is how one gateway is doing.
type GatewayHealth struct {
	Name    string
	Entries int           // it holds
	Changed int           // by the last push that changed something
	Took    time.Duration // of the last push that succeeded
	At      time.Time     // of the last push that succeeded
	Behind  bool          // a newer state is still to be taken
	Fails   int           // pushes that failed in a row
	Error   string        // of the last push; "" = it succeeded

	acked uint64 // newest push it took
}

// Health returns a copy that the caller owns. It may be called from any
// goroutine.
func (e *Enforcer) Health() Health {
	e.mu.Lock()
	h := e.health
	h.States = map[State]int{}
	for s, n := range e.health.States {
		h.States[s] = n
	}
	h.Gateways = append([]GatewayHealth(nil), h.Gateways...)
	e.mu.Unlock()
	h.Queue, h.Overflowed = e.queue.len()
	return h
}
