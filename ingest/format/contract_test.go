package format_test

import (
	"net/netip"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

var (
	second = int64(1795439016e9) // 2026-11-23T13:03:36Z
	client = netip.MustParseAddr("203.0.113.7")
)

func parser(t *testing.T, spec string) func() ingest.Parser {
	t.Helper()
	f, err := format.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	return f.New
}

func TestCombinedContract(t *testing.T) {
	ingesttest.Format(t, ingesttest.FormatCase{
		New: parser(t, "nginx-combined"),
		Lines: []ingesttest.FormatLine{
			{
				Line: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/1?a=b HTTP/1.1" 200 512 "-" "curl/8.5.0"`,
				Event: ingest.Event{Time: second, Peer: client, Method: "GET", Target: "/orders/1?a=b", Protocol: "HTTP/1.1",
					Status: 200, BytesOut: 512, Agent: "curl/8.5.0"},
				Plain: true,
			},
			{
				Line: `2001:db8::7 - bob [23/Nov/2026:14:03:36 +0100] "\x16\x03\xFF" 400 0 "http://r/\x22" "-"`,
				Event: ingest.Event{Time: second, Peer: netip.MustParseAddr("2001:db8::7"), User: "bob", Target: "\x16\x03\xff",
					Status: 400, Referer: `http://r/"`, Flags: ingest.FlagMalformed | ingest.FlagInvalidUTF8},
			},
		},
		Rejects: map[string]ingest.Reason{
			`2026/11/23 13:03:36 [error] 7#7: *1 open() failed`:                                             ingest.NotARequest,
			`203.0.113.777 - - [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 512 "-" "-"`:               ingest.BadAddress,
			`203.0.113.7 - - [31/Feb/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 512 "-" "-"`:                 ingest.BadTime,
			`203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 2x0 512 "-" "-"`:                 ingest.BadStatus,
			`203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 1234567890123456789 "-" "-"`: ingest.BadNumber,
			`203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1" 200 512`:                         ingest.BadShape,
			`{"remote_addr":"203.0.113.7"}`:                                                                 ingest.BadShape,
			`hello`:                                                                                         ingest.BadShape,
		},
	})
}

func TestJSONContract(t *testing.T) {
	plain := ingest.Event{Time: second + 694e6, Peer: client, Chain: "198.51.100.1", Method: "GET", Target: "/o?a=b", Protocol: "HTTP/1.1",
		Status: 200, BytesOut: 12, BytesIn: 90, Duration: 1e6, Upstream: 300e6, Agent: "curl", Key: "key-0", Host: "h"}
	escaped := ingest.Event{Time: second, Peer: client, Target: "\x16\"\\\n", Status: 400, User: "é", Flags: ingest.FlagMalformed}
	const template = `nginx:escape=json {"time":"$time_iso8601","msec":"$msec","remote_addr":"$remote_addr","xff":"$http_x_forwarded_for",` +
		`"request":"$request","status":$status,"bytes":$body_bytes_sent,"req_len":$request_length,"request_time":$request_time,` +
		`"upstream_time":"$upstream_response_time","ua":"$http_user_agent","api_key":"$http_x_api_key","host":"$host","user":"$remote_user"}`
	const first = `{"time":"2026-11-23T13:03:36+00:00","msec":"1795439016.694","remote_addr":"203.0.113.7","xff":"198.51.100.1",` +
		`"request":"GET /o?a=b HTTP/1.1","status":200,"bytes":12,"req_len":90,"request_time":0.001,` +
		`"upstream_time":"0.1, 0.2 : -","ua":"curl","api_key":"key-0","host":"h","user":""}`
	// Another order, blanks, keys that nobody knows.
	const second = `{ "x":{"remote_addr":"192.0.2.1","a":["}",1]}, "status" : "400", "remote_addr":"203.0.113.7",` +
		`"request":"\u0016\"\\\n","user":"\u00e9","time":"2026-11-23T13:03:36+00:00","bytes":null,"upstream_time":-}`
	for _, spec := range []string{template, "nginx-json"} {
		ingesttest.Format(t, ingesttest.FormatCase{
			New: parser(t, spec),
			Lines: []ingesttest.FormatLine{
				{Line: first, Event: plain, Plain: true},
				{Line: second, Event: escaped},
			},
			Rejects: map[string]ingest.Reason{
				`{"time":"2026-11-23T13:03:36+00:00","request":"GET / HTTP/1.1"}`:                ingest.NoClient,
				`{"time":"yesterday","remote_addr":"203.0.113.7"}`:                               ingest.BadTime,
				`{"remote_addr":"203.0.113.7","request":"GET / HTTP/1.1"}`:                       ingest.BadTime,
				`{"time":"2026-11-23T13:03:36+00:00","remote_addr":"203.0.113.7","status":"ok"}`: ingest.BadStatus,
				`{"time":"2026-11-23T13:03:36+00:00","remote_addr":"203.0.113.7","bytes":1e9}`:   ingest.BadNumber,
				`{"level":"info","msg":"started"}`:                                               ingest.NotARequest,
				`{}`:                                                                             ingest.NotARequest,
				`{"remote_addr":"203.0.113.7"`:                                                   ingest.BadJSON,
				`[1]`:                                                                            ingest.BadJSON,
				`2026/11/23 13:03:36 [notice] 7#7: start`:                                        ingest.NotARequest,
			},
		})
	}
}

// TestProxyProtocol: what the PROXY header named is evidence like X-Real-IP; the peer
// stays who connected.
func TestProxyProtocol(t *testing.T) {
	for spec, line := range map[string]string{
		`nginx:$remote_addr "$proxy_protocol_addr" [$time_iso8601] "$request" $status`: `10.0.0.9 "203.0.113.7" [2026-11-23T13:03:36+00:00] "GET / HTTP/1.1" 200`,
		"nginx-json": `{"time":"2026-11-23T13:03:36+00:00","remote_addr":"10.0.0.9","proxy_protocol_addr":"203.0.113.7","request":"GET / HTTP/1.1","status":200}`,
	} {
		var ev ingest.Event
		if r := parser(t, spec)().Parse([]byte(line), &ev); r != ingest.OK || ev.Peer.String() != "10.0.0.9" || ev.RealIP != "203.0.113.7" {
			t.Errorf("%s: %s, peer %s, real IP %q", spec, r, ev.Peer, ev.RealIP)
		}
	}
}
