package format

import (
	"bytes"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// barePlan is the plan of a format that escapes nothing, and a quicker one for most of
// its lines: a line with no more quotes than the format itself writes holds none that a
// client sent, so each value ends at the next quote, and there is nothing to search for
// and nothing uncertain.
type barePlan struct {
	*text.Plan
	quick  *text.Plan // nil if the format has no quotes, or escapes them
	quotes int
}

// compileBare compiles a format string of a dialect that escapes nothing; one that does
// has no need of the quicker plan.
func compileBare(pieces []text.Piece, d text.Dialect) (*barePlan, error) {
	plan, err := text.Compile(pieces, d)
	if err != nil {
		return nil, err
	}
	p := &barePlan{Plan: plan}
	for _, piece := range pieces {
		if piece.Variable == nil {
			p.quotes += strings.Count(piece.Text, `"`)
		}
	}
	if p.quotes > 0 && d.Escaped == nil {
		d.Escaped = func(c byte) bool { return c == '"' }
		if p.quick, err = text.Compile(tokenMethods(pieces), d); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// tokenMethods makes methods words: no gateway takes one with a blank in it (RFC 9110,
// section 9.1), so that a method is set apart from what follows. A method that holds other
// bytes than a word of the gateway's can is left to the other plan.
func tokenMethods(pieces []text.Piece) []text.Piece {
	out := slices.Clone(pieces)
	for i, piece := range out {
		if v := piece.Variable; v != nil && v.Field == field.Method && v.Kind == text.Text {
			word := *v
			word.Kind = text.Token
			out[i].Variable = &word
		}
	}
	return out
}

// mustBare is compileBare for strings of this package. It panics on a mistake.
func mustBare(pieces []text.Piece, err error, d text.Dialect) *barePlan {
	if err == nil {
		var p *barePlan
		if p, err = compileBare(pieces, d); err == nil {
			return p
		}
	}
	panic("format: " + err.Error())
}

// New makes a parser, for one goroutine.
func (p *barePlan) New() ingest.Parser {
	if p.quick == nil {
		return p.Plan.New()
	}
	return &bareParser{Parser: p.Plan.New(), quick: p.quick.New(), quotes: p.quotes}
}

// bareParser has two ways to read a line.
type bareParser struct {
	ingest.Parser
	quick  ingest.Parser
	quotes int
}

// Reset implements ingest.Parser.
func (p *bareParser) Reset() {
	p.Parser.Reset()
	p.quick.Reset()
}

// Parse implements ingest.Parser.
func (p *bareParser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	if bytes.Count(line, []byte{'"'}) == p.quotes {
		if p.quick.Parse(line, ev) == ingest.OK && ev.Flags&ingest.FlagTruncated == 0 {
			return ingest.OK
		}
		*ev = ingest.Event{}
	}
	return p.Parser.Parse(line, ev)
}
