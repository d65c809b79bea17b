package enforce

import (
	"context"
	"net/netip"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// Entry is what a gateway holds for one live decision. It is comparable, so
// that a gateway can diff two wanted sets.
type Entry struct {
	Decision string       // id of the decision
	Prefix   netip.Prefix // masked; a single address is a /32 or a /128
	Action   Action
	Rate     float64 // requests a second, with Throttle
	Burst    int     // requests above Rate let through at once, with Throttle
	Why      string  // in words, for people; holds text that an attacker chose
}

// Applied says what an Apply did.
type Applied struct {
	Entries int           // entries the gateway holds now
	Changed int           // entries added, altered or removed by this call; 0 = nothing was touched
	Took    time.Duration // until the gateway answered by the new state
	At      time.Time     // when that was
}

// Gateway holds the wanted entries in front of the traffic. The enforcer calls
// it from one goroutine at a time. The entries are only borrowed.
type Gateway interface {
	// Name tells gateways apart in the ledger, metrics and messages.
	Name() string
	// Apply makes want the whole state. The gateway diffs, so that repeating it is
	// cheap and harmless; on an error the last good state stays in force.
	Apply(ctx context.Context, want []Entry) (Applied, error)
	// Check says whether an Apply could succeed now, and if not, what to do.
	Check(ctx context.Context) error
}

// Watcher reports the later requests of the subjects it is given, so that
// decisions can be verified; the engine implements it.
type Watcher interface {
	// Watch replaces the whole list. It may be called from any goroutine.
	Watch(list []detect.Watch)
}
