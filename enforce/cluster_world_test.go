package enforce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
	"github.com/portcullis/portcullis/enforce/journal"
)

// stopped is a process that SIGSTOP holds: whoever passes waits until it goes
// on, or is killed.
type stopped struct {
	mu   sync.Mutex
	open chan struct{} // closed: it runs
}

func newStopped() *stopped {
	s := &stopped{open: make(chan struct{})}
	close(s.open)
	return s
}

func (s *stopped) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.open:
		s.open = make(chan struct{})
	default:
	}
}

func (s *stopped) thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.open:
	default:
		close(s.open)
	}
}

// pass waits until the process runs, and reports whether it still lives.
func (s *stopped) pass(dead context.Context) bool {
	for {
		s.mu.Lock()
		open := s.open
		s.mu.Unlock()
		select {
		case <-open:
			return dead.Err() == nil
		case <-dead.Done():
			return false
		}
	}
}

// What a journal does with appends.
const (
	fine     = iota
	refuses  // nothing is written
	deceives // it is written, and fails all the same
	hangs    // until the caller gives up
	crawls   // takes a second
)

// retention is for how long the topic keeps deletions.
const retention = 2 * time.Hour

// node is one machine: a ledger that follows the topic, and an enforcer while it
// is this one's turn.
type node struct {
	*testing.T
	fleet  *fleet
	id     int64
	path   string
	db     *store.DB
	ledger *enforce.Ledger
	hold   *stopped
	ears   *stopped // frozen: it writes to the topic, but hears nothing from it
	mode   atomic.Int64

	dead context.Context
	kill func()

	mu sync.Mutex
	e  *enforce.Enforcer
}

// fleet is a topic, a gateway and the machines around them, in a bubble.
type fleet struct {
	*testing.T
	dir   string
	cfg   enforce.Config
	topic *enforcetest.Topic
	wire  wire // how the nodes reach it, or another one
	sim   *enforcetest.Sim
	cloak enforce.Cloak
	nodes []*node
	owner atomic.Int64 // the node that the consumer group chose
	// of the group when it did; set it before owner
	generation int64
	found      []detect.Finding
	wrong      []string
}

func cluster(t *testing.T, nodes int, do func(t *testing.T, f *fleet)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, dir, nodes)
		defer f.close()
		do(t, f)
	})
}

// wire is the decisions topic, as it is written and read.
type wire interface {
	enforce.Journal
	Read(ctx context.Context, from int64, limit int) (recs []journal.Record, next int64, err error)
}

func newFleet(t *testing.T, dir string, nodes int) *fleet {
	topic := enforcetest.NewTopic()
	f := &fleet{T: t, dir: dir, cfg: enforceAll(), topic: topic, wire: topic, sim: enforcetest.NewSim("gw", time.Now)}
	f.owner.Store(-1)
	for range nodes {
		f.add()
	}
	return f
}

// add starts one more machine, with an empty disk.
func (f *fleet) add() *node {
	n := &node{T: f.T, fleet: f, id: int64(len(f.nodes)), path: filepath.Join(f.dir, fmt.Sprintf("%d.db", len(f.nodes)))}
	f.nodes = append(f.nodes, n)
	n.start()
	return n
}

func (f *fleet) close() {
	for _, n := range f.nodes {
		n.stop()
	}
}

func (f *fleet) errf(format string, args ...any) {
	f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
}

// pass lets time pass, and everybody come to rest.
func (f *fleet) pass(d time.Duration) {
	if d > 0 {
		time.Sleep(d) // the bubble's clock, which costs nothing
	}
	synctest.Wait()
}

// offer gives a finding to every machine, as the findings topic does.
func (f *fleet) offer(x detect.Finding) {
	f.found = append(f.found, x)
	for _, n := range f.nodes {
		if n.dead.Err() != nil {
			continue // it reads them when it is back
		}
		n.save(x)
		if e := n.enforcer(); e != nil {
			e.Offer(x)
		}
	}
}

func (n *node) save(fs ...detect.Finding) {
	if err := n.db.SaveFindings(n.Context(), fs); err != nil {
		n.fleet.errf("node %d: %v", n.id, err)
	}
}

