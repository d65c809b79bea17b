// Package job runs backtests for people who look at the console: one at a time, each as
// a process of its own on one core at the lowest priority, so that detection goes first
// and a backtest that takes too much memory ends alone. The last results are kept.
package job

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Keep is how many ended jobs are kept; the oldest goes first.
const Keep = 12

// Order is what somebody wants to know.
type Order struct {
	From       string    `json:"from"`
	Since      string    `json:"since,omitempty"`
	Until      string    `json:"until,omitempty"`
	Thresholds []float64 `json:"thresholds,omitempty"`
	Change     []Setting `json:"change,omitempty"`
	Paid       []string  `json:"paid,omitempty"`
	AsSet      bool      `json:"as_set,omitempty"`
}

// Setting is a setting of a rule to try.
type Setting struct {
	Rule  string `json:"rule"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

// String says in one line what is asked for.
func (o Order) String() string {
	parts := []string{"from " + o.From}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("since", o.Since)
	add("until", o.Until)
	for _, t := range o.Thresholds {
		add("score", fmt.Sprintf("%g", t))
	}
	for _, c := range o.Change {
		add("with", c.Rule+"."+c.Key+"="+c.Value)
	}
	add("paid", strings.Join(o.Paid, " "))
	if o.AsSet {
		parts = append(parts, "modes as set")
	}
	return strings.Join(parts, ", ")
}

// State is how a job stands.
type State string

// The states of a job.
const (
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Job is one backtest. Reading is 1 while it looks for decisions and 2 while it measures
// them.
type Job struct {
	ID      string    `json:"id"`
	Order   Order     `json:"order"`
	Who     string    `json:"who"`
	Why     string    `json:"why"`
	State   State     `json:"state"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Reading int       `json:"reading"`
	Read    int64     `json:"read"`  // bytes of files, messages of Kafka
	Total   int64     `json:"total"` // 0 = not known
	Error   string    `json:"error,omitempty"`
}

// BusyError says that a job runs already.
type BusyError struct{ Job Job }

// Error implements error.
func (e BusyError) Error() string {
	return fmt.Sprintf("a backtest runs already (%s, by %s): wait for it, or cancel it", e.Job.ID, e.Job.Who)
}

// OrderError says why an order cannot be.
type OrderError struct{ Err error }

// Error implements error.
func (e OrderError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e OrderError) Unwrap() error { return e.Err }

// ErrNone says that there is no such job, or none that runs.
var ErrNone = errors.New("there is no such backtest")

// Command makes the process of a job, which ends with ctx (exec.CommandContext). It writes the result and the page to the files
// that are named, a line of JSON {"reading":1,"read":5,"total":10} to standard output now
// and then, and what went wrong to standard error; it ends when its standard input does.
// An order that cannot be is an error here, before anything runs.
type Command func(ctx context.Context, o Order, result, page string) (*exec.Cmd, error)
