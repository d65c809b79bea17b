package format

import (
	"bytes"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// apacheNamed are the formats that Debian's apache2.conf defines; combined differs
// from the manual's in the size, which is there that of the body.
var apacheNamed = map[string][2]string{
	"apache-common": {`%h %l %u %t "%r" %>s %O`,
		`203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/4711 HTTP/1.1" 200 512`},
	"apache-combined": {`%h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`,
		`203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/4711 HTTP/1.1" 200 512 "-" "curl/8.5.0"`},
	"apache-vhost_combined": {`%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`,
		`api.example:443 203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/4711 HTTP/1.1" 200 512 "-" "curl/8.5.0"`},
}

func init() {
	Register("apache", Spec{
		Doc: "any Apache LogFormat string (mod_log_config), or the whole LogFormat line; %h may be a name where HostnameLookups is On, " +
			"and such lines have no client: log %a",
		Example: `apache:%a %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i" "%{X-Forwarded-For}i" %D`,
		Compile: compileApache,
	})
	for name, n := range apacheNamed {
		s := Spec{
			Doc:     "Apache's " + name[len("apache-"):] + ", as Debian configures it: " + n[0],
			Example: n[1],
			Compile: func(arg string) (Format, error) {
				if arg != "" {
					return Format{}, errNoApacheArgument
				}
				return compileApache(n[0])
			},
		}
		if name == "apache-combined" {
			s.Score = scoreCombined
		}
		Register(name, s)
	}
}

func compileApache(arg string) (Format, error) {
	src, err := readConf(arg, "LogFormat", "CustomLog", "GlobalLog")
	if err != nil {
		return Format{}, err
	}
	pieces, err := src.percentPieces(apachePieces)
	if err != nil {
		return Format{}, err
	}
	finalStatus(pieces)
	oneTime(pieces)
	return compileText(pieces, apacheDialect)
}

// finalStatus prefers %>s, which is what the client got, to %s.
func finalStatus(pieces []text.Piece) {
	final := false
	for _, p := range pieces {
		final = final || p.Text == "%>s"
	}
	for _, p := range pieces {
		if final && p.Variable != nil && p.Variable.Field == field.StatusCode && p.Text != "%>s" {
			p.Variable.Field = field.Skip
		}
	}
}

// apacheDialect: what ap_escape_logitem of server/util.c escapes, and how.
var apacheDialect = text.Dialect{
	Marker:     '\\',
	Undo:       func(s *field.Scratch, v []byte) ([]byte, bool) { return s.UndoLog(v), true },
	Escaped:    func(c byte) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' },
	Nil:        "-",
	Other:      isApacheError,
	Advice:     "put each in double quotes",
	PeerHint:   "%a (or %h)",
	TimeHint:   "%t",
	StatusHint: "%>s",
	TargetHint: "%r nor %U%q",
}

// isApacheError recognises lines of the error log: "[Mon Nov 23 13:03:36.000000 2026] [".
func isApacheError(line []byte) bool {
	const stamp = len("[Mon Nov 23 13:03:36")
	return len(line) > stamp+1 && line[0] == '[' && line[4] == ' ' && line[8] == ' ' && line[11] == ' ' &&
		line[14] == ':' && line[17] == ':' && bytes.Contains(line[stamp:], []byte("] ["))
}

// scoreCombined decides between nginx's combined and Apache's, whose lines have one
// shape: a line that shows no escape of Apache's alone counts a little less, so that
// nginx-combined is detected, which reads such lines as well.
func scoreCombined(line []byte) int {
	f, err := compileApache(apacheNamed["apache-combined"][0])
	var ev ingest.Event
	switch {
	case err != nil || f.New().Parse(line, &ev) != ingest.OK || ev.Flags&ingest.FlagTruncated != 0:
		return 0
	case apacheEscape(line):
		return 100
	}
	return 99
}

// apacheEscape tells escapes that nginx does not write: C's letters, and small
// hexadecimal ones.
func apacheEscape(line []byte) bool {
	for k := bytes.IndexByte(line, '\\'); k >= 0 && k+3 < len(line); k++ {
		if line[k] == '\\' && (line[k+1] != 'x' || line[k+2] >= 'a' || line[k+3] >= 'a') {
			return true
		}
		n := bytes.IndexByte(line[k+1:], '\\')
		if n < 0 {
			return false
		}
		k += n
	}
	return false
}
