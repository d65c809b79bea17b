package ingest

// LedgerRow is the completeness of one source: Read = Processed + Rejected at
// every saved state, and LagBytes says what is known to wait.
type LedgerRow struct {
	Source    string           `json:"source"`
	Read      int64            `json:"read"`      // lines taken from the source
	Processed int64            `json:"processed"` // lines that became events
	Rejected  int64            `json:"rejected"`
	Reasons   map[string]int64 `json:"reasons,omitempty"` // rejected, by reason
	Late      int64            `json:"late"`              // processed, but behind the late bound
	Future    int64            `json:"future"`            // processed, but ahead of the clock bound
	Truncated int64            `json:"truncated"`         // processed, but cut by the gateway: what stood behind the cut is not known
	Bytes     int64            `json:"bytes"`
	LagBytes  int64            `json:"lag_bytes"`
	LastTime  int64            `json:"last_time"`        // newest event time, Unix nanoseconds
	Format    string           `json:"format,omitempty"` // by which the newest lines were read, as format.Open takes it
	Carried   Carried          `json:"carried"`          // what its events had lately
}

// Describe adds what another row says of the source's lines themselves.
func (r *LedgerRow) Describe(from *LedgerRow) {
	if from.Format != "" && (r.Format == "" || from.LastTime >= r.LastTime) {
		r.Format = from.Format
	}
	r.LastTime = max(r.LastTime, from.LastTime)
	r.Carried.Merge(from.Carried)
}
