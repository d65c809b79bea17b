package format

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

const gatewaySecond = int64(1795439016e9) // 2026-11-23T13:03:36Z

var gatewayClient = netip.MustParseAddr("203.0.113.7")

func TestApacheContract(t *testing.T) {
	ingesttest.Format(t, ingesttest.FormatCase{
		New: func() ingest.Parser { return open(t, "apache-vhost_combined") },
		Lines: []ingesttest.FormatLine{
			{
				Line: `api.example:443 203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/1?a=b HTTP/1.1" 200 512 "-" "curl/8.5.0"`,
				Event: ingest.Event{Time: gatewaySecond, Peer: gatewayClient, Method: "GET", Target: "/orders/1?a=b", Protocol: "HTTP/1.1",
					Host: "api.example", Status: 200, BytesOut: 512, Agent: "curl/8.5.0"},
				Plain: true,
			},
			{
				Line: `b:80 2001:db8::7 - bob smith [23/Nov/2026:14:03:36 +0100] "\x16\x03\xff\v\b\"\\x" 400 - "http://r/\"" "\xc3\xa9\n"`,
				Event: ingest.Event{Time: gatewaySecond, Peer: netip.MustParseAddr("2001:db8::7"), User: "bob smith", Host: "b",
					Target: "\x16\x03\xff\v\b\"\\x", Status: 400, Referer: `http://r/"`, Agent: "é\n", Flags: ingest.FlagMalformed | ingest.FlagInvalidUTF8},
			},
			{ // an empty user name is written as two quotes that nothing escapes
				Line: `b:80 203.0.113.7 - "" [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 401 0 "-" "-"`,
				Event: ingest.Event{Time: gatewaySecond, Peer: gatewayClient, Method: "GET", Target: "/", Protocol: "HTTP/1.1",
					Host: "b", Status: 401},
				Plain: true,
			},
		},
		Rejects: map[string]ingest.Reason{
			`[Mon Nov 23 13:03:36.123456 2026] [core:error] [pid 7:tid 7] [client 203.0.113.7:1] AH00126: Invalid URI`: ingest.NotARequest,
			`b:80 crawl.example.com - - [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-"`:                   ingest.NoClient,
			`b:80 203.0.113.777 - - [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-"`:                       ingest.BadAddress,
			`b:80 203.0.113.7 - - [31/Feb/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 5 "-" "-"`:                         ingest.BadTime,
			`b:80 203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 2x0 5 "-" "-"`:                         ingest.BadStatus,
			`hello`: ingest.BadShape,
		},
	})
}

// TestApacheIdent: what mod_ident was told can hold anything; the user behind it is
// taken where its beginning is certain, and nothing else is touched.
func TestApacheIdent(t *testing.T) {
	p := open(t, "apache-common")
	for line, want := range map[string]struct {
		user  string
		flags ingest.Flags
	}{
		`1.2.3.4 - bob [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 5`:                              {"bob", 0},
		`1.2.3.4 id bob [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 5`:                             {"bob", ingest.FlagForgeable},
		`1.2.3.4 i d bob [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 5`:                            {"", ingest.FlagForgeable},
		`1.2.3.4 x [23/Nov/2020:13:03:36 +0000] bob [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 5`: {"", ingest.FlagForgeable},
	} {
		var ev ingest.Event
		if r := p.Parse([]byte(line), &ev); r != ingest.OK || ev.User != want.user || ev.Flags != want.flags ||
			ev.Time != gatewaySecond || ev.Peer.String() != "1.2.3.4" || ev.Status != 200 || ev.Target != "/" {
			t.Errorf("%s: %s %+v", line, r, ev)
		}
	}
}

func TestApacheErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"apache:":                   "no format string",
		"apache:hello":              "the format holds no variable",
		`apache:%u "%r"`:            "the format has no client address: add %a (or %h)",
		"apache:%a %":               "at byte 3: a % without the letter",
		"apache:%a %{Referer":       "at byte 3: %{Referer has no closing brace",
		"apache:%a %y":              "at byte 3: %y is not known to mod_log_config",
		"apache:%a %{y}T":           "at byte 3: %{y}T is not known",
		"apache:%a %{%Y-%W}t":       "at byte 3: strftime's %W cannot be read back",
		"apache:%a %{%d/%b}t":       "neither a whole date nor a time of day",
		"apache:%400a %t":           "at byte 0: %a only for some statuses",
		"apache:%a %!200t":          "at byte 3: %t only for some statuses",
		"apache:LogFormat \"%a":     "the quote \" is not closed",
		"apache:%a %{Referer}i%u":   "stand together",
		"apache-combined:x":         "write apache:STRING",
		"varnish:%a %{x}Z":          "%{x}Z is not known to varnishncsa",
		"varnish:%h %{end:%H:%M}t":  "is not known to varnishncsa",
		"varnish-ncsa:x":            "write varnish:STRING",
		"haproxy:":                  "no format string",
		"haproxy:%ci %zz":           "at byte 4: %zz is not known to HAProxy",
		"haproxy:%ci %{+Z}r":        `the flag "+Z" is not known`,
		"haproxy:%ci %{+Q":          "%{ without its closing brace",
		"haproxy:%ci %[src":         "%[ without its closing bracket",
		"haproxy:%{+X}ci":           "hexadecimal",
		"haproxy:%{+Q}o %ci %hr":    "write %{-Q}hr",
		"haproxy:zone=Nowhere %ci":  `no time zone "Nowhere"`,
		"haproxy-http:x":            "neither captures=HEADER,... nor zone=ZONE",
		"haproxy:%ST %{+Q}r":        "add %ci",
		"haproxy:%ci %r%[var(a.b)]": "stand together",
	} {
		_, err := Open(spec)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): %v\nwant %s", spec, err, want)
		}
	}
}

