// Package enforce turns findings into decisions, guards the innocent, keeps the
// ledger of every change, pushes to gateways and watches whether it held.
package enforce

import "github.com/portcullis/portcullis/detect"

// Action is what is done to a subject.
type Action string

// The actions.
const (
	Block     Action = "block"
	Throttle  Action = "throttle"
	Challenge Action = "challenge"
	Revoke    Action = "revoke"
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
	Rule       string  // the rule that weighed most
	Findings   string  // finding ids, separated by blanks
	Score      float64 // of the subject when it was decided
	Why        string  // what the subject did, in words
	Collateral string  // who else stands behind the subject, in words
	By         string  // "policy", or a person
	Offence    int     // 1 for the first decision on this subject; escalates the expiry

	Created  int64 // Unix nanoseconds, like all times here
	Expires  int64
	PushedAt int64 // when the gateway took it
	Checked  int64 // when it was last seen to hold, or not
	Trigger  int64 // log time of the line that crossed the threshold
}
