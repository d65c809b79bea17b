package enforce

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce/journal"
	"github.com/portcullis/portcullis/internal/exact"
)

// The values of the records are what the tables hold, with the names of the
// columns; docs/ha.md has the list. Times are Unix nanoseconds. A new field
// needs no new version as long as its zero means what was before.

type decisionValue struct {
	V          int         `json:"v"`
	ID         string      `json:"id"`
	Kind       exact.Text  `json:"kind"`
	Value      exact.Text  `json:"value"`
	Route      exact.Text  `json:"route,omitempty"`
	Action     Action      `json:"action"`
	Rate       exact.Float `json:"rate,omitempty"`
	Burst      int         `json:"burst,omitempty"`
	State      State       `json:"state"`
	Reason     exact.Text  `json:"reason,omitempty"`
	Code       string      `json:"code,omitempty"`
	Rule       exact.Text  `json:"rule,omitempty"`
	Findings   exact.Text  `json:"findings,omitempty"`
	Score      exact.Float `json:"score"`
	Why        exact.Text  `json:"why,omitempty"`
	Collateral exact.Text  `json:"collateral,omitempty"`
	By         exact.Text  `json:"by,omitempty"`
	Offence    int         `json:"offence,omitempty"`
	People     int64       `json:"people,omitempty"`
	Good       int64       `json:"good,omitempty"`
	Created    int64       `json:"created"`
	Expires    int64       `json:"expires"`
	PushedAt   int64       `json:"pushed_at,omitempty"`
	Checked    int64       `json:"checked,omitempty"`
	Trigger    int64       `json:"trigger_at,omitempty"`
	Offended   bool        `json:"offended,omitempty"`
}

func encode(value any) []byte {
	b, _ := json.Marshal(value) // the types above hold nothing that JSON cannot
	return b
}

func encodeDecision(d Decision, offended bool) []byte {
	return encode(decisionValue{
		V: journal.Version, ID: d.ID, Kind: exact.Text(d.Subject.Kind), Value: exact.Text(d.Subject.Value), Route: exact.Text(d.Route),
		Action: d.Action, Rate: exact.Float(d.Rate), Burst: d.Burst, State: d.State, Reason: exact.Text(d.Reason), Code: d.Code,
		Rule: exact.Text(d.Rule), Findings: exact.Text(d.Findings), Score: exact.Float(d.Score), Why: exact.Text(d.Why),
		Collateral: exact.Text(d.Collateral), By: exact.Text(d.By), Offence: d.Offence, People: d.People, Good: d.Good,
		Created: d.Created, Expires: d.Expires, PushedAt: d.PushedAt, Checked: d.Checked, Trigger: d.Trigger, Offended: offended,
	})
}

func decodeDecision(value []byte) (d Decision, offended bool, err error) {
	var v decisionValue
	if err := journal.Parse(value, &v, &v.V); err != nil {
		return d, false, err
	}
	if !knownState(v.State) || !slices.Contains([]Action{Block, Throttle, Challenge, Revoke}, v.Action) || v.Expires <= 0 || v.Kind == "" {
		return d, false, fmt.Errorf("enforce: a decision needs a subject, an action, a state and an end")
	}
	return Decision{
		ID: v.ID, Subject: detect.Subject{Kind: string(v.Kind), Value: string(v.Value)}, Route: string(v.Route), Action: v.Action,
		Rate: float64(v.Rate), Burst: v.Burst, State: v.State, Reason: string(v.Reason), Code: v.Code, Rule: string(v.Rule),
		Findings: string(v.Findings), Score: float64(v.Score), Why: string(v.Why), Collateral: string(v.Collateral), By: string(v.By),
		Offence: v.Offence, People: v.People, Good: v.Good, Created: v.Created, Expires: v.Expires, PushedAt: v.PushedAt,
		Checked: v.Checked, Trigger: v.Trigger,
	}, v.Offended, nil
}

func knownState(s State) bool { return s == Proposed || s.Live() || s.Ended() }

type changeValue struct {
	V    int        `json:"v"`
	At   int64      `json:"at"`
	Who  exact.Text `json:"who"`
	From State      `json:"from,omitempty"`
	To   State      `json:"to"`
	Why  exact.Text `json:"why,omitempty"`
}

