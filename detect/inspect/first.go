package inspect

import (
	"strings"

	"github.com/portcullis/portcullis/ingest"
)

// Parts is the set of parts of an event that the first pass does not clear.
type Parts uint8

const (
	partTarget Parts = 1 << iota
	partAgent
	partReferer
	partBody
)

// Suspicious is the first pass: false proves that Inspect would find nothing.
// It allocates nothing once its memory is warm.
func (in *Inspector) Suspicious(ev *ingest.Event) bool { return in.Parts(ev) != 0 }

// Parts is the first pass part by part, for Look.
func (in *Inspector) Parts(ev *ingest.Event) Parts {
	var p Parts
	if in.suspiciousTarget(ev.Target) {
		p |= partTarget
	}
	if in.suspiciousAgent(ev.Agent) {
		p |= partAgent
	}
	if in.suspiciousReferer(ev.Referer) {
		p |= partReferer
	}
	if ev.Body != "" && in.suspiciousBody(ev.Body) {
		p |= partBody
	}
	return p
}

// suspiciousTarget reads the raw bytes first. Only a target with an escape or
// a special byte is remembered or decoded.
func (in *Inspector) suspiciousTarget(s string) bool {
	if !rawBytes.hit(s) && !encodedQuery(s) && !pathGate(s, true) && !crowded(s) {
		return false
	}
	s = limit(s, in.cfg.MaxBytes)
	if len(s) > memoBytes { // it cannot be remembered, and is decoded and asked about once only
		return true
	}
	i, known := in.targets.slot(s)
	if known {
		return false
	}
	if in.targetText(s) {
		return true
	}
	in.targets.put(i, s)
	return false
}

// crowded says whether a target has so many parameters that the last are read as one text,
// in which an & may part commands.
func crowded(s string) bool { return len(s) > 2*maxFields && strings.Count(s, "&") >= maxFields }

// targetText decodes the fields of a target and asks the text gate.
func (in *Inspector) targetText(s string) bool {
	path, query := splitTarget(s)
	if in.textHit(path, false, ctxPath) || pathGate(path, true) {
		return true
	}
	if query == "" {
		return false
	}
	return in.queryText(query)
}

// queryText asks the gate about every name and value, cut apart as the full
// look cuts them.
func (in *Inspector) queryText(query string) bool {
	if strings.Contains(query, "&&") || strings.Contains(query, "&#") {
		return true
	}
	for n := 0; query != ""; n++ {
		if n == maxFields {
			return true
		}
		var field string
		field, query = cutField(query)
		name, value := cutPair(field)
		if in.textHit(value, true, ctxValue) || (name != "" || n == 0) && encodedText(payload(value)) ||
			name != "" && in.textHit(name, true, ctxName) || runName(name) ||
			n == 0 && padding(value) && encodedText(field) || !plainName(name) && in.textHit(field, true, ctxValue) || escapedName(name) && in.textHit(field, true, ctxValue) {
			return true
		}
	}
	return false
}

func (in *Inspector) textHit(s string, plus bool, ctx context) bool {
	text := in.canon.decode(s, plus, in.cfg.MaxRounds)
	return in.canon.suspect(text, in.canon.place(ctx))
}

func (in *Inspector) suspiciousAgent(s string) bool {
	if s == "" {
		return false
	}
	i, known := in.agents.slot(s)
	if known {
		return false
	}
	if encodedText(s) || in.textHit(limit(s, in.cfg.MaxBytes), false, ctxAgent) || scannerIn(in.canon.text) != nil {
		return true
	}
	in.agents.put(i, s)
	return false
}

func (in *Inspector) suspiciousReferer(s string) bool {
	if s == "" || s == "-" {
		return false
	}
	i, known := in.referers.slot(s)
	if known {
		return false
	}
	s = limit(s, in.cfg.MaxBytes)
	rest, isURL := cutScheme(s)
	if isURL {
		if (rawBytes.hit(rest) || encodedQuery(rest) || pathGate(rest, true) || crowded(rest)) && in.targetText(rest) {
			return true
		}
	} else if encodedText(s) || in.textHit(s, false, ctxValue) {
		return true
	}
	in.referers.put(i, s)
	return false
}

// suspiciousBody does not split the body: each field of it is part of it.
func (in *Inspector) suspiciousBody(s string) bool {
	s = limit(s, in.cfg.MaxBytes)
	return rawBytes.hit(s) || encodedFields(s) || in.textHit(s, true, ctxValue)
}

// encodedQuery says whether a parameter of the target begins like text in base64 or in
// hexadecimal digits. Whatever follows a '=' may be a value.
func encodedQuery(s string) bool {
	if len(s) <= base64Short {
		return false
	}
	q := strings.IndexByte(s, '?')
	return q >= 0 && len(s)-q > base64Short && encodedFields(s[q+1:])
}

func encodedFields(query string) bool {
	if encodedText(query) {
		return true
	}
	for {
		i := strings.IndexByte(query, '=')
		if i < 0 || len(query)-i <= base64Short {
			return false
		}
		query = query[i+1:]
		if encodedText(query) {
			return true
		}
	}
}

func limit(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
