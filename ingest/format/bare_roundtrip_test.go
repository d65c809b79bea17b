package format

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
)

// split takes a request line of drawRequest apart, as the gateways have it already.
func (r *request) split() (method, target, protocol string) {
	if m, rest, ok := strings.Cut(r.line, " /"); ok && (m == "GET" || m == "POST") {
		k := strings.LastIndexByte(rest, ' ')
		return m, "/" + rest[:k], rest[k+1:]
	}
	return "PURGE", "/" + r.line, "HTTP/1.1"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// appended is X-Forwarded-For as Envoy hands it on.
func appended(xff string, peer netip.Addr) string {
	if xff == "" {
		return peer.String()
	}
	return xff + "," + peer.String()
}

// bareWriters write requests as each gateway's documentation has it; xff says that the
// writer appends the peer to X-Forwarded-For, and that this is all it tells of it.
var bareWriters = []struct {
	name, spec string
	render     func(r *request) string
	keep       func(ev *ingest.Event)
}{
	{"envoy", "envoy:use_remote_address", func(r *request) string {
		m, target, proto := r.split()
		return fmt.Sprintf(`[%s] "%s %s %s" %d %s %d %d %d %s "%s" "%s" "%s" "%s" "%s"`, r.at.UTC().Format("2006-01-02T15:04:05.000Z"), m, target, proto, r.status, "-",
			r.length, r.bytes, r.took, "-", appended(r.xff, r.peer), orDash(r.ua), "1-2", orDash(r.ref), "10.0.0.3:80")
	}, func(ev *ingest.Event) { ev.User, ev.Host, ev.Referer, ev.Upstream = "", ev.Referer, "", 0 }},
	{"envoy direct", envoyDirect, func(r *request) string {
		m, target, proto := r.split()
		return fmt.Sprintf(`[%s] %s "%s %s %s" %d %d %d %d "%s" "%s"`, r.at.UTC().Format("2006-01-02T15:04:05.000Z"), netip.AddrPortFrom(r.peer, 4711),
			m, target, proto, r.status, r.length, r.bytes, r.took, orDash(r.xff), orDash(r.ua))
	}, func(ev *ingest.Event) { ev.User, ev.Referer, ev.Upstream = "", "", 0 }},
	{"traefik", "traefik-clf", func(r *request) string {
		m, target, proto := r.split()
		return fmt.Sprintf(`%s - %s [%s] "%s %s %s" %d %d "%s" "%s" %d "%s" "%s" %dms`, r.peer, orDash(r.user), r.at.Format("02/Jan/2006:15:04:05 -0700"),
			m, target, proto, r.status, r.bytes, orDash(r.ref), orDash(r.ua), 7, "all@file", "http://10.0.0.3:80", r.took)
	}, func(ev *ingest.Event) { ev.Chain, ev.BytesIn, ev.Upstream, ev.Time = "", 0, 0, ev.Time/1e9*1e9 }},
	{"reactor", "reactor-netty", func(r *request) string {
		m, target, proto := r.split()
		return fmt.Sprintf(`%s - - [%s] "%s %s %s" %d %d %d`, r.peer, r.at.Format("02/Jan/2006:15:04:05 -0700"), m, target, proto, r.status, r.bytes, r.took)
	}, func(ev *ingest.Event) {
		ev.User, ev.Referer, ev.Agent, ev.Chain, ev.BytesIn, ev.Upstream, ev.Time = "", "", "", "", 0, 0, ev.Time/1e9*1e9
	}},
	{"apigw", `aws-apigw-text:$context.identity.sourceIp [$context.requestTimeEpoch] "$context.httpMethod $context.path $context.protocol" $context.status $context.responseLength $context.responseLatency "$context.identity.userAgent"`,
		func(r *request) string {
			m, target, proto := r.split()
			return fmt.Sprintf(`%s [%d] "%s %s %s" %d %d %d "%s"`, r.peer, r.at.UnixMilli(), m, target, proto, r.status, r.bytes, r.took, orDash(r.ua))
		}, func(ev *ingest.Event) { ev.User, ev.Referer, ev.Chain, ev.BytesIn, ev.Upstream = "", "", "", 0, 0 }},
}

// TestBareRoundTrip: what a gateway wrote comes back, or, where a client made the line
// uncertain, not at all; no client changes its address, its status or the time.
func TestBareRoundTrip(t *testing.T) {
	for _, w := range bareWriters {
		t.Run(w.name, func(t *testing.T) {
			p := open(t, w.spec)
			whole, lines := 0, 0
			rapid.Check(t, func(t *rapid.T) {
				r := drawRequest(t)
				want := r.expect()
				want.Method, want.Target, want.Protocol = r.split()
				want.Flags &^= ingest.FlagMalformed
				w.keep(&want)
				line := w.render(&r)
				lines++
				var ev ingest.Event
				if reason := p.Parse([]byte(line), &ev); reason != ingest.OK {
					if reason != ingest.NoClient || w.name != "envoy" {
						t.Fatalf("%s: %q", reason, line)
					}
					return // the only trace of the peer is uncertain
				}
				if ev.Peer != want.Peer || ev.Time != 0 && ev.Time != want.Time || ev.Status != 0 && ev.Status != want.Status {
					t.Fatalf("forged: %q\ngives %+v\nwant  %+v", line, ev, want)
				}
				for _, v := range [][2]string{{ev.Target, want.Target}, {ev.Agent, want.Agent}, {ev.Method, want.Method}, {ev.User, want.User}, {ev.Referer, want.Referer}, {ev.Chain, want.Chain}} {
					if v[0] != "" && v[0] != v[1] {
						t.Fatalf("moved: %q is said to be %q in %q", v[1], v[0], line)
					}
				}
				if ev.Status != 0 {
					whole++
				}
			})
			if whole*3 < lines {
				t.Errorf("only %d of %d lines were read whole", whole, lines)
			}
			t.Logf("%d of %d lines read whole", whole, lines)
		})
	}
}

func FuzzBare(f *testing.F) {
	for _, s := range bareSamples {
		for i, line := range sampleFile(f, "samples/"+s.file) {
			if i%20 == 0 {
				f.Add(line)
			}
		}
	}
	f.Add([]byte(`203.0.113.7 - x [23/Nov/2020:00:00:00 +0000] "GET / HTTP/1.1" 200 12 "-" "-" 1 "r" "s" 1ms [23/Nov/2026:13:06:07 +0000] "GET / HTTP/1.1" 401 12 "-" "-" 9 "-" "-" 5ms`))
	specs := []string{"envoy:use_remote_address", envoyDirect, "traefik-clf", "reactor-netty", "aws-apigw-clf"}
	clf, err := apigwPieces(apigwCLFs[0])
	twins := []*barePlan{mustEnvoy(envoyDefault), mustEnvoy(strings.TrimPrefix(envoyDirect, "envoy:")), mustBare(clf, err, apigwDialect),
		mustTemplate(`{peer} - {user} [{local}] "{request}" {status} {bytes} "{referer}" "{agent}" {n} "{text}" "{text}" {ms}ms`, bareDialect)}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, plan := range twins {
			bareTwin(t, plan, line)
		}
		for _, spec := range specs {
			fuzzParser(t, spec, line)
		}
	})
}

