package format

import (
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// Combined is nginx's predefined log_format "combined".
const Combined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`

func init() {
	Register("nginx", Spec{
		Doc:     "any nginx log_format string, with escape=default, json or none",
		Example: `nginx:$remote_addr [$time_local] "$request" $status "$http_user_agent"`,
		Compile: compileNginx,
	})
	Register("nginx-combined", Spec{
		Tie:     1,
		Doc:     "nginx's predefined format \"combined\", the default of access_log; Apache's combined has the same shape",
		Example: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/4711 HTTP/1.1" 200 512 "-" "curl/8.5.0"`,
		Compile: func(arg string) (Format, error) {
			if arg != "" {
				return Format{}, errNoArgument
			}
			return compileNginx(Combined)
		},
		Score: scoreNginxCombined,
	})
}

// scoreNginxCombined leaves lines with escapes of Apache's to apache-combined.
func scoreNginxCombined(line []byte) int {
	switch score := scoreCombined(line); {
	case score == 0:
		return 0
	case apacheEscape(line):
		return 90
	}
	return 100
}

func compileNginx(arg string) (Format, error) {
	src, err := readSource(arg)
	if err != nil {
		return Format{}, err
	}
	pieces, err := src.pieces()
	if err != nil {
		return Format{}, err
	}
	return compileText(pieces, nginxDialects[src.mode])
}

// nginxDialects are the ways of escape= to write values, as the documentation of
// ngx_http_log_module has them.
var nginxDialects = func() (d [3]text.Dialect) {
	for mode := range d {
		d[mode].PeerHint, d[mode].TimeHint = "$remote_addr", "$time_iso8601 or $msec"
		d[mode].StatusHint, d[mode].TargetHint = "$status", "$request nor $request_uri"
		d[mode].Advice = "put each in double quotes and leave escape= at default or json"
	}
	d[escDefault].Marker, d[escDefault].Undo, d[escDefault].Nil = '\\', undoHex, "-"
	d[escDefault].Escaped = func(c byte) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }
	d[escJSON].Marker, d[escJSON].Undo, d[escJSON].Keyed = '\\', undoJSON, true
	d[escJSON].Escaped = func(c byte) bool { return c < ' ' || c == '"' }
	return d
}()

func undoHex(s *field.Scratch, v []byte) ([]byte, bool)  { return s.UndoHex(v), true }
func undoJSON(s *field.Scratch, v []byte) ([]byte, bool) { return s.UndoJSON(v) }
