package format

import (
	"bytes"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// Access logs of Elastic Load Balancing. The client's address is that of the
// connection; all that is vital stands before what a client can write.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/access-log-collection.html
func init() {
	Register("aws-alb", Spec{
		Doc:     "access log of an AWS Application Load Balancer",
		Example: `https 2026-11-23T13:03:36.218000Z app/shop/50dc6c495c0c9188 203.0.113.7:2817 10.0.0.1:80 0.000 0.012 0.000 200 200 340 512 "GET https://shop.example:443/orders/4711 HTTP/1.1" "curl/8.5.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop/73e2d6bc24d8a067 "Root=1-58337281-1d84f3d73c47ec4e58577259" "shop.example" "-" 1 2026-11-23T13:03:36.206000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90`,
		Compile: noArgument(elbFormat(true)),
	})
	Register("aws-elb", Spec{
		Doc:     "access log of an AWS Classic Load Balancer",
		Example: `2026-11-23T13:03:36.218000Z shop 203.0.113.7:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 512 "GET http://shop.example:80/orders/4711 HTTP/1.1" "curl/8.5.0" - -`,
		Compile: noArgument(elbFormat(false)),
	})
}

func elbFormat(alb bool) Format {
	o := func(f field.Field, name string) text.Origin { return text.Origin{Field: f, Name: name} }
	origins := []text.Origin{o(field.Time, "time"), o(field.Peer, "client:port"), o(field.UpstreamTime, "target_processing_time"),
		o(field.StatusCode, "elb_status_code"), o(field.BytesIn, "received_bytes"), o(field.BytesAll, "sent_bytes"), o(field.Request, "request"),
		o(field.Agent, "user_agent"), o(field.Cipher, "ssl_cipher"), o(field.TLS, "ssl_protocol")}
	if alb {
		origins = append(origins, o(field.RequestID, "trace_id"))
	}
	return Format{New: func() ingest.Parser { return &elbParser{alb: alb} }, Origins: originsIn(origins)}
}

// elbParser reads lines of an Application or a Classic Load Balancer.
type elbParser struct {
	sink    field.Sink
	alb     bool
	escapes bool
	group   []byte // a blank and the target group of a line before
}

// Reset implements ingest.Parser.
func (p *elbParser) Reset() { p.sink.Reset() }

// Parse implements ingest.Parser.
func (p *elbParser) Parse(line []byte, ev *ingest.Event) ingest.Reason {
	nul, escapes, high := field.Look(line)
	if nul {
		return ingest.HasNUL
	}
	p.escapes = escapes
	p.sink.Begin()
	i, reason := p.head(line, ev)
	if reason != ingest.OK {
		return notELB(line, reason)
	}
	if reason = p.tail(line[i:], ev); reason != ingest.OK {
		return reason
	}
	p.sink.Finish(line, high, ev)
	return ingest.OK
}

// notELB tells the other lines that Elastic Load Balancing writes: the file with which
// it tries the bucket.
func notELB(line []byte, reason ingest.Reason) ingest.Reason {
	switch {
	case field.IsBlankLine(line):
		return ingest.EmptyLine
	case bytes.HasPrefix(line, []byte("Enable AccessLog for ELB")):
		return ingest.NotARequest
	}
	return reason
}

// elbHead are the values before the request, without the type.
const elbHead = 11

// head reads what stands before the request and returns the index of its quote.
func (p *elbParser) head(line []byte, ev *ingest.Event) (int, ingest.Reason) {
	var words [elbHead][]byte
	i := 0
	if p.alb { // http, https, h2, grpcs, ws, wss, and whatever is to come
		i = field.Run(line, 0, &field.WordBytes)
		if i == 0 || i >= len(line) || line[i] != ' ' {
			return 0, ingest.BadShape
		}
		i++
	}
	var ends [elbHead]int
	if field.Cuts(line[i:], ' ', ends[:]) < elbHead {
		return 0, ingest.BadShape
	}
	for k, front := 0, i; k < elbHead; k++ {
		end := front + ends[k]
		if end == i || line[i] == '"' {
			return 0, ingest.BadShape
		}
		words[k] = line[i:end]
		i = end + 1
	}
	if i >= len(line) || line[i] != '"' {
		return 0, ingest.BadShape
	}
	return i + 1, p.words(&words, ev)
}

// words reads time, elb, client:port, target:port, three durations, two statuses and
// two sizes.
func (p *elbParser) words(w *[elbHead][]byte, ev *ingest.Event) ingest.Reason {
	ns, end := field.Instant(&p.sink.Clock, w[0], 0)
	if end != len(w[0]) {
		return ingest.BadTime
	}
	peer, ok := elbClient(w[2])
	if !ok {
		return ingest.BadAddress
	}
	for k, v := range w[4:7] {
		n, end := field.Seconds(v, 0)
		if string(v) == "-1" { // was not dispatched
			n, end = 0, len(v)
		}
		if end != len(v) {
			return ingest.BadNumber
		}
		if ev.Duration += n; k == 1 {
			ev.Upstream = n
		}
	}
	if string(w[7]) != "-" {
		code, end := field.Status(w[7], 0)
		if end != len(w[7]) {
			return ingest.BadStatus
		}
		ev.Status = code
	}
	in, endIn := field.Integer(w[9], 0)
	out, endOut := field.Integer(w[10], 0)
	if endIn != len(w[9]) || endOut != len(w[10]) {
		return ingest.BadNumber
	}
	ev.Time, ev.Peer, ev.BytesIn, ev.BytesOut = ns, peer, in, out
	return ingest.OK
}

// elbClient reads the address before the last colon; IPv6 may stand without brackets.
func elbClient(w []byte) (netip.Addr, bool) {
	if w[0] == '[' {
		a, end := field.AddressPort(w, 0)
		return a, end == len(w)
	}
	a, end := field.Address(w, 0, true)
	if end < 0 || end >= len(w)-1 || w[end] != ':' {
		return a, false
	}
	_, end = field.Integer(w, end+1)
	return a, end == len(w)
}

// tail reads the request and what is behind it. An Application Load Balancer writes a
// quote in a value as \x22, a Classic one as \": the first way is looked at first, and
// cannot take a line of the second for its own. A line that fits neither keeps
// what stood before.
func (p *elbParser) tail(b []byte, ev *ingest.Event) ingest.Reason {
	var v elbValues
	if !v.split(p, b, false) && (!p.escapes || !v.split(p, b, true)) {
		ev.Flags |= ingest.FlagForgeable
		if v.open {
			ev.Flags = ev.Flags&^ingest.FlagForgeable | ingest.FlagTruncated
		}
		return ingest.OK
	}
	if string(v.request) == "- - - " {
		return ingest.NotARequest // a connection of a TCP listener
	}
	ev.Agent, ev.Cipher = p.value(v.agent), p.value(v.cipher)
	ev.TLS, ev.RequestID = p.value(v.tls), p.value(v.trace)
	p.request(v.request, ev)
	if ev.Host == "" {
		ev.Host = p.value(v.domain)
	}
	return ingest.OK
}

// value undoes the escapes of a value; "-" stands for none.
func (p *elbParser) value(v []byte) string {
	if len(v) == 1 && v[0] == '-' {
		return ""
	}
	return field.Str(p.undo(v))
}

func (p *elbParser) undo(v []byte) []byte {
	if !p.escapes {
		return v
	}
	out := p.sink.Mem.UndoHex(v)
	if len(out) != len(v) && !utf8.Valid(out) {
		p.sink.Bad = true
	}
	return out
}

// request takes "METHOD scheme://host:port/path HTTP/1.1" apart. The load balancer puts
// the port there; that of the scheme is what a client leaves out.
func (p *elbParser) request(v []byte, ev *ingest.Event) {
	v = p.undo(v)
	if !field.SplitRequest(v, ev) || ev.Method == "-" {
		ev.Method, ev.Protocol = "", ""
		field.Malformed(v, ev)
		return
	}
	scheme, rest, ok := strings.Cut(ev.Target, "://")
	if !ok || len(scheme) > len("https") {
		return
	}
	end := field.EndOfAuthority(rest)
	ev.Host, ev.Target = rest[:end], rest[end:]
	ev.Scheme = field.SchemeOf(scheme)
	switch scheme {
	case "http", "ws":
		ev.Host = strings.TrimSuffix(ev.Host, ":80")
	case "https", "wss":
		ev.Host = strings.TrimSuffix(ev.Host, ":443")
	}
	if ev.Target == "" {
		ev.Target = "/"
	}
}

// elbValues are the values from the request on.
type elbValues struct {
	request, agent, cipher, tls, trace, domain []byte
	open                                       bool // the line ends within a quoted value
}

// split finds them in b, which begins behind the request's quote. slash says that a
// backslash before a quote escapes it. Fields behind the last one known are passed over.
func (v *elbValues) split(p *elbParser, b []byte, slash bool) bool {
	*v = elbValues{}
	i, ok := v.quoted(&v.request, b, 0, slash)
	if !ok {
		return false
	}
	if i == len(b) && !p.alb { // before 2014 there was no more
		return true
	}
	if len(b)-i < 2 || string(b[i:i+2]) != ` "` {
		return false
	}
	if i, ok = v.quoted(&v.agent, b, i+2, slash); !ok {
		return false
	}
	if i, ok = elbWord(&v.cipher, b, i); !ok {
		return false
	}
	if i, ok = elbWord(&v.tls, b, i); !ok || !p.alb {
		return ok && i == len(b)
	}
	if i, ok = p.target(b, i); !ok {
		return i == len(b) // written before there were more fields
	}
	for _, into := range []*[]byte{&v.trace, &v.domain} {
		if len(b)-i < 2 || string(b[i:i+2]) != ` "` {
			return i == len(b)
		}
		if i, ok = v.quoted(into, b, i+2, slash); !ok {
			return false
		}
	}
	return i == len(b) || b[i] == ' '
}

func (v *elbValues) quoted(into *[]byte, b []byte, i int, slash bool) (int, bool) {
	end := -1
	if slash {
		end = field.Closing(b, i)
	} else if k := bytes.IndexByte(b[i:], '"'); k >= 0 {
		end = i + k
	}
	if end < 0 {
		v.open = true
		return i, false
	}
	*into = b[i:end]
	return end + 1, true
}

// elbWord reads a blank and a word without quotes.
func elbWord(into *[]byte, b []byte, i int) (int, bool) {
	if i >= len(b) || b[i] != ' ' {
		return i, false
	}
	end := field.Run(b, i+1, &field.ItemBytes)
	*into = b[i+1 : end]
	return end, end > i+1 && (end == len(b) || b[end] == ' ')
}

// target reads the target group. The long names of the few there are repeat.
func (p *elbParser) target(b []byte, i int) (int, bool) {
	const most = 256
	if end := i + len(p.group); end > i && end < len(b) && b[end] == ' ' && string(b[i:end]) == string(p.group) {
		return end, true
	}
	var group []byte
	end, ok := elbWord(&group, b, i)
	if ok && end-i <= most {
		p.group = append(p.group[:0], b[i:end]...)
	}
	return end, ok
}
