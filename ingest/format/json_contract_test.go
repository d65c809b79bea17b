package format_test

import (
	"net/netip"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

// jsonContract runs the contract for a format of objects, with the rejects that all
// of them share.
func jsonContract(t *testing.T, spec string, lines []ingesttest.FormatLine, rejects map[string]ingest.Reason) {
	t.Helper()
	all := map[string]ingest.Reason{
		`{"level":"info","msg":"started"}`: ingest.NotARequest, `{}`: ingest.NotARequest, `{`: ingest.BadJSON, `{"a":1}}`: ingest.BadJSON,
		`2026/11/23 13:03:36 [notice] 7#7: start`: ingest.NotARequest, `hello`: ingest.BadJSON, `{"a":1}{"a":1}`: ingest.BadJSON,
	}
	for line, r := range rejects {
		all[line] = r
	}
	ingesttest.Format(t, ingesttest.FormatCase{New: parser(t, spec), Lines: lines, Rejects: all})
}

func TestCaddyContract(t *testing.T) {
	jsonContract(t, "caddy", []ingesttest.FormatLine{
		{ // 2.11, behind a trusted proxy
			Line: `{"level":"info","ts":1795439016.5,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"203.0.113.7","remote_port":"39468","client_ip":"198.51.100.9","proto":"HTTP/2.0","method":"GET","host":"shop.example","uri":"/orders?a=b","headers":{"User-Agent":["curl/8.5.0"],"X-Api-Key":["key-0"],"Authorization":["REDACTED"],"Referer":["https://r.example/"]},"tls":{"resumed":false,"version":772,"cipher_suite":4865,"proto":"h2","server_name":"shop.example","client_common_name":"acme"}},"bytes_read":17,"user_id":"bob","duration":0.002214847,"size":12,"status":200,"resp_headers":{"Via":["1.1 Caddy"]}}`,
			Event: ingest.Event{Time: second + 5e8, Peer: client, Chain: "198.51.100.9", Method: "GET", Target: "/orders?a=b", Host: "shop.example", Protocol: "HTTP/2.0",
				Agent: "curl/8.5.0", Key: "key-0", Referer: "https://r.example/", TLS: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Subject: "acme",
				BytesIn: 17, User: "bob", Duration: 2214847, BytesOut: 12, Status: 200},
			Plain: true,
		},
		{ // 2.6 with time_format iso8601 and duration_format string, an escaped path and two header lines
			Line: `{"ts":"2026-11-23T13:03:36.500Z","logger":"http.log.access","request":{"remote_ip":"2001:db8::7","proto":"HTTP/1.1","method":"POST","uri":"/\u003cb\u003e","headers":{"X-Forwarded-For":["192.0.2.1","192.0.2.2, 192.0.2.3"],"Cookie":["a=b"]}},"duration":"1.2ms","size":0,"status":0}`,
			Event: ingest.Event{Time: second + 5e8, Peer: addr("2001:db8::7"), Chain: "192.0.2.1, 192.0.2.2, 192.0.2.3", Session: "a=b",
				Method: "POST", Target: "/<b>", Protocol: "HTTP/1.1", Duration: 12e5},
		},
		{ // time_format wall, which is UTC, and Caddy 2.4's address
			Line:  `{"ts":"2026/11/23 13:03:36","request":{"remote_addr":"[::1]:4711","uri":"/"},"status":404}`,
			Event: ingest.Event{Time: second, Peer: addr("::1"), Target: "/", Status: 404},
			Plain: true,
		},
	}, map[string]ingest.Reason{
		`{"level":"error","ts":1795439016.5,"logger":"http.log.error.log0","msg":"dial tcp","request":{"remote_ip":"203.0.113.7","uri":"/"},"status":502}`: ingest.NotARequest,
		`{"ts":1795439016.5,"request":{"client_ip":"203.0.113.7","uri":"/"},"status":200}`:                                                                 ingest.NoClient,
		`{"ts":1795439016.5,"request":{"remote_ip":"203.0.113","uri":"/"},"status":200}`:                                                                   ingest.BadAddress,
		`{"ts":"then","request":{"remote_ip":"203.0.113.7","uri":"/"},"status":200}`:                                                                       ingest.BadTime,
		`{"request":{"remote_ip":"203.0.113.7","uri":"/"},"status":200}`:                                                                                   ingest.BadTime,
		`{"ts":1795439016.5,"request":{"remote_ip":"203.0.113.7","uri":"/"},"status":"ok"}`:                                                                ingest.BadStatus,
		`{"ts":1795439016.5,"request":{"remote_ip":"203.0.113.7","uri":"/"},"status":200,"duration":"long"}`:                                               ingest.BadNumber,
		`{"ts":1795439016.5,"request":{"remote_ip":"203.0.113.7","uri":"/"},"status":200`:                                                                  ingest.BadJSON,
	})
}

func TestCaddyConsoleContract(t *testing.T) {
	const object = `{"request": {"remote_ip": "203.0.113.7", "client_ip": "203.0.113.7", "proto": "HTTP/1.1", "method": "GET", "host": "shop.example", "uri": "/orders/4711", "headers": {"User-Agent": ["curl/8.5.0"]}}, "duration": 0.5, "size": 12, "status": 200, "resp_headers": {}}`
	want := ingest.Event{Time: second + 59e6, Peer: client, Method: "GET", Target: "/orders/4711", Host: "shop.example", Protocol: "HTTP/1.1",
		Agent: "curl/8.5.0", Duration: 5e8, BytesOut: 12, Status: 200}
	iso := want
	iso.Time += 1e6
	ingesttest.Format(t, ingesttest.FormatCase{
		New: parser(t, "caddy-console"),
		Lines: []ingesttest.FormatLine{
			{Line: "2026/11/23 13:03:36.059\t\x1b[34mINFO\x1b[0m\thttp.log.access.log1\thandled request\t" + object, Event: want, Plain: true},
			{Line: "2026-11-23T13:03:36.060Z\tINFO\thttp.log.access\thandled request\t" + object, Event: iso, Plain: true},
		},
		Rejects: map[string]ingest.Reason{
			"2026/11/23 13:03:36.059\t\x1b[31mERROR\x1b[0m\thttp.log.error.log1\tdial tcp\t" + object:          ingest.NotARequest,
			"2026/11/23 13:03:36.059\tINFO\tadmin\tadmin endpoint started\t" + `{"address": "localhost:2019"}`: ingest.NotARequest,
			"2026/11/23 13:03:36.059\tINFO\tserving initial configuration":                                     ingest.NotARequest,
			"yesterday\tINFO\thttp.log.access.log1\thandled request\t" + object:                                ingest.BadTime,
			"hello": ingest.BadShape,
			"2026/11/23 13:03:36.059\tINFO\thttp.log.access.log1\thandled request\t" + object[:len(object)-2]:     ingest.BadJSON,
			"2026/11/23 13:03:36.059\tINFO\thttp.log.access.log1\thandled request\t" + `{"request": {"uri":"/"}}`: ingest.NoClient,
		},
	})
	// An operator who set time_local says where.
	var ev ingest.Event
	p := parser(t, "caddy-console:zone=Europe/Berlin")()
	if r := p.Parse([]byte("2026/11/23 14:03:36.059\tINFO\thttp.log.access\thandled request\t"+object), &ev); r != ingest.OK || ev.Time != want.Time {
		t.Errorf("in Berlin: %s %d, want %d", r, ev.Time, want.Time)
	}
}

func TestTraefikJSONContract(t *testing.T) {
	jsonContract(t, "traefik-json", []ingesttest.FormatLine{
		{ // ClientHost is what the client wrote into X-Forwarded-For; the time is that of the end
			Line: `{"ClientAddr":"203.0.113.7:36350","ClientHost":"192.0.2.66","ClientPort":"36350","ClientUsername":"-","DownstreamContentSize":12,"DownstreamStatus":200,"Duration":9437346,"OriginDuration":9251669,"RequestContentSize":0,"RequestHost":"shop.example","RequestMethod":"GET","RequestPath":"/orders?a=b","RequestProtocol":"HTTP/2.0","StartLocal":"2026-11-23T14:03:36.575222922+01:00","StartUTC":"2026-11-23T13:03:36.575222922Z","TLSCipher":"TLS_AES_128_GCM_SHA256","TLSClientSubject":"CN=acme","TLSVersion":"1.3","request_User-Agent":"curl/8.5.0","request_X-Api-Key":"key-0","request_Authorization":"REDACTED","time":"2026-11-23T13:03:36Z"}`,
			Event: ingest.Event{Time: second + 575222922 + 9437346, Peer: client, Chain: "192.0.2.66", BytesOut: 12, Status: 200, Duration: 9437346, Upstream: 9251669,
				Host: "shop.example", Method: "GET", Target: "/orders?a=b", Protocol: "HTTP/2.0", Cipher: "TLS_AES_128_GCM_SHA256", Subject: "CN=acme", TLS: "TLSv1.3",
				Agent: "curl/8.5.0", Key: "key-0"},
			Plain: true,
		},
		{
			Line:  `{"ClientAddr":"[2001:db8::7]:36350","ClientUsername":"bob","DownstreamStatus":499,"RequestContentSize":-1,"RequestPath":"/a\u0026b","request_X-Forwarded-For":"192.0.2.1","ClientHost":"192.0.2.66","time":"2026-11-23T14:03:36+01:00"}`,
			Event: ingest.Event{Time: second, Peer: addr("2001:db8::7"), User: "bob", Status: 499, Target: "/a&b", Chain: "192.0.2.1"},
		},
	}, map[string]ingest.Reason{
		`{"ClientHost":"203.0.113.7","RequestPath":"/","DownstreamStatus":200,"time":"2026-11-23T13:03:36Z"}`:                 ingest.NoClient,
		`{"ClientAddr":"somewhere:80","RequestPath":"/","DownstreamStatus":200,"time":"2026-11-23T13:03:36Z"}`:                ingest.BadAddress,
		`{"ClientAddr":"203.0.113.7:80","RequestPath":"/","DownstreamStatus":200}`:                                            ingest.BadTime,
		`{"ClientAddr":"203.0.113.7:80","RequestPath":"/","DownstreamStatus":200,"StartUTC":"soon"}`:                          ingest.BadTime,
		`{"entryPointName":"web","level":"error","msg":"accept tcp: use of closed connection","time":"2026-11-23T13:03:36Z"}`: ingest.NotARequest,
	})
}

func TestEnvoyJSONContract(t *testing.T) {
	direct := ingest.Event{Time: second + 508e6, Peer: client, Chain: "192.0.2.66", Key: "key-0", Host: "shop.example", BytesOut: 12, Duration: 4e6, Method: "GET",
		Target: "/orders?a=b", Protocol: "HTTP/1.1", RequestID: "67f35cf6", Status: 200, Upstream: 1e6, Agent: "curl/8.5.0"}
	const line = `{"api_key":"key-0","authority":"shop.example","bytes_received":0,"bytes_sent":12,"downstream_direct_remote_address":"203.0.113.7:60362","downstream_remote_address":"192.0.2.66:0","duration":4,"method":"GET","path":"/orders?a=b","protocol":"HTTP/1.1","request_id":"67f35cf6","response_code":200,"response_flags":"-","route_name":null,"start_time":"2026-11-23T13:03:36.508Z","upstream_service_time":"1","user_agent":"curl/8.5.0","x_forwarded_for":null}`
	// Istio has no direct address, and Envoy Gateway spells headers with dashes.
	const istio = `{"authority":"shop.example","bytes_sent":12,"downstream_remote_address":"203.0.113.7:0","duration":4,"method":"CONNECT","path":null,"response_code":0,"start_time":"2026-11-23T13:03:36.508Z","x-forwarded-for":"192.0.2.66","user-agent":"a\"b"}`
	vouched := ingest.Event{Time: second + 508e6, Peer: client, Chain: "192.0.2.66", Host: "shop.example", Target: "shop.example", BytesOut: 12, Duration: 4e6, Method: "CONNECT", Agent: `a"b`}
	jsonContract(t, "envoy-json", []ingesttest.FormatLine{{Line: line, Event: direct, Plain: true}, {
		Line:  `{"downstream_direct_remote_address":"203.0.113.7:1","method":null,"path":null,"response_code":400,"start_time":"2026-11-23T13:03:36.508Z"}`,
		Event: ingest.Event{Time: second + 508e6, Peer: client, Status: 400, Flags: ingest.FlagMalformed},
	}}, map[string]ingest.Reason{istio: ingest.NoClient})
	jsonContract(t, "envoy-json:use_remote_address", []ingesttest.FormatLine{{Line: istio, Event: vouched}, {Line: line, Event: func() ingest.Event {
		e := direct
		e.Chain = "" // what is vouched for is no claim
		return e
	}(), Plain: true}}, nil)
}

func TestEnvoyALSContract(t *testing.T) {
	want := ingest.Event{Time: second + 625275e3, Peer: client, Chain: "192.0.2.66", Duration: 958300, Upstream: 919257, BytesIn: 88, BytesOut: 12, Protocol: "HTTP/1.1",
		Method: "GET", Host: "x", Target: "/", RequestID: "570e2237", Status: 200, TLS: "TLSv1.3", Cipher: "TLS_AES_256_GCM_SHA384", Subject: "CN=acme", Print: "t13d"}
	jsonContract(t, "envoy-als", []ingesttest.FormatLine{{
		Line:  `{"commonProperties":{"downstreamRemoteAddress":{"socketAddress":{"address":"192.0.2.66","portValue":0}},"tlsProperties":{"tlsVersion":"TLSv1_3","tlsCipherSuite":4866,"peerCertificateProperties":{"subject":"CN=acme"},"ja4Fingerprint":"t13d","ja3Fingerprint":"771"},"startTime":"2026-11-23T13:03:36.625275Z","timeToLastUpstreamRxByte":"0.000919257s","downstreamDirectRemoteAddress":{"socketAddress":{"address":"203.0.113.7","portValue":36604}},"duration":"0.000958300s","streamId":"570e2237","downstreamWireBytesSent":"188","downstreamWireBytesReceived":"88","accessLogType":"DownstreamEnd"},"protocolVersion":"HTTP11","request":{"requestMethod":"GET","scheme":"http","authority":"x","path":"/"},"response":{"responseCode":200,"responseBodyBytes":"12"}}`,
		Event: want, Plain: true,
	}, {
		Line:  `{"common_properties":{"downstream_direct_remote_address":{"socket_address":{"address":"203.0.113.7"}},"start_time":"2026-11-23T13:03:36.625275Z","time_to_last_downstream_tx_byte":"1s"},"protocol_version":"HTTP2","request":{"request_method":"GET","original_path":"/a","path":"/b","forwarded_for":"a\\b","request_headers":{"x-api-key":"k"}},"response":{"response_code":404}}`,
		Event: ingest.Event{Time: second + 625275e3, Peer: client, Chain: `a\b`, Duration: 1e9, Protocol: "HTTP/2.0", Method: "GET", Target: "/a", Key: "k", Status: 404},
	}}, map[string]ingest.Reason{
		`{"commonProperties":{"accessLogType":"DownstreamStart","downstreamDirectRemoteAddress":{"socketAddress":{"address":"203.0.113.7"}},"startTime":"2026-11-23T13:03:36Z"},"request":{"path":"/"}}`: ingest.NotARequest,
		`{"commonProperties":{"downstreamRemoteAddress":{"socketAddress":{"address":"203.0.113.7"}},"startTime":"2026-11-23T13:03:36Z"},"request":{"path":"/"}}`:                                         ingest.NoClient,
	})
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestConsoleKeepsNothing: the batch that a line stood in is used again.
func TestConsoleKeepsNothing(t *testing.T) {
	p := parser(t, "caddy-console")()
	line := []byte("2026/11/23 13:03:36.059\tINFO\thttp.log.access\thandled request\t" + `{"request": {"remote_ip": "203.0.113.7", "uri": "/"}}`)
	var ev ingest.Event
	if r := p.Parse(line, &ev); r != ingest.OK {
		t.Fatal(r)
	}
	copy(line, "hello, world")
	if r := p.Parse(line, &ev); r != ingest.BadTime {
		t.Errorf("%s: the time of an earlier line was remembered by where it stood", r)
	}
}
