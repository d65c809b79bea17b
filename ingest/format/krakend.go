package format

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// KrakenD writes its access log with Gin's logger (github.com/gin-gonic/gin,
// logger.go, defaultLogFormatter, v1.7 to v1.11), as github.com/luraproject/lura,
// router/gin/engine.go, sets it up:
//
//	[GIN] 2026/11/23 - 13:04:50 | 200 |     123.4µs |     203.0.113.7 | GET      "/orders/4711?a=b"
//
// with colours where it writes to a terminal. The path is quoted as Go quotes strings,
// so nothing in it can end it; it is the decoded path with the query as sent. The time
// has no zone.
//
// Gin trusts X-Forwarded-For and X-Real-IP of everybody unless trusted_proxies says
// otherwise (gin.go, defaultTrustedCIDRs), and KrakenD leaves it so: the address is then
// what the client says it is.
func init() {
	Register("krakend", Spec{
		Doc: "KrakenD's access log, and that of any program with Gin's logger; krakend:trusted_proxies where the router has these set, " +
			"krakend:forwarded_by_client_ip=false where it has that; zone=UTC if KrakenD's clock is not this machine's local time",
		Example: "krakend:trusted_proxies,zone=UTC",
		Compile: compileKrakend,
		Score:   krakendScore,
	})
}

const krakendWarning = "KrakenD logs the address that X-Forwarded-For or X-Real-IP claims, whoever sends it: every line is rejected as no_client. " +
	`Set "router": {"trusted_proxies": [...]} to the load balancers before KrakenD and write krakend:trusted_proxies; ` +
	`or, if clients connect to it directly, "router": {"forwarded_by_client_ip": false} and krakend:forwarded_by_client_ip=false`

func compileKrakend(arg string) (Format, error) {
	zone, vouched := time.Local, false
	for _, word := range strings.Split(arg, ",") {
		word = strings.TrimSpace(word)
		name, isZone := strings.CutPrefix(word, "zone=")
		switch {
		case word == "":
		case word == "trusted_proxies" || word == "forwarded_by_client_ip=false":
			vouched = true
		case isZone:
			z, err := time.LoadLocation(name)
			if err != nil || name == "" {
				return Format{}, fmt.Errorf("zone=%s is not known here: write UTC, Local or a name like Europe/Berlin, which needs tzdata on this machine", field.Capped(name))
			}
			zone = z
		default:
			return Format{}, fmt.Errorf("%q is none of trusted_proxies, forwarded_by_client_ip=false and zone=", field.Capped(word))
		}
	}
	f := Format{
		New: func() ingest.Parser { return &krakendParser{wall: field.NewWall(zone), vouched: vouched} },
		Origins: []Origin{{Field: field.Time, Name: "TimeStamp"}, {Field: field.StatusCode, Name: "StatusCode"}, {Field: field.Duration, Name: "Latency"},
			{Field: field.Peer, Name: "ClientIP"}, {Field: field.Method, Name: "Method"}, {Field: field.RequestURI, Name: "Path"}},
	}
	if !vouched {
		f.Warnings = []string{krakendWarning}
	}
	return f, nil
}

// krakendScore tells Gin's lines, which without an argument have no client.
func krakendScore(line []byte) int {
	var ev ingest.Event
	p := krakendParser{vouched: true}
	if bytes.HasPrefix(line, ginMark) && p.Parse(line, &ev) == ingest.OK {
		return 100
	}
	return 0
}

// krakendParser reads Gin's lines.
type krakendParser struct {
	sink    field.Sink
	wall    field.Wall
	vouched bool
}

var ginMark = []byte("[GIN] ")

// Reset implements ingest.Parser.
func (p *krakendParser) Reset() { p.sink.Reset() }

// Parse implements ingest.Parser.
func (p *krakendParser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	nul, _, high := field.Look(line)
	if nul {
		return ingest.HasNUL
	}
	p.sink.Begin()
	if !bytes.HasPrefix(line, ginMark) {
		return notGin(line)
	}
	if reason := p.read(line, ev); reason != ingest.OK {
		return reason
	}
	if !p.vouched {
		return ingest.NoClient
	}
	p.sink.Finish(line, high, ev)
	return ingest.OK
}

