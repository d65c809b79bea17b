package format

import (
	"bytes"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// consoleDoc says where these lines come from: Caddy's encoder "console" (zap's), which
// puts time, level, logger and message before the fields, with tabs between, and
// colours the level (https://caddyserver.com/docs/caddyfile/directives/log#console).
const consoleDoc = "Caddy's access log with format console: time, level, logger and message before a JSON object"

func init() {
	Register("caddy-console", Spec{
		Doc: consoleDoc,
		Example: "2026/11/23 13:03:36.500\t\x1b[34mINFO\x1b[0m\thttp.log.access.log0\thandled request\t" +
			`{"request": {"remote_ip": "203.0.113.7", "remote_port": "39468", "client_ip": "203.0.113.7", "proto": "HTTP/1.1", "method": "GET", "host": "shop.example", "uri": "/orders/4711", "headers": {"User-Agent": ["curl/8.5.0"]}}, "bytes_read": 0, "user_id": "", "duration": 0.002214847, "size": 12, "status": 200, "resp_headers": {}}`,
		Compile: compileConsole,
	})
}

// compileConsole opens the format with Caddy's options.
func compileConsole(arg string) (Format, error) {
	t := caddyTable
	t.plan.Timed = false
	f, err := t.open(arg)
	if err != nil {
		return Format{}, err
	}
	clock := caddyTable.plan.Zone
	for option := range bytes.SplitSeq([]byte(arg), []byte(",")) {
		if name, ok := bytes.CutPrefix(bytes.TrimSpace(option), []byte("zone=")); ok {
			if clock, err = zone(string(name)); err != nil {
				return Format{}, err
			}
		}
	}
	inner := f.New
	f.New = func() ingest.Parser { return &consoleParser{inner: inner(), zone: clock} }
	return f, nil
}

// consoleParser reads what stands before the object, and has the object read.
type consoleParser struct {
	inner ingest.Parser
	clock field.Clock
	zone  *time.Location
	text  []byte // the last time, as written; a copy, since lines do not last
	ns    int64
}

// Reset implements ingest.Parser.
func (p *consoleParser) Reset() { p.inner.Reset() }

// Parse implements ingest.Parser. A line of Caddy's that is no access-log entry is
// not a request, and so is what follows its error messages: indented stack traces.
func (p *consoleParser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	if bytes.IndexByte(line, 0) >= 0 {
		return ingest.HasNUL
	}
	if field.IsBlankLine(line) {
		return ingest.EmptyLine
	}
	stamp, rest, ok := bytes.Cut(line, []byte("\t"))
	_, rest, ok2 := bytes.Cut(rest, []byte("\t"))
	logger, rest, ok3 := bytes.Cut(rest, []byte("\t"))
	if !ok || !ok2 {
		return ingest.BadShape
	}
	ns, known := p.time(stamp)
	if !known {
		return ingest.BadTime
	}
	k := bytes.Index(rest, []byte("\t{"))
	if !ok3 || k < 0 || !bytes.HasPrefix(logger, []byte("http.log.")) || bytes.HasPrefix(logger, []byte("http.log.error")) {
		return ingest.NotARequest
	}
	if reason := p.inner.Parse(rest[k+1:], ev); reason != ingest.OK {
		return reason
	}
	ev.Time = ns
	return ingest.OK
}

// time reads the time in front of a line; lines of one millisecond repeat it.
func (p *consoleParser) time(stamp []byte) (int64, bool) {
	if len(stamp) > 0 && bytes.Equal(stamp, p.text) {
		return p.ns, true
	}
	ns, ok := field.ReadWall(stamp, p.zone)
	if !ok {
		if ns, ok = field.Epoch(stamp); !ok {
			ns, ok = p.clock.ReadAny(stamp)
		}
	}
	if ok && len(stamp) <= 64 {
		p.text, p.ns = append(p.text[:0], stamp...), ns
	}
	return ns, ok
}