func (n *node) start() {
	n.hold, n.ears = newStopped(), newStopped()
	n.dead, n.kill = context.WithCancel(context.Background())
	var err error
	if n.db, err = store.Open(n.path); err != nil {
		n.Fatal(err)
	}
	if n.ledger, err = enforce.OpenLedger(n.dead, n.db.SQL()); err != nil {
		n.Fatal(err)
	}
	n.ledger.ReadFrom(n.db.Reader())
	n.exec(`PRAGMA synchronous = OFF`) // nobody cuts the power here
	if n.fleet.cloak != nil {
		n.ledger.Conceal(n.fleet.cloak, true)
		if err := n.ledger.HideStored(n.dead); err != nil {
			n.Fatal(err)
		}
	}
	from, err := n.ledger.Resume(n.dead, time.Now(), retention)
	if err != nil {
		n.Fatal(err)
	}
	n.save(n.fleet.found...)
	var all sync.WaitGroup
	all.Go(func() { n.follow(from) })
	all.Go(n.post)
	all.Go(n.lead)
	kill := n.kill
	n.kill = func() {
		kill()
		all.Wait()
		if err := n.db.Close(); err != nil {
			n.Error(err)
		}
	}
}

// stop is a kill -9: whatever is on its way stays where it is.
func (n *node) stop() { n.kill() }

// follow brings what the topic has into the ledger.
func (n *node) follow(from int64) {
	for n.dead.Err() == nil {
		recs, next, err := n.fleet.wire.Read(n.dead, from, 37)
		if err != nil || !n.hold.pass(n.dead) || !n.ears.pass(n.dead) {
			return
		}
		if _, err := n.ledger.Apply(n.dead, recs, next); err != nil {
			n.sleep(100 * time.Millisecond)
			continue
		}
		from = next
	}
}

// post sends commands of people to the topic.
func (n *node) post() {
	for n.sleep(n.fleet.cfg.Push.Poll) {
		_, _ = n.ledger.Send(n.dead, n) // after an error they are sent once more
	}
}

// lead enforces while it is this node's turn, and does not notice by itself when
// it no longer is.
func (n *node) lead() {
	for n.sleep(time.Second) {
		if n.fleet.owner.Load() != n.id || !n.hold.pass(n.dead) {
			continue
		}
		if _, err := n.ledger.Lead(n.dead, n, n.fleet.generation); err != nil {
			continue
		}
		e := n.make()
		n.set(e)
		err := e.Run(n.dead)
		n.set(nil)
		n.ledger.Follow()
		if err != nil && !errors.Is(err, enforce.ErrDeposed) && n.dead.Err() == nil && n.mode.Load() == fine {
			n.fleet.errf("node %d: Run: %v", n.id, err)
		}
	}
}

func (n *node) make() *enforce.Enforcer {
	e, err := enforce.New(n.fleet.cfg, n.ledger, []enforce.Gateway{n}, nil, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	if err != nil {
		n.Fatal(err)
	}
	e.SetBacklog(func(ctx context.Context, since int64) ([]detect.Finding, error) {
		return n.db.Findings(ctx, store.FindingQuery{SeenSince: since, Limit: 10000})
	})
	return e
}

func (n *node) enforcer() *enforce.Enforcer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.e
}

func (n *node) set(e *enforce.Enforcer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.e = e
}

// sleep reports whether the node still lives after it.
func (n *node) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-n.dead.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Append implements enforce.Journal: the way from this machine to the topic.
func (n *node) Append(ctx context.Context, epoch int64, recs []journal.Record) error {
	if !n.hold.pass(n.dead) { // a stopped process forgets no deadline, but goes on with what it was about to send
		return n.dead.Err()
	}
	failed := errors.New("injected fault: not enough replicas")
	switch n.mode.Load() {
	case refuses:
		return failed
	case deceives:
		return errors.Join(n.fleet.wire.Append(context.WithoutCancel(ctx), epoch, recs), failed)
	case hangs:
		<-ctx.Done()
		return ctx.Err()
	case crawls:
		n.sleep(time.Second)
	}
	return n.fleet.wire.Append(context.WithoutCancel(ctx), epoch, recs)
}

// Name, Check and Apply implement enforce.Gateway: all machines push to the same
// gateway, and one that was stopped in the middle of it goes on when it wakes up.
func (n *node) Name() string { return n.fleet.sim.Name() }

// Check implements enforce.Gateway.
func (n *node) Check(ctx context.Context) error { return n.fleet.sim.Check(ctx) }

// Apply implements enforce.Gateway.
func (n *node) Apply(ctx context.Context, want []enforce.Entry) (enforce.Applied, error) {
	n.sleep(20 * time.Millisecond) // a reload takes a moment
	if !n.hold.pass(n.dead) {
		return enforce.Applied{}, n.dead.Err()
	}
	return n.fleet.sim.Apply(context.WithoutCancel(ctx), want)
}
