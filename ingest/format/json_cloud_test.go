package format_test

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

func TestKongContract(t *testing.T) {
	const line = `{"client_ip":"203.0.113.7","started_at":1795439016694,"request":{"method":"GET","uri":"/orders?a=b","url":"http://other.example:8000/orders?a=b","size":231,"id":"f0","querystring":{"client_ip":"9.9.9.9"},"headers":{"host":"shop.example","user-agent":"curl/8.5.0","x-forwarded-for":["192.0.2.1","192.0.2.2"],"authorization":"REDACTED","x-api-key":"key-0"},"tls":{"version":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256","client_verify":"NONE"}},"upstream_uri":"/o","response":{"status":200,"size":612,"headers":{"x-forwarded-for":"9.9.9.9"}},"latencies":{"request":12,"kong":1,"proxy":11},"tries":[{"balancer_latency":0,"ip":"10.0.0.1"}],"consumer":{"id":"c-1","custom_id":"acme","username":"Acme Ltd"},"authenticated_entity":{"id":"e-1"},"route":{"id":"r"},"service":{"host":"be"}}`
	want := ingest.Event{Time: second + 694e6, Peer: client, Method: "GET", Target: "/orders?a=b", BytesIn: 231, RequestID: "f0", Host: "shop.example", Agent: "curl/8.5.0",
		Chain: "192.0.2.1, 192.0.2.2", Key: "key-0", TLS: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Status: 200, BytesOut: 612, Duration: 12e6, Upstream: 11e6, Consumer: "Acme Ltd"}
	jsonContract(t, "kong", []ingesttest.FormatLine{
		{Line: line, Event: want, Plain: true},
		{Line: " [ " + line + " ]\r", Event: want},
		{
			Line: `{"request":{"url":"https:\/\/shop.example:8443\/a","method":"PUT","headers":{}},"latencies":{"proxy":-1,"request":3},"started_at":1795439016000,"consumer":{"custom_id":"acme"},"client_ip":"203.0.113.7","response":{"status":404,"size":1}}`,
			Event: ingest.Event{Time: second, Peer: client, Method: "PUT", Target: "/a", Host: "shop.example:8443", Duration: 3e6, Consumer: "acme",
				Status: 404, BytesOut: 1},
		},
	}, map[string]ingest.Reason{
		"[" + line + "," + line + "]": ingest.BadJSON, // the source takes batches apart
		"[" + line:                    ingest.BadJSON,
		"[]":                          ingest.BadJSON,
		"[":                           ingest.BadJSON,
		`{"request":{"uri":"/"},"started_at":1795439016694}`:           ingest.NoClient,
		`{"request":{"uri":"/"},"client_ip":"203.0.113.7"}`:            ingest.BadTime,
		`{"client_ip":"x","request":{"uri":"/"},"started_at":1795439}`: ingest.BadAddress,
	})
}

func TestAPISIXContract(t *testing.T) {
	jsonContract(t, "apisix", []ingesttest.FormatLine{
		{
			Line: `{"client_ip":"203.0.113.7","start_time":1795439016694.5,"latency":12.000083923,"upstream_latency":11,"apisix_latency":1.000083923,"request":{"method":"POST","uri":"/orders?a=b","url":"http://shop.example:9080/orders?a=b","size":"231","querystring":{},"headers":{"host":"shop.example","user-agent":"curl/8.5.0","x-forwarded-for":"192.0.2.1"},"body":"{}"},"response":{"status":200,"size":"612","headers":{}},"consumer":{"username":"acme"},"route_id":"1","service_id":""}`,
			Event: ingest.Event{Time: second + 6945e5, Peer: client, Duration: 12000083, Upstream: 11e6, Method: "POST", Target: "/orders?a=b", BytesIn: 231, Host: "shop.example",
				Agent: "curl/8.5.0", Chain: "192.0.2.1", Body: "{}", Status: 200, BytesOut: 612, Consumer: "acme"},
			Plain: true,
		},
		{
			Line:  `{"start_time":1795439016694,"client_ip":"203.0.113.7","request":{"uri":"\/","headers":{"User-Agent":"é\t"}},"response":{"status":499}}`,
			Event: ingest.Event{Time: second + 694e6, Peer: client, Target: "/", Agent: "é\t", Status: 499},
		},
	}, map[string]ingest.Reason{
		`{"request":{"uri":"/"},"start_time":1795439016694}`: ingest.NoClient,
		`{"request":{"uri":"/"},"client_ip":"203.0.113.7"}`:  ingest.BadTime,
	})
}

