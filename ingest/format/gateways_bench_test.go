package format

import "testing"

// The lines are of 200 to 260 bytes, as those of bench_test.go.
const (
	benchAgent   = `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36`
	benchHTTPLog = `203.0.%d.%d:51234 [23/Nov/2026:13:%02d:%02d.694] www~ be_api/s1 0/0/1/6/7 200 512 - - --NI 1/1/0/0/0 0/0 ` +
		`{api.example|Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)|} "GET /api/v1/orders/%d?page=%d&size=%d%d HTTP/1.1"`
	benchCLF = `203.0.%d.%d - - [23/Nov/2026:13:%02d:%02d +0000] "GET /api/v1/orders/%d?page=%d&size=50&sort=created&filter=open&region=eu-central HTTP/1.1" ` +
		`%d %d "" "" 51234 694 "www~" "be_api" "s1" 0 0 1 6 7 --NI 1 1 0 0 0 0 0 "" "" `
	benchApacheJSON = `{"time":"2026-11-23T13:03:36.071+0000","ip":"203.0.%d.%d","user":"-","n":"%d-%d","method":"GET","uri":"/api/v1/orders/%d?page=%d","status":%d,"bytes":%d,"us":5381,"xff":"-","ua":"` + benchAgent + `"}`
	benchVarnish    = `203.0.%d.%d - - [23/Nov/2026:13:%02d:%02d +0000] "GET http://api.example/api/v1/orders/%d?page=%d&size=50 HTTP/1.1" %d %d "https://shop.example/orders" "` + benchAgent + `"`
)

func BenchmarkApacheCombined(b *testing.B) {
	measure(b, "apache-combined", benchLines(benchCombined))
}

func BenchmarkApacheVhost(b *testing.B) {
	measure(b, "apache-vhost_combined", benchLines("api.example:443 "+benchCombined))
}

func BenchmarkApacheJSON(b *testing.B) {
	measure(b, `apache:{"time":"%{%Y-%m-%dT%H:%M:%S}t.%{msec_frac}t%{%z}t","ip":"%a","user":"%u","n":"%L","method":"%m","uri":"%U%q","status":%>s,"bytes":%O,"us":%D,"xff":"%{X-Forwarded-For}i","ua":"%{User-Agent}i"}`,
		benchLines(benchApacheJSON))
}

func BenchmarkHAProxyHTTP(b *testing.B) { measure(b, haproxyHTTPSpec, benchLines(benchHTTPLog)) }

func BenchmarkHAProxyCLF(b *testing.B) { measure(b, "haproxy-clf", benchLines(benchCLF)) }

func BenchmarkVarnish(b *testing.B) { measure(b, "varnish-ncsa", benchLines(benchVarnish)) }

// BenchmarkGatewaySamples reads the lines of fixtures/samples, hostile ones and all.
func BenchmarkGatewaySamples(b *testing.B) {
	for _, s := range gatewaySamples {
		b.Run(s.file, func(b *testing.B) {
			var lines [][]byte
			for _, l := range sampleFile(b, "samples/"+s.file) {
				if len(l) < 600 && len(lines) < 90 { // ordinary requests come first
					lines = append(lines, l)
				}
			}
			all := make([][]byte, 1024)
			for i := range all {
				all[i] = lines[i%len(lines)]
			}
			measure(b, s.spec, all)
		})
	}
}

// TestBenchLines keeps the benchmarks' lines at the length that they claim.
func TestBenchLines(t *testing.T) {
	for name, format := range map[string]string{"http": benchHTTPLog, "clf": benchCLF, "varnish": benchVarnish, "combined": benchCombined} {
		if n := len(benchLines(format)[7]); n < 200 || n > 270 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
}
