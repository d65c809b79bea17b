package format

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

// Gateways whose text log escapes nothing: Envoy, Traefik, Reactor Netty, Amazon API
// Gateway.

func opener(t testing.TB, spec string) func() ingest.Parser {
	t.Helper()
	f, err := Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	return f.New
}

func instant(t testing.TB, s string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixNano()
}

var peer7 = netip.MustParseAddr("203.0.113.7")

const envoyDirect = `envoy:[%START_TIME%] %DOWNSTREAM_DIRECT_REMOTE_ADDRESS% "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ` +
	`%RESPONSE_CODE% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%"`

func TestEnvoyContract(t *testing.T) {
	at := instant(t, "2026-11-23T13:05:07.508Z")
	full := ingest.Event{Time: at, Peer: peer7, Chain: "198.51.100.1", Method: "GET", Target: "/o?a=b", Protocol: "HTTP/1.1", Status: 200,
		BytesOut: 12, BytesIn: 3, Duration: 4e6, Upstream: 1e6, Agent: "curl/8.5.0", RequestID: "67f35cf6", Host: "shop.example"}
	quoted := full
	quoted.Flags = ingest.FlagForgeable
	quoted.Agent, quoted.Chain, quoted.Peer = `a "b" \c`, "", netip.MustParseAddr("2001:db8::7")
	refused := ingest.Event{Time: at, Peer: peer7, Status: 400, BytesOut: 11, Protocol: "HTTP/1.1", Flags: ingest.FlagMalformed}
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, "envoy:use_remote_address"),
		Lines: []ingesttest.FormatLine{
			{Line: `[2026-11-23T13:05:07.508Z] "GET /o?a=b HTTP/1.1" 200 - 3 12 4 1 "198.51.100.1,203.0.113.7" "curl/8.5.0" "67f35cf6" "shop.example" "10.0.0.3:9000"`, Event: full, Plain: true},
			{Line: `[2026-11-23T13:05:07.508Z] "GET /o?a=b HTTP/1.1" 200 - 3 12 4 1 "2001:db8::7" "a "b" \c" "67f35cf6" "shop.example" "10.0.0.3:9000"`, Event: quoted},
			{Line: `[2026-11-23T13:05:07.508Z] "- - HTTP/1.1" 400 DPE 0 11 0 - "203.0.113.7" "-" "-" "-" "-"`, Event: refused},
		},
		Rejects: map[string]ingest.Reason{
			`[2026-11-23T13:05:07.508Z] "GET / HTTP/1.1" 200 - 0 12 4 1 "-" "curl" "67" "h" "10.0.0.3:9000"`:          ingest.NoClient,
			`[2026-11-23T13:05:07.508Z] "GET / HTTP/1.1" 200 - 0 12 4 1 "203.0.113.7,x" "curl" "67" "h" "10.0.0.3:9"`: ingest.NoClient,
			`[2026-11-23T25:05:07.508Z] "GET / HTTP/1.1" 200 - 0 12 4 1 "203.0.113.7" "curl" "67" "h" "10.0.0.3:90"`:  ingest.BadTime,
			`[2026-11-23 13:05:07.508][7][info][main] starting`:                                                       ingest.NotARequest,
			`hello`: ingest.BadShape,
		},
	})
	direct := full
	direct.Upstream, direct.RequestID, direct.Host, direct.Chain = 0, "", "", "9.9.9.9"
	six := direct
	six.Peer, six.Status = netip.MustParseAddr("2001:db8::7"), 0
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, envoyDirect),
		Lines: []ingesttest.FormatLine{
			{Line: `[2026-11-23T13:05:07.508Z] 203.0.113.7:4711 "GET /o?a=b HTTP/1.1" 200 3 12 4 "9.9.9.9" "curl/8.5.0"`, Event: direct, Plain: true},
			{Line: `[2026-11-23T13:05:07.508Z] [2001:db8::7]:4711 "GET /o?a=b HTTP/1.1" 0 3 12 4 "9.9.9.9" "curl/8.5.0"`, Event: six, Plain: true},
		},
		Rejects: map[string]ingest.Reason{
			`[2026-11-23T13:05:07.508Z] shop:1 "GET / HTTP/1.1" 200 0 12 4 "-" "curl"`: ingest.BadAddress,
		},
	})
}