// bareTwin holds the quick way to read a line against the one that looks at all readings:
// what that one takes must be the same.
func bareTwin(t *testing.T, plan *barePlan, line []byte) {
	var quick, slow ingest.Event
	if bytes.Count(line, []byte{'"'}) != plan.quotes || plan.quick.New().Parse(line, &quick) != ingest.OK || quick.Flags&ingest.FlagTruncated != 0 {
		return
	}
	if plan.Plan.New().Parse(line, &slow) != ingest.OK {
		return // more than one reading of what is vital
	}
	slow.Flags = quick.Flags
	merged := slow
	fill(&merged.Method, quick.Method)
	fill(&merged.Target, quick.Target)
	fill(&merged.Protocol, quick.Protocol)
	fill(&merged.Agent, quick.Agent)
	fill(&merged.Referer, quick.Referer)
	fill(&merged.User, quick.User)
	fill(&merged.Chain, quick.Chain)
	fill(&merged.Host, quick.Host)
	fill(&merged.RequestID, quick.RequestID)
	for _, n := range []struct{ into, from *int64 }{{&merged.BytesIn, &quick.BytesIn}, {&merged.BytesOut, &quick.BytesOut}, {&merged.Duration, &quick.Duration}, {&merged.Upstream, &quick.Upstream}} {
		if *n.into == 0 {
			*n.into = *n.from
		}
	}
	if merged.Status == 0 {
		merged.Status = quick.Status
	}
	if merged != quick {
		t.Fatalf("%q\nread quickly %+v\notherwise    %+v", line, quick, slow)
	}
}

func fill(s *string, with string) {
	if *s == "" {
		*s = with
	}
}

// fuzzParser holds a parser against what is true of any line.
func fuzzParser(t *testing.T, spec string, line []byte) {
	p := open(t, spec)
	before := string(line)
	var ev, again ingest.Event
	r := p.Parse(line, &ev)
	if string(line) != before {
		t.Fatalf("%s wrote into the line", spec)
	}
	if r != ingest.OK {
		if r.String() == "unknown" {
			t.Fatalf("%s: reason %d", spec, r)
		}
		return
	}
	if !ev.Peer.IsValid() || ev.Peer.Is4In6() {
		t.Fatalf("%s: an event without a peer: %q", spec, line)
	}
	if !strings.Contains(before, "\x00") && ev.Client.IsValid() {
		t.Fatalf("%s sets Client: %q", spec, line)
	}
	if r = p.Parse(line, &again); r != ingest.OK || ev != again {
		t.Fatalf("%s: the same line gives another event: %s\n%+v\n%+v", spec, r, ev, again)
	}
}

func BenchmarkEnvoyText(b *testing.B) {
	measure(b, envoyDirect, benchLines(`[2026-11-23T13:05:07.508Z] 203.0.%d.%d:47%02d%02d "GET /api/v1/orders/%d?page=%d&size=50 HTTP/1.1" %d 0 %d 4 "198.51.100.1" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"`))
}

func BenchmarkTraefikCLF(b *testing.B) {
	measure(b, "traefik-clf", benchLines(`203.0.%d.%d - - [23/Nov/2026:13:%02d:%02d +0000] "GET /api/v1/orders/%d?page=%d&size=50 HTTP/1.1" %d %d "-" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0" 17 "all@file" "http://10.0.0.3:80" 5ms`))
}

func BenchmarkReactorNetty(b *testing.B) {
	measure(b, "reactor-netty", benchLines(`2026-11-23T13:38:38.218Z  INFO 24749 --- [or-http-epoll-2] reactor.netty.http.server.AccessLog      : 203.0.%d.%d - - [23/Nov/2026:13:%02d:%02d +0000] "GET /api/v1/orders/%d?page=%d&size=50 HTTP/1.1" %d %d 18`))
}

func BenchmarkApigwText(b *testing.B) {
	measure(b, "aws-apigw-clf", benchLines(`203.0.%d.%d - - [23/Nov/2026:13:%02d:%02d +0000] "GET /api/v1/orders/{id}/items/%d/of/%d HTTP/1.1" %d %d c6af9ac6-7b61-11e6-9a41-93e8deadbeef JKJaXmPLvHcESHA=`))
}
