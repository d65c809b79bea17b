package format

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/ingesttest"
)

// The lines are those of the documentation's examples.
const (
	albTail = ` "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678" 1 2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-"`
	albArn  = ` arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067`
	albHead = `https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 `
)

func TestALBContract(t *testing.T) {
	at := instant(t, "2018-07-02T22:23:00.186641Z")
	peer := netip.MustParseAddr("192.168.131.39")
	full := ingest.Event{Time: at, Peer: peer, Method: "GET", Target: "/a?b=c", Host: "www.example.com", Scheme: "https", Protocol: "HTTP/1.1", Status: 200, BytesOut: 57,
		Duration: 171e6, Upstream: 48e6, Agent: "curl/7.46.0", Cipher: "ECDHE-RSA-AES128-GCM-SHA256", TLS: "TLSv1.2", RequestID: "Root=1-58337281-1d84f3d73c47ec4e58577259"}
	quotes := full
	quotes.Target, quotes.Agent, quotes.Host = `/"x`, `a\" "b`, "www.example.com:8443"
	malformed := ingest.Event{Time: at, Peer: netip.MustParseAddr("2001:db8::7"), Status: 400, BytesIn: 34, BytesOut: 366,
		Target: "- http://10.0.0.30:80- -", Flags: ingest.FlagMalformed}
	none := ingest.Event{Time: at, Peer: peer, Status: 0, BytesOut: 587, BytesIn: 218, Method: "GET", Target: "/", Host: "10.0.0.30", Scheme: "http", Protocol: "HTTP/1.1",
		RequestID: "Root=1-58337364-23a8c76965a2ef7629b185e3"}
	const request = `"GET https://www.example.com:443/a?b=c HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2`
	cut := ingest.Event{Time: at, Peer: peer, Status: 200, BytesOut: 57, Duration: 171e6, Upstream: 48e6, Flags: ingest.FlagTruncated}
	odd := cut
	odd.Flags = ingest.FlagForgeable
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, "aws-alb"),
		Lines: []ingesttest.FormatLine{
			{Line: albHead + request + albArn + albTail, Event: full, Plain: true},
			{Line: albHead + request + albArn + albTail + ` "10.0.0.1:80" "200" "-" "-" TID_1234abcd5678ef90 "new" 7`, Event: full, Plain: true},
			{Line: albHead + `"GET https://www.example.com:8443/\x22x HTTP/1.1" "a\x5C\x22 \x22b" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2` + albArn + albTail, Event: quotes},
			{Line: `h2 2018-07-02T22:23:00.186641Z app/x/50dc 2001:db8::7:48160 - -1 -1 -1 400 - 34 366 "- http://10.0.0.30:80- -" "-" - - - "-" "-" "-" - 2018-07-02T22:22:48.364000Z "-" "-" "-"`, Event: malformed, Plain: true},
			{Line: `ws 2018-07-02T22:23:00.186641Z app/x/50dc [192.168.131.39]:48160 10.0.1.192:8010 -1 0.000 -1 - 101 218 587 "GET http://10.0.0.30:80 HTTP/1.1" "-" - -` + albArn + ` "Root=1-58337364-23a8c76965a2ef7629b185e3" "-" "-" 1 2018-07-02T22:22:48.364000Z "forward" "-" "-"`, Event: none, Plain: true},
			{Line: albHead + `"GET https://www.example.com:443/a?b=c`, Event: cut, Plain: true},
			{Line: albHead + `"GET / HTTP/1.1" "x" y" z` + albArn, Event: odd},
		},
		Rejects: map[string]ingest.Reason{
			strings.Replace(albHead, "192.168.131.39:2817", "192.168.131.39", 1) + request + albArn + albTail:   ingest.BadAddress,
			strings.Replace(albHead, "192.168.131.39:2817", "www.example:2817", 1) + request + albArn + albTail: ingest.BadAddress,
			strings.Replace(albHead, "2018-07-02T22", "2018-07-02T52", 1) + request + albArn + albTail:          ingest.BadTime,
			strings.Replace(albHead, " 200 200 ", " x 200 ", 1) + request + albArn + albTail:                    ingest.BadStatus,
			strings.Replace(albHead, " 0.086 ", " 0.x ", 1) + request + albArn + albTail:                        ingest.BadNumber,
			strings.Replace(albHead, " 57 ", " 5x ", 1) + request + albArn + albTail:                            ingest.BadNumber,
			"Enable AccessLog for ELB: app/my-alb/50dc at 2018-07-02T22:23:00.186Z":                             ingest.NotARequest,
			"type time elb client:port": ingest.BadShape,
		},
	})
}

func TestELBContract(t *testing.T) {
	at := instant(t, "2018-12-13T15:16:57.132252Z")
	full := ingest.Event{Time: at, Peer: netip.MustParseAddr("93.113.124.199"), Method: "GET", Target: "/", Host: "10.25.25.42", Scheme: "http", Protocol: "HTTP/1.0", Status: 301,
		BytesOut: 178, Duration: 577000, Upstream: 504000, Agent: `"nlpproject.info research"`}
	plain := full
	plain.Agent, plain.TLS, plain.Cipher = "curl/7.46.0", "TLSv1.2", "DHE-RSA-AES128-SHA"
	old := full
	old.Agent = ""
	const head = `2018-12-13T15:16:57.132252Z elb-name 93.113.124.199:44444 10.25.30.166:80 0.000048 0.000504 0.000025 301 301 0 178 `
	ingesttest.Format(t, ingesttest.FormatCase{
		New: opener(t, "aws-elb"),
		Lines: []ingesttest.FormatLine{
			{Line: head + `"GET http://10.25.25.42:80/ HTTP/1.0" "curl/7.46.0" DHE-RSA-AES128-SHA TLSv1.2`, Event: plain, Plain: true},
			{Line: head + `"GET http://10.25.25.42:80/ HTTP/1.0" "\"nlpproject.info research\"" - -`, Event: full},
			{Line: head + `"GET http://10.25.25.42:80/ HTTP/1.0"`, Event: old, Plain: true},
		},
		Rejects: map[string]ingest.Reason{
			strings.Replace(head, " 301 301 ", " - - ", 1) + `"- - - " "-" - -`:         ingest.NotARequest,
			albHead + `"GET / HTTP/1.1" "x" - -`:                                        ingest.BadShape,
			strings.Replace(head, "2018-12", "2018-13", 1) + `"GET / HTTP/1.1" "x" - -`: ingest.BadTime,
		},
	})
}

