package detect

import (
	"fmt"
	"slices"

	"github.com/portcullis/portcullis/ingest"
)

// Slot numbers a client within its shard; detectors index their state by it.
type Slot uint32

// Rule is one detector for the shards of one goroutine. What it knows of clients is in
// containers (Sparse, Dense), which keep shards apart. It reads no clock, and borrows the
// event only during the call.
type Rule interface {
	// Observe takes in an event of the client in slot that the Spec's Concern
	// admits. It adds to commutative state and asks Env.Wake for the second.
	Observe(ev *ingest.Event, slot Slot)
	// Close evaluates a slot at the end of a second: every event up to it is in.
	// It is called for each second asked for by Wake, perhaps more than once,
	// perhaps for a slot that has since passed to another client.
	Close(slot Slot, sec int64)
}

// Spec describes a detector: what it is for and how it is made.
type Spec struct {
	Doc     string                    // what it flags, one sentence
	Family  Family                    // switched between observe and enforce together
	Version int                       // raised when the same log gives other findings
	Tags    []string                  // owasp:…, attack:…, oat:…
	Needs   string                    // what the log must say for it to see anything
	Fields  []ingest.Fields           // the same for programs: of each set the log must say something, else it finds nothing; empty, but there, where client and time are enough
	Helps   ingest.Fields             // and without each of these it finds less
	State   string                    // what it keeps per subject
	Evasion string                    // what stays invisible under it, and which detector covers that
	By      By                        // whose state it keeps: of a client (level one) or of something wider (level two)
	Serves  func(cfg any, by By) bool // whether with that config it keeps state by that; nil: by By alone
	Concern Concern                   // which events it wants
	Late    bool                      // whether it also wants events behind the late bound
	Advice  bool                      // its findings are for whoever runs the API: they never lead to a decision
	Config  func() any
	New     func(env *Env, cfg any) (Rule, error)
}

// serves reports whether a rule keeps state by that.
func (r *RuleConfig) serves(by By) bool {
	if r.Spec.Serves != nil {
		return r.Spec.Serves(r.Config, by)
	}
	return r.Spec.By == by
}

// Concern is a set of properties of an event; a detector is called for events
// that have one of those it declares.
type Concern uint16

// The properties events are sorted by.
const (
	Any         Concern = 1 << iota // every event
	Refused                         // credentials refused: 401, or a client error on a login or token route
	ClientError                     // 4xx
	Suspicious                      // the first pass of the payload inspection cannot call it harmless; at level two: an attack whose answer may tell something, see Attack
	Probing                         // a path or agent known from scanners
	Credentials                     // takes credentials: on a login, token or reset route, or refused
	ServerError                     // 5xx
	Fresh                           // within the first minute of its client, or twice the late bound if that is more
	Leaking                         // a parameter of the target names a credential, and is not empty
	Lapsing                         // not as the API's documents say, or over plain HTTP; a rule by route gets these as Lapses

	// Hits is the concern of a Hitter, which adds nothing to the events.
	Hits Concern = 1 << 14
	// Held is the concern of a Digester, which gets every event that counts in the end.
	Held Concern = 1 << 15
)

// odd are the concerns that tell against a client.
const odd = Refused | ClientError | Suspicious | Probing

var registry = map[string]Spec{}

// Register adds a detector under its rule name. It is called at init and
// panics on a name that is taken.
func Register(name string, s Spec) {
	if _, taken := registry[name]; taken {
		panic(fmt.Sprintf("detect: rule %q registered twice", name))
	}
	if s.New == nil || s.Config == nil || s.Family == "" || s.Concern == 0 {
		panic(fmt.Sprintf("detect: rule %q lacks New, Config, Family or Concern", name))
	}
	if s.Version == 0 {
		s.Version = 1
	}
	registry[name] = s
}

// Rules lists the names of the detectors, sorted.
func Rules() []string {
	names := make([]string, 0, len(registry))
	for n := range registry {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// SpecOf returns the description of a detector.
func SpecOf(name string) (Spec, bool) {
	s, ok := registry[name]
	return s, ok
}
