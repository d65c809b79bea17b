package object

import (
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// parser is the ingest.Parser of a format whose lines are objects.
type parser struct {
	sink   field.Sink
	reader *Reader
}

// New makes a parser of lines that are objects, for one goroutine.
func New(m *Map) ingest.Parser {
	p := &parser{}
	p.sink.Multi = true
	p.reader = NewReader(m, &p.sink)
	return p
}

// Reset implements ingest.Parser.
func (p *parser) Reset() {
	p.sink.Reset()
	p.reader.Forget()
}

// Parse implements ingest.Parser.
func (p *parser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	nul, escapes, high := field.Look(line)
	if nul {
		return ingest.HasNUL
	}
	p.sink.Begin()
	if reason := p.reader.read(line, !escapes, ev); reason != ingest.OK {
		return Refused(line, reason)
	}
	p.sink.Finish(line, high, ev)
	return ingest.OK
}

// Refused is the true reason for a line that Read refused.
func Refused(line []byte, reason ingest.Reason) ingest.Reason {
	switch {
	case reason != ingest.BadJSON:
		return reason
	case field.IsBlankLine(line):
		return ingest.EmptyLine
	case field.IsErrorLog(line):
		return ingest.NotARequest
	}
	return reason
}
