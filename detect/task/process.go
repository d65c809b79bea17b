package task

import "github.com/portcullis/portcullis/ingest"

// Process is how one process of the pipeline is doing, as it tells the others about
// once a second.
type Process struct {
	ID      string   `json:"id"` // host and process id
	Roles   []string `json:"roles"`
	Version string   `json:"version"`
	Started int64    `json:"started"` // Unix nanoseconds, like At
	At      int64    `json:"at"`
	Console string   `json:"console,omitempty"`
	Trouble []string `json:"trouble,omitempty"`

	Rows   []ingest.LedgerRow `json:"rows,omitempty"`  // collect: what it read, and what is unread
	Tasks  []string           `json:"tasks,omitempty"` // detect: what it has
	Layout [2]int             `json:"layout,omitzero"` // detect: partitions of level one and two, as it knows them
	Lead   *Lead              `json:"lead,omitempty"`  // enforce: what the active one knows
	Index  *Index             `json:"index,omitempty"` // detect: what is written to Elasticsearch
}

// Lead is what the active enforcer knows.
type Lead struct {
	Epoch     int64          `json:"epoch"`
	Panic     string         `json:"panic,omitempty"`
	Gateways  []LeadGateway  `json:"gateways,omitempty"`
	Found     Latency        `json:"found"`               // from the line in the log to the finding here
	Decided   Latency        `json:"decided"`             // from the finding here to the decision in the ledger
	Verified  Latency        `json:"verified"`            // from the decision to the log that shows it in force
	Decisions map[string]int `json:"decisions,omitempty"` // open ones, by state
}

// LeadGateway is one gateway of the active enforcer.
type LeadGateway struct {
	Name     string  `json:"name"`
	Entries  int     `json:"entries"`
	PushedAt int64   `json:"pushed_at,omitempty"`
	TookMS   float64 `json:"took_ms,omitempty"`
	Behind   bool    `json:"behind,omitempty"`
	Fails    int     `json:"fails,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// Latency is a pair of quantiles in seconds over the last measurements.
type Latency struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
}

// Index is how the writing to Elasticsearch goes.
type Index struct {
	Documents int64  `json:"documents"`
	Rejected  int64  `json:"rejected"`
	Waiting   int64  `json:"waiting"` // messages that are not indexed
	Error     string `json:"error,omitempty"`
}
