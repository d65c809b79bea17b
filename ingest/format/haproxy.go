package format

import (
	"fmt"
	"strings"
	"time"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// HAProxy's own formats, as src/log.c has them since 2.5.
const (
	haproxyHTTP  = `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r`
	haproxyHTTPS = haproxyHTTP + ` %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc`
	haproxyCLF   = `%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl`
)

const haproxyHint = "captures=HEADER,... names the captured request headers in their order; zone=UTC or another is that of times without one, " +
	"otherwise that of this machine; lines are cut at 1024 bytes unless the log line says \"len 8192\""

var haproxyNamed = map[string][3]string{
	"haproxy-http": {haproxyHTTP, "HAProxy's \"option httplog\"",
		`203.0.113.7:51234 [23/Nov/2026:13:03:36.694] www be/s1 0/0/1/6/7 200 512 - - ---- 1/1/0/0/0 0/0 "GET /orders/4711 HTTP/1.1"`},
	"haproxy-https": {haproxyHTTPS, "HAProxy's \"option httpslog\"",
		`203.0.113.7:51234 [23/Nov/2026:13:03:36.694] www~ be/s1 0/0/1/6/7 200 512 - - ---- 1/1/0/0/0 0/0 "GET /orders/4711 HTTP/1.1" ` +
			`0/0/0/0/0 api.example/TLSv1.3/TLS_AES_256_GCM_SHA384`},
	"haproxy-clf": {haproxyCLF, "HAProxy's \"option httplog clf\"",
		`203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/4711 HTTP/1.1" 200 512 "" "" 51234 694 "www" "be" "s1" 0 0 1 6 7 ---- 1 1 0 0 0 0 0 "" "" `},
}

func init() {
	Register("haproxy", Spec{
		Doc:     "any HAProxy log-format string (configuration manual, 8.2.6), also one that is a JSON object; " + haproxyHint,
		Example: `haproxy:captures=host,user-agent zone=UTC %ci:%cp [%tr] %ft %b/%s %Ta %ST %B %hr %{+Q}r`,
		Compile: func(arg string) (Format, error) {
			o, at, err := readHAProxyOptions(arg)
			if err != nil {
				return Format{}, err
			}
			return compileHAProxy(o, arg, at)
		},
	})
	for name, n := range haproxyNamed {
		Register(name, Spec{
			Doc:     n[1] + "; " + haproxyHint,
			Example: n[2],
			Compile: func(arg string) (Format, error) {
				o, at, err := readHAProxyOptions(arg)
				if err != nil {
					return Format{}, err
				}
				if at < len(arg) {
					return Format{}, fmt.Errorf("at byte %d: %q is neither captures=HEADER,... nor zone=ZONE; for a string of your own write haproxy:STRING",
						at, field.Capped(arg[at:]))
				}
				return compileHAProxy(o, n[0], 0)
			},
		})
	}
}

// haproxyOptions stand before a log-format string.
type haproxyOptions struct {
	captures []field.Field
	zone     *time.Location
}

// readHAProxyOptions returns the options and where they end.
func readHAProxyOptions(arg string) (o haproxyOptions, i int, err error) {
	for i = blanks(arg, 0); i < len(arg); i = blanks(arg, i) {
		end := notBlanks(arg, i)
		key, value, _ := strings.Cut(arg[i:end], "=")
		switch key {
		case "captures":
			for _, name := range strings.Split(value, ",") {
				o.captures = append(o.captures, headerField(name))
			}
		case "zone":
			if o.zone, err = time.LoadLocation(value); err != nil || value == "" {
				return o, i, fmt.Errorf("at byte %d: no time zone %q is known here: write a name like UTC or Europe/Berlin", i, field.Capped(value))
			}
		default:
			return o, i, nil
		}
		i = end
	}
	return o, i, nil
}

func compileHAProxy(o haproxyOptions, arg string, at int) (Format, error) {
	src, err := readHAProxy(arg, at)
	if err != nil {
		return Format{}, err
	}
	l := haproxyLexer{src: src, options: o}
	if err := l.run(); err != nil {
		return Format{}, err
	}
	oneDuration(l.out)
	oneTime(l.out)
	d := haproxyDialect
	d.Zone = o.zone
	return compileText(l.out, d)
}

// oneDuration prefers %Ta, which leaves out the time that a connection waited for a
// request, to %Tt.
func oneDuration(pieces []text.Piece) {
	active := false
	for _, p := range pieces {
		active = active || p.Text == "%Ta"
	}
	for _, p := range pieces {
		if active && p.Variable != nil && p.Variable.Field == field.Duration && p.Text != "%Ta" {
			p.Variable.Field = field.Skip
		}
	}
}

// haproxyDialect: src/log.c encodes what a client sent as #HH, and folds blanks.
var haproxyDialect = text.Dialect{
	Marker:     '#',
	Undo:       undoHash,
	Escaped:    func(c byte) bool { return c < ' ' || c > '~' || c == '"' || c == '#' },
	Nil:        "-",
	Bad:        "<BADREQ>",
	Other:      isHAProxyOther,
	Cuts:       true,
	Advice:     "put each in double quotes, and expressions through json(utf8s)",
	PeerHint:   "%ci",
	TimeHint:   "%tr",
	StatusHint: "%ST",
	TargetHint: "%r nor %HU",
}

func undoHash(s *field.Scratch, v []byte) ([]byte, bool) { return s.UndoHash(v), true }

// The other ways in which HAProxy writes what a client sent.
var (
	// capturedHeader is that of %hr and %hs.
	capturedHeader = &text.Escape{Marker: '#', Undo: undoHash,
		Escaped: func(c byte) bool { return haproxyDialect.Escaped(c) || c == '{' || c == '|' || c == '}' }}
	// flagE is that of %{+E}: on top of it a backslash before what RFC 5424 escapes.
	flagE = &text.Escape{Marker: '#', Escaped: func(c byte) bool { return c < ' ' || c > '~' || c == '"' || c == '#' },
		Undo: func(s *field.Scratch, v []byte) ([]byte, bool) { return s.UndoHash(s.UndoBackslash(v)), true }}
	// flagEText is that of %{+E} for texts that are not encoded otherwise.
	flagEText = &text.Escape{Marker: '\\', Escaped: func(c byte) bool { return c == '"' || c == '\\' || c == ']' },
		Undo: func(s *field.Scratch, v []byte) ([]byte, bool) { return s.UndoBackslash(v), true }}
	// converterJSON is that of the converter json.
	converterJSON = &text.Escape{Marker: '\\', Undo: undoJSON, Escaped: func(c byte) bool { return c < ' ' || c == '"' || c == '\\' }}
)

// isHAProxyOther recognises what HAProxy logs besides requests: failed handshakes,
// "203.0.113.7:51234 [23/Nov/2026:13:03:36.694] www/1: SSL handshake failure", whole
// connections (option tcplog), and messages of its own.
func isHAProxyOther(line []byte) bool {
	s := field.Str(line)
	for _, own := range []string{"Proxy ", "Server ", "Backup Server ", "Health check for ", "backend ", "Connect from ", "[NOTICE]", "[WARNING]", "[ALERT]",
		"Stopping ", "Pausing ", "Enabling ", "Resuming "} {
		if strings.HasPrefix(s, own) {
			return true
		}
	}
	_, end := field.Address(line, 0, true)
	if end < 0 || end >= len(line) {
		return false
	}
	_, end = field.Integer(line, end+1)
	if end < 0 || !strings.HasPrefix(s[end:], " [") {
		return false
	}
	_, rest, ok := strings.Cut(s[end:], "] ")
	if !ok {
		return false
	}
	words := strings.SplitN(rest, " ", 9)
	if strings.HasSuffix(words[0], ":") && strings.Contains(words[0], "/") {
		return true
	}
	return len(words) == 7 && strings.Count(words[2], "/") == 2 && len(words[4]) == 2 && strings.Count(words[5], "/") == 4
}
