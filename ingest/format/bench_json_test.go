package format

import (
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// haproxyMap and varnishMap read the JSON strings of fixtures/samples.
const (
	haproxyMap = "json:time=ts_ms:ms,peer=client_ip,method=method,target=uri,protocol=ver,status=status,bytes_out_all=bytes_read,bytes_in=req_bytes,chain=xff,agent=ua,duration=Ta:ms,upstream_time=Tr:ms,request_id=id"
	varnishMap = "json:time=t,peer=ip,method=m,target=url,status=s,bytes_out_all=b,duration=us:us,agent=ua,chain=xff"
)

// BenchmarkJSONSamples reads the samples' own lines, which is how JSON comes: other
// header fields in each line, and Caddy's in another order each time.
func BenchmarkJSONSamples(b *testing.B) {
	for _, s := range []struct{ file, spec string }{
		{"nginx-json.log", "nginx-json"}, {"caddy-json.log", "caddy"}, {"caddy-console.log", "caddy-console"}, {"envoy-json.log", "envoy-json"},
		{"traefik-json.log", "traefik-json"}, {"haproxy-json.log", haproxyMap}, {"varnish-json.log", varnishMap},
		{"envoy-als_protojson.jsonl", "envoy-als"}, {"nginx-modsecurity-audit.jsonl", "modsecurity"},
	} {
		b.Run(s.file, func(b *testing.B) {
			lines := sampleFile(b, "samples/"+s.file)
			p, size := open(b, s.spec), 0
			for _, l := range lines {
				size += len(l)
			}
			b.SetBytes(int64(size / len(lines)))
			b.ReportAllocs()
			b.ResetTimer()
			var ev ingest.Event
			for i := range b.N {
				ev = ingest.Event{}
				p.Parse(lines[i%len(lines)], &ev)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mlines/s")
		})
	}
}