func TestTykContract(t *testing.T) {
	raw := base64.StdEncoding.EncodeToString([]byte("GET /orders?a=b HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nx-forwarded-for:192.0.2.2\r\n\r\nX-Forwarded-For: 9.9.9.9\r\n"))
	line := `{"tyk-analytics-record":{"method":"GET","host":"shop.example","path":"/orders","raw_path":"/orders","content_length":0,"user_agent":"curl/8.5.0","response_code":200,"api_key":"a1b2","timestamp":"2026-11-23T13:03:36.694Z","request_time":12,"raw_request":"` + raw + `","ip_address":"203.0.113.7","latency":{"total":12,"upstream":11},"alias":"acme","geo":{}}}`
	jsonContract(t, "tyk:ip_address", []ingesttest.FormatLine{
		{Line: line, Event: ingest.Event{Time: second + 694e6, Peer: client, Method: "GET", Target: "/orders?a=b", Protocol: "HTTP/1.1", Host: "shop.example", Agent: "curl/8.5.0", Status: 200,
			Key: "a1b2", Duration: 12e6, Chain: "192.0.2.1, 192.0.2.2", Upstream: 11e6, Consumer: "acme"}},
		{
			Line:  `{"timestamp":"2026-11-23T13:03:36Z","method":"GET","raw_path":"/b","path":"/a","response_code":200,"ip_address":"203.0.113.7","raw_request":"cut?","request_time":12,"oauth_id":"o"}`,
			Event: ingest.Event{Time: second, Peer: client, Method: "GET", Target: "/b", Status: 200, Duration: 12e6, Consumer: "o"},
			Plain: true,
		},
	}, nil)
	var ev ingest.Event
	if r := parser(t, "tyk")().Parse([]byte(line), &ev); r != ingest.NoClient {
		t.Errorf("Tyk's address comes from a header, yet without a word of the operator: %s", r)
	}
}

func TestAPIGatewayContract(t *testing.T) {
	jsonContract(t, "aws-apigw", []ingesttest.FormatLine{
		{
			Line: `{"requestId":"c6af","ip":"203.0.113.7","caller":"-","user":"-","requestTime":"23/Nov/2026:13:03:36 +0000","requestTimeEpoch":"1795439016694","httpMethod":"GET","resourcePath":"/orders/{id}","path":"/prod/orders/4711","status":"200","protocol":"HTTP/1.1","responseLength":"512","responseLatency":"12","integrationLatency":"-","userAgent":"curl/8.5.0","apiKeyId":"k1"}`,
			Event: ingest.Event{Time: second + 694e6, Peer: client, RequestID: "c6af", Method: "GET", Target: "/prod/orders/4711", Status: 200, Protocol: "HTTP/1.1", BytesOut: 512,
				Duration: 12e6, Agent: "curl/8.5.0", Consumer: "k1"},
			Plain: true,
		},
		{
			Line:  `{"identity":{"sourceIp":"2001:db8::7","userAgent":"a\"b"},"requestTime":"23/Nov/2026:14:03:36 +0100","httpMethod":"GET","resourcePath":"/orders/{id}","status":404,"authorizer":{"principalId":"p"}}`,
			Event: ingest.Event{Time: second, Peer: addr("2001:db8::7"), Agent: `a"b`, Method: "GET", Target: "/orders/{id}", Status: 404, Consumer: "p"},
		},
	}, map[string]ingest.Reason{
		`{"ip":"test-invoke-source-ip","requestTime":"23/Nov/2026:13:03:36 +0000","path":"/"}`: ingest.BadAddress,
		`{"ip":"203.0.113.7","path":"/"}`:                         ingest.BadTime,
		`{"requestTime":"23/Nov/2026:13:03:36 +0000","path":"/"}`: ingest.NoClient,
	})
}

