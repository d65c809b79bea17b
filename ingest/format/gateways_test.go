package format

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// The formats of fixtures/samples that are compiled from a string, as their gateway had it.
const (
	apacheJSON  = `LogFormat "{\"time\":\"%{%Y-%m-%dT%H:%M:%S}t.%{msec_frac}t%{%z}t\",\"ip\":\"%a\",\"user\":\"%u\",\"method\":\"%m\",\"uri\":\"%U%q\",\"proto\":\"%H\",\"status\":%>s,\"bytes\":%O,\"us\":%D,\"xff\":\"%{X-Forwarded-For}i\",\"ua\":\"%{User-Agent}i\",\"id\":\"%{UNIQUE_ID}e\"}" jsonish`
	haproxyJSON = `log-format '{"ts_ms":%[date(0,ms)],"accept":"%tr","client_ip":"%ci","client_port":%cp,"frontend":"%f","backend":"%b","server":"%s","method":"%[var(txn.method),json(utf8s)]","uri":"%[var(txn.uri),json(utf8s)]","status":%ST,"bytes_read":%B,"req_bytes":%U,"xff":"%[var(txn.xff),json(utf8s)]","ua":"%[capture.req.hdr(0),json(utf8s)]","term":"%ts","TR":%TR,"Tw":%Tw,"Tc":%Tc,"Tr":%Tr,"Ta":%Ta,"id":"%ID","ver":"%HV"}'`
	varnishJSON = `-j -F '{"t":"%{%Y-%m-%dT%H:%M:%S%z}t","ip":"%h","m":"%m","url":"%U%q","s":%s,"b":%O,"us":%D,"ua":"%{User-Agent}i","xff":"%{X-Forwarded-For}i","h":"%{Varnish:hitmiss}x"}'`

	haproxyHTTPSpec = "haproxy-http:zone=UTC captures=host,user-agent,x-forwarded-for"
)

// gatewaySamples are the samples of the gateways with format strings, how each is
// read, and what must come of it.
var gatewaySamples = []struct {
	file, spec                         string
	lines, events                      int
	malformed, invalid, cut, forgeable int
	rejects                            map[ingest.Reason]int
}{
	{"apache-common.log", "apache-common", 196, 196, 4, 1, 0, 0, nil},
	{"apache-combined.log", "apache-combined", 196, 196, 4, 1, 0, 0, nil},
	{"apache-vhost_combined.log", "apache-vhost_combined", 196, 196, 4, 1, 0, 0, nil},
	{"apache-jsonish.log", "apache:" + apacheJSON, 196, 196, 3, 2, 0, 0, nil},
	{"haproxy-httplog.log", haproxyHTTPSpec, 197, 196, 17, 1, 1, 0, map[ingest.Reason]int{ingest.NotARequest: 1}},
	{"haproxy-clf.log", "haproxy-clf", 184, 182, 17, 0, 0, 0, map[ingest.Reason]int{ingest.NotARequest: 1, ingest.BadShape: 1}},
	{"haproxy-json.log", "haproxy:zone=UTC " + haproxyJSON, 196, 195, 17, 0, 0, 0, map[ingest.Reason]int{ingest.BadShape: 1}},
	{"varnish-ncsa.log", "varnish-ncsa", 175, 164, 0, 1, 0, 0, map[ingest.Reason]int{ingest.NoClient: 11}},
	{"varnish-json.log", "varnish:" + varnishJSON, 164, 164, 0, 1, 0, 0, nil},
}

func TestGatewaySamples(t *testing.T) {
	for _, s := range gatewaySamples {
		tallied(t, s.file, []ingest.Parser{open(t, s.spec)}, func(where string, ev *ingest.Event) {
			checkSampleEvent(t, where, ev)
		}).is(t, s.file, tally{s.lines, s.events, s.malformed, s.invalid, s.cut, s.forgeable, s.rejects})
	}
}

