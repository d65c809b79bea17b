package authz

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/portcullis/portcullis/detect/inspect"
	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/enforce/authz/schema"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/enrich"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/ingest/source/serve"
)

// Deps is what the service needs of the rest of the program.
type Deps struct {
	Identity identity.Config     // trusted hops and pseudonyms, the same as those of the log
	Routes   enrich.RoutesConfig // route templates, the same as those of the log
	Authn    authn.Deps          // where credentials are kept; its Log is this one's
	Rules    *schema.Rules       // what requests are held against; needed for validate
	Inspect  inspect.Config      // how requests are inspected, the same as for the log
	Log      *slog.Logger        // nil: slog.Default
	Now      func() time.Time    // nil: time.Now
}

// Service decides on requests. All methods may be called from any goroutine; Run at
// most once.
type Service struct {
	cfg  Config
	log  *slog.Logger
	now  func() time.Time
	door *serve.Door // nil: it does not listen

	guard     *authn.Guard
	list      *list
	confirmed atomic.Int64 // when the list was last confirmed, Unix nanoseconds; 0 = never
	limits    []limit
	cells     *cells
	named     bool // a limit counts by something else than the address
	routed    bool // a limit is for one route
	accounts  bool // users of Basic credentials are told
	workers   sync.Pool

	counts [outcomes]atomic.Int64
	unsure [reasons]atomic.Int64
	noted  atomic.Int64
	look   screening
	told   [reasons]atomic.Bool // said in the log

	mu      sync.Mutex
	http    net.Addr // while it listens
	grpc    net.Addr
	sources sources
}

// worker is what one answer at a time needs.
type worker struct {
	identity *identity.Resolver
	routes   *enrich.Routes
	ev       ingest.Event
	guarded  bool // the question is about the whole request, so credentials count
	asked    authn.Request
	seen     seen // more of the request, where it is looked at
	checker  *schema.Checker
	inspect  *inspect.Inspector
}

// New checks the settings and reads certificates and keys. It does not listen yet.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := serve.First("authz", cfg.Check); err != nil {
		return nil, err
	}
	serve.Default(&cfg.Cells, 1<<18)
	serve.Default(&cfg.MaxBody, 64<<10)
	s := &Service{cfg: cfg, log: deps.Log, now: deps.Now, list: newList(), accounts: deps.Identity.BasicUser}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	deps.Authn.Log = s.log
	var err error
	if s.guard, err = authn.New(cfg.Authn, deps.Authn); err != nil {
		return nil, err
	}
	for _, l := range cfg.Limits {
		s.limits = append(s.limits, limit{Limit: l, pace: window.NewPace(l.Rate, l.Burst), seed: maphash.MakeSeed()})
		s.named = s.named || l.Per != "" && l.Per != perClient
		s.routed = s.routed || l.Route != ""
	}
	if len(s.limits) > 0 {
		s.cells = newCells(cfg.Cells)
	}
	if err := s.look.open(cfg, deps); err != nil {
		return nil, err
	}
	if _, err := identity.New(deps.Identity); err != nil {
		return nil, fmt.Errorf("authz: %w", err)
	}
	s.workers.New = func() any {
		r, _ := identity.New(deps.Identity) // it was made once above
		return s.look.equip(&worker{identity: r, routes: enrich.NewRoutes(deps.Routes)})
	}
	if cfg.Enabled() {
		door, err := serve.NewDoor(cfg.Access, s.log)
		if err != nil {
			return nil, fmt.Errorf("authz: %w", err)
		}
		s.door = door
	}
	return s, nil
}

// worker takes one with an empty event; give it back.
func (s *Service) worker() *worker {
	w, _ := s.workers.Get().(*worker)
	return w
}

func (s *Service) giveBack(w *worker) {
	w.ev, w.asked, w.seen, w.guarded = ingest.Event{}, authn.Request{}, seen{}, false // it held secrets
	s.workers.Put(w)
}

// Limits of the servers.
const (
	headTime    = 10 * time.Second // for a request to arrive: it has no body
	grace       = 2 * time.Second  // for answers under way at the end
	maxMessage  = maxBody + 1<<18  // ext_authz may be told to send the body; a larger one is an error there
	inFlightCPU = 256              // calls at once for each processor
)

