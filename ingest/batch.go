package ingest

// Mark says where to resume a source: everything before it has been taken in.
// It identifies a file by inode and by a fingerprint of its beginning, so that
// a renamed, copied or compressed file is found again.
type Mark struct {
	Source   string `json:"source"`
	Path     string `json:"path,omitempty"`
	File     uint64 `json:"file"`
	Offset   int64  `json:"offset"`
	Device   uint64 `json:"device,omitempty"`
	Inode    uint64 `json:"inode,omitempty"`
	Print    uint64 `json:"print,omitempty"`     // hash of the first PrintLen bytes
	PrintLen int64  `json:"print_len,omitempty"` // grows with the file up to a bound
}

// Reject is a line that is no event: where it stood, why, and its beginning.
type Reject struct {
	Pos    Position
	Reason Reason
	Length int64  // bytes of the line
	Sample string // at most SampleBytes of it, owned
}

// SampleBytes caps what is kept of a rejected line.
const SampleBytes = 256

// Batch is a run of whole lines of one file, in file order, or a selection of
// them. The receiver owns Data until it calls Release.
//
// A batch without lines that says Newest tells only how far the stream has come.
type Batch struct {
	Source  string
	File    uint64
	Format  string   // of the lines, as format.Open takes it; empty: as configured for the source
	Offset  int64    // in the file, of the first line less the gap before it
	Data    []byte   // each line ended by '\n'
	Sizes   []int32  // bytes of each line in the file, newline included, where redaction changed them; nil: as in Data
	Gaps    []int32  // bytes of the file left out before each line; nil: none
	Remarks []Remark // what only the sender knows of single lines, in the order of the lines
	Rejects []Reject // what the source itself refused, such as over-long lines
	Newest  int64    // newest event time of the stream, in Unix seconds, as far as the sender has read it; 0: not said
	Mark    Mark     // resume here once the effect of this batch is saved
	Whole   bool     // it cannot be cut: its mark is that of its end only
	Lag     int64    // bytes of this source still unread behind the batch
	Free    func()   // gives Data back; nil is fine
}

// Release gives the batch's bytes back to their owner. The events parsed from
// it must not be used afterwards.
func (b *Batch) Release() {
	if b.Free != nil {
		b.Free()
		b.Free = nil
	}
	b.Data = nil
}
