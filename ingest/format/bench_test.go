package format

import (
	"fmt"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// extFormat and jsonFormat are those of fixtures/samples.
const (
	extFormat  = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for" rt=$request_time urt="$upstream_response_time" us="$upstream_status" ua="$upstream_addr" rid=$request_id`
	jsonFormat = `escape=json {"time":"$time_iso8601","msec":"$msec","remote_addr":"$remote_addr","remote_port":"$remote_port","realip_remote_addr":"$realip_remote_addr","xff":"$http_x_forwarded_for","user":"$remote_user","method":"$request_method","uri":"$request_uri","norm_uri":"$uri","args":"$args","request":"$request","proto":"$server_protocol","host":"$host","status":$status,"bytes":$body_bytes_sent,"req_len":$request_length,"referer":"$http_referer","ua":"$http_user_agent","api_key":"$http_x_api_key","request_id":"$request_id","request_time":$request_time,"upstream_time":"$upstream_response_time","upstream_status":"$upstream_status","upstream_addr":"$upstream_addr","tls":"$ssl_protocol","cipher":"$ssl_cipher","limit_req":"$limit_req_status"}`
	noneFormat = `escape=none $remote_addr "$request" $status "$http_user_agent"`
)

func open(t testing.TB, spec string) ingest.Parser {
	t.Helper()
	f, err := Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	return f.New()
}

// benchLines are 1024 lines of 200 to 250 bytes over about 100 seconds.
func benchLines(format string) [][]byte {
	var out [][]byte
	for i := range 1024 {
		out = append(out, fmt.Appendf(nil, format, 1+i%223, i%251, i/600, i/10%60, 1000+i*37, i*7, 200+i%5, 100+i*113%90000))
	}
	return out
}

const benchCombined = `203.0.%d.%d - - [23/Nov/2026:13:%02d:%02d +0000] "GET /api/v1/orders/%d?page=%d&size=50 HTTP/1.1" %d %d "https://shop.example/orders" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"`

const benchJSON = `{"time":"2026-11-23T13:03:36+00:00","remote_addr":"203.0.%d.%d","xff":"","id":"%d-%d","request":"GET /api/v1/orders/%d?page=%d&size=50 HTTP/1.1","status":%d,"bytes":%d,"referer":"https://shop.example/orders","ua":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0"}`

func measure(b *testing.B, spec string, lines [][]byte) {
	p := open(b, spec)
	var ev ingest.Event
	size := 0
	for _, l := range lines {
		size += len(l)
		ev = ingest.Event{}
		if r := p.Parse(l, &ev); r != ingest.OK {
			b.Fatalf("%s: %s", r, l)
		}
	}
	b.SetBytes(int64(size / len(lines)))
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		ev = ingest.Event{}
		p.Parse(lines[i&1023], &ev)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mlines/s")
}

func BenchmarkCombined(b *testing.B) { measure(b, "nginx-combined", benchLines(benchCombined)) }

func BenchmarkJSONByKey(b *testing.B) { measure(b, "nginx-json", benchLines(benchJSON)) }

func BenchmarkJSONTemplate(b *testing.B) {
	measure(b, `nginx:escape=json {"time":"$time_iso8601","remote_addr":"$remote_addr","xff":"$http_x_forwarded_for","id":"$request_id","request":"$request","status":$status,"bytes":$body_bytes_sent,"referer":"$http_referer","ua":"$http_user_agent"}`, benchLines(benchJSON))
}

func BenchmarkEscapeNone(b *testing.B) {
	measure(b, `nginx:escape=none $remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`, benchLines(benchCombined))
}
