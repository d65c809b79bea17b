package main

import (
	"slices"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// The labels of metrics. Their values come from the settings.
var bySource, byGateway = []string{"source"}, []string{"gateway"}

// emitter takes a figure at the moment of a scrape.
type emitter = func(name string, value float64, labels ...string)

// pipelineDescs are what one process that does everything exports.
var pipelineDescs = []telemetry.Desc{
	{Name: "portcullis_lines_total", Help: "Lines read from a source, since the state was made.", Kind: telemetry.Counter, Labels: bySource},
	{Name: "portcullis_events_total", Help: "Lines that became events.", Kind: telemetry.Counter, Labels: bySource},
	{Name: "portcullis_rejected_total", Help: "Lines that did not become events, by reason.", Kind: telemetry.Counter, Labels: []string{"source", "reason"}},
	{Name: "portcullis_truncated_total", Help: "Events whose line the gateway cut: what stood behind the cut is not known.", Kind: telemetry.Counter, Labels: bySource},
	{Name: "portcullis_late_total", Help: "Events behind the late bound: inspected, not counted in windows.", Kind: telemetry.Counter, Labels: bySource},
	{Name: "portcullis_future_total", Help: "Events ahead of the clock, not counted in windows.", Kind: telemetry.Counter, Labels: bySource},
	{Name: "portcullis_lag_bytes", Help: "Bytes of a source known to be unread.", Kind: telemetry.Gauge, Labels: bySource},
	{Name: "portcullis_lost_bytes_total", Help: "Bytes that a rotation destroyed before they were read.", Kind: telemetry.Counter, Labels: bySource},
	{Name: "portcullis_received_total", Help: "Records that senders delivered, since the start.", Kind: telemetry.Counter, Labels: bySource},
	{Name: "portcullis_dropped_total", Help: "Records lost on their way in, since the start: UDP only.", Kind: telemetry.Counter, Labels: bySource},
	{Name: "portcullis_refused_total", Help: "Requests told to come again, or connections held back, since the start.", Kind: telemetry.Counter, Labels: bySource},
	{Name: "portcullis_unreadable_total", Help: "Records whose framing or encoding could not be read, since the start.", Kind: telemetry.Counter, Labels: bySource},
	{Name: "portcullis_senders", Help: "Connections of senders open now.", Kind: telemetry.Gauge, Labels: bySource},
	{Name: "portcullis_source_newest_timestamp_seconds", Help: "Time of the newest line of a source, Unix seconds.", Kind: telemetry.Gauge, Labels: bySource},
	{Name: "portcullis_lag_seconds", Help: "How far detection is behind the log.", Kind: telemetry.Gauge},
	{Name: "portcullis_bus_bytes", Help: "Bytes waiting between sources and detection.", Kind: telemetry.Gauge},
	{Name: "portcullis_bus_batches", Help: "Batches of lines waiting between sources and detection.", Kind: telemetry.Gauge},
	{Name: "portcullis_clients", Help: "Clients tracked.", Kind: telemetry.Gauge},
	{Name: "portcullis_clients_evicted_total", Help: "Clients forgotten because the table was full.", Kind: telemetry.Counter},
	{Name: "portcullis_state_bytes", Help: "Memory of the tables and of the detectors' state, estimated.", Kind: telemetry.Gauge},
	{Name: "portcullis_detector_cost_seconds", Help: "What a detector takes of a line, on average over the lines that were timed since the start.", Kind: telemetry.Gauge, Labels: []string{"rule"}},
	{Name: "portcullis_timed_lines_total", Help: "Lines for which the detectors were timed: one batch in 512, since the start.", Kind: telemetry.Counter},
	{Name: "portcullis_findings_open", Help: "Findings whose window is not over.", Kind: telemetry.Gauge},
	{Name: "portcullis_decisions", Help: "Decisions that have not ended, by state.", Kind: telemetry.Gauge, Labels: []string{"state"}},
	{Name: "portcullis_enforce_queue", Help: "Findings waiting for the enforcer.", Kind: telemetry.Gauge},
	{Name: "portcullis_enforce_overflow_total", Help: "Findings that found its queue full and were taken from the store later.", Kind: telemetry.Counter},
	{Name: "portcullis_gateway_entries", Help: "Decisions a gateway holds.", Kind: telemetry.Gauge, Labels: byGateway},
	{Name: "portcullis_gateway_failures", Help: "Pushes to a gateway that failed in a row.", Kind: telemetry.Gauge, Labels: byGateway},
	{Name: "portcullis_gateway_push_seconds", Help: "Duration of the last push that succeeded.", Kind: telemetry.Gauge, Labels: byGateway},
	{Name: "portcullis_panic", Help: "1 while the panic switch is on.", Kind: telemetry.Gauge},
	{Name: "portcullis_gateway_behind", Help: "1 while a gateway has not taken the newest state.", Kind: telemetry.Gauge, Labels: byGateway},
	{Name: "portcullis_watched", Help: "Subjects whose requests are watched, to see whether decisions hold.", Kind: telemetry.Gauge},
	{Name: "portcullis_breaker", Help: "1 while the circuit breaker lets nothing new into force.", Kind: telemetry.Gauge},
	{Name: "portcullis_state_saved", Help: "1 while the state can be written to the database; 0: it is tried until it works, and the log file keeps the rest.", Kind: telemetry.Gauge},
}

// metrics exports the figures of all stages. Labels come from the config and
// from fixed sets, so their number is bounded.
func (p *pipeline) metrics() (*telemetry.Collector, error) {
	return telemetry.NewCollector(slices.Concat(pipelineDescs, elasticDescs, alertMetrics, outputMetrics), p.emitMetrics)
}

func (p *pipeline) emitMetrics(emit emitter) {
	p.alerting.emitMetrics(emit)
	p.outputs.emitMetrics(emit)
	for _, row := range p.books.Load().rows {
		emit("portcullis_lines_total", float64(row.Read), row.Source)
		emit("portcullis_events_total", float64(row.Processed), row.Source)
		emit("portcullis_truncated_total", float64(row.Truncated), row.Source)
		emit("portcullis_late_total", float64(row.Late), row.Source)
		emit("portcullis_future_total", float64(row.Future), row.Source)
		emitRejected(emit, row)
		if row.LastTime > 0 {
			emit("portcullis_source_newest_timestamp_seconds", float64(row.LastTime)/1e9, row.Source)
		}
	}
	for _, f := range p.intake.sources {
		h := f.Health()
		emit("portcullis_lag_bytes", float64(h.Lag), f.name)
		emit("portcullis_lost_bytes_total", float64(h.LostBytes), f.name)
	}
	p.emitReceived(emit)
	stats := p.engine.Stats()
	emit("portcullis_lag_seconds", p.lag(now()).Seconds())
	var waiting, batches float64
	for _, d := range p.bus.Depth() {
		waiting += float64(d.Bytes)
		batches += float64(d.Messages)
	}
	emit("portcullis_bus_bytes", waiting)
	emit("portcullis_bus_batches", batches)
	emit("portcullis_clients", float64(stats.Clients))
	emit("portcullis_clients_evicted_total", float64(stats.Evicted))
	emit("portcullis_state_bytes", float64(stats.Bytes))
	emit("portcullis_findings_open", float64(stats.Findings))
	p.emitCosts(emit)
	emit("portcullis_state_saved", onOff(p.unsaved.Load() == nil))
	emitEnforcer(emit, p.enforcer.Health())
	if p.mirror != nil {
		emitElastic(emit, p.mirror.store)
		emit("portcullis_elasticsearch_left_out_total", float64(p.mirror.leftOut.Load()))
	}
}

// emitCosts exports what the detectors take; their names are compiled in or in the settings.
func (b *base) emitCosts(emit emitter) {
	emit("portcullis_timed_lines_total", float64(b.costs.Lines()))
	for rule, nanos := range b.costs.PerLine() {
		emit("portcullis_detector_cost_seconds", nanos/1e9, rule)
	}
}

// emitRejected exports the lines of a source that did not become events.
func emitRejected(emit emitter, row ingest.LedgerRow) {
	for _, r := range ingest.Reasons() {
		if n := row.Reasons[r.String()]; n > 0 {
			emit("portcullis_rejected_total", float64(n), row.Source, r.String())
		}
	}
}

// emitEnforcer exports how decisions and gateways stand.
func emitEnforcer(emit emitter, h enforce.Health) {
	for _, s := range []enforce.State{enforce.Proposed, enforce.Approved, enforce.Pushed, enforce.Verified, enforce.NotEnforced} {
		emit("portcullis_decisions", float64(h.States[s]), string(s))
	}
	emit("portcullis_enforce_queue", float64(h.Queue))
	emit("portcullis_enforce_overflow_total", float64(h.Overflowed))
	for _, g := range h.Gateways {
		emit("portcullis_gateway_entries", float64(g.Entries), g.Name)
		emit("portcullis_gateway_failures", float64(g.Fails), g.Name)
		emit("portcullis_gateway_push_seconds", g.Took.Seconds(), g.Name)
		emit("portcullis_gateway_behind", onOff(g.Behind), g.Name)
	}
	emit("portcullis_watched", float64(h.Watched))
	emit("portcullis_breaker", onOff(h.Breaker != ""))
	emit("portcullis_panic", onOff(h.Panic != ""))
}

// elasticDescs are there where documents are written to Elasticsearch.
var elasticDescs = []telemetry.Desc{
	{Name: "portcullis_elasticsearch_up", Help: "1 while what is written to Elasticsearch is taken; 0: documents wait.", Kind: telemetry.Gauge},
	{Name: "portcullis_elasticsearch_documents_total", Help: "Documents since the start, by what became of them: written, existing (there before), rejected for good; retried counts those that were sent again.", Kind: telemetry.Counter, Labels: []string{"result"}},
	{Name: "portcullis_elasticsearch_left_out_total", Help: "Requests that were not copied because Elasticsearch did not keep up; without Kafka only.", Kind: telemetry.Counter},
}

func emitElastic(emit emitter, s *elastic.Store) {
	h := s.Health()
	emit("portcullis_elasticsearch_up", onOff(h.Error == ""))
	for result, n := range map[string]int64{"written": h.Written, "existing": h.Existing, "rejected": h.Rejected, "retried": h.Retried} {
		emit("portcullis_elasticsearch_documents_total", float64(n), result)
	}
}

func onOff(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// emitReceived exports what the sources that listen have taken in.
func (p *pipeline) emitReceived(emit emitter) {
	for i, src := range p.settings.Sources {
		if !src.spools() {
			continue
		}
		h, name := p.intake.sources[i].Health(), p.intake.sources[i].name
		emit("portcullis_received_total", float64(h.Received), name)
		emit("portcullis_dropped_total", float64(h.Dropped), name)
		emit("portcullis_refused_total", float64(h.Refused), name)
		emit("portcullis_unreadable_total", float64(h.Rejected), name)
		emit("portcullis_senders", float64(h.Senders), name)
	}
}
