// Package gateway holds what Portcullis pushes to: one file per gateway (with
// its helpers beside it), each registered by name with its settings. A gateway
// takes the whole wanted state, works out what changed, has the gateway check
// it before it counts, and goes back to the last good state when refused.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/enforce"
)

// ErrNotRunning is wrapped by Apply when the wanted state is in place, but no
// gateway runs that could serve it. It is served from its next start on.
var ErrNotRunning = errors.New("not running")

// Spec describes one kind of gateway.
type Spec struct {
	Doc     string           // one sentence
	How     string           // by which means it is pushed to, in a few words
	Tested  string           // with which version of the real one, or that it was none
	Holds   string           // what it can hold, in words
	Actions []enforce.Action // what it can do; Apply refuses anything else
	Config  func() any       // pointer to a fresh settings struct, with config tags
	// Open makes the gateway from a pointer as Config returns it.
	Open func(config any) (enforce.Gateway, error)
	// Setup tells a person on w how to let the gateway in, or does it if install.
	Setup func(ctx context.Context, w io.Writer, config any, install bool) error
}

// specs fills at init and is only read afterwards.
var specs = map[string]Spec{}

// Register adds a kind of gateway; a second one of the same name panics.
func Register(name string, s Spec) {
	if _, twice := specs[name]; twice {
		panic("gateway: " + name + " registered twice")
	}
	specs[name] = s
}

// Names lists the kinds of gateways, sorted.
func Names() []string {
	return slices.Sorted(maps.Keys(specs))
}

// Lookup finds a kind of gateway; its error lists what there is.
func Lookup(name string) (Spec, error) {
	s, ok := specs[name]
	if !ok {
		return Spec{}, fmt.Errorf("gateway: no gateway named %.64q: there are %s", name, strings.Join(Names(), ", "))
	}
	return s, nil
}

// Open makes a gateway of a kind, from a pointer as its Spec.Config returns it,
// that goes by a name of its own; "" is the kind.
func Open(kind, name string, config any) (enforce.Gateway, error) {
	spec, err := Lookup(kind)
	if err != nil {
		return nil, err
	}
	gw, err := spec.Open(config)
	if err != nil || name == "" || name == gw.Name() {
		return gw, err
	}
	return named{gw, name}, nil
}

// named is a gateway beside others of its kind.
type named struct {
	enforce.Gateway
	name string
}

// Holds implements enforce.Holder.
func (n named) Holds(t enforce.Target, a enforce.Action) error {
	return enforce.Holds(n.Gateway, t, a)
}

// Name implements enforce.Gateway.
func (n named) Name() string { return n.name }
