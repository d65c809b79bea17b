package enforce

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/portcullis/portcullis/detect"
)

// Entry is what a gateway holds for one live decision. It is comparable, so
// that a gateway can diff two wanted sets.
type Entry struct {
	Decision string         // id of the decision
	Prefix   netip.Prefix   // of an address or a network, masked; a single address is a /32 or a /128
	Subject  detect.Subject // of any other kind: the zero Subject has a Prefix. Its value may hold anything that a client sent
	Route    string         // route template it is confined to; "" = everywhere
	Action   Action
	Rate     float64 // requests a second, with Throttle
	Burst    int     // requests above Rate let through at once, with Throttle
	Until    int64   // when it is over, Unix nanoseconds; 0 = not said. Only for gateways that let it lapse by themselves: it is removed in time
	Spare    string  // of a class of requests: prefixes that it does not hit, separated by blanks
	Why      string  // in words, for people; holds text that an attacker chose
}

// Target is whom an entry hits: a gateway holds one entry of each.
type Target struct {
	Prefix  netip.Prefix
	Subject detect.Subject
	Route   string
}

// Target returns whom the entry hits.
func (e *Entry) Target() Target { return Target{e.Prefix, e.Subject, e.Route} }

// Of returns the subject of the entry, also that of an address.
func (t Target) Of() detect.Subject {
	switch {
	case !t.Prefix.IsValid():
		return t.Subject
	case t.Prefix.IsSingleIP():
		return detect.Subject{Kind: "ip", Value: t.Prefix.Addr().String()}
	}
	return detect.Subject{Kind: "cidr", Value: t.Prefix.String()}
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

// Holder is implemented by gateways that can hold something else than addresses
// and prefixes, blocked or throttled, everywhere.
type Holder interface {
	// Holds says why the gateway cannot hold an entry with this target and action;
	// nil means that it can. It is called from any goroutine, and asks no gateway.
	Holds(t Target, a Action) error
}

// Holds asks a gateway whether it can hold such an entry; nil means that it can.
func Holds(gw Gateway, t Target, a Action) error {
	if h, ok := gw.(Holder); ok {
		return h.Holds(t, a)
	}
	switch {
	case !t.Prefix.IsValid():
		return fmt.Errorf("gateway %s: it lists addresses, and cannot hold a subject of kind %s", gw.Name(), quoted(t.Subject.Kind))
	case t.Route != "":
		return fmt.Errorf("gateway %s: it cannot tell routes apart", gw.Name())
	case a != Block && a != Throttle:
		return fmt.Errorf("gateway %s: it cannot %s", gw.Name(), quoted(string(a)))
	}
	return nil
}

// Watcher reports the later requests of the subjects it is given, so that
// decisions can be verified; the engine implements it.
type Watcher interface {
	// Watch replaces the whole list. It may be called from any goroutine.
	Watch(list []detect.Watch)
}
