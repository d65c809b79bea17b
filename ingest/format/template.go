package format

import (
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// fixed are the values of formats that have no format string of their own; a
// template names them in braces.
var fixed = map[string]text.Variable{
	"peer":    {Field: field.Peer, Kind: text.Addr},
	"user":    {Field: field.User},
	"local":   {Field: field.TimeLocal, Kind: text.Local},
	"request": {Field: field.Request},
	"status":  {Field: field.StatusCode, Kind: text.Status},
	"bytes":   {Field: field.BytesBody, Kind: text.Int},
	"ms":      {Field: field.Duration, Kind: text.Int, Unit: 1e6},
	"referer": {Field: field.Referer},
	"agent":   {Field: field.Agent},
	"n":       {Kind: text.Int},
	"text":    {},
}

// mustTemplatePieces cuts a template of literals and {names} of fixed. It panics on a
// mistake, which is one of this package.
func mustTemplatePieces(template string) []text.Piece {
	var pieces []text.Piece
	for at := 0; at < len(template); {
		k := strings.IndexByte(template[at:], '{')
		if k < 0 {
			k = len(template) - at
		}
		if k > 0 {
			pieces = append(pieces, text.Piece{Text: template[at : at+k], Pos: at})
			at += k
			continue
		}
		end := at + strings.IndexByte(template[at:], '}')
		v, ok := fixed[template[at+1:end]]
		if !ok {
			panic("format: template names " + template[at:end+1])
		}
		pieces = append(pieces, text.Piece{Text: template[at : end+1], Pos: at, Variable: &v})
		at = end + 1
	}
	return pieces
}

// mustTemplate compiles a template. It panics on a mistake.
func mustTemplate(template string, d text.Dialect) *barePlan {
	return mustBare(mustTemplatePieces(template), nil, d)
}

// noArgument is the Compile of a format that is what it is.
func noArgument(f Format) func(string) (Format, error) {
	return func(arg string) (Format, error) {
		if arg != "" {
			return Format{}, errNoArgument
		}
		return f, nil
	}
}

// planFormat makes a format of a plan.
func planFormat(p textPlan) Format {
	return Format{New: p.New, Warnings: p.Warnings(), Origins: originsIn(p.Origins())}
}

// originsIn makes origins of a plan's variables.
func originsIn(list []text.Origin) []Origin {
	var out []Origin
	for _, o := range list {
		out = append(out, Origin{Field: o.Field, Name: o.Name})
	}
	return out
}

// textPlan is a plan, or two that stand for one.
type textPlan interface {
	New() ingest.Parser
	Warnings() []string
	Origins() []text.Origin
}

// bareDialect is that of gateways that write what a client sent as it is.
var bareDialect = text.Dialect{
	Nil:    "-",
	Advice: "have the gateway log JSON, which escapes",
}