func TestAzureContract(t *testing.T) {
	jsonContract(t, "azure-apim", []ingesttest.FormatLine{
		{
			Line: `{"time":"2026-11-23T13:03:36.1234567Z","category":"GatewayLogs","operationName":"Microsoft.ApiManagement/GatewayLogs","callerIpAddress":"203.0.113.7","correlationId":"5f3c","durationMs":12,"properties":{"method":"GET","url":"https://shop.example/orders?a=b","clientProtocol":"HTTP/1.1","responseCode":200,"requestSize":231,"responseSize":512,"backendTime":11,"clientTime":1,"clientTlsVersion":"1.2","apimSubscriptionId":"acme","userId":"1","requestHeaders":{"User-Agent":"curl/8.5.0","X-Forwarded-For":"192.0.2.1"}}}`,
			Event: ingest.Event{Time: second + 123456700, Peer: client, RequestID: "5f3c", Duration: 12e6, Method: "GET", Target: "/orders?a=b", Host: "shop.example", Protocol: "HTTP/1.1",
				Status: 200, BytesIn: 231, BytesOut: 512, Upstream: 11e6, TLS: "TLSv1.2", Consumer: "acme", User: "1", Agent: "curl/8.5.0", Chain: "192.0.2.1"},
			Plain: true,
		},
		{ // the same as a row of Log Analytics
			Line:  `{"TimeGenerated":"2026-11-23T13:03:36Z","CallerIpAddress":"203.0.113.7","CorrelationId":"5f3c","Method":"GET","Url":"https:\/\/shop.example","ResponseCode":200,"TotalTime":12,"ApimSubscriptionId":"acme","RequestHeaders":{"user-agent":"x"}}`,
			Event: ingest.Event{Time: second, Peer: client, RequestID: "5f3c", Method: "GET", Target: "/", Host: "shop.example", Status: 200, Duration: 12e6, Consumer: "acme", Agent: "x"},
		},
	}, map[string]ingest.Reason{
		`{"time":"2026-11-23T13:03:36Z","category":"WebSocketConnectionLogs","callerIpAddress":"203.0.113.7","properties":{"url":"/"}}`: ingest.NotARequest,
		`{"time":"2026-11-23T13:03:36Z","category":"GatewayLogs","properties":{"url":"/"}}`:                                             ingest.NoClient,
	})
}

func TestGoogleContract(t *testing.T) {
	jsonContract(t, "gcp-lb", []ingesttest.FormatLine{
		{
			Line: `{"httpRequest":{"latency":"0.123456s","protocol":"HTTP/1.1","remoteIp":"203.0.113.7","requestMethod":"GET","requestSize":"231","requestUrl":"https://shop.example/orders?a=b","responseSize":"512","serverIp":"10.0.0.1","status":200,"userAgent":"curl/8.5.0","referer":"https://r.example/"},"insertId":"1s6h","jsonPayload":{"@type":"type.googleapis.com/google.cloud.loadbalancing.type.LoadBalancerLogEntry","remoteIp":"203.0.113.7","statusDetails":"response_sent_by_backend","tls":{"protocol":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256"},"securityPolicyRequestData":{"tlsJa3Fingerprint":"771","tlsJa4Fingerprint":"t13d"}},"timestamp":"2026-11-23T13:03:36.694543Z","trace":"projects/p/traces/0af7","receiveTimestamp":"2026-11-23T13:03:38Z"}`,
			Event: ingest.Event{Time: second + 694543e3, Peer: client, Duration: 123456e3, Protocol: "HTTP/1.1", Method: "GET", BytesIn: 231, Target: "/orders?a=b", Host: "shop.example",
				BytesOut: 512, Status: 200, Agent: "curl/8.5.0", Referer: "https://r.example/", RequestID: "projects/p/traces/0af7", TLS: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Print: "t13d"},
			Plain: true,
		},
		{
			Line:  `{"timestamp":"2026-11-23T13:03:36Z","jsonPayload":{"remoteIp":"203.0.113.7"},"httpRequest":{"requestUrl":"http:\/\/h\/?a=\u0027"},"insertId":"i"}`,
			Event: ingest.Event{Time: second, Peer: client, Host: "h", Target: "/?a='", RequestID: "i"},
		},
	}, map[string]ingest.Reason{
		`{"timestamp":"2026-11-23T13:03:36Z","httpRequest":{"requestUrl":"/"}}`: ingest.NoClient,
		`{"timestamp":"2026-11-23T13:03:36Z","textPayload":"hello"}`:            ingest.NotARequest,
	})
}

