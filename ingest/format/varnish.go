package format

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// varnishDefault is varnishncsa's own format (varnishncsa(1), -F).
const varnishDefault = `%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-agent}i"`

func init() {
	Register("varnish", Spec{
		Doc:     "any format string of varnishncsa -F; with -j before it, for JSON, as on the command line",
		Example: `varnish:-j {"t":"%{%Y-%m-%dT%H:%M:%S%z}t","ip":"%h","m":"%m","url":"%U%q","s":%s,"b":%O,"us":%D,"ua":"%{User-Agent}i"}`,
		Compile: compileVarnish,
	})
	Register("varnish-ncsa", Spec{
		Doc: "varnishncsa's default format; its absolute URL of Host and target is taken apart again, and lines of requests " +
			"that Varnish could not read hold no client",
		Example: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET http://api.example/orders/4711 HTTP/1.1" 200 512 "-" "curl/8.5.0"`,
		Compile: func(arg string) (Format, error) {
			if arg != "" {
				return Format{}, fmt.Errorf("takes no argument; for a string of your own write varnish:STRING")
			}
			return compileVarnish(varnishDefault)
		},
		Score: scoreVarnish,
	})
}

// scoreVarnish tells varnishncsa's lines from Apache's by the URL that it builds.
func scoreVarnish(line []byte) int {
	if f, err := compileVarnish(varnishDefault); err == nil && strings.Contains(field.Str(line), ` http://`) {
		var ev ingest.Event
		if f.New().Parse(line, &ev) == ingest.OK && ev.Flags&ingest.FlagTruncated == 0 && ev.Host != "" {
			return 100
		}
	}
	return 0
}

func compileVarnish(arg string) (Format, error) {
	d := varnishDialect
	rest := strings.TrimSpace(arg)
	for {
		if r, ok := strings.CutPrefix(rest, "-j "); ok {
			d.Undo, d.Escaped = undoJSON, varnishJSONEscaped
			rest = strings.TrimSpace(r)
		} else if r, ok := strings.CutPrefix(rest, "-F "); ok {
			rest = strings.TrimSpace(r)
		} else {
			break
		}
	}
	src, err := readConf(rest)
	if err != nil {
		return Format{}, err
	}
	pieces, err := src.percentPieces(varnishPieces)
	if err != nil {
		return Format{}, err
	}
	oneTime(pieces)
	return compileText(pieces, d)
}

// varnishDialect: VSB_quote of lib/libvarnish writes \" \\ \n \r \t and \xhh.
var varnishDialect = text.Dialect{
	Marker:     '\\',
	Undo:       apacheDialect.Undo,
	Escaped:    apacheDialect.Escaped,
	Nil:        "-",
	Advice:     "put each in double quotes",
	PeerHint:   "%h",
	TimeHint:   "%t",
	StatusHint: "%s",
	TargetHint: "%r nor %U%q",
}

// varnishJSONEscaped is what -j escapes.
func varnishJSONEscaped(c byte) bool { return c < ' ' || c == '"' || c == '\\' }

// varnishVars are varnishncsa's directives that differ from Apache's.
var varnishVars = map[string]text.Variable{
	"h": {Field: field.Peer, Kind: text.Addr, Named: true},
	"r": {Field: field.BuiltRequest},
	"O": {Field: field.BytesAll, Kind: text.Int},
	"u": {Field: field.User},
}

func varnishPieces(d directive) ([]text.Piece, error) {
	name := d.String()
	if v, ok := varnishVars[d.letters]; ok && d.arg == "" {
		return one(name, v), nil
	}
	switch {
	case d.letters == "x":
		return one(name, varnishExtended(d.arg)), nil
	case d.letters == "t" && d.arg != "" && strings.HasPrefix(d.arg, "end:"):
		return nil, fmt.Errorf("%s is not known to varnishncsa", name)
	case strings.Contains("abBDHhIilmOoqrstTuUx", d.letters) && d.letters != "B":
		return apachePieces(d)
	}
	return nil, fmt.Errorf("%s is not known to varnishncsa", name)
}

// varnishExtended says what a %{...}x is (varnishncsa(1)). What VCL logs can be
// anything, and is named by the operator: std.log("user_id:" + ...).
func varnishExtended(arg string) text.Variable {
	kind, key, _ := strings.Cut(arg, ":")
	switch {
	case arg == "Varnish:time_firstbyte":
		return text.Variable{Field: field.UpstreamTime, Kind: text.Seconds}
	case arg == "Varnish:hitmiss", arg == "Varnish:handling", arg == "Varnish:side":
		return text.Variable{Kind: text.Word}
	case arg == "Varnish:vxid":
		return text.Variable{Field: field.RequestID, Kind: text.Word}
	case kind == "VCL_Log":
		if f := headerField(key); f != field.Skip {
			return text.Variable{Field: f}
		}
		return text.Variable{Field: namedText(key)}
	}
	return text.Variable{}
}

// namedText says what an operator means who gives a text of their own this name.
func namedText(name string) field.Field {
	f := wellKnownKey(strings.ToLower(strings.ReplaceAll(name, "-", "_")))
	switch f {
	case field.Chain, field.User, field.Method, field.RequestURI, field.URI, field.Args, field.Protocol, field.Referer, field.Agent,
		field.Host, field.HTTPHost, field.Key, field.RequestID:
		return f
	}
	return field.Skip
}
