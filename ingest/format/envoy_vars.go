package format

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// envoyPieces cuts an Envoy format string into literals and command operators:
// %NAME%, %NAME(ARGUMENTS)% and %NAME(ARGUMENTS):LENGTH%; %% is a percent sign.
func envoyPieces(s string) ([]text.Piece, error) {
	var out []text.Piece
	var lit strings.Builder
	from := 0
	flush := func() {
		if lit.Len() > 0 {
			out = append(out, text.Piece{Text: lit.String(), Pos: from})
			lit.Reset()
		}
	}
	for i := 0; i < len(s); {
		switch {
		case s[i] != '%':
			if lit.Len() == 0 {
				from = i
			}
			lit.WriteByte(s[i])
			i++
			continue
		case strings.HasPrefix(s[i:], "%%"):
			lit.WriteByte('%')
			i += 2
			continue
		}
		flush()
		end, v, err := envoyOperator(s, i)
		if err != nil {
			return nil, err
		}
		out = append(out, text.Piece{Text: s[i:end], Pos: i, Variable: &v})
		i = end
	}
	flush()
	return out, nil
}

// envoyOperator reads the operator at s[i] and returns the index behind it.
func envoyOperator(s string, i int) (int, text.Variable, error) {
	j := i + 1
	for j < len(s) && (isBigName(s[j])) {
		j++
	}
	name, arg := s[i+1:j], ""
	if name == "" {
		return 0, text.Variable{}, fmt.Errorf("at byte %d: a %% without the name of a command operator; a percent sign is %%%%", i)
	}
	if j < len(s) && s[j] == '(' {
		end := strings.IndexByte(s[j:], ')')
		if end < 0 {
			return 0, text.Variable{}, fmt.Errorf("at byte %d: the bracket of %%%s( is not closed", i, field.Capped(name))
		}
		arg = s[j+1 : j+end]
		j += end + 1
	}
	cut := false
	if j < len(s) && s[j] == ':' {
		for j++; j < len(s) && s[j]-'0' <= 9; j++ {
			cut = true
		}
	}
	if j >= len(s) || s[j] != '%' {
		return 0, text.Variable{}, fmt.Errorf("at byte %d: %%%s has no closing %%", i, field.Capped(name))
	}
	v, err := envoyVariable(name, arg, cut)
	if err != nil {
		return 0, text.Variable{}, fmt.Errorf("at byte %d: %w", i, err)
	}
	return j + 1, v, nil
}

func isBigName(c byte) bool { return c == '_' || c >= 'A' && c <= 'Z' || c-'0' <= 9 }

// envoyVariable says what an operator writes. What is not known is taken for
// something that a client can choose.
func envoyVariable(name, arg string, cut bool) (text.Variable, error) {
	switch name {
	case "REQ", "REQ_WITHOUT_QUERY":
		return text.Variable{Field: envoyHeader(arg)}, nil
	case "RESP":
		if strings.EqualFold(arg, "X-ENVOY-UPSTREAM-SERVICE-TIME") {
			return text.Variable{Field: field.UpstreamTime, Kind: text.Int, Unit: 1e6}, nil
		}
		return text.Variable{}, nil
	case "START_TIME":
		return envoyTime(arg)
	}
	v, known := envoyOperators[name]
	if cut && v.Kind != text.Text {
		return text.Variable{}, nil // cut to a length it is no longer what its grammar says
	}
	if !known {
		return text.Variable{}, nil
	}
	return v, nil
}

// envoyTime knows the default shape and seconds or milliseconds since 1970.
func envoyTime(format string) (text.Variable, error) {
	switch format {
	case "", "%Y-%m-%dT%H:%M:%S.%3fZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%6fZ", "%Y-%m-%dT%H:%M:%S.%9fZ":
		return text.Variable{Field: field.Time, Kind: text.Custom, Read: field.Instant, Set: &field.InstantBytes}, nil
	case "%s", "%s.%3f", "%s.%6f", "%s.%9f":
		return text.Variable{Field: field.Msec, Kind: text.Seconds}, nil
	case "%d/%b/%Y:%H:%M:%S %z":
		return text.Variable{Field: field.TimeLocal, Kind: text.Local}, nil
	}
	return text.Variable{}, fmt.Errorf("the time format %q is not read: use %%START_TIME%%, %%START_TIME(%%s.%%3f)%% or %%START_TIME(%%d/%%b/%%Y:%%H:%%M:%%S %%z)%%", field.Capped(format))
}

