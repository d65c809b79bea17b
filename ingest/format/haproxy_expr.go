package format

import (
	"strconv"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// A %[...] is a sample expression (configuration manual, section 7.3): a fetch and
// converters. What it gives is written as it is, and so is taken for a text of the
// client's unless it is known to be something else.

// haproxyFetches are fetches that give something known.
var haproxyFetches = map[string]text.Variable{
	"src": {Field: field.Peer, Kind: text.Addr}, "src_port": {Kind: text.Int}, "dst_port": {Kind: text.Int}, "dst": {Kind: text.Token},
	"capture.req.method": {Field: field.Method}, "method": {Field: field.Method},
	"capture.req.uri": {Field: field.URL}, "url": {Field: field.URL}, "path": {Field: field.URI}, "query": {Field: field.Args},
	"capture.req.ver": {Field: field.Protocol}, "req.ver": {Field: field.Protocol},
	"ssl_fc_protocol": {Field: field.TLS, Kind: text.Token, Set: &hostBytes},
	"ssl_fc_cipher":   {Field: field.Cipher, Kind: text.Token, Set: &hostBytes},
	"ssl_c_s_dn":      {Field: field.Subject},
	"unique-id":       {Field: field.RequestID, Kind: text.Token}, "uuid": {Kind: text.Word},
	"status":   {Field: field.StatusCode, Kind: text.Custom, Set: &signedBytes, Read: haproxyStatus},
	"bytes_in": number(field.BytesIn, 1), "bytes_out": number(field.BytesAll, 1),
	"fc_err": number(field.Skip, 1), "ssl_c_err": number(field.Skip, 1), "ssl_c_ca_err": number(field.Skip, 1),
	"ssl_fc_err": number(field.Skip, 1), "ssl_fc_is_resumed": number(field.Skip, 1), "ssl_fc": number(field.Skip, 1),
	"ssl_c_used": number(field.Skip, 1), "ssl_c_verify": number(field.Skip, 1), "fc_rtt": number(field.Skip, 1), "rand": number(field.Skip, 1),
	"pid": number(field.Skip, 1), "nbproc": number(field.Skip, 1), "be_name": {Kind: text.Token}, "fe_name": {Kind: text.Token},
}

// call is one link of an expression: name(arg).
type call struct{ name, arg string }

func parseCalls(expr string) []call {
	var out []call
	depth, start := 0, 0
	for i := 0; i <= len(expr); i++ {
		switch {
		case i < len(expr) && expr[i] == '(':
			depth++
		case i < len(expr) && expr[i] == ')':
			depth--
		case i == len(expr) || expr[i] == ',' && depth == 0:
			name, arg, _ := strings.Cut(strings.TrimSpace(expr[start:i]), "(")
			out = append(out, call{name, strings.TrimSuffix(arg, ")")})
			start = i + 1
		}
	}
	return out
}

// expression says what an expression is. before is the literal in front of it: where
// it is the key of a JSON object, it says what the operator calls the value.
func (l *haproxyLexer) expression(expr, before string, flags haproxyFlags) []text.Piece {
	name := "%[" + field.Capped(expr) + "]"
	calls := parseCalls(expr)
	v := l.fetch(calls[0], before)
	for _, c := range calls[1:] {
		switch {
		case c.name == "json":
			v.Escape = converterJSON
		case (c.name == "ltime" || c.name == "utime") && v.Field == field.Msec:
			v = shownTime(c)
		case c.name == "hex" && v.Kind == text.Signed:
			v = text.Variable{Kind: text.Word}
		default: // something else than what was fetched
			v = text.Variable{Raw: v.Escape == nil, Escape: v.Escape}
		}
	}
	if v.Kind == text.Text && v.Escape == nil {
		v.Raw = !flags.escape
		if flags.escape {
			v.Escape = flagEText
		}
	}
	p := one(name, v)
	if v.Field == field.Date || v.Kind != text.Text && v.Kind != text.Token && v.Kind != text.Word {
		return p // numbers and times are quoted, too, but then end by themselves
	}
	return quoted(p, flags)
}

// fetch says what a fetch gives.
func (l *haproxyLexer) fetch(c call, before string) text.Variable {
	switch c.name {
	case "date", "accept_date", "request_date":
		return dateFetch(c.arg)
	case "capture.req.hdr":
		if n, err := strconv.Atoi(strings.TrimSpace(c.arg)); err == nil && n >= 0 && n < len(l.options.captures) {
			return text.Variable{Field: l.options.captures[n]}
		}
		return text.Variable{Field: hinted(before)}
	case "req.hdr", "req.fhdr", "hdr", "req.cook_header":
		first, _, _ := strings.Cut(c.arg, ",")
		return text.Variable{Field: headerField(strings.TrimSpace(first))}
	case "var":
		scope := c.arg[strings.LastIndexByte(c.arg, '.')+1:]
		if f := hinted(before); f != field.Skip {
			return text.Variable{Field: f}
		}
		return text.Variable{Field: operatorName(scope)}
	}
	if v, ok := haproxyFetches[c.name]; ok {
		return v
	}
	return text.Variable{}
}

// hinted says what the key before a value makes of it.
func hinted(before string) field.Field {
	if key, ok := text.KeyBefore(before); ok {
		return operatorName(key)
	}
	return field.Skip
}

// operatorName says what a name means that an operator gave: user_agent, xff, uri.
func operatorName(name string) field.Field {
	if f := headerField(name); f != field.Skip {
		return f
	}
	if f := namedText(name); f != field.URI {
		return f
	}
	return field.URL // HAProxy's path with the query, in HTTP/2 with the host, too
}

// dateFetch reads date(offset,unit).
func dateFetch(arg string) text.Variable {
	_, unit, _ := strings.Cut(arg, ",")
	switch strings.TrimSpace(unit) {
	case "ms":
		return since(1e6)
	case "us":
		return since(1e3)
	}
	return since(1e9)
}

// shownTime reads what ltime and utime make of a date.
func shownTime(c call) text.Variable {
	layout, _, _ := strings.Cut(c.arg, ",")
	v, err := layoutVariable(strings.Trim(layout, `"'`))
	if err != nil {
		return text.Variable{Raw: true}
	}
	if c.name == "utime" && v.Zone == text.Wall {
		v.Zone = text.Offset // it is UTC
	}
	return v
}
