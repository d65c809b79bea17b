package console

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest"
)

// Findings is what the console reads of the store; *store.DB is one. It is used
// by many requests at once.
type Findings interface {
	Findings(ctx context.Context, q store.FindingQuery) ([]detect.Finding, error)
	Finding(ctx context.Context, id string) (detect.Finding, bool, error)
	Rollups(ctx context.Context, since, until int64, route string) ([]detect.Rollup, error)
	Tallies(ctx context.Context, since, until int64) ([]store.Tally, error)
}

// Decisions is what the console reads of the decisions; *enforce.Ledger is one.
// It is used by many requests at once.
type Decisions interface {
	Decisions(ctx context.Context, q enforce.DecisionQuery) ([]enforce.Decision, error)
	Decision(ctx context.Context, id string) (enforce.Decision, bool, error)
	History(ctx context.Context, id string) ([]enforce.Change, error)
}

// AllowList tells who is never acted on; *enforce.Ledger is one.
type AllowList interface {
	Allowed(ctx context.Context) ([]enforce.Allow, error)
}

// Poster takes commands for the enforcer; *enforce.Ledger is one. The console
// changes nothing by any other way.
type Poster interface {
	Post(ctx context.Context, c enforce.Command) (int64, error)
	Command(ctx context.Context, id int64) (enforce.Command, bool, error)
	Posted(ctx context.Context, uid string) (enforce.Command, bool, error)
	Same(posted, c enforce.Command) bool
	Note(ctx context.Context, c enforce.Command) error // what was done here, for the audit
}

// Audit tells what was done by whom, and what came of it; *enforce.Ledger is one.
type Audit interface {
	Trail(ctx context.Context, q enforce.AuditQuery) ([]enforce.Trace, error)
	Commands(ctx context.Context, q enforce.AuditQuery) ([]enforce.Command, error)
	Judged(ctx context.Context, since int64) ([]enforce.Judged, error)
	States(ctx context.Context, since int64) (map[enforce.State]int64, error)
}

// Rule is a detector as the console shows it.
type Rule struct {
	Name    string
	Version int
	Family  string
	Doc     string // what it flags
	Tags    []string
	By      string // whose behaviour is judged
	Needs   string // what the log must say
	State   string // what it keeps, which is what it costs
	Evasion string // what stays invisible under it
	Enabled bool
	Mode    string // enforce, observe, simulate, off or advice
}

// Deps is what the console shows and whom it asks. Findings, Decisions, Audit, Allowed,
// Poster, Alerts and Status must be set; all must be safe for concurrent use.
type Deps struct {
	Findings      Findings
	Decisions     Decisions
	Audit         Audit
	Allowed       AllowList
	Poster        Poster
	Alerts        Alerts
	Status        func() Status              // called about once a second per process; must be quick
	Metrics       http.Handler               // nil: no /metrics
	Ready         func() error               // nil: always ready
	Tags          func(rule string) []string // OWASP and ATT&CK tags of a rule; nil: none
	Rules         func() []Rule              // all detectors; nil: none are listed
	Costs         func() map[string]float64  // of a line by rule, in nanoseconds, where detection is in this process; nil: not known
	Backtests     Backtests                  // nil: none can be run here
	BacktestOffer func() BacktestOffer       // what they can read and try; set where Backtests is
	KeysFile      string                     // of the API keys, where Config.KeysFile is empty; "" = no keys
	SessionsFile  string                     // of the logins, which outlive a restart with it; "" = they do not
	Log           *slog.Logger               // nil: silent
	Now           func() time.Time           // nil: time.Now
}

// Status is what runs now, as the process itself knows it.
type Status struct {
	Version    string
	Roles      []string
	Started    time.Time
	Simulation bool     // decisions are made, nothing is pushed
	Observing  []string // families that only propose
	Enforcing  []string // families that act
	Panic      string   // who switched the panic switch on and why: all decisions are off the gateways; "" = off
	Trouble    []string // what an operator should know, in words, worst first

	LinesPerSecond float64
	Lag            time.Duration // how far the newest event of the slowest source is behind its log
	LagBytes       int64         // bytes of log still unread
	EventTime      time.Time     // the log's clock; zero before the first event
	Tracked        int64         // clients in the engine's tables
	Blocked        int64         // live block decisions
	Throttled      int64         // live throttle decisions
	Waiting        int64         // proposed decisions that a person is asked about

	Sources  []ingest.LedgerRow
	Blind    []detect.Blindness // what their lines lack
	Gateways []Gateway
}

// Gateway is the state of one gateway that decisions are pushed to.
type Gateway struct {
	Name     string
	Entries  int           // decisions it holds
	PushedAt time.Time     // last successful push; zero: none yet
	Took     time.Duration // of that push
	Changed  int           // decisions that it changed
	Behind   bool          // a newer state is still to be taken: it drifts from what was decided
	Fails    int           // pushes that failed in a row
	Error    string        // why the last push or check failed; empty: it did not
}
