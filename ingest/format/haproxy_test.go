package format

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

const haproxyHead = `203.0.113.7:51234 [23/Nov/2026:13:03:36.694] www be/s1 0/0/1/6/7 200 512 - - ---- 1/1/0/0/0 0/0 `

func TestHAProxyContract(t *testing.T) {
	plain := ingest.Event{Time: gatewaySecond + 694e6, Peer: gatewayClient, Method: "GET", Target: "/o?a=b", Protocol: "HTTP/1.1",
		Status: 200, BytesOut: 512, Duration: 7e6, Upstream: 6e6}
	captured := plain
	captured.Host, captured.Agent, captured.Chain, captured.Target = "h", "a|b{}#\xc3\xa9", "1.2.3.4", `/"\`
	bad := ingest.Event{Time: gatewaySecond + 1e6, Peer: netip.MustParseAddr("2001:db8::7"), Status: 400, Flags: ingest.FlagMalformed}
	ingesttest.Format(t, ingesttest.FormatCase{
		New: func() ingest.Parser { return open(t, haproxyHTTPSpec) },
		Lines: []ingesttest.FormatLine{
			{Line: haproxyHead + `"GET /o?a=b HTTP/1.1"`, Event: plain, Plain: true},
			{Line: haproxyHead + `{h|a#7Cb#7B#7D#23#C3#A9|1.2.3.4} {x} "GET /#22\ HTTP/1.1"`, Event: captured},
			{Line: `2001:db8::7:51234 [23/Nov/2026:13:03:36.001] www www/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>"`, Event: bad},
		},
		Rejects: map[string]ingest.Reason{
			`203.0.113.7:51234 [23/Nov/2026:13:03:36.694] www/1: SSL handshake failure`:                    ingest.NotARequest,
			`203.0.113.7:51234 [23/Nov/2026:13:03:36.694] www be/s1 0/1/5 212 -- 1/1/0/0/0 0/0`:            ingest.NotARequest,
			`Server be/s1 is DOWN, reason: Layer4 connection problem. 0 active and 0 backup servers left.`: ingest.NotARequest,
			`Proxy www started.`: ingest.NotARequest,
			strings.Replace(haproxyHead, "23/Nov", "31/Feb", 1) + `"GET / HTTP/1.1"`:               ingest.BadTime,
			strings.Replace(haproxyHead, " 200 ", " 2x0 ", 1) + `"GET / HTTP/1.1"`:                 ingest.BadStatus,
			strings.Replace(haproxyHead, "203.0.113.7:", "203.0.113.777:", 1) + `"GET / HTTP/1.1"`: ingest.BadAddress,
			`203.0.113.7:51234 [23/Nov/2026:13:03:36.694] www be/s1 0/0/1/6/7 20`:                  ingest.BadShape,
			`hello`: ingest.BadShape,
		},
	})
}

// TestHAProxyCut: of a line that HAProxy cut behind its status, what is whole is
// taken, and half a value is not.
func TestHAProxyCut(t *testing.T) {
	p := open(t, haproxyHTTPSpec)
	whole := haproxyHead + `{h|curl|1.2.3.4} "GET /abc?d=e HTTP/1.1"`
	status := strings.Index(whole, " 512")
	for n := range whole {
		var ev ingest.Event
		r := p.Parse([]byte(whole[:n]), &ev)
		if n <= status {
			if r == ingest.OK {
				t.Errorf("cut within or right behind its status it is an event: %s", whole[:n])
			}
			continue
		}
		if r != ingest.OK || ev.Flags&ingest.FlagTruncated == 0 {
			t.Fatalf("%s, flags %b: %s", r, ev.Flags, whole[:n])
		}
		if ev.Peer != gatewayClient || ev.Status != 200 || ev.Time != gatewaySecond+694e6 || ev.Duration != 7e6 || ev.BytesOut != 0 && ev.BytesOut != 512 {
			t.Errorf("%s: %+v", whole[:n], ev)
		}
		if !strings.HasPrefix("/abc?d=e", ev.Target) && ev.Flags&ingest.FlagMalformed == 0 || ev.Method != "" && ev.Method != "GET" {
			t.Errorf("%s: method %q, target %q", whole[:n], ev.Method, ev.Target)
		}
	}
}

