package format

import (
	"bytes"
	"fmt"

	"github.com/portcullis/portcullis/ingest"
)

// Doubt watches how many lines of a source its format refuses. When half of a run
// of lines are refused for their shape, it looks whether another format reads
// them. It is for one goroutine; the zero value is ready.
type Doubt struct {
	lines   int
	refused int
	sample  []byte // refused lines, newline behind each
	kept    int
	told    bool
}

// A run of lines that is looked at, how much of a refused line is kept, and how
// many.
const (
	doubtRun   = 256
	doubtLine  = 4 << 10
	doubtLines = 32
)

// Suspicion is what Doubt came to.
type Suspicion struct {
	Refused, Lines int
	Format         Format // that reads the refused lines; New is nil if none does
	Why            string // for people: what it is instead, or what the lines look like
}

// String says it in one sentence.
func (s *Suspicion) String() string {
	return fmt.Sprintf("%d of the last %d lines are refused: %s", s.Refused, s.Lines, s.Why)
}

// See takes in what became of a line. It returns a suspicion when a run of lines
// that were mostly refused is complete, and then again only after a run that was
// mostly understood.
func (d *Doubt) See(line []byte, r ingest.Reason) *Suspicion {
	d.lines++
	if doubtful(r) {
		d.refused++
		if d.kept < doubtLines {
			d.kept++
			d.sample = append(append(d.sample, line[:min(len(line), doubtLine)]...), '\n')
		}
	}
	if d.lines < doubtRun {
		return nil
	}
	s := &Suspicion{Refused: d.refused, Lines: d.lines}
	wrong := d.refused*2 >= d.lines
	if wrong && !d.told {
		s.look(d.sample)
	}
	again := d.told
	*d = Doubt{sample: d.sample[:0], told: wrong}
	if !wrong || again {
		return nil
	}
	return s
}

// look asks which format reads the lines.
func (s *Suspicion) look(sample []byte) {
	f, why, err := Detect(bytes.Clone(sample))
	if err != nil {
		s.Why = err.Error()
		return
	}
	s.Format, s.Why = f, why+" of them"
}

// doubtful tells the reasons that speak against the format from those that speak
// against a line.
func doubtful(r ingest.Reason) bool {
	switch r {
	case ingest.BadShape, ingest.BadJSON, ingest.BadTime, ingest.BadAddress, ingest.BadStatus, ingest.BadNumber, ingest.BadEnvelope, ingest.NoClient:
		return true
	}
	return false
}
