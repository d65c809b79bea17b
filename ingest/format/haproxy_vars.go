package format

import (
	"fmt"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// proxyName are the bytes of a proxy's or server's name (configuration manual, 2.2),
// with the ~ of TLS and the <> of <NOSRV>.
var proxyName = func() (t [256]bool) {
	for c := range t {
		t[c] = field.WordBytes[c] || c == '.' || c == ':' || c == '~' || c == '<' || c == '>'
	}
	return t
}()

var signedBytes = func() (t [256]bool) {
	for _, c := range "+-0123456789" {
		t[c] = true
	}
	return t
}()

func number(f field.Field, unit int64) text.Variable {
	return text.Variable{Field: f, Kind: text.Signed, Unit: unit}
}

// haproxyStatus reads -1 and 0 as no answer.
func haproxyStatus(_ *field.Clock, b []byte, i int) (int64, int) {
	n, end := field.Signed(b, i)
	if n != 0 && n < 100 || n > 999 {
		return 0, -1
	}
	return n, end
}

// haproxyVars are the aliases of the configuration manual's section 8.2.6; those that
// are quoted by +Q are in haproxyTexts.
var haproxyVars = map[string]text.Variable{
	"cp": number(field.Skip, 1), "ST": {Field: field.StatusCode, Kind: text.Custom, Set: &signedBytes, Read: haproxyStatus},
	"B": number(field.BytesAll, 1), "U": number(field.BytesIn, 1),
	"Ta": number(field.Duration, 1e6), "Tt": number(field.Duration, 1e6), "Tr": number(field.UpstreamTime, 1e6),
	"T":  {Field: field.TimeLocal, Kind: text.Local},
	"Tl": {Field: field.TimeLocal, Kind: text.Local}, "trg": {Field: field.TimeLocal, Kind: text.Local},
	"trl": {Field: field.TimeLocal, Kind: text.Local},
	"ts":  {Kind: text.Word}, "tsc": {Kind: text.Word},
}

// haproxyNumbers are aliases of numbers that nobody asks for.
var haproxyNumbers = map[string]bool{
	"TR": true, "Tw": true, "Tc": true, "Tq": true, "Td": true, "Th": true, "Ti": true, "Tu": true, "ac": true, "fc": true, "bc": true,
	"sc": true, "rc": true, "sq": true, "bq": true, "lc": true, "pid": true, "rt": true, "bp": true, "fp": true, "sp": true, "ms": true,
}

var haproxyTexts = map[string]text.Variable{
	"ci": {Field: field.Peer, Kind: text.Addr},
	"bi": {Kind: text.Token}, "fi": {Kind: text.Token}, "si": {Kind: text.Token},
	"ft": {Kind: text.Token, Set: &proxyName}, "f": {Kind: text.Token, Set: &proxyName}, "b": {Kind: text.Token, Set: &proxyName},
	"s": {Kind: text.Token, Set: &proxyName}, "H": {Kind: text.Token},
	"ID":   {Field: field.RequestID, Kind: text.Token},
	"sslv": {Field: field.TLS, Kind: text.Token, Set: &hostBytes}, "sslc": {Field: field.Cipher, Kind: text.Token, Set: &hostBytes},
	"r": {Field: field.FramedRequest}, "HM": {Field: field.Method, Kind: text.Token, Set: &visible},
	"HU": {Field: field.URL}, "HP": {Field: field.URI}, "HPO": {Field: field.URI}, "HQ": {Field: field.Args},
	"HV": {Field: field.Protocol, Kind: text.Token, Set: &visible},
}

// named says what an alias is, with its quotes.
func (l *haproxyLexer) named(alias string, flags haproxyFlags) ([]text.Piece, error) {
	name := "%" + alias
	if flags.hex {
		if alias == "ci" {
			return nil, fmt.Errorf("%s in hexadecimal cannot be read: leave X away", name)
		}
		return one(name, text.Variable{Kind: text.Token}), nil
	}
	switch alias {
	case "hr", "hs", "hrl", "hsl":
		return l.captured(alias, flags)
	case "CC", "CS":
		return cookie(name, flags), nil
	case "t", "tr":
		v, err := layoutVariable("%d/%b/%Y:%H:%M:%S")
		ms := fraction(3)
		return []text.Piece{{Text: name, Variable: &v}, plain("."), {Text: name, Variable: &ms}}, err
	case "Ts":
		v := since(1e9)
		v.Field = field.Date
		return one(name, v), nil
	}
	if haproxyNumbers[alias] {
		return one(name, number(field.Skip, 1)), nil
	}
	if v, ok := haproxyVars[alias]; ok {
		return one(name, v), nil
	}
	v, ok := haproxyTexts[alias]
	if !ok {
		return nil, fmt.Errorf("%%%s is not known to HAProxy", field.Capped(alias))
	}
	if flags.escape {
		v.Escape = flagE
	}
	return quoted(one(name, v), flags), nil
}

func quoted(p []text.Piece, flags haproxyFlags) []text.Piece {
	if !flags.quote {
		return p
	}
	return append(append([]text.Piece{plain(`"`)}, p...), plain(`"`))
}

// cookie is a captured cookie. It is written as it is, whatever the client sent, but
// hardly any configuration captures one.
func cookie(name string, flags haproxyFlags) []text.Piece {
	v := text.Variable{Raw: true, Usually: "-"}
	if flags.quote {
		v.Usually = `""`
	} else if name == "%CC" {
		v.Field = field.Session
	}
	return one(name, v)
}

// captured are the captured headers: of requests %hr and %hrl, of responses %hs and %hsl.
func (l *haproxyLexer) captured(alias string, flags haproxyFlags) ([]text.Piece, error) {
	v := text.Variable{Kind: text.Braced, Escape: capturedHeader}
	if alias[1] == 'r' {
		v.Parts = l.options.captures
	}
	switch list := len(alias) == 3; {
	case list && flags.quote:
		v.Kind = text.Quoted
	case list:
		v.Kind, v.Parts = text.Text, nil
	case flags.quote:
		return nil, fmt.Errorf("%%%s in quotes is left out with them where nothing was captured: write %%{-Q}%s", alias, alias)
	}
	return one("%"+alias, v), nil
}