func TestHAProxyExpressions(t *testing.T) {
	at := gatewaySecond
	for spec, c := range map[string]struct {
		line string
		want ingest.Event
	}{
		`%[src]:%[src_port] %[date(0,ms)] %[status]`:                    {"1.2.3.4:5 1795439016123 200", ingest.Event{Time: at + 123e6, Status: 200}},
		`%ci %Ts %ST %B %U %Tt`:                                         {"1.2.3.4 1795439016 -1 +12 3 +4", ingest.Event{Time: at, BytesOut: 12, BytesIn: 3, Duration: 4e6}},
		`%ci %T`:                                                        {"1.2.3.4 23/Nov/2026:13:03:36 +0000", ingest.Event{Time: at}},
		`zone=Europe/Berlin %ci %t`:                                     {"1.2.3.4 23/Nov/2026:14:03:36.007", ingest.Event{Time: at + 7e6}},
		`zone=Europe/Berlin %ci [%tr]`:                                  {"1.2.3.4 [23/Jul/2026:15:03:36.007]", ingest.Event{Time: 1784811816007e6}},
		`%ci %[date,utime(%Y-%m-%dT%H:%M:%SZ)]`:                         {"1.2.3.4 2026-11-23T13:03:36Z", ingest.Event{Time: at}},
		`%ci %[date,ltime(%Y-%m-%dT%T%z)]`:                              {"1.2.3.4 2026-11-23T14:03:36+0100", ingest.Event{Time: at}},
		`%ci "%[var(txn.user_agent),json(utf8s)]"`:                      {`1.2.3.4 "a\"b\u00e9\/"`, ingest.Event{Agent: `a"bé/`}},
		`captures=x-api-key %ci "%[capture.req.hdr(0),json]"`:           {`1.2.3.4 "k"`, ingest.Event{Key: "k"}},
		`%ci {"ua":"%[capture.req.hdr(3),json]","n":%[rand]}`:           {`1.2.3.4 {"ua":"k","n":7}`, ingest.Event{Agent: "k"}},
		`%ci %{+Q,+E}[ssl_c_s_dn]`:                                      {`1.2.3.4 "/CN=\"a\]\\"`, ingest.Event{Subject: `/CN="a]\`}},
		`%ci %[ssl_fc_protocol] %sslc %ID`:                              {`1.2.3.4 TLSv1.3 AES id-1`, ingest.Event{TLS: "TLSv1.3", Cipher: "AES", RequestID: "id-1"}},
		`%ci %HM %{+Q}HU %HV`:                                           {`1.2.3.4 GET "https://h/a b" HTTP/2.0`, ingest.Event{Method: "GET", Target: "/a b", Host: "h", Protocol: "HTTP/2.0"}},
		`%ci %HM %HP%HQ`:                                                {`1.2.3.4 GET /a?b=c`, ingest.Event{Method: "GET", Target: "/a?b=c"}},
		`%ci %{+Q}r`:                                                    {`1.2.3.4 "GET https://h/a HTTP/2.0"`, ingest.Event{Method: "GET", Target: "/a", Host: "h", Protocol: "HTTP/2.0"}},
		`%ci  	%{+Q}r`:                                                  {`1.2.3.4 "GET http://h/a HTTP/1.1"`, ingest.Event{Method: "GET", Target: "http://h/a", Protocol: "HTTP/1.1"}},
		`%ci %{+Q,+E}r`:                                                 {`1.2.3.4 "GET /\]#22\\ HTTP/1.1"`, ingest.Event{Method: "GET", Target: `/]"\`, Protocol: "HTTP/1.1"}},
		`captures=host,cookie %{+Q}o %{-Q}ci %ST %hrl %hsl`:             {`1.2.3.4 200 "h" "c=#22"`, ingest.Event{Status: 200, Host: "h", Session: `c="`}},
		`log-format %ci\ [%[date(0,us)]]\ %[req.hdr(referer),json]`:     {`1.2.3.4 [1795439016000001] r`, ingest.Event{Time: at + 1e3, Referer: "r"}},
		`log-format "%ci %[var(txn.x),lower] \"%[url,json]\" 100%%"`:    {`1.2.3.4 zz "/u" 100%`, ingest.Event{Target: "/u"}},
		`%ci %f %fi:%fp %b %bi %bp %si %sp %H %pid %rt %lc %Tq %Td %ms`: {`1.2.3.4 f~ ::1:80 b - - 10.0.0.1 8080 host 1 2 3 4 -1 006`, ingest.Event{}},
	} {
		c.want.Peer = netip.MustParseAddr("1.2.3.4")
		var ev ingest.Event
		p := open(t, "haproxy:"+spec)
		r := p.Parse([]byte(c.line), &ev)
		ev.Flags &^= ingest.FlagForgeable
		if r != ingest.OK || ev != c.want {
			t.Errorf("%s\n%s\ngives %s %+v\nwant  %+v", spec, c.line, r, ev, c.want)
		}
	}
}

// TestHAProxyLocalZone: without zone= the clock is that of this machine.
func TestHAProxyLocalZone(t *testing.T) {
	var ev ingest.Event
	if r := open(t, "haproxy-http").Parse([]byte(haproxyHead+`"GET / HTTP/1.1"`), &ev); r != ingest.OK {
		t.Fatal(r)
	}
	if want := time.Date(2026, 11, 23, 13, 3, 36, 694e6, time.Local).UnixNano(); ev.Time != want {
		t.Errorf("time %d, want %d", ev.Time, want)
	}
}

// hashed encodes as lf_encode_string does with a map of more bytes.
func hashed(s, more string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < 32 || c > 126 || strings.IndexByte(more, c) >= 0 {
			fmt.Fprintf(&b, "#%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// haproxyLine writes option httplog's line; cookie is what was captured, "-" if nothing.
func haproxyLine(r *request, cookie string) string {
	headers := ""
	if r.ref+r.ua+r.xff != "" {
		const more = `"#{|}`
		headers = "{" + hashed(r.ref, more) + "|" + hashed(r.ua, more) + "|" + hashed(r.xff, more) + "} "
	}
	return fmt.Sprintf(`%s:51234 [%s] www~ be/s1 0/0/0/%d/%d %d %d %s - --NI 1/1/0/0/0 0/0 %s"%s"`, r.peer, r.at.UTC().Format("02/Jan/2006:15:04:05.000"),
		max(r.upstreams[0], -1), r.took, r.status, r.bytes, cookie, headers, hashed(r.line, `"#`))
}

func TestHAProxyRoundTrip(t *testing.T) {
	p := open(t, "haproxy-http:captures=referer,user-agent,x-forwarded-for zone=UTC")
	rapid.Check(t, func(t *rapid.T) {
		r := drawRequest(t)
		r.user, r.length, r.upstreams = "", 0, r.upstreams[:1]
		line := haproxyLine(&r, "-")
		var ev ingest.Event
		if reason := p.Parse([]byte(line), &ev); reason != ingest.OK {
			t.Fatalf("%s: %s", reason, line)
		}
		if want := r.expect(); ev != want {
			t.Fatalf("line %s\ngives %+v\nwant  %+v", line, ev, want)
		}
	})
}

// TestHAProxyCookieForgery: a captured cookie is not escaped. It can hide itself, but
// neither become another client, nor move the status, nor make up a target.
func TestHAProxyCookieForgery(t *testing.T) {
	p := open(t, "haproxy-http:captures=referer,user-agent,x-forwarded-for zone=UTC")
	hidden, read := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		r := drawRequest(t)
		r.user, r.length, r.upstreams = "", 0, r.upstreams[:1]
		cookie := rapid.SampledFrom([]string{"SID=abc", "-", `a b`, `- - ---- 1/1/0/0/0 0/0 "GET /fake HTTP/1.1"`, `x - ---- 1/1/0/0/0 0/0 {a|b|c} "`,
			`" `, `x - ---- 1/1/0/0/0 0/0 "GET /fake HTTP/1.1" - -`, "#41", "{", "x " + strings.Repeat("- ---- 1/1/0/0/0 0/0 ", 3)}).Draw(t, "cookie")
		line := haproxyLine(&r, cookie)
		var ev ingest.Event
		if reason := p.Parse([]byte(line), &ev); reason != ingest.OK {
			t.Fatalf("%s: %s", reason, line)
		}
		want := r.expect()
		if ev.Peer != want.Peer || ev.Time != want.Time || ev.Status != want.Status || ev.BytesOut != want.BytesOut {
			t.Fatalf("line %s\ngives %+v\nwant  %+v", line, ev, want)
		}
		if ev.Target == "" && ev.Method == "" && ev.Session == "" && cookie != "-" {
			hidden++
			return
		}
		if read++; ev.Target != want.Target || ev.Agent != want.Agent {
			t.Fatalf("line %s\ngives %+v\nwant  %+v", line, ev, want)
		}
		if utf8.ValidString(cookie) && cookie == "SID=abc" && (ev.Session != cookie || ev.Flags&ingest.FlagForgeable == 0) {
			t.Fatalf("line %s\ngives %+v", line, ev)
		}
	})
	if hidden == 0 || read == 0 {
		t.Errorf("%d lines hid their target, %d did not: both are to be seen", hidden, read)
	}
}

func FuzzHAProxyCompiled(f *testing.F) {
	f.Add(haproxyHTTP, haproxyHead+`{a|b} "GET / HTTP/1.1"`)
	f.Add(haproxyHTTPS, haproxyHead+`"GET / HTTP/1.1" 0/0/0/0/0 api.example/TLSv1.3/TLS_AES_256_GCM_SHA384`)
	f.Add(haproxyCLF, `1.2.3.4 - - [23/Nov/2026:13:04:41 +0000] "GET / HTTP/1.1" 200 90 "" "" 1 388 "clf" "be" "s1" 0 0 3 0 3 ---- 1 1 0 0 0 0 0 "" "" `)
	f.Add("captures=host zone=UTC "+haproxyJSON, `{"ts_ms":1795439090280,"accept":"23/Nov/2026:13:04:50.279"`)
	f.Add(`%ci %{+Q,+E}[var(txn.x),json(utf8s)] %[date,ltime(%Y)] %hrl`, `1.2.3.4 "a" 2026 "x"`)
	f.Fuzz(func(t *testing.T, format, line string) { fuzzCompiled(t, "haproxy:"+format, line) })
}