func TestECSContract(t *testing.T) {
	want := ingest.Event{Time: second + 694e6, Peer: client, Chain: "192.0.2.1", Duration: 12e6, Method: "GET", Target: "/orders?a=b", Protocol: "HTTP/1.1", Status: 200, BytesOut: 512,
		Agent: "curl/8.5.0", User: "bob", RequestID: "r1", TLS: "TLSv1.2"}
	jsonContract(t, "ecs", []ingesttest.FormatLine{
		{
			Line:  `{"@timestamp":"2026-11-23T13:03:36.694Z","source":{"ip":"203.0.113.7","address":"shop-client"},"client":{"ip":"9.9.9.9"},"network":{"forwarded_ip":"192.0.2.1"},"event":{"duration":12000000},"http":{"version":"1.1","request":{"method":"GET","id":"r1"},"response":{"status_code":200,"bytes":700,"body":{"bytes":512}}},"url":{"path":"/elsewhere","query":"x","original":"/orders?a=b"},"user_agent":{"original":"curl/8.5.0"},"user":{"name":"bob"},"tls":{"version":"1.2"},"trace":{"id":"t1"}}`,
			Event: want, Plain: true,
		},
		{
			Line:  `{"@timestamp":"2026-11-23T13:03:36.694Z","client.ip":"9.9.9.9","source.ip":["203.0.113.7","9.9.9.9"],"network.forwarded_ip":"192.0.2.1","event.duration":"12000000","http.version":"1.1","http.request":{"method":"GET","id":"r1"},"http.response.status_code":"200","http.response.body.bytes":512,"url.path":"/orders","url.query":"a=b","user_agent":{"original":"curl\/8.5.0"},"user.name":"bob","tls.version":"1.2"}`,
			Event: want,
		},
	}, map[string]ingest.Reason{
		`{"@timestamp":"2026-11-23T13:03:36.694Z","network.forwarded_ip":"192.0.2.1","url.path":"/"}`: ingest.NoClient,
		`{"source.ip":"203.0.113.7","url.path":"/"}`:                                                  ingest.BadTime,
	})
}

func TestOTelContract(t *testing.T) {
	want := ingest.Event{Time: second + 694e6, Peer: client, Chain: "192.0.2.1", Method: "GET", Target: "/orders?a=b", Protocol: "HTTP/1.1", Status: 200, BytesOut: 512, Agent: "curl/8.5.0",
		Host: "shop.example", Key: "k"}
	const pairs = `{"timeUnixNano":"1795439016694000000","attributes":[{"key":"client.address","value":{"stringValue":"192.0.2.1"}},{"key":"network.peer.address","value":{"stringValue":"203.0.113.7"}},{"key":"http.request.method","value":{"stringValue":"GET"}},{"key":"url.path","value":{"stringValue":"/orders"}},{"key":"url.query","value":{"stringValue":"a=b"}},{"key":"network.protocol.version","value":{"stringValue":"1.1"}},{"key":"http.response.status_code","value":{"intValue":"200"}},{"key":"http.response.body.size","value":{"intValue":"512"}},{"key":"user_agent.original","value":{"stringValue":"curl/8.5.0"}},{"key":"server.address","value":{"stringValue":"shop.example"}},{"key":"http.request.header.x-api-key","value":{"arrayValue":{"values":[{"stringValue":"k"}]}}}]}`
	jsonContract(t, "otel", []ingesttest.FormatLine{
		{
			Line:  `{"time":"2026-11-23T13:03:36.694Z","client.address":"192.0.2.1","network.peer.address":"203.0.113.7","network.peer.port":4711,"http.request.method":"GET","url.path":"/orders","url.query":"a=b","network.protocol.version":"1.1","http.response.status_code":200,"http.response.body.size":512,"user_agent.original":"curl/8.5.0","server.address":"shop.example","http.request.header.x-api-key":["k"]}`,
			Event: want, Plain: true,
		},
		{Line: pairs, Event: want, Plain: true},
		{
			Line:  `{"timestamp":1795439016694,"attributes":{"net.sock.peer.addr":"203.0.113.7","http.client_ip":"192.0.2.1","http.method":"GET","http.target":"\/orders?a=b","http.flavor":"1.1","http":{"status_code":200,"host":"shop.example"},"http.response_content_length":512,"http.user_agent":"curl/8.5.0","http.request.header.x_api_key":"k"}}`,
			Event: want,
		},
	}, map[string]ingest.Reason{
		`{"time":"2026-11-23T13:03:36.694Z","client.address":"203.0.113.7","url.path":"/"}`: ingest.NoClient,
	})
	var ev ingest.Event
	line := []byte(`{"time":"2026-11-23T13:03:36.694Z","client.address":"203.0.113.7","url.path":"/"}`)
	if r := parser(t, "otel:client.address")().Parse(line, &ev); r != ingest.OK || ev.Peer != client || ev.Chain != "" {
		t.Errorf("vouched for: %s %+v", r, ev)
	}
}