// elbEscape is what lines of real load balancers show: \x22 of an Application Load
// Balancer, \" of a Classic one.
func elbEscape(s string, alb bool) string {
	if s == "" {
		return "-"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case (c == '"' || c == '\\') && !alb:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '"' || c == '\\' || c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func TestELBRoundTrip(t *testing.T) {
	for _, spec := range []string{"aws-alb", "aws-elb"} {
		p, alb := open(t, spec), spec == "aws-alb"
		rapid.Check(t, func(t *rapid.T) {
			r := drawRequest(t)
			m, target, proto := r.split()
			peer := netip.AddrPortFrom(r.peer, 4711).String()
			if r.peer.Is6() && rapid.Bool().Draw(t, "no brackets") {
				peer = r.peer.String() + ":4711"
			}
			line := fmt.Sprintf(`%s shop %s 10.0.0.1:80 0.001 %d.%03d 0.002 %d 200 %d %d "%s http://shop.example:80%s %s" "%s" - -`,
				r.at.UTC().Format("2006-01-02T15:04:05.000000Z"), peer, r.took/1000, r.took%1000, r.status, r.length, r.bytes,
				m, elbEscape(target, alb), proto, elbEscape(r.ua, alb))
			if alb {
				line = "http " + line + albArn + ` "` + elbEscape(r.ref, true) + `" "-" "-" 1 2018-07-02T22:22:48.364000Z "forward" "-" "-" "10.0.0.1:80" "200"`
			}
			var ev ingest.Event
			if reason := p.Parse([]byte(line), &ev); reason != ingest.OK {
				t.Fatalf("%s: %q", reason, line)
			}
			want := r.expect()
			want.Method, want.Target, want.Protocol, want.Host, want.Scheme = m, target, proto, "shop.example", "http"
			want.Upstream = want.Duration
			want.Duration += 3e6
			if alb {
				want.RequestID = r.ref
			}
			want.User, want.Referer, want.Chain, want.Flags = "", "", "", 0
			ev.Flags &^= ingest.FlagInvalidUTF8
			if ev != want {
				t.Fatalf("line %q\ngives %+v\nwant  %+v", line, ev, want)
			}
		})
	}
}

func FuzzELB(f *testing.F) {
	f.Add([]byte(albHead + `"GET https://www.example.com:443/a?b=c HTTP/1.1" "curl\x22" ECDHE TLSv1.2` + albArn + albTail))
	f.Add([]byte(`2018-12-13T15:16:57.132252Z elb-name 93.113.124.199:44444 10.25.30.166:80 0.000048 0.000504 0.000025 301 301 0 178 "GET http://10.25.25.42:80/ HTTP/1.0" "\"x\"" - -`))
	old := open(f, "aws-alb") // remembers the target group of the lines before
	f.Fuzz(func(t *testing.T, line []byte) {
		fuzzParser(t, "aws-alb", line)
		fuzzParser(t, "aws-elb", line)
		var a, b ingest.Event
		ra, rb := old.Parse(line, &a), open(t, "aws-alb").Parse(line, &b)
		if ra != rb || ra == ingest.OK && a != b {
			t.Fatalf("what was read before changes the line: %s %+v\nalone %s %+v\n%q", ra, a, rb, b, line)
		}
	})
}

// TestALBTargetGroup reads target groups that begin like the one before.
func TestALBTargetGroup(t *testing.T) {
	const front = albHead + `"GET https://www.example.com:443/ HTTP/1.1" "curl" ECDHE TLSv1.2`
	p := open(t, "aws-alb")
	for _, s := range []string{" arn:a", " arn:ab", " arn:a", " arn:a\"", " arn", " arn:a,b", " arn:a", " -", " arn:a\x7f", " arn:a"} {
		for _, behind := range []string{"", ` "Root=1"`, ` "Root=1" "shop.example" "-" 1`, " ", "x"} {
			var a, b ingest.Event
			line := []byte(front + s + behind)
			ra, rb := p.Parse(line, &a), open(t, "aws-alb").Parse(line, &b)
			if ra != rb || a != b {
				t.Errorf("what was read before changes the line: %s %+v\nalone %s %+v\n%q", ra, a, rb, b, line)
			}
		}
	}
}

func BenchmarkALB(b *testing.B) {
	measure(b, "aws-alb", benchLines(`https 2026-11-23T13:03:36.186641Z app/shop/50dc6c495c0c9188 203.0.%d.%d:28%02d%02d 10.0.0.1:80 0.000 0.048 0.000 200 200 340 57 "GET https://shop.example:443/api/v1/orders/%d?page=%d&s=%d&b=%d HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2`+albArn+albTail))
}
