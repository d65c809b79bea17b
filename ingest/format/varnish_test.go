package format

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

func TestVarnishContract(t *testing.T) {
	plain := ingest.Event{Time: gatewaySecond, Peer: gatewayClient, Method: "GET", Target: "/o?a=b", Protocol: "HTTP/1.1", Host: "api.example",
		Status: 200, BytesOut: 512, Agent: "curl/8.5.0"}
	ingesttest.Format(t, ingesttest.FormatCase{
		New: func() ingest.Parser { return open(t, "varnish-ncsa") },
		Lines: []ingesttest.FormatLine{
			{Line: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET http://api.example/o?a=b HTTP/1.1" 200 512 "-" "curl/8.5.0"`, Event: plain, Plain: true},
			{
				Line: `2001:db8::7 - bob [23/Nov/2026:13:03:36 +0000] "GET http://\"q\"/\xff\\ HTTP/1.1" 404 - "-" "-"`,
				Event: ingest.Event{Time: gatewaySecond, Peer: netip.MustParseAddr("2001:db8::7"), User: "bob", Method: "GET", Target: "/\xff\\",
					Protocol: "HTTP/1.1", Host: `"q"`, Status: 404, Flags: ingest.FlagInvalidUTF8},
			},
			{
				Line: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "- http://localhost HTTP/1.0" 400 0 "-" "-"`,
				Event: ingest.Event{Time: gatewaySecond, Peer: gatewayClient, Status: 400,
					Flags: ingest.FlagMalformed},
				Plain: true,
			},
		},
		Rejects: map[string]ingest.Reason{
			`- - - [23/Nov/2026:13:03:36 +0000] "- http://localhost HTTP/1.0" 400 0 "-" "-"`:                         ingest.NoClient,
			`203.0.113.777 - - [23/Nov/2026:13:03:36 +0000] "GET http://api.example/o?a=b HTTP/1.1" 200 512 "-" "-"`: ingest.BadAddress,
			`203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET http://api.example/o?a=b HTTP/1.1" 20 512 "-" "-"`:    ingest.BadStatus,
			`hello`: ingest.BadShape,
		},
	})
}

// TestVarnishDirectives: what Varnish has and Apache has not.
func TestVarnishDirectives(t *testing.T) {
	for spec, c := range map[string]struct {
		line string
		want ingest.Event
	}{
		`%h %{Varnish:time_firstbyte}x %{Varnish:hitmiss}x %{Varnish:handling}x`: {"1.2.3.4 0.000512 miss pipe", ingest.Event{Upstream: 512e3}},
		`%h "%{VCL_Log:user}x" "%{VCL_Log:X-Api-Key}x" "%{VCL_Log:other}x"`:      {`1.2.3.4 "bob" "k" "z"`, ingest.Event{User: "bob", Key: "k"}},
		`%h %{Varnish:vxid}x "%{VSL:Begin}x" %D %T`:                              {`1.2.3.4 32770 "req 1 rxreq" 1500 0`, ingest.Event{RequestID: "32770", Duration: 1500e3}},
		`-j {"h":"%h","t":"%{%s}t","u":"%U%q","a":"%{User-Agent}i"}`:             {`{"h":"1.2.3.4","t":"1795439016","u":"/a\"?b","a":"é\\"}`, ingest.Event{Time: gatewaySecond, Target: `/a"?b`, Agent: `é\`}},
	} {
		c.want.Peer = netip.MustParseAddr("1.2.3.4")
		var ev ingest.Event
		if r := open(t, "varnish:"+spec).Parse([]byte(c.line), &ev); r != ingest.OK || ev != c.want {
			t.Errorf("%s: %s\ngives %s %+v\nwant  %+v", spec, c.line, r, ev, c.want)
		}
	}
}

func TestVarnishRoundTrip(t *testing.T) {
	const format = `%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-Agent}i" "%{X-Forwarded-For}i" %{usec}t %I %D`
	text := open(t, "varnish:"+format)
	json := open(t, `varnish:-j {"h":"%h","u":"%u","r":"%r","s":%s,"b":%b,"ref":"%{Referer}i","a":"%{User-Agent}i","x":"%{X-Forwarded-For}i","t":%{usec}t,"i":%I,"d":%D}`)
	rapid.Check(t, func(t *rapid.T) {
		r := drawRequest(t)
		r.upstreams = nil
		target := rapid.SampledFrom([]string{"/", "/a?b=\"c\"", `/\`, "/é?://", "/%22", "/ x HTTP/1.0"}).Draw(t, "path")
		r.line = "GET " + target + " HTTP/1.1"
		want := r.expect()
		want.Host = "api.example:8080"
		r.line = "GET http://api.example:8080" + target + " HTTP/1.1"
		line := strings.NewReplacer(percentValues(&r, apacheItem)...).Replace(format)
		var ev ingest.Event
		if reason := text.Parse([]byte(line), &ev); reason != ingest.OK || ev != want {
			t.Fatalf("%s: %s\ngives %+v\nwant  %+v", reason, line, ev, want)
		}
		values := percentValues(&r, func(s string) string { return nginxEscape(s, escJSON) })
		line = strings.NewReplacer(values...).Replace(`{"h":"%h","u":"%u","r":"%r","s":%s,"b":%b,"ref":"%{Referer}i","a":"%{User-Agent}i","x":"%{X-Forwarded-For}i","t":%{usec}t,"i":%I,"d":%D}`)
		ev = ingest.Event{}
		if reason := json.Parse([]byte(line), &ev); reason != ingest.OK || ev != want {
			t.Fatalf("%s: %s\ngives %+v\nwant  %+v", reason, line, ev, want)
		}
	})
}

// TestDetectGateways: each sample is recognised by its lines alone.
func TestDetectGateways(t *testing.T) {
	for file, want := range map[string]string{
		"apache-common.log": "apache-common", "apache-vhost_combined.log": "apache-vhost_combined", "haproxy-httplog.log": "haproxy-http",
		"haproxy-clf.log": "haproxy-clf", "varnish-ncsa.log": "varnish-ncsa", "nginx-combined.log": "nginx-combined",
	} {
		var sample []byte
		for _, l := range sampleFile(t, "samples/"+file)[:40] {
			sample = append(append(sample, l...), '\n')
		}
		if f, why, err := Detect(sample); err != nil || f.Name != want {
			t.Errorf("%s: %q, %q, %v", file, f.Name, why, err)
		}
	}
	// Combined lines with Apache's escapes are read better as Apache's.
	escaped := `1.2.3.4 - - [23/Nov/2026:13:06:43 +0000] "GET /a?x=\"q\"\n HTTP/1.1" 200 167 "-" "curl/7.88.1"` + "\n"
	if f, _, err := Detect([]byte(escaped)); err != nil || f.Name != "apache-combined" {
		t.Errorf("with Apache's escapes: %q, %v", f.Name, err)
	}
}