// TestApacheSpellings: one format, as people paste it.
func TestApacheSpellings(t *testing.T) {
	const line = `1.2.3.4 "a\"b"	200 x%`
	for _, spec := range []string{
		"apache:%h \"%{Referer}i\"\t%>s %{User-Agent}i%%",
		`apache:%h \"%{referer}i\"\t%>s %{USER-AGENT}i%%`,
		`apache:"%h \"%{Referer}i\"\t%>s %{User-Agent}i%%"`,
		`apache:LogFormat "%h \"%{Referer}i\"\\t%>s %{User-Agent}i%%" name`,
		`apache:CustomLog '%h "%{Referer}i"\t%>s %400,501{User-agent}i%%' env=x`,
	} {
		var ev ingest.Event
		if r := open(t, spec).Parse([]byte(line), &ev); r != ingest.OK || ev.Referer != `a"b` || ev.Agent != "x" || ev.Status != 200 {
			t.Errorf("%s: %s %+v", spec, r, ev)
		}
	}
}

// TestApacheDirectives: one directive at a time, what is logged and what it means.
func TestApacheDirectives(t *testing.T) {
	at := gatewaySecond
	for spec, c := range map[string]struct {
		line string
		want ingest.Event
	}{
		`%a %{c}a`:                                 {"9.9.9.9 1.2.3.4", ingest.Event{}},
		`%h %a`:                                    {"host.example 1.2.3.4", ingest.Event{}},
		`%a %s %>s`:                                {"1.2.3.4 301 200", ingest.Event{Status: 200}},
		`%a %<s %s`:                                {"1.2.3.4 301 200", ingest.Event{Status: 301}},
		`%a %D %T`:                                 {"1.2.3.4 1500 0", ingest.Event{Duration: 1500e3}},
		`%a %{ms}T`:                                {"1.2.3.4 7", ingest.Event{Duration: 7e6}},
		`%a %{us}T %I %B`:                          {"1.2.3.4 7 8 9", ingest.Event{Duration: 7e3, BytesIn: 8, BytesOut: 9}},
		`%a %{sec}t`:                               {"1.2.3.4 1795439016", ingest.Event{Time: at}},
		`%a %{msec}t %t`:                           {"1.2.3.4 1795439016123 [23/Nov/2026:13:03:36 +0000]", ingest.Event{Time: at + 123e6}},
		`%a %t %{msec_frac}t`:                      {"1.2.3.4 [23/Nov/2026:14:03:36 +0100] 045", ingest.Event{Time: at + 45e6}},
		`%a %{end:usec}t`:                          {"1.2.3.4 1795439016000007", ingest.Event{Time: at + 7e3}},
		`%a %{sec}t.%{usec_frac}t`:                 {"1.2.3.4 1795439016.000012", ingest.Event{Time: at + 12e3}},
		`%a %{begin:%d/%b/%y %I:%M:%S %p %z}t`:     {"1.2.3.4 23/Nov/26 01:03:36 PM +0000", ingest.Event{Time: at}},
		`%a %{%a, %d %B %Y %T %z}t`:                {"1.2.3.4 Mon, 23 November 2026 13:03:36 +0000", ingest.Event{Time: at}},
		`%a "%{SSL_PROTOCOL}x" "%{SSL_CIPHER}x"`:   {`1.2.3.4 "TLSv1.3" "TLS_AES_256"`, ingest.Event{TLS: "TLSv1.3", Cipher: "TLS_AES_256"}},
		`%a "%{SSL_CLIENT_S_DN}x"`:                 {`1.2.3.4 "CN="a""`, ingest.Event{Subject: `CN="a"`}},
		`%a "%{UNIQUE_ID}e" "%{JSESSIONID}C"`:      {`1.2.3.4 "u" "s"`, ingest.Event{RequestID: "u", Session: "s"}},
		`%a %m %U%q %H "%V"`:                       {`1.2.3.4 GET /a b?c=d HTTP/2.0 "h"`, ingest.Event{Method: "GET", Target: "/a b?c=d", Protocol: "HTTP/2.0", Host: "h"}},
		`%a %k %X %P %{tid}P %{remote}p %^FB "%R"`: {`1.2.3.4 0 + 7 8 9 - "-"`, ingest.Event{}},
		`%a "%{X-Api-Key}i" "%{Authorization}i" "%{Host}i"`: {`1.2.3.4 "k" "t" "h"`, ingest.Event{Key: "k", Token: "t", Host: "h"}},
	} {
		c.want.Peer = netip.MustParseAddr("1.2.3.4")
		var ev ingest.Event
		if r := open(t, "apache:"+spec).Parse([]byte(c.line), &ev); r != ingest.OK || ev != c.want {
			t.Errorf("%s: %s\ngives %s %+v\nwant  %+v", spec, c.line, r, ev, c.want)
		}
	}
}