// notGin tells KrakenD's other lines: those of its own logger ("[KRAKEND] ... ▶ DEBUG"
// or "... KRAKEND DEBUG:"), of Gin's debug mode, and the errors that Gin writes below
// a request.
func notGin(line []byte) ingest.Reason {
	switch {
	case field.IsBlankLine(line):
		return ingest.EmptyLine
	case bytes.HasPrefix(line, []byte("[KRAKEND]")), bytes.HasPrefix(line, []byte("[GIN-debug]")), bytes.HasPrefix(line, []byte("Error #")),
		bytes.Contains(line, []byte(" KRAKEND ")), bytes.Contains(line, []byte(" ▶ ")):
		return ingest.NotARequest
	}
	return ingest.BadShape
}

// read takes the values in order; all that is vital stands before the path.
func (p *krakendParser) read(line []byte, ev *ingest.Event) ingest.Reason {
	const day, gap, width = len("2026/11/23"), len(" - "), len("2026/11/23 - 13:04:50")
	i := len(ginMark)
	if len(line)-i < width+2 || string(line[i+day:i+day+gap]) != " - " {
		return ingest.BadShape
	}
	ns, ok := p.wall.Read(line[i:i+day], line[i+day+gap:i+width])
	if !ok {
		return ingest.BadTime
	}
	ev.Time = ns
	if i = ginBar(line, i+width); i < 0 {
		return ingest.BadShape
	}
	code, i := field.Status(line, i)
	if i < 0 {
		return ingest.BadStatus
	}
	if i = ginBar(line, i); i < 0 {
		return ingest.BadShape
	}
	took, i := field.GoDuration(line, i)
	if i < 0 {
		return ingest.BadNumber
	}
	ev.Status, ev.Duration = code, took
	if i = ginBar(line, i); i < 0 {
		return ingest.BadShape
	}
	return p.client(line, i, ev)
}

// client takes the address and what is behind it.
func (p *krakendParser) client(line []byte, i int, ev *ingest.Event) ingest.Reason {
	if i < len(line) && line[i] == '|' {
		return ingest.NoClient // Gin could not read the peer's own address
	}
	peer, i := field.Address(line, i, false)
	if i < 0 {
		return ingest.BadAddress
	}
	ev.Peer = peer
	if i = ginBar(line, i); i < 0 {
		return ingest.BadShape
	}
	end := field.Run(line, i, &field.TokenBytes)
	ev.Method = field.Str(line[i:end])
	i = ginPad(line, end)
	if end == i || i >= len(line) || line[i] != '"' {
		return ingest.BadShape
	}
	return p.path(line, i+1, ev)
}

// path takes the quoted path, which ends the line.
func (p *krakendParser) path(line []byte, i int, ev *ingest.Event) ingest.Reason {
	end := field.Closing(line, i)
	switch {
	case end < 0:
		ev.Flags |= ingest.FlagTruncated
		end = len(line)
	case end != len(line)-1:
		return ingest.BadShape
	}
	v, ok := p.sink.Mem.UndoGo(line[i:end])
	if !ok {
		p.sink.Bad = ev.Flags&ingest.FlagTruncated == 0 // else the cut went through an escape
		v = line[i:end]
	}
	p.sink.Bad = p.sink.Bad || !utf8.Valid(v)
	ev.Target = field.Str(v)
	return ingest.OK
}

// ginPad passes over blanks and colours.
func ginPad(b []byte, i int) int {
	for i < len(b) {
		switch {
		case b[i] == ' ':
			i++
		case b[i] == 0x1b && i+1 < len(b) && b[i+1] == '[':
			j := i + 2
			for j < len(b) && (b[j]-'0' <= 9 || b[j] == ';') {
				j++
			}
			if j >= len(b) || b[j] != 'm' {
				return i
			}
			i = j + 1
		default:
			return i
		}
	}
	return i
}

// ginBar passes over the bar between two values with what pads them, or returns -1.
func ginBar(b []byte, i int) int {
	if i = ginPad(b, i); i >= len(b) || b[i] != '|' {
		return -1
	}
	return ginPad(b, i+1)
}
