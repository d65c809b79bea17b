package ingest

import "context"

// Parser reads lines of one format. It is used by one goroutine; strings of
// the events it fills borrow the line or the parser's scratch, which Reset
// lets go of.
type Parser interface {
	// Parse fills ev (which the caller has zeroed) from a line without its
	// newline. It sets neither Client, Route, Line nor Pos.
	Parse(line []byte, ev *Event) Reason
	// Reset forgets the scratch of earlier lines. Events already filled stay valid:
	// scratch is never overwritten, only abandoned.
	Reset()
}

// Source reads one place where a gateway's log is to be had.
type Source interface {
	// Run hands batches to out in order, starting behind from (no marks: where the
	// source's settings say), until ctx ends or, for finite sources, the end. out
	// blocks under back-pressure; its error ends Run.
	Run(ctx context.Context, from []Mark, out func(context.Context, *Batch) error) error
}

// Saver is a Source that gives back what lies before a mark, such as the segments
// of a spool, once the effect of all that is saved.
type Saver interface {
	// Saved may be called at any time, by any goroutine, with a mark that the source
	// handed out.
	Saved(m Mark)
}