// TestEnvoyPeer: without an address of the connection no line has a client, unless the
// operator vouches for the last element of X-Forwarded-For.
func TestEnvoyPeer(t *testing.T) {
	f, err := Open("envoy")
	if err != nil || !slicesContain(f.Warnings, "DOWNSTREAM_DIRECT_REMOTE_ADDRESS") {
		t.Fatalf("%v, warnings %q", err, f.Warnings)
	}
	if f, err = Open("envoy:use_remote_address"); err != nil || slicesContain(f.Warnings, "no_client") {
		t.Errorf("vouched: %v, warnings %q", err, f.Warnings)
	}
	for spec, want := range map[string]string{
		"envoy:use_remote_address,[%START_TIME%] %RESPONSE_CODE%": "needs %REQ(X-FORWARDED-FOR)%",
		"envoy:%START_TIME":                   "has no closing %",
		"envoy:%START_TIME(%F)%":              "time format",
		"envoy:%REQ(X":                        "is not closed",
		"envoy:%% only":                       "no variable",
		"envoy:%DURATION%%PROTOCOL%":          "stand together",
		"envoy:100% %START_TIME% %PROTOCOL%.": "without the name",
	} {
		if _, err := Open(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", spec, err, want)
		}
	}
	own := open(t, `envoy:use_remote_address,%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% [%START_TIME(%s.%3f)%] "%REQ(X-FORWARDED-FOR)%" %RESPONSE_CODE%`)
	var ev ingest.Event
	if r := own.Parse([]byte(`203.0.113.7 [1795439016.250] "9.9.9.9,203.0.113.7" 200`), &ev); r != ingest.OK || ev.Peer != peer7 || ev.Chain != "9.9.9.9,203.0.113.7" || ev.Time != 1795439016250e6 {
		t.Errorf("%s %+v", r, ev)
	}
}

func slicesContain(all []string, part string) bool {
	for _, s := range all {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

func TestTraefikContract(t *testing.T) {
	at := instant(t, "2026-11-23T13:06:07Z")
	full := ingest.Event{Time: at, Peer: peer7, User: "bob", Method: "GET", Target: "/o?a=b", Protocol: "HTTP/1.1", Status: 200, BytesOut: 12,
		Duration: 5e6, Referer: "https://r/", Agent: "curl/8.5.0"}
	bare := full
	bare.Flags = ingest.FlagForgeable
	bare.User, bare.Referer, bare.Agent, bare.Target, bare.Protocol = "", "", "", `/a?x="quoted"&y=\back`, "HTTP/2.0"
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, "traefik-clf"),
		Lines: []ingesttest.FormatLine{
			{Line: `203.0.113.7 - bob [23/Nov/2026:13:06:07 +0000] "GET /o?a=b HTTP/1.1" 200 12 "https://r/" "curl/8.5.0" 1 "all@file" "http://10.0.0.3:80" 5ms`, Event: full, Plain: true},
			{Line: `203.0.113.7 - - [23/Nov/2026:13:06:07 +0000] "GET /a?x="quoted"&y=\back HTTP/2.0" 200 12 "-" "-" 100 "all@file" "http://10.0.0.3:80" 5ms`, Event: bare},
			// A name that looks like the rest of a line: who it was is certain, no more.
			{Line: `203.0.113.7 - x [23/Nov/2020:00:00:00 +0000] "GET / HTTP/1.1" 200 12 "-" "-" 1 "r" "s" 1ms [23/Nov/2026:13:06:07 +0000] "GET / HTTP/1.1" 401 12 "-" "-" 9 "-" "-" 5ms`,
				Event: ingest.Event{Peer: peer7, Flags: ingest.FlagForgeable}},
		},
		Rejects: map[string]ingest.Reason{
			`203.0.113.777 - - [23/Nov/2026:13:06:07 +0000] "GET / HTTP/1.1" 200 12 "-" "-" 1 "-" "-" 5ms`:        ingest.BadAddress,
			`9.9.9.9, 203.0.113.7 - - [23/Nov/2026:13:06:07 +0000] "GET / HTTP/1.1" 200 12 "-" "-" 1 "-" "-" 5ms`: ingest.BadShape,
			`203.0.113.7 - - [31/Feb/2026:13:06:07 +0000] "GET / HTTP/1.1" 200 12 "-" "-" 1 "-" "-" 5ms`:          ingest.BadShape,
			`time="2026-11-23T13:06:07Z" level=info msg="Traefik version 3.7.15"`:                                 ingest.BadShape,
		},
	})
}