// Run serves until ctx ends, and then returns nil.
func (s *Service) Run(ctx context.Context) error {
	if s.door == nil {
		return nil
	}
	s.guard.Load()
	// Both listen before either serves: a port that is taken is an error at once.
	listeners, err := s.listen(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { s.guard.Run(ctx) })
	errs := make([]error, 2)
	if l := listeners[0]; l != nil {
		wg.Go(func() {
			defer cancel()
			errs[0] = s.door.HTTP(ctx, "authz", l, s.Handler(), headTime)
		})
	}
	if l := listeners[1]; l != nil {
		server := s.door.GRPC(serve.GRPCLimits{MaxMessage: maxMessage, InFlight: inFlightCPU * runtime.GOMAXPROCS(0)})
		s.register(server)
		wg.Go(func() {
			defer cancel()
			errs[1] = s.door.ServeGRPC(ctx, "authz", l, server, grace)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Service) listen(ctx context.Context) (out [2]net.Listener, err error) {
	for i, at := range [2]string{s.cfg.Listen, s.cfg.ListenGRPC} {
		if at == "" {
			continue
		}
		if out[i], err = s.door.Listen(ctx, "authz", at); err != nil {
			if out[0] != nil && i == 1 {
				err = errors.Join(err, out[0].Close())
			}
			return out, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if out[0] != nil {
		s.http = out[0].Addr()
	}
	if out[1] != nil {
		s.grpc = out[1].Addr()
	}
	return out, nil
}

// Addrs are the addresses that it listens on; nil where it does not, or not yet.
func (s *Service) Addrs() (http, grpc net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.http, s.grpc
}

// register adds the gRPC services to a server.
func (s *Service) register(server *grpc.Server) {
	registerEnvoy(server, s)
}

// say tells the operator once why requests cannot be decided on.
func (s *Service) say(why reason, detail string) {
	if why == decided || !s.told[why].CompareAndSwap(false, true) {
		return
	}
	text := map[reason]string{
		notReady:  "authz is asked before there is a list; requests pass meanwhile",
		stale:     "the list of authz was not confirmed for longer than authz.max_age and is not used: is an enforcer active?",
		stranger:  "authz is asked by a gateway that is no trusted hop, so nobody vouches for its clients; requests pass: add it to identity.trusted_proxies",
		anonymous: "authz is asked without a client address; requests pass: let the gateway send X-Forwarded-For",
	}[why]
	s.log.Warn(text, "gateway", detail)
}

// Health says why requests cannot be decided on; nil when they can.
func (s *Service) Health() error {
	if err := s.guard.Health(); err != nil {
		return err
	}
	switch s.blind(s.now().UnixNano()) {
	case notReady:
		return errors.New("authz: no list yet: the enforcer has not given one")
	case stale:
		return fmt.Errorf("authz: the list was not confirmed for longer than max_age (%s)", s.cfg.MaxAge)
	}
	return nil
}

// Stats are counts since the start.
type Stats struct {
	Allowed, Blocked, Throttled int64
	Refused                     int64 // for their credentials
	Credentials                 authn.Stats
	Open, Closed                int64            // nothing could be decided: passed, refused
	FaultyRefused               int64            // the request itself was not as it should be
	Faulty                      map[Faulty]int64 // requests that were not, by kind, refused or only observed
	Undecided                   map[string]int64 // the two above by reason
	Noted                       int64            // requests of clients that only an observed list names
	Forgotten                   int64            // clients whose quota was forgotten before it was full again
	Entries                     int              // rules now
	Age                         time.Duration    // since the list was confirmed; -1 = never
}

// Stats returns the counts.
func (s *Service) Stats() Stats {
	st := Stats{
		Allowed: s.counts[allowed].Load(), Blocked: s.counts[blocked].Load(), Throttled: s.counts[throttled].Load(),
		Refused: s.counts[refused].Load(), Credentials: s.guard.Stats(),
		Open: s.counts[open].Load(), Closed: s.counts[closed].Load(), Noted: s.noted.Load(),
		FaultyRefused: s.counts[faulty].Load(), Faulty: s.look.stats(),
		Undecided: map[string]int64{}, Entries: s.list.cur.Load().size, Age: -1,
	}
	for r := notReady; r < reasons; r++ {
		st.Undecided[r.String()] = s.unsure[r].Load()
	}
	if s.cells != nil {
		st.Forgotten = s.cells.lost.Load()
	}
	if at := s.confirmed.Load(); at != 0 {
		st.Age = max(0, time.Duration(s.now().UnixNano()-at))
	}
	return st
}
