package main

import (
	"slices"

	"github.com/portcullis/portcullis/detect/task"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// clusterDescs are what one of several processes exports.
var clusterDescs = []telemetry.Desc{
	describedIn(pipelineDescs, "portcullis_lines_total"),
	describedIn(pipelineDescs, "portcullis_events_total"),
	describedIn(pipelineDescs, "portcullis_rejected_total"),
	describedIn(pipelineDescs, "portcullis_source_newest_timestamp_seconds"),
	describedIn(pipelineDescs, "portcullis_lag_bytes"),
	describedIn(pipelineDescs, "portcullis_lag_seconds"),
	{Name: "portcullis_collect_waiting", Help: "Groups of lines that Kafka has not acknowledged.", Kind: telemetry.Gauge},
	{Name: "portcullis_kafka_up", Help: "1 while what this process writes is acknowledged.", Kind: telemetry.Gauge},
	{Name: "portcullis_kafka_messages_total", Help: "Messages acknowledged by Kafka, since the start.", Kind: telemetry.Counter},
	{Name: "portcullis_kafka_refused_total", Help: "Messages that Kafka refused for good, by topic.", Kind: telemetry.Counter, Labels: []string{"topic"}},
	{Name: "portcullis_tasks", Help: "Parts of the detection in this process.", Kind: telemetry.Gauge},
	{Name: "portcullis_task_waiting", Help: "Messages that a part of the detection has not taken in.", Kind: telemetry.Gauge, Labels: byTask},
	{Name: "portcullis_task_lost_total", Help: "Messages that were deleted before a part of the detection read them.", Kind: telemetry.Counter, Labels: byTask},
	{Name: "portcullis_task_clients", Help: "Clients tracked, by part of the detection.", Kind: telemetry.Gauge, Labels: byTask},
	describedIn(pipelineDescs, "portcullis_detector_cost_seconds"),
	describedIn(pipelineDescs, "portcullis_timed_lines_total"),
	{Name: "portcullis_leads", Help: "1 while this process is the active enforcer. Decisions and gateways are of that one only.", Kind: telemetry.Gauge},
	describedIn(pipelineDescs, "portcullis_decisions"),
	describedIn(pipelineDescs, "portcullis_enforce_queue"),
	describedIn(pipelineDescs, "portcullis_enforce_overflow_total"),
	describedIn(pipelineDescs, "portcullis_gateway_entries"),
	describedIn(pipelineDescs, "portcullis_gateway_failures"),
	describedIn(pipelineDescs, "portcullis_gateway_push_seconds"),
	describedIn(pipelineDescs, "portcullis_gateway_behind"),
	describedIn(pipelineDescs, "portcullis_watched"),
	describedIn(pipelineDescs, "portcullis_breaker"),
	describedIn(pipelineDescs, "portcullis_panic"),
	{Name: "portcullis_index_waiting", Help: "Messages that are not yet written to Elasticsearch, of the partitions of this process.", Kind: telemetry.Gauge},
}

var byTask = []string{"task"}

// metrics exports the figures of this process, and of the whole where it follows it.
func (c *cluster) metrics() (*telemetry.Collector, error) {
	return telemetry.NewCollector(slices.Concat(clusterDescs, elasticDescs, alertMetrics, outputMetrics), c.emitMetrics)
}

func (c *cluster) emitMetrics(emit emitter) {
	trouble, _ := c.producer.Health()
	emit("portcullis_kafka_up", onOff(trouble == ""))
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
		c.emitCosts(emit)
	}
	if c.enforce != nil {
		e := c.enforce.active.Load()
		emit("portcullis_leads", onOff(e != nil))
		if e != nil {
			emitEnforcer(emit, e.Health())
		}
	}
	if c.index != nil {
		emitElastic(emit, c.elastic)
		emit("portcullis_index_waiting", float64(c.index.Stats().Waiting))
	}
	c.alerting.emitMetrics(emit)
	c.outputs.emitMetrics(emit)
	c.emitWhole(emit)
}

// emitWhole exports what is known of the whole pipeline.
func (c *cluster) emitWhole(emit emitter) {
	o := c.view.Load()
	if o == nil {
		return
	}
	emit("portcullis_lag_seconds", c.lag(now()).Seconds())
	for _, r := range o.books.Rows {
		emit("portcullis_lines_total", float64(r.Read), r.Source)
		emit("portcullis_events_total", float64(r.Processed), r.Source)
		emitRejected(emit, r)
		if r.LastTime > 0 {
			emit("portcullis_source_newest_timestamp_seconds", float64(r.LastTime)/1e9, r.Source)
		}
		emit("portcullis_lag_bytes", float64(r.LagBytes), r.Source)
	}
	for _, t := range o.tasks {
		name := task.Key{Name: t.Task, Partition: t.Partition}.String()
		emit("portcullis_task_waiting", float64(t.Waiting), name)
		emit("portcullis_task_lost_total", float64(t.Lost), name)
		emit("portcullis_task_clients", float64(t.Clients), name)
	}
}