// envoyHeader says which field a request header feeds; the first of X?Y decides.
func envoyHeader(arg string) field.Field {
	first, second, _ := strings.Cut(strings.ToUpper(arg), "?")
	if f, ok := envoyHeaders[first]; ok {
		return f
	}
	return envoyHeaders[second]
}

var envoyHeaders = map[string]field.Field{
	":METHOD": field.Method, ":PATH": field.RequestURI, "X-ENVOY-ORIGINAL-PATH": field.RequestURI, ":AUTHORITY": field.Host, "HOST": field.Host,
	"REFERER": field.Referer, "USER-AGENT": field.Agent, "X-FORWARDED-FOR": field.Chain, "FORWARDED": field.Forwarded,
	"X-REAL-IP": field.RealIP, "CF-CONNECTING-IP": field.RealIP, "TRUE-CLIENT-IP": field.RealIP,
	"X-API-KEY": field.Key, "AUTHORIZATION": field.Token, "COOKIE": field.Session, "X-REQUEST-ID": field.RequestID,
}

// envoyAddr reads an address with its port; a pipe or an internal listener has none.
func envoyAddr(f field.Field) text.Variable {
	return text.Variable{Field: f, Kind: text.AddrPort}
}

var envoyOperators = map[string]text.Variable{
	"PROTOCOL":                                      {Field: field.Protocol, Kind: text.Token},
	"RESPONSE_CODE":                                 {Field: field.StatusCode, Kind: text.Custom, Read: envoyStatus, Set: &digits},
	"RESPONSE_FLAGS":                                {Kind: text.List},
	"BYTES_RECEIVED":                                {Field: field.BytesIn, Kind: text.Int},
	"BYTES_SENT":                                    {Field: field.BytesBody, Kind: text.Int},
	"DURATION":                                      {Field: field.Duration, Kind: text.Int, Unit: 1e6},
	"REQUEST_DURATION":                              {Kind: text.Int},
	"REQUEST_TX_DURATION":                           {Kind: text.Int},
	"RESPONSE_DURATION":                             {Kind: text.Int},
	"RESPONSE_TX_DURATION":                          {Kind: text.Int},
	"UPSTREAM_HOST":                                 {Kind: text.Token},
	"UPSTREAM_CLUSTER":                              {Kind: text.Token},
	"UPSTREAM_LOCAL_ADDRESS":                        {Kind: text.Token},
	"DOWNSTREAM_LOCAL_ADDRESS":                      {Kind: text.Token},
	"DOWNSTREAM_LOCAL_PORT":                         {Kind: text.Int},
	"DOWNSTREAM_REMOTE_PORT":                        {Kind: text.Int},
	"CONNECTION_ID":                                 {Kind: text.Int},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":              envoyAddr(field.Peer),
	"DOWNSTREAM_REMOTE_ADDRESS":                     envoyAddr(field.ClientIP),
	"DOWNSTREAM_TLS_VERSION":                        {Field: field.TLS, Kind: text.Token},
	"DOWNSTREAM_TLS_CIPHER":                         {Field: field.Cipher, Kind: text.Token},
	"DOWNSTREAM_PEER_SUBJECT":                       {Field: field.Subject},
	"TLS_JA3_FINGERPRINT":                           {Field: field.Print, Kind: text.Word},
	"TLS_JA4_FINGERPRINT":                           {Field: field.Print, Kind: text.Word},
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":        {Field: field.ClientIP, Kind: text.Addr},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": {Field: field.Peer, Kind: text.Addr},
}

// envoyStatus reads a status, of which 0 means that there was no answer.
func envoyStatus(_ *field.Clock, b []byte, i int) (int64, int) {
	if i < len(b) && b[i] == '0' {
		return 0, i + 1
	}
	n, end := field.Status(b, i)
	return int64(n), end
}