func encodeChange(c Change) []byte {
	return encode(changeValue{V: journal.Version, At: c.At, Who: exact.Text(c.Who), From: c.From, To: c.To, Why: exact.Text(c.Why)})
}

func decodeChange(value []byte) (Change, error) {
	var v changeValue
	if err := journal.Parse(value, &v, &v.V); err != nil {
		return Change{}, err
	}
	if !knownState(v.To) || v.From != "" && !knownState(v.From) {
		return Change{}, fmt.Errorf("enforce: a change needs states that there are")
	}
	return Change{At: v.At, Who: string(v.Who), From: v.From, To: v.To, Why: string(v.Why)}, nil
}

type countedValue struct {
	V      int         `json:"v"`
	Rule   exact.Text  `json:"rule"`
	Family exact.Text  `json:"family"`
	Hard   bool        `json:"hard,omitempty"`
	Top    exact.Float `json:"top"`
	Weight exact.Float `json:"weight"`
	At     int64       `json:"at"`
}

func encodeCounted(c Counted) []byte {
	return encode(countedValue{V: journal.Version, Rule: exact.Text(c.Rule), Family: exact.Text(c.Family), Hard: c.Hard,
		Top: exact.Float(c.Top), Weight: exact.Float(c.Weight), At: c.At})
}

func decodeCounted(value []byte) (Counted, error) {
	var v countedValue
	if err := journal.Parse(value, &v, &v.V); err != nil {
		return Counted{}, err
	}
	return Counted{Rule: string(v.Rule), Family: detect.Family(v.Family), Hard: v.Hard, Top: float64(v.Top), Weight: float64(v.Weight), At: v.At}, nil
}

type allowValue struct {
	V       int        `json:"v"`
	Why     exact.Text `json:"why,omitempty"`
	By      exact.Text `json:"by,omitempty"`
	Created int64      `json:"created"`
	Expires int64      `json:"expires,omitempty"`
}

func encodeAllow(a Allow) []byte {
	return encode(allowValue{V: journal.Version, Why: exact.Text(a.Why), By: exact.Text(a.By), Created: a.Created, Expires: a.Expires})
}

func decodeAllow(value []byte) (Allow, error) {
	var v allowValue
	err := journal.Parse(value, &v, &v.V)
	return Allow{Why: string(v.Why), By: string(v.By), Created: v.Created, Expires: v.Expires}, err
}

// commandValue is a command or, without a result, a request.
type commandValue struct {
	V      int        `json:"v"`
	At     int64      `json:"at"`
	Who    exact.Text `json:"who"`
	Verb   exact.Text `json:"verb"`
	Arg    exact.Text `json:"arg,omitempty"`
	Why    exact.Text `json:"why,omitempty"`
	For    int64      `json:"for,omitempty"`
	Result exact.Text `json:"result,omitempty"`
}

func encodeCommand(c Command) []byte {
	return encode(commandValue{V: journal.Version, At: c.At, Who: exact.Text(c.Who), Verb: exact.Text(c.Verb), Arg: exact.Text(c.Arg),
		Why: exact.Text(c.Why), For: int64(c.For), Result: exact.Text(c.Result)})
}

func decodeCommand(value []byte) (Command, error) {
	var v commandValue
	if err := journal.Parse(value, &v, &v.V); err != nil {
		return Command{}, err
	}
	if v.Verb == "" || v.For < 0 {
		return Command{}, fmt.Errorf("enforce: a command needs a verb, and no negative duration")
	}
	return Command{At: v.At, Who: string(v.Who), Verb: string(v.Verb), Arg: string(v.Arg), Why: string(v.Why), For: time.Duration(v.For),
		Result: string(v.Result)}, nil
}

type metaValue struct {
	V    int        `json:"v"`
	Text exact.Text `json:"text"`
}

func encodeMeta(text string) []byte {
	return encode(metaValue{V: journal.Version, Text: exact.Text(text)})
}

// markValue ends an append.
type markValue struct {
	V      int   `json:"v"`
	N      int64 `json:"n"`      // grows within a term
	Judged int64 `json:"judged"` // all findings seen until then are judged; Unix nanoseconds
}
