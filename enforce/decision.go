// Package enforce turns findings into decisions, guards the innocent, keeps the
// ledger of every change, pushes to gateways and watches whether it held.
package enforce

import "github.com/portcullis/portcullis/detect"

// Action is what is done to a subject.
type Action string

// The actions.
const (
	Challenge Action = "challenge" // prove that you are a person, or who you are
	Throttle  Action = "throttle"
	Tarpit    Action = "tarpit" // kept waiting, then refused
	Block     Action = "block"
	Revoke    Action = "revoke" // its key or token is taken away: by oauth-revoke for good, by other gateways until the decision is over
)

// State of a decision; every change is kept in the ledger with who, when, why.
type State string

// The states of a decision: proposed (waits for a person, or observed only),
// approved, pushed, verified or not_enforced, and at its end expired or
// released.
const (
	Proposed    State = "proposed"
	Approved    State = "approved"
	Pushed      State = "pushed"
	Verified    State = "verified"
	NotEnforced State = "not_enforced"
	Expired     State = "expired"
	Released    State = "released"
)

// Live reports whether a decision in this state belongs on the gateway.
func (s State) Live() bool {
	return s == Approved || s == Pushed || s == Verified || s == NotEnforced
}

// Ended reports whether nothing more happens to a decision in this state.
func (s State) Ended() bool { return s == Expired || s == Released }

// The codes of why a decision is not in force, or does not hold.
const (
	CodeObserve     = "observe"      // the family is only observed
	CodeSimulate    = "simulate"     // simulation is on for all, the rule or the subject
	CodeAllowed     = "allowed"      // the allow-list wins
	CodeTrusted     = "trusted"      // a trusted hop or the gateway itself
	CodePrivate     = "private"      // a private range
	CodeWide        = "wide"         // a prefix wider than configured
	CodeUnsupported = "unsupported"  // no gateway can hold this kind of subject
	CodePeople      = "people"       // too many people stand behind the subject
	CodeUnknown     = "unknown"      // who else stands behind the subject is not known
	CodeFinal       = "final"        // it cannot be undone, so a person has to ask for it
	CodeBreaker     = "breaker"      // the circuit breaker is open
	CodeLag         = "lag"          // detection is too far behind
	CodePanic       = "panic"        // the panic switch is on
	CodeGateway     = "gateway"      // a gateway did not take it, or there is none
	CodeWrongKey    = "wrong_key"    // nothing is denied: the gateway sees another address
	CodeBypass      = "bypass_route" // some routes do not ask the list
	CodeStale       = "stale_node"   // denied and let through in turn
	CodeLost        = "lost"         // it was denied, and no longer is
)

// Decision is what to do to a subject, until when and why. It is comparable and
// always expires.
type Decision struct {
	ID         string
	Subject    detect.Subject
	Route      string // "" = everywhere
	Action     Action
	Rate       float64 // requests a second, with Throttle
	Burst      int
	State      State
	Reason     string  // why it is in this state, in words
	Code       string  // the same as one of the Code constants; "" where all is in order
	Rule       string  // the rule that weighed most
	Findings   string  // finding ids, separated by blanks
	Score      float64 // of the subject when it was decided
	Why        string  // what the subject did, in words
	Collateral string  // who else stands behind the subject, in words
	By         string  // "policy", or a person
	Offence    int     // 1 for the first decision on this subject; escalates the expiry
	People     int64   // estimated people behind the subject when it was decided
	Good       int64   // requests of the subject answered below 400 in the 24 hours before

	Created  int64 // Unix nanoseconds, like all times here
	Expires  int64
	PushedAt int64 // when the gateway took it
	Checked  int64 // when it was last seen to hold, or not
	Trigger  int64 // log time of the line that crossed the threshold
}
