package main

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/portcullis/portcullis/dashboards/console"
	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/indexed"
)

// lead is what this process knows as the active enforcer; nil if it is not.
func (r *enforceRole) lead(ctx context.Context, c *cluster) *task.Lead {
	e := r.active.Load()
	if e == nil {
		return nil
	}
	h := c.hidden(e.Health())
	l := &task.Lead{Epoch: r.epoch.Load(), Panic: h.Panic, Decisions: map[string]int{}}
	for s, n := range h.States {
		l.Decisions[string(s)] = n
	}
	for _, g := range gatewayBeats(h) {
		lg := task.LeadGateway{Name: g.Name, Entries: g.Entries, TookMS: g.TookMS, Behind: g.Behind, Fails: g.Fails, Error: g.Error}
		if t, err := time.Parse(time.RFC3339, g.PushedAt); err == nil {
			lg.PushedAt = t.UnixNano()
		}
		l.Gateways = append(l.Gateways, lg)
	}
	l.Decided, l.Verified = delays(ctx, c.ledger, now())
	l.Found = c.found.latency()
	return l
}

// trouble is what an operator should know of the enforcer here.
func (r *enforceRole) trouble(c *cluster) []string {
	var list []string
	r.mu.Lock()
	why := r.why
	r.mu.Unlock()
	if why != "" {
		list = append(list, "this enforcer cannot lead: "+why)
	}
	e := r.active.Load()
	if e == nil {
		return list
	}
	h := c.hidden(e.Health())
	for _, x := range [][2]string{{"decisions cannot be saved", h.Store}, {"panic switch", h.Panic}, {"circuit breaker", h.Breaker}} {
		if x[1] != "" {
			list = append(list, x[0]+": "+x[1])
		}
	}
	for _, g := range h.Gateways {
		if g.Error != "" {
			list = append(list, "gateway "+g.Name+": "+g.Error)
		}
	}
	if len(h.Gateways) == 0 {
		list = append(list, "no gateway is connected: decisions are made and not pushed (portcullis setup)")
	}
	return list
}

// delaySample is how many decisions latencies are taken from.
const delaySample = 200

// delays are the times from a trigger in the log to its decision, and from that to
// the log that shows it in force, of the latest decisions.
func delays(ctx context.Context, l *enforce.Ledger, at time.Time) (decided, verified task.Latency) {
	list, err := l.Decisions(ctx, enforce.DecisionQuery{Since: at.Add(-time.Hour).UnixNano(), Limit: delaySample})
	if err != nil {
		return decided, verified // the ledger's trouble is told elsewhere
	}
	var toDecide, toVerify []time.Duration
	for _, d := range list {
		if d.Trigger > 0 && d.Created > d.Trigger {
			toDecide = append(toDecide, time.Duration(d.Created-d.Trigger))
		}
		if d.State == enforce.Verified && d.Checked > d.Created {
			toVerify = append(toVerify, time.Duration(d.Checked-d.Created))
		}
	}
	return quantiles(toDecide), quantiles(toVerify)
}

// quantiles sorts the list.
func quantiles(list []time.Duration) task.Latency {
	if len(list) == 0 {
		return task.Latency{}
	}
	slices.Sort(list)
	at := func(q float64) float64 {
		i := int(math.Ceil(q*float64(len(list)))) - 1
		return list[max(i, 0)].Seconds()
	}
	return task.Latency{Count: len(list), P50: at(0.5), P99: at(0.99)}
}

func (c *cluster) serveConsole(ctx context.Context) error {
	collector, err := c.metrics()
	if err != nil {
		return err
	}
	deps := console.Deps{Status: c.status, Ready: c.ready}
	if c.elastic != nil {
		deps.Findings, deps.Decisions = c.elastic, indexed.New(c.elastic, c.cloak)
	}
	return c.serve(ctx, collector, deps)
}
