package object

import (
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/object/marks"
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
	return p.parse(line, p.reader.look(line), ev)
}

// parse is Parse for a line that was looked at.
func (p *parser) parse(line []byte, look marks.Look, ev *ingest.Event) ingest.Reason {
	if look.NUL {
		return ingest.HasNUL
	}
	p.sink.Begin()
	if reason := p.reader.read(line, look, ev); reason != ingest.OK {
		return Refused(line, reason)
	}
	p.sink.Finish(line, look.High, ev)
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