// checkSampleEvent: the requests came from this machine, on that afternoon, and each
// has what the gateway knew.
func checkSampleEvent(t *testing.T, where string, ev *ingest.Event) {
	t.Helper()
	if seen := ev.Peer.String(); seen != "127.0.0.1" && seen != "::1" {
		t.Errorf("%s: the gateway never saw %s", where, seen)
	}
	if ev.Time < 1795439000e9 || ev.Time > 1795439260e9 {
		t.Errorf("%s: time %d is not within the run", where, ev.Time)
	}
	if ev.Status < 200 || ev.Status > 504 {
		t.Errorf("%s: status %d", where, ev.Status)
	}
	if ev.Flags&ingest.FlagMalformed == 0 && (ev.Target == "" || ev.Method == "") {
		t.Errorf("%s: %q %q", where, ev.Method, ev.Target)
	}
	for _, s := range []string{ev.Agent, ev.Target, ev.Chain, ev.Host} {
		if strings.Contains(s, "#22") || strings.Contains(s, `\"`) && !strings.Contains(s, `q\"`) || strings.Contains(s, `\x`) {
			t.Errorf("%s: an escape is left in %q", where, s)
		}
	}
}

// sampleEvents reads a sample; lines that are no events are left out.
func sampleEvents(t *testing.T, file, spec string) (out []ingest.Event) {
	t.Helper()
	p := open(t, spec)
	for _, line := range sampleFile(t, "samples/"+file) {
		var ev ingest.Event
		if p.Parse(line, &ev) == ingest.OK {
			out = append(out, ev)
		}
	}
	return out
}

// TestGatewaysAgree reads the same requests from two logs of one gateway.
func TestGatewaysAgree(t *testing.T) {
	for _, c := range []struct {
		a, b [2]string
		same func(a, b *ingest.Event) bool
	}{
		{[2]string{"apache-combined.log", "apache-combined"}, [2]string{"apache-vhost_combined.log", "apache-vhost_combined"},
			func(a, b *ingest.Event) bool { b.Host = ""; return *a == *b }},
		{[2]string{"apache-combined.log", "apache-combined"}, [2]string{"apache-common.log", "apache-common"},
			func(a, b *ingest.Event) bool { a.Agent, a.Referer = "", ""; a.Flags, b.Flags = 0, 0; return *a == *b }},
		{[2]string{"apache-combined.log", "apache-combined"}, [2]string{"apache-jsonish.log", "apache:" + apacheJSON},
			func(a, b *ingest.Event) bool {
				return a.Time/1e9 == b.Time/1e9 && a.Agent == b.Agent && a.Status == b.Status && a.BytesOut == b.BytesOut && a.Peer == b.Peer
			}},
		{[2]string{"apache-combined.log", "apache-combined"}, [2]string{"apache-combined.log", "nginx-combined"},
			func(a, b *ingest.Event) bool { return a.Time == b.Time && a.Status == b.Status && a.Method == b.Method }},
	} {
		as, bs := sampleEvents(t, c.a[0], c.a[1]), sampleEvents(t, c.b[0], c.b[1])
		if len(as) != len(bs) {
			t.Errorf("%s has %d events, %s %d", c.a[0], len(as), c.b[0], len(bs))
			continue
		}
		for i := range as {
			if a, b := as[i], bs[i]; !c.same(&a, &b) {
				t.Errorf("%s and %s differ in request %d:\n%+v\n%+v", c.a[0], c.b[0], i+1, as[i], bs[i])
			}
		}
	}
}

// TestHAProxySyslog: the same lines as syslog brought them, their header taken off.
func TestHAProxySyslog(t *testing.T) {
	parsers := []ingest.Parser{open(t, haproxyHTTPSpec), open(t, "haproxy-clf"), open(t, "haproxy:zone=UTC "+haproxyJSON)}
	events, cut := 0, 0
	rejects := map[ingest.Reason]int{}
	for _, line := range sampleFile(t, "samples/haproxy-syslog_rfc5424.log") {
		_, message, ok := bytes.Cut(line, []byte(" - - "))
		if !ok {
			t.Fatalf("no header: %q", line)
		}
		var reason ingest.Reason
		for _, p := range parsers {
			var ev ingest.Event
			if reason = p.Parse(message, &ev); reason == ingest.OK {
				events++
				cut += count(ev.Flags, ingest.FlagTruncated)
				checkSampleEvent(t, "syslog", &ev)
				break
			}
		}
		if reason != ingest.OK {
			rejects[reason]++
		}
	}
	if got := fmt.Sprint(events, cut, rejects); got != "573 1 map[bad_shape:2 not_a_request:2]" {
		t.Errorf("events, truncated, rejects: %s", got)
	}
}
