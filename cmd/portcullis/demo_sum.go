package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/portcullis/portcullis/deploy/demo"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/cliout"
)

// outcome is what became of one attacker.
type outcome struct {
	found    bool
	decision *enforce.Decision
	crossed  time.Time // its request that crossed the threshold was sent
	pushed   time.Time
	verified time.Time
}

// demoLimit is how soon a block has to be seen to hold.
const demoLimit = 2 * time.Second

// sum waits for the last decisions to be verified and prints the table. Its
// error says what did not go as it has to.
func (s *stage) sum(ctx context.Context, r demo.Report) error {
	outcomes, err := s.settle(ctx, r)
	if err != nil {
		return err
	}
	var failed []error
	found, blocked, verified := 0, 0, 0
	t := s.app.Table(cliout.Column{Title: "ATTACKER"}, cliout.Column{Title: "ADDRESS"}, cliout.Column{Title: "RULE"}, cliout.Column{Title: "DONE"},
		cliout.Column{Title: "STATE"}, cliout.Column{Title: "CROSSED→REFUSED", Right: true}, cliout.Column{Title: "CROSSED→VERIFIED", Right: true},
		cliout.Column{Title: "REFUSED", Right: true})
	for i, a := range r.Attackers {
		o := outcomes[i]
		row := []string{string(a.Kind), a.Addr.String(), "-", "-", "not found", "-", "-", fmt.Sprintf("%d", a.Denied)}
		if o.found {
			found++
			row[4] = "found"
		}
		if d := o.decision; d != nil {
			row[2], row[3], row[4] = d.Rule, string(d.Action), string(d.State)
			if a.Denied > 0 {
				blocked++
				row[5] = seconds(a.FirstDeny.Sub(o.crossed))
			}
		}
		if !o.verified.IsZero() {
			verified++
			took := o.verified.Sub(o.crossed)
			row[6] = seconds(took)
			if took > demoLimit {
				failed = append(failed, fmt.Errorf("%s: verified after %s, want under %s", a.Kind, seconds(took), demoLimit))
			}
		} else {
			failed = append(failed, fmt.Errorf("%s at %s: not found, blocked and verified", a.Kind, a.Addr))
		}
		t.Row(row...)
	}
	fmt.Fprintln(s.app.Out)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(s.app.Out, "\nattackers found %d / blocked %d / verified %d of %d; ordinary clients touched: %d (%d addresses, %d requests)\n",
		found, blocked, verified, len(r.Attackers), r.Ordinary.Denied, r.Ordinary.Addresses, r.Ordinary.Requests)
	if r.Ordinary.Denied > 0 {
		failed = append(failed, fmt.Errorf("%d requests of ordinary clients were refused, such as one of %s", r.Ordinary.Denied, r.Ordinary.Example))
	}
	return errors.Join(failed...)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// settle looks at the decisions until every attacker's is verified, or three
// seconds are over.
func (s *stage) settle(ctx context.Context, r demo.Report) ([]outcome, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for until := now().Add(3 * time.Second); ; {
		list, open, err := s.outcomes(ctx, r)
		if err != nil || open == 0 || now().After(until) {
			return list, err
		}
		select {
		case <-ctx.Done():
			return list, nil
		case <-tick.C:
		}
	}
}

func (s *stage) outcomes(ctx context.Context, r demo.Report) (list []outcome, open int, err error) {
	decisions, err := s.pipe.ledger.Decisions(ctx, enforce.DecisionQuery{Limit: 1000})
	if err != nil {
		return nil, 0, err
	}
	for _, a := range r.Attackers {
		o := outcome{found: s.found(a)}
		for i := len(decisions) - 1; i >= 0; i-- { // the first that was pushed
			d := &decisions[i]
			if covers(d, a.Addr) && d.PushedAt != 0 && o.decision == nil {
				o.decision = d
			}
		}
		if o.decision != nil {
			if err := s.follow(ctx, &o, a); err != nil {
				return nil, 0, err
			}
		}
		if o.verified.IsZero() {
			open++
		}
		list = append(list, o)
	}
	return list, open, nil
}

// follow times one decision: from the request that crossed the threshold, the
// last one sent before the finding was handed over, to the verification.
func (s *stage) follow(ctx context.Context, o *outcome, a demo.AttackerReport) error {
	handed := time.Unix(0, o.decision.Created)
	for _, e := range s.heardOf(a) {
		if !e.at.After(handed) {
			o.crossed = e.at
		}
	}
	for _, sent := range a.Sent {
		if !sent.After(o.crossed) {
			handed = sent
		}
	}
	o.crossed = handed
	history, err := s.pipe.ledger.History(ctx, o.decision.ID)
	if err != nil {
		return err
	}
	for _, c := range history {
		switch {
		case c.To == enforce.Pushed && o.pushed.IsZero():
			o.pushed = time.Unix(0, c.At)
		case c.To == enforce.Verified && o.verified.IsZero():
			o.verified = time.Unix(0, c.At)
		}
	}
	return nil
}

func (s *stage) heardOf(a demo.AttackerReport) []emission {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []emission
	for _, e := range s.emitted {
		if p, err := enforce.Prefix(e.f.Subject); err == nil && p.Contains(a.Addr) {
			list = append(list, e)
		}
	}
	return list
}

func (s *stage) found(a demo.AttackerReport) bool { return len(s.heardOf(a)) > 0 }

func covers(d *enforce.Decision, a netip.Addr) bool {
	p, err := enforce.Prefix(d.Subject)
	return err == nil && p.Contains(a)
}