// apacheItem is written from the description of ap_escape_logitem.
func apacheItem(s string) string {
	if s == "" {
		return "-"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		switch k := strings.IndexByte("\b\n\r\t\v\\\"", c); {
		case k >= 0:
			b.WriteByte('\\')
			b.WriteByte(`bnrtv\"`[k])
		case c < 32 || c > 126:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// percentValues are the directives' values of a request.
func percentValues(r *request, item func(string) string) []string {
	return []string{
		"%a", r.peer.String(), "%h", r.peer.String(), "%l", "-", "%u", item(r.user), "%>s", fmt.Sprint(r.status), "%s", fmt.Sprint(r.status),
		"%t", r.at.Format("[02/Jan/2006:15:04:05 -0700]"), "%b", fmt.Sprint(r.bytes), "%I", fmt.Sprint(r.length),
		"%{ms}T", fmt.Sprint(r.took), "%D", fmt.Sprint(r.took * 1000), "%{msec_frac}t", r.at.Format("000"),
		"%{usec}t", fmt.Sprint(r.at.UnixMicro()), "%{%Y-%m-%dT%H:%M:%S}t", r.at.Format("2006-01-02T15:04:05"), "%{%z}t", r.at.Format("-0700"),
		"%{Referer}i", item(r.ref), "%{User-Agent}i", item(r.ua), "%{X-Forwarded-For}i", item(r.xff), "%r", item(r.line),
	}
}

func TestApacheRoundTrip(t *testing.T) {
	for _, format := range []string{
		`%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" "%{X-Forwarded-For}i" %{usec}t %I %{ms}T`,
		`{"t":"%{%Y-%m-%dT%H:%M:%S}t.%{msec_frac}t%{%z}t","a":"%a","u":"%u","r":"%r","s":%>s,"b":%b,"ref":"%{Referer}i","ua":"%{User-Agent}i","x":"%{X-Forwarded-For}i","i":%I,"d":%D}`,
		"%a\t%{usec}t\t%u\t%r\t%s\t%b\t%{Referer}i\t%{User-Agent}i\t%{X-Forwarded-For}i\t%I\t%D",
	} {
		p := open(t, "apache:"+format)
		rapid.Check(t, func(t *rapid.T) {
			r := drawRequest(t)
			r.upstreams = nil
			r.at = r.at.Truncate(time.Millisecond)
			values := percentValues(&r, apacheItem)
			for i := 0; i < len(values); i += 2 {
				if values[i] == "%{msec_frac}t" {
					values[i+1] = fmt.Sprintf("%03d", r.at.Nanosecond()/1e6)
				}
			}
			line := strings.NewReplacer(values...).Replace(format)
			var ev ingest.Event
			if reason := p.Parse([]byte(line), &ev); reason != ingest.OK {
				t.Fatalf("%s: %s", reason, line)
			}
			if want := r.expect(); ev != want {
				t.Fatalf("line %s\ngives %+v\nwant  %+v", line, ev, want)
			}
		})
	}
}

func FuzzApacheCompiled(f *testing.F) {
	f.Add(apacheJSON, `{"time":"2026-11-23T13:06:40.071+0000","ip":"127.0.0.1","user":"-"`)
	f.Add(`%h %l %u %t "%r" %>s %b`, `1.2.3.4 - - [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 5`)
	f.Add(`%v:%p %a %{%d/%b/%y %I:%M:%S %p}t %U%q`, `h:80 1.2.3.4 23/Nov/26 01:03:36 PM /a?b`)
	f.Add(`%a "%{SSL_CLIENT_S_DN}x" %400{Referer}i`, `1.2.3.4 "CN="a"" x`)
	f.Fuzz(func(t *testing.T, format, line string) {
		for _, gateway := range []string{"apache:", "varnish:", "varnish:-j "} {
			fuzzCompiled(t, gateway+format, line)
		}
	})
}

// fuzzCompiled: a spec that opens gives parsers that neither panic nor make up a
// client that does not stand in the line.
func fuzzCompiled(t *testing.T, spec, line string) {
	f, err := Open(spec)
	if err != nil {
		if len(err.Error()) > 1200 {
			t.Fatalf("an error of %d bytes: %.200s", len(err.Error()), err)
		}
		return
	}
	var ev, again ingest.Event
	p := f.New()
	r := p.Parse([]byte(line), &ev)
	if r.String() == "unknown" {
		t.Fatalf("reason %d", r)
	}
	if r == ingest.OK && !ev.Peer.IsValid() {
		t.Fatalf("%q: %q is an event without a client", spec, line)
	}
	if r2 := p.Parse([]byte(line), &again); r != r2 || r == ingest.OK && ev.Peer != again.Peer {
		t.Fatalf("%q: %q gives %s, then %s", spec, line, r, r2)
	}
}