func TestModSecurityContract(t *testing.T) {
	jsonContract(t, "modsecurity:zone=America/New_York", []ingesttest.FormatLine{
		{
			Line: `{"transaction":{"client_ip":"203.0.113.7","time_stamp":"Mon Nov 23 08:03:36 2026","server_id":"2c","client_port":50578,"unique_id":"179544084816.083403","request":{"method":"POST","http_version":1.1,"uri":"/login","body":"a=b","headers":{"Host":"shop.example","X-Forwarded-For":"192.0.2.1","x-forwarded-for":"192.0.2.2","Cookie":"c=d"}},"response":{"body":"{}","http_code":403,"headers":{"Host":"9.9.9.9"}},"messages":[{"details":{"data":"x"}}]}}`,
			Event: ingest.Event{Time: second, Peer: client, RequestID: "179544084816.083403", Method: "POST", Protocol: "HTTP/1.1", Target: "/login", Body: "a=b", Host: "shop.example",
				Chain: "192.0.2.1, 192.0.2.2", Session: "c=d", Status: 403},
			Plain: true,
		},
		{ // Coraza
			Line:  `{"transaction":{"timestamp":"2026/11/23 08:03:36","unix_timestamp":1795439016694000000,"id":"t1","client_ip":"203.0.113.7","request":{"method":"GET","protocol":"HTTP/2.0","uri":"/\u0027","http_version":"2.0","headers":{"host":["shop.example"]}},"response":{"status":200}}}`,
			Event: ingest.Event{Time: second + 694e6, Peer: client, RequestID: "t1", Method: "GET", Target: "/'", Protocol: "HTTP/2.0", Host: "shop.example", Status: 200},
		},
	}, map[string]ingest.Reason{
		`{"transaction":{"client_ip":"203.0.113.7","time_stamp":"Mon Nov 31 08:03:36 2026","request":{"uri":"/"}}}`: ingest.BadTime,
		`{"transaction":{"time_stamp":"Mon Nov 23 08:03:36 2026","request":{"uri":"/"}}}`:                           ingest.NoClient,
	})
}

// TestModSecurityZone: asctime names no zone, and the gateway is taken to be here.
func TestModSecurityZone(t *testing.T) {
	want, err := time.ParseInLocation(time.ANSIC, "Mon Nov  2 08:03:36 2026", time.Local)
	if err != nil {
		t.Fatal(err)
	}
	var ev ingest.Event
	line := `{"transaction":{"client_ip":"203.0.113.7","time_stamp":"Mon Nov  2 08:03:36 2026","request":{"uri":"/"}}}`
	if r := parser(t, "modsecurity")().Parse([]byte(line), &ev); r != ingest.OK || ev.Time != want.UnixNano() {
		t.Errorf("%s %d, want %d", r, ev.Time, want.UnixNano())
	}
}

// TestAPISIXCustom: with a log_format APISIX writes NGINX's variables under names of the
// operator's choice, of which nginx-json knows the usual ones.
func TestAPISIXCustom(t *testing.T) {
	var ev ingest.Event
	line := `{"@timestamp":"2026-11-23T13:03:36+00:00","client_ip":"203.0.113.7","host":"shop.example","request":"GET \/a HTTP\/1.1","status":200,"consumer_name":"acme","route_id":"1"}`
	want := ingest.Event{Time: second, Peer: client, Host: "shop.example", Method: "GET", Target: "/a", Protocol: "HTTP/1.1", Status: 200, Consumer: "acme"}
	if r := parser(t, "nginx-json")().Parse([]byte(line), &ev); r != ingest.OK || ev != want {
		t.Errorf("%s\n%+v, want\n%+v", r, ev, want)
	}
}