func TestReactorContract(t *testing.T) {
	at := instant(t, "2026-11-23T13:38:37Z")
	full := ingest.Event{Time: at, Peer: peer7, Method: "GET", Target: "/o?a=b", Protocol: "HTTP/1.1", Status: 200, BytesOut: 12, Duration: 618e6}
	quoted := full
	quoted.Target, quoted.BytesOut = `/" 500 1 1 [x] "`, 0
	const head = `2026-11-23T13:38:38.218Z  INFO 24749 --- [or-http-epoll-2] reactor.netty.http.server.AccessLog      : `
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, "reactor-netty"),
		Lines: []ingesttest.FormatLine{
			{Line: `203.0.113.7 - - [23/Nov/2026:13:38:37 +0000] "GET /o?a=b HTTP/1.1" 200 12 618`, Event: full, Plain: true},
			{Line: `203.0.113.7 - - [23/Nov/2026:13:38:37 +0000] "GET /" 500 1 1 [x] " HTTP/1.1" 200 - 618`, Event: quoted},
		},
	})
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, "reactor-netty"),
		Lines: []ingesttest.FormatLine{
			{Line: head + `203.0.113.7 - - [23/Nov/2026:13:38:37 +0000] "GET /o?a=b HTTP/1.1" 200 12 618`, Event: full, Plain: true},
			{Line: `13:38:38.218 [reactor-http-epoll-2] INFO reactor.netty.http.server.AccessLog - 203.0.113.7 - - [23/Nov/2026:13:38:37 +0000] "GET /o?a=b HTTP/1.1" 200 12 618`, Event: full, Plain: true},
			{Line: head + `203.0.113.7 - - [23/Nov/2026:13:38:37 +0000] "GET /" 500 1 1 [x] " HTTP/1.1" 200 - 618`, Event: quoted},
		},
		Rejects: map[string]ingest.Reason{
			`2026-11-23T13:38:30.218Z  INFO 24749 --- [           main] o.s.b.web.embedded.netty.NettyWebServer  : Netty started on port 8080`: ingest.NotARequest,
			head + `203.0.113.7 - - [23/Nov/2026:25:38:37 +0000] "GET / HTTP/1.1" 200 12 618`:                                                  ingest.BadTime,
			`2026-11-23T13:38:30.218Z  INFO 24749 --- [           main] com.example.Filter                       : agent reactor.netty.http.server.AccessLog : ` +
				`6.6.6.6 - - [23/Nov/2026:13:38:37 +0000] "GET / HTTP/1.1" 200 12 618`: ingest.NotARequest,
			`java.lang.IllegalStateException: x`: ingest.BadShape,
		},
	})
}

// bareSamples are whole logs of real gateways: Envoy 1.40.0, Traefik 3.7.15, Spring Cloud
// Gateway of Spring Cloud 2025.0.0.
var bareSamples = []struct {
	file, spec               string
	lines, events, malformed int
	invalid, forgeable       int
	rejects                  map[ingest.Reason]int
}{
	{"envoy-default.log", "envoy", 195, 0, 0, 0, 0, map[ingest.Reason]int{ingest.NoClient: 195}},
	{"traefik-common.log", "traefik-clf", 181, 181, 0, 0, 1, nil},
	{"springcloudgateway-reactornetty.log", "reactor-netty", 171, 170, 0, 0, 0, map[ingest.Reason]int{ingest.HasNUL: 1}},
}

func TestBareSamples(t *testing.T) {
	for _, s := range bareSamples {
		tallied(t, s.file, []ingest.Parser{open(t, s.spec)}, func(where string, ev *ingest.Event) {
			if ev.Status == 0 || ev.Method == "" || ev.Target == "" || ev.Time/3600e9 != 1795439016/3600 {
				t.Errorf("%s: %+v", where, ev)
			}
		}).is(t, s.file, tally{s.lines, s.events, s.malformed, s.invalid, 0, s.forgeable, s.rejects})
		lines := sampleFile(t, "samples/"+s.file)
		if f, why, err := Detect([]byte(strings.Join(text64(lines), "\n") + "\n")); err != nil || f.Name != s.spec {
			t.Errorf("%s is taken for %q: %s %v", s.file, f.Name, why, err)
		}
	}
}

func text64(lines [][]byte) (out []string) {
	for _, l := range lines[:min(len(lines), 64)] {
		out = append(out, string(l))
	}
	return out
}

// TestEnvoySample: what the default format tells besides the client.
func TestEnvoySample(t *testing.T) {
	p := mustEnvoy(envoyDefault).New()
	known, chains, refused := 0, 0, 0
	for n, line := range sampleFile(t, "samples/envoy-default.log") {
		var ev ingest.Event
		if r := p.Parse(line, &ev); r != ingest.OK || ev.Time/60e9 != 1795439100/60 {
			t.Errorf("line %d: %s, time %d: %q", n+1, r, ev.Time, line)
		}
		if ev.Status != 0 && ev.Target != "" {
			known++
		} else if ev.Flags&ingest.FlagMalformed != 0 {
			refused++ // "- - HTTP/1.1": what Envoy's codec does not take, or did not wait for
		}
		if ev.Chain != "" {
			chains++
		}
	}
	if known != 174 || refused != 21 || chains != 127 {
		t.Errorf("%d requests with a target, %d refused by the codec, %d with X-Forwarded-For", known, refused, chains)
	}
	t.Logf("%d requests with a target, %d refused by the codec, %d with X-Forwarded-For", known, refused, chains)
}
