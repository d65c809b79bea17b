package detect

import (
	"strings"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// Pick is one line of many, as evidence where the many are a finding: of those that Rank
// lets through the one with the least rank. Which it is depends on where lines stand and on
// the installation's secret, and not on the order in which they come; picks merge.
// The zero value is no line.
type Pick struct {
	window.Sample
	Rank uint64
}

// Rank says how a line stands among those that a pick could be, and whether it comes
// into question: one in 2 to the n does, so that hardly any line is copied in vain.
func Rank(seed uint64, p *ingest.Position, n uint) (rank uint64, asked bool) {
	rank = (uint64(p.Offset) ^ p.File<<1 ^ seed) * 0x9e3779b97f4a7c15
	rank ^= rank >> 29
	rank *= 0xd6e8feb86659fd93
	return rank, rank>>(64-n) == 0
}

// see takes a line that came into question. It keeps its secrets until redact.
func (p *Pick) see(ev *ingest.Event, rank uint64) {
	if !p.Before(rank, ev.Time, &ev.Pos) {
		*p = Pick{Rank: rank, Sample: window.Sample{Time: ev.Time, Pos: ev.Pos, Line: strings.Clone(capLine(ev.Line)), Agent: strings.Clone(ev.Agent[:min(len(ev.Agent), AgentBytes)])}}
	}
}

// Before reports whether the line of a pick, if it has one, comes before another.
func (p *Pick) Before(rank uint64, at int64, pos *ingest.Position) bool {
	switch {
	case p.Time == 0:
		return false
	case p.Rank != rank:
		return p.Rank < rank
	case p.Time != at:
		return p.Time < at
	}
	return !pos.Less(p.Pos)
}

// Merge takes the other line if it comes before.
func (p *Pick) Merge(o *Pick) {
	if o.Time != 0 && !p.Before(o.Rank, o.Time, &o.Pos) {
		*p = *o
	}
}

// Redact replaces the secrets of the line; doing it twice changes nothing.
func (p *Pick) Redact(redact func(string) string) {
	if p.Time != 0 {
		p.Line, p.Agent = capLine(redact(p.Line)), redact(p.Agent)
	}
}

// Code saves or restores.
func (p *Pick) Code(k *window.Codec) {
	k.I64(&p.Time)
	if p.Time == 0 {
		return
	}
	k.U64(&p.Rank)
	k.String(&p.Pos.Source)
	k.U64(&p.Pos.File)
	k.I64(&p.Pos.Offset)
	k.String(&p.Line)
	k.String(&p.Agent)
}
