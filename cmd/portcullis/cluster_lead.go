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
	"github.com/portcullis/portcullis/internal/telemetry"
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

// metrics exports the figures of this process, and of the whole where it follows it.
func (c *cluster) metrics() (*telemetry.Collector, error) {
	source, part := []string{"source"}, []string{"task"}
	return telemetry.NewCollector([]telemetry.Desc{
		{Name: "portcullis_lines_total", Help: "Lines read from a source, since the state was made.", Kind: telemetry.Counter, Labels: source},
		{Name: "portcullis_events_total", Help: "Lines that became events.", Kind: telemetry.Counter, Labels: source},
		{Name: "portcullis_rejects_total", Help: "Lines that did not.", Kind: telemetry.Counter, Labels: source},
		{Name: "portcullis_lag_bytes", Help: "Bytes of a source known to be unread.", Kind: telemetry.Gauge, Labels: source},
		{Name: "portcullis_collect_waiting", Help: "Groups of lines that Kafka has not acknowledged.", Kind: telemetry.Gauge},
		{Name: "portcullis_kafka_up", Help: "1 while what this process writes is acknowledged.", Kind: telemetry.Gauge},
		{Name: "portcullis_kafka_messages_total", Help: "Messages acknowledged by Kafka, since the start.", Kind: telemetry.Counter},
		{Name: "portcullis_kafka_refused_total", Help: "Messages that Kafka refused for good, by topic.", Kind: telemetry.Counter, Labels: []string{"topic"}},
		{Name: "portcullis_tasks", Help: "Parts of the detection in this process.", Kind: telemetry.Gauge},
		{Name: "portcullis_task_waiting", Help: "Messages that a part of the detection has not taken in.", Kind: telemetry.Gauge, Labels: part},
		{Name: "portcullis_task_lost_total", Help: "Messages that were deleted before a part of the detection read them.", Kind: telemetry.Counter, Labels: part},
		{Name: "portcullis_clients", Help: "Clients tracked, by part of the detection.", Kind: telemetry.Gauge, Labels: part},
		{Name: "portcullis_lag_seconds", Help: "How far detection is behind the log.", Kind: telemetry.Gauge},
		{Name: "portcullis_leads", Help: "1 while this process is the active enforcer.", Kind: telemetry.Gauge},
		{Name: "portcullis_decisions", Help: "Decisions that have not ended, by state; of the active enforcer.", Kind: telemetry.Gauge, Labels: []string{"state"}},
		{Name: "portcullis_gateway_entries", Help: "Decisions a gateway holds; of the active enforcer.", Kind: telemetry.Gauge, Labels: []string{"gateway"}},
	}, c.emitMetrics)
}

func (c *cluster) emitMetrics(emit func(name string, value float64, labels ...string)) {
	flag := func(on bool) float64 {
		if on {
			return 1
		}
		return 0
	}
	trouble, _ := c.producer.Health()
	emit("portcullis_kafka_up", flag(trouble == ""))
	emit("portcullis_kafka_messages_total", float64(c.producer.Stats().Messages))
	c.refused.mu.Lock()
	for topic, n := range c.refused.count {
		emit("portcullis_kafka_refused_total", float64(n), topic)
	}
	c.refused.mu.Unlock()
	if c.collect != nil {
		emit("portcullis_collect_waiting", float64(c.collect.collector.Stats().Waiting))
		if c.follow == nil {
			for _, r := range c.collect.collector.Rows() {
				emit("portcullis_lines_total", float64(r.Read), r.Source)
			}
		}
	}
	if c.detect != nil {
		emit("portcullis_tasks", float64(len(c.detect.fleet.Keys())))
	}
	if c.enforce != nil {
		e := c.enforce.active.Load()
		emit("portcullis_leads", flag(e != nil))
		if e != nil {
			h := e.Health()
			for s, n := range h.States {
				emit("portcullis_decisions", float64(n), string(s))
			}
			for _, g := range h.Gateways {
				emit("portcullis_gateway_entries", float64(g.Entries), g.Name)
			}
		}
	}
	c.emitWhole(emit)
}

// emitWhole exports what is known of the whole pipeline.
func (c *cluster) emitWhole(emit func(name string, value float64, labels ...string)) {
	o := c.view.Load()
	if o == nil {
		return
	}
	emit("portcullis_lag_seconds", c.lag(now()).Seconds())
	for _, r := range o.books.Rows {
		emit("portcullis_lines_total", float64(r.Read), r.Source)
		emit("portcullis_events_total", float64(r.Processed), r.Source)
		emit("portcullis_rejects_total", float64(r.Rejected), r.Source)
		emit("portcullis_lag_bytes", float64(r.LagBytes), r.Source)
	}
	for _, t := range o.tasks {
		name := task.Key{Name: t.Task, Partition: t.Partition}.String()
		emit("portcullis_task_waiting", float64(t.Waiting), name)
		emit("portcullis_task_lost_total", float64(t.Lost), name)
		emit("portcullis_clients", float64(t.Clients), name)
	}
}
