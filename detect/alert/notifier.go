package alert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portcullis/portcullis/internal/hook"
)

// Notifier is a channel that can be told.
type Notifier interface {
	// Notify hands a notice over: on nil the other side has it. An error that is a
	// *Refusal says what the other side answered. It ends soon after ctx does, and is
	// called from one goroutine at a time. The notice is only borrowed.
	Notify(ctx context.Context, n *Notice) error
}

// Spec describes a kind of channel.
type Spec struct {
	Doc     string        // one sentence
	Tested  string        // with which version of the real one, or how else
	Chat    bool          // people read it: many notices may be told as one digest
	Once    bool          // a notice that comes twice counts once there
	Refresh time.Duration // how often an open alert is told again, since the other side forgets it; 0 = it does not
	Redacts bool          // addresses and paths are left out unless the settings say otherwise: somebody else's service
	Config  func() any    // pointer to a fresh settings struct, with config tags
	// Open makes the channel from a pointer as Config returns it.
	Open func(config any) (Notifier, error)
}

// specs fills at init and is only read afterwards.
var specs = map[string]Spec{}

// Register adds a kind of channel; a second one of the same name panics.
func Register(name string, s Spec) {
	if _, twice := specs[name]; twice {
		panic("alert: " + name + " registered twice")
	}
	specs[name] = s
}

// Kinds lists the kinds of channels, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(specs)) }

// Lookup finds a kind of channel; its error lists what there is.
func Lookup(kind string) (Spec, error) {
	s, ok := specs[kind]
	if !ok {
		return Spec{}, fmt.Errorf("alert: no channel of type %.64q: there are %s", kind, strings.Join(Kinds(), ", "))
	}
	return s, nil
}

// Refusal is an answer that is no success.
type Refusal = hook.Refusal

// How long until the next try.
const (
	firstPause = 5 * time.Second
	mostPause  = 10 * time.Minute
	mostAsked  = time.Hour // what the other side may ask for
)

// pauseAfter is how long to wait after a failure, the tries-th in a row.
func pauseAfter(err error, tries int) time.Duration {
	var r *Refusal
	if errors.As(err, &r) && r.After > 0 {
		return min(r.After, mostAsked)
	}
	return min(firstPause<<min(max(tries-1, 0), 10), mostPause)
}

// final reports whether the notice itself was refused.
func final(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Final
}
