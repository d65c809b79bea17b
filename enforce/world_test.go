package enforce_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/enforcetest"
)

// world is an enforcer with a simulated gateway, its store, and an engine that
// reports the requests of watched subjects. It lives in a synctest bubble: time
// passes only when everybody waits.
type world struct {
	*testing.T
	path   string
	cfg    enforce.Config
	db     *store.DB
	ledger *enforce.Ledger
	sims   []*enforcetest.Sim
	faults []*enforcetest.Faults
	e      *enforce.Enforcer
	inputs enforce.Inputs
	stop   func()

	mu      sync.Mutex
	watched map[detect.Subject]detect.Watch
}

// Watch implements enforce.Watcher.
func (w *world) Watch(list []detect.Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watched = map[detect.Subject]detect.Watch{}
	for _, x := range list {
		w.watched[x.Subject] = x
	}
}

func (w *world) watch(s detect.Subject) (detect.Watch, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x, ok := w.watched[s]
	return x, ok
}

func enforceAll() enforce.Config {
	cfg := enforce.DefaultConfig()
	m := "enforce"
	cfg.Policy.Families = enforce.FamilyModes{Credential: m, Rate: m, Injection: m, Recon: m, API: m}
	cfg.Push.Poll = 500 * time.Millisecond
	return cfg
}

// run starts a world in a bubble and hands it to do.
func run(t *testing.T, cfg enforce.Config, gateways int, do func(t *testing.T, w *world)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "portcullis.db")
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, path: path, cfg: cfg}
		for i := range gateways {
			sim := enforcetest.NewSim(fmt.Sprint("gw", i), time.Now)
			w.sims = append(w.sims, sim)
			w.faults = append(w.faults, enforcetest.NewFaults(sim, uint64(i)))
		}
		w.open()
		w.start()
		defer w.close()
		defer func() { w.stop() }()
		do(t, w)
	})
}

func (w *world) open() {
	w.Helper()
	var err error
	if w.db, err = store.Open(w.path); err != nil {
		w.Fatal(err)
	}
	if w.ledger, err = enforce.OpenLedger(w.Context(), w.db.SQL()); err != nil {
		w.Fatal(err)
	}
	w.ledger.ReadFrom(w.db.Reader())
}

func (w *world) close() {
	if err := w.db.Close(); err != nil {
		w.Error(err)
	}
}

func (w *world) start() {
	w.Helper()
	w.make()
	w.work()
}

// make builds the enforcer; work lets it run.
func (w *world) make() {
	w.Helper()
	gws := make([]enforce.Gateway, len(w.faults))
	for i, f := range w.faults {
		gws[i] = f
	}
	e, err := enforce.New(w.cfg, w.ledger, gws, w, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Now)
	if err != nil {
		w.Fatal(err)
	}
	e.SetInputs(func() enforce.Inputs {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.inputs
	})
	e.SetBacklog(func(ctx context.Context, since int64) ([]detect.Finding, error) {
		return w.db.Findings(ctx, store.FindingQuery{SeenSince: since, Limit: 10000})
	})
	w.e = e
}

func (w *world) work() {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.e.Run(ctx) }()
	w.stop = func() {
		cancel()
		w.stop = func() {}
		if err := <-done; err != nil {
			w.Errorf("Run: %v", err)
		}
	}
	w.pass(0)
}

// restart is what a kill and a new start are: nothing is told to the old one
// that its ledger does not hold.
func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start()
}

// pass lets time pass, and everybody come to rest.
func (w *world) pass(d time.Duration) {
	if d > 0 {
		time.Sleep(d) // the bubble's clock, which costs nothing
	}
	synctest.Wait()
}

func (w *world) lag(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inputs.Lag = d
}

// finding is one that blocks by itself.
func finding(id, ip string) detect.Finding {
	now := time.Now().UnixNano()
	return detect.Finding{ID: id, Rule: "auth-burst", Family: detect.Credential, Severity: detect.High, Confidence: 0.9,
		Subject: detect.Subject{Kind: "ip", Value: ip}, FiredAt: now, LastSeen: now, Why: "12 refused logins in 10 s"}
}

// request sends one to the gateway, and to the log if the subject is watched.
func (w *world) request(ip string) int {
	a := netip.MustParseAddr(ip)
	status := w.sims[0].Status(a)
	w.e.Saw(detect.Sighting{Client: a, Time: time.Now().UnixNano(), Status: uint16(status), Route: "/login", Source: "g0"})
	return status
}

func (w *world) decisions(q enforce.DecisionQuery) []enforce.Decision {
	w.Helper()
	ds, err := w.ledger.Decisions(w.Context(), q)
	if err != nil {
		w.Fatal(err)
	}
	return ds
}

// only returns the one decision that there is.
func (w *world) only(state enforce.State) enforce.Decision {
	w.Helper()
	ds := w.decisions(enforce.DecisionQuery{})
	if len(ds) != 1 || ds[0].State != state {
		w.Fatalf("want one decision, %s; there are %+v", state, ds)
	}
	return ds[0]
}

func (w *world) history(id string) string {
	w.Helper()
	cs, err := w.ledger.History(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for i, c := range cs {
		if c.Who == "" || c.Why == "" && c.To != enforce.Approved || c.At == 0 || (i > 0 && c.From != cs[i-1].To) {
			w.Errorf("an incomplete change: %+v", c)
		}
		out = append(out, string(c.To))
	}
	return strings.Join(out, " ")
}

// post gives a command and returns its result.
func (w *world) post(verb, arg string, span time.Duration) string {
	w.Helper()
	id, err := w.ledger.Post(w.Context(), enforce.Command{Who: "ana", Verb: verb, Arg: arg, Why: "a reason", For: span})
	if err != nil {
		w.Fatal(err)
	}
	w.pass(time.Second)
	c, ok, err := w.ledger.Command(w.Context(), id)
	if err != nil || !ok || !c.Done || c.Result == "" {
		w.Fatalf("%s %s: %+v %v %v", verb, arg, c, ok, err)
	}
	return c.Result
}
