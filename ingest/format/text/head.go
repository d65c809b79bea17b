package text

import (
	"bytes"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// headSteps is how many steps of a plan combinedHead takes the place of: address, the
// span of user and time, request, status, size, referer, agent.
const headSteps = 7

// headLiterals are the literals behind them, the last one only at its beginning.
var headLiterals = [...]string{" - ", " [", `] "`, `" `, " ", ` "`, `" "`, `"`}

// findHead returns the step from which on a format is as "combined", as most are, or -1.
func (p *Plan) findHead(steps []step) int {
	if p.dialect.Marker != '\\' || p.dialect.Nil != "-" || p.multi {
		return -1
	}
	for i := range steps {
		if field.IsPeer(steps[i].Field) && isCombinedHead(steps[i:]) {
			return i
		}
	}
	return -1
}

func isCombinedHead(steps []step) bool {
	fields := [...]field.Field{field.Peer, field.User, field.TimeLocal, field.Request, field.StatusCode, field.BytesBody, field.Referer, field.Agent}
	if len(steps) < len(fields) {
		return false
	}
	for i, f := range fields {
		last := i == len(fields)-1
		same := steps[i].Field == f || f == field.Peer || f == field.BytesBody && steps[i].Field == field.BytesAll
		if !same || steps[i].lit != headLiterals[i] && !(last && steps[i].stop == '"') {
			return false
		}
	}
	return true
}

// combinedHead reads the values that "combined" has from a plain line: IPv4, no
// user, no escapes, a well-formed request. It returns the index behind the literal lit
// of the last, or 0 for a line that the general way must read; what it set
// by then is set again. The tests hold it against the general way.
func (p *parser) combinedHead(line []byte, i int, lit string, ev *ingest.Event) int {
	const userWidth = len(" - - [")
	if p.escapes {
		return 0
	}
	peer, n := field.IPv4(line[i:])
	i += n
	if n == 0 || len(line)-i < userWidth+field.LocalWidth+8 || string(line[i:i+userWidth]) != " - - [" {
		return 0
	}
	i += userWidth
	ns, ok := p.sink.Clock.ReadLocal(line, i)
	i += field.LocalWidth
	if !ok || string(line[i:i+3]) != `] "` {
		return 0
	}
	i += 3
	n = bytes.IndexByte(line[i:], '"')
	if n < 0 || !field.SplitRequest(line[i:i+n], ev) {
		return 0
	}
	i += n
	if len(line)-i < 8 || string(line[i:i+2]) != `" ` || line[i+5] != ' ' {
		return 0
	}
	code, j := field.Status(line, i+2)
	size, k := field.Integer(line, i+6)
	if j < 0 || k < 0 || len(line)-k < 2 || string(line[k:k+2]) != ` "` {
		return 0
	}
	i = k + 2
	n = bytes.IndexByte(line[i:], '"')
	if n < 0 || len(line)-i-n < 3 || string(line[i+n:i+n+3]) != `" "` {
		return 0
	}
	referer := line[i : i+n]
	i += n + 3
	n = bytes.IndexByte(line[i:], '"')
	if n < 0 {
		return 0
	}
	if len(lit) > 1 && (len(line)-i-n < len(lit) || string(line[i+n:i+n+len(lit)]) != lit) {
		return 0
	}
	ev.Peer, ev.Time, ev.Status, ev.BytesOut = peer, ns, code, size
	if len(referer) != 1 || referer[0] != '-' {
		ev.Referer = field.Str(referer)
	}
	if agent := line[i : i+n]; n != 1 || agent[0] != '-' {
		ev.Agent = field.Str(agent)
	}
	return i + n + len(lit)
}
