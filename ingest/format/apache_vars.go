package format

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

var errNoApacheArgument = errors.New("takes no argument; for a string of your own write apache:STRING")

// hostBytes are those of a virtual host's name, visible those of a word in which the
// gateway escapes what is not ASCII.
var hostBytes, visible = func() (host, word [256]bool) {
	for c := '!'; c <= '~'; c++ {
		host[c] = field.WordBytes[c] || c == '.' || c == '*'
		word[c] = c != '"'
	}
	return host, word
}()

// apacheVars are the directives without an argument, as the documentation of
// mod_log_config and mod_logio has them. A %l is what the client's own machine
// answers to mod_ident, which is hardly ever loaded.
var apacheVars = map[string]text.Variable{
	"h": {Field: field.ClientIP, Kind: text.Addr, Named: true},
	"a": {Field: field.RealPeer, Kind: text.Addr},
	"A": {Kind: text.Token},
	"l": {Usually: "-"},
	"u": {Field: field.User, Empty: `""`},
	"r": {Field: field.Request},
	"s": {Field: field.StatusCode, Kind: text.Status},
	"b": {Field: field.BytesBody, Kind: text.Int},
	"B": {Field: field.BytesBody, Kind: text.Int},
	"O": {Field: field.BytesAll, Kind: text.Int},
	"I": {Field: field.BytesIn, Kind: text.Int},
	"S": {Kind: text.Int},
	"D": {Field: field.Duration, Kind: text.Int, Unit: 1e3},
	"T": {Field: field.Duration, Kind: text.Int, Unit: 1e9},
	"U": {Field: field.URI},
	"q": {Field: field.Args},
	"H": {Field: field.Protocol, Kind: text.Token, Set: &visible},
	"m": {Field: field.Method, Kind: text.Token, Set: &visible},
	"f": {},
	"v": {Field: field.ServerName, Kind: text.Token, Set: &hostBytes},
	"V": {Field: field.Host},
	"p": {Kind: text.Int},
	"k": {Kind: text.Int},
	"X": {Kind: text.Token},
	"R": {},
	"L": {Field: field.RequestID, Kind: text.Token},
	"P": {Kind: text.Int},

	"^FB": {Kind: text.Int},
	"^FU": {Kind: text.Int},
}

// durationUnits are the units of %{...}T.
var durationUnits = map[string]int64{"": 1e9, "s": 1e9, "ms": 1e6, "us": 1e3}

// apachePieces says what a directive is.
func apachePieces(d directive) ([]text.Piece, error) {
	name := d.String()
	if d.letters == "t" {
		return apacheTime(d, name)
	}
	v, ok := apacheVars[d.letters]
	if d.arg != "" || !ok {
		if v, ok = apacheArgument(d); !ok {
			return nil, fmt.Errorf("%s is not known to mod_log_config", name)
		}
	}
	if d.letters == "s" && d.final {
		name = "%>s"
	}
	if d.picky {
		switch v.Kind {
		case text.Addr, text.Status:
			return nil, fmt.Errorf("%s only for some statuses would leave other lines without it; log it for all", name)
		}
	}
	return one(name, v), nil
}

func apacheTime(d directive, name string) ([]text.Piece, error) {
	switch {
	case d.picky:
		return nil, fmt.Errorf("%s only for some statuses would leave other lines without a time; log it for all", name)
	case d.arg == "":
		p := one(name, text.Variable{Field: field.TimeLocal, Kind: text.Local})
		return []text.Piece{plain("["), p[0], plain("]")}, nil
	}
	return strftimePieces(name, d.arg)
}

// apacheArgument says what a directive with an argument is.
func apacheArgument(d directive) (text.Variable, bool) {
	arg := strings.ToLower(d.arg)
	switch d.letters {
	case "a", "h":
		if arg == "c" { // the peer, whatever mod_remoteip made of it
			return text.Variable{Field: field.Peer, Kind: text.Addr, Named: d.letters == "h"}, true
		}
	case "i", "^ti":
		return text.Variable{Field: headerField(arg)}, true
	case "o", "^to":
		if arg == "x-request-id" {
			return text.Variable{Field: field.RequestID}, true
		}
		return text.Variable{}, true
	case "n":
		return text.Variable{}, true
	case "C":
		if strings.Contains(arg, "sess") || strings.HasSuffix(arg, "sid") {
			return text.Variable{Field: field.Session}, true
		}
		return text.Variable{}, true
	case "e":
		return text.Variable{Field: environment(d.arg)}, true
	case "x":
		return apacheTLS(d.arg), true
	case "p":
		return text.Variable{Kind: text.Int}, true
	case "P":
		return text.Variable{Kind: text.Word}, true
	case "L":
		return text.Variable{Kind: text.Token}, true
	case "T":
		unit, ok := durationUnits[arg]
		return text.Variable{Field: field.Duration, Kind: text.Int, Unit: unit}, ok
	}
	return text.Variable{}, false
}

// environment says what a variable of mod_unique_id, mod_ssl or mod_remoteip is.
func environment(name string) field.Field {
	switch name {
	case "UNIQUE_ID":
		return field.RequestID
	case "SSL_CLIENT_S_DN":
		return field.Subject
	case "SSL_PROTOCOL":
		return field.TLS
	case "SSL_CIPHER":
		return field.Cipher
	}
	return field.Skip
}

// apacheTLS says what a variable of mod_ssl is; what a certificate holds is not
// escaped.
func apacheTLS(name string) text.Variable {
	f := environment(name)
	if f == field.TLS || f == field.Cipher {
		return text.Variable{Field: f, Kind: text.Token}
	}
	return text.Variable{Field: f, Raw: true}
}
