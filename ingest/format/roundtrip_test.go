package format

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// request is what a client sent and the gateway measured; render writes it as nginx does.
type request struct {
	peer                     netip.Addr
	at                       time.Time
	user, line, ref, ua, xff string
	status                   int
	bytes, length, took      int
	upstreams                []int
}

// nginxEscape is written from ngx_http_log_module's documentation of escape=.
func nginxEscape(s string, mode escaping) string {
	if s == "" && mode == escDefault {
		return "-"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case mode == escDefault && (c == '"' || c == '\\' || c < 32 || c > 126):
			fmt.Fprintf(&b, `\x%02X`, c)
		case mode == escJSON && (c == '"' || c == '\\'):
			b.WriteByte('\\')
			b.WriteByte(c)
		case mode == escJSON && c < 32:
			if k := strings.IndexByte("\n\r\t\b\f", c); k >= 0 {
				b.WriteByte('\\')
				b.WriteByte("nrtbf"[k])
			} else {
				fmt.Fprintf(&b, `\u%04X`, c)
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (r *request) render(pieces []text.Piece, mode escaping) string {
	var up []string
	for _, ms := range r.upstreams {
		if ms < 0 {
			up = append(up, "-")
		} else {
			up = append(up, fmt.Sprintf("%d.%03d", ms/1000, ms%1000))
		}
	}
	esc := func(s string) string { return nginxEscape(s, mode) }
	values := map[string]string{
		"remote_addr": r.peer.String(), "remote_user": esc(r.user), "request": esc(r.line), "http_referer": esc(r.ref),
		"time_local": r.at.Format("02/Jan/2006:15:04:05 -0700"), "time_iso8601": r.at.Format("2006-01-02T15:04:05-07:00"),
		"msec":   fmt.Sprintf("%d.%03d", r.at.Unix(), r.at.Nanosecond()/1e6),
		"status": fmt.Sprint(r.status), "body_bytes_sent": fmt.Sprint(r.bytes), "request_length": fmt.Sprint(r.length),
		"http_user_agent": esc(r.ua), "http_x_forwarded_for": esc(r.xff), "request_time": fmt.Sprintf("%d.%03d", r.took/1000, r.took%1000),
		"upstream_response_time": strings.Join(up, ", "),
	}
	var b strings.Builder
	for _, p := range pieces {
		if p.Variable != nil {
			b.WriteString(values[bare(p)])
		} else {
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

// drawRequest makes a request as clients do, with the bytes that attackers like.
func drawRequest(t *rapid.T) request {
	hostile := rapid.OneOf(
		rapid.StringMatching(`[a-zA-Z0-9 /?&=.:-]{0,30}`),
		rapid.StringOf(rapid.SampledFrom([]rune{'"', '\\', ' ', 'x', '2', 'A', '\t', 'é', '日', '{', '}', ',', ':', '-', '[', ']', 1, 127})),
		rapid.SampledFrom([]string{`" 200 5 "-" "`, `\x22`, `\"`, ` [23/Nov/2026:13:03:36 +0000] "GET / HTTP/1.1"`, "\xff\xfe", `","remote_addr":"9.9.9.9`}),
	).Filter(func(s string) bool { return s != "-" && !strings.ContainsAny(s, "\r\n\x00") })
	peer := rapid.SampledFrom([]string{"203.0.113.7", "1.2.3.4", "255.255.255.255", "2001:db8::7", "::1"}).Draw(t, "peer")
	zone := time.FixedZone("", rapid.IntRange(-12*60, 14*60).Draw(t, "zone")*60)
	r := request{
		peer: netip.MustParseAddr(peer),
		at:   time.UnixMilli(rapid.Int64Range(2e11, 9e12).Draw(t, "at")).In(zone),
		user: hostile.Draw(t, "user"), ref: hostile.Draw(t, "referer"), ua: hostile.Draw(t, "agent"), xff: hostile.Draw(t, "xff"),
		status: rapid.IntRange(100, 599).Draw(t, "status"), bytes: rapid.IntRange(0, 1<<40).Draw(t, "bytes"),
		length: rapid.IntRange(0, 1<<20).Draw(t, "length"), took: rapid.IntRange(0, 1<<20).Draw(t, "took"),
		upstreams: rapid.SliceOfN(rapid.IntRange(-1, 9999), 1, 3).Draw(t, "upstreams"),
	}
	target := hostile.Draw(t, "target")
	r.line = rapid.SampledFrom([]string{"GET /" + target + " HTTP/1.1", "POST /" + target + " HTTP/2.0", target}).Draw(t, "line")
	return r
}

// expect is the event that a request must give in a format that has all variables.
func (r *request) expect() ingest.Event {
	ev := ingest.Event{Peer: r.peer, Time: r.at.UnixNano(), User: r.user, Referer: r.ref, Agent: r.ua, Chain: r.xff,
		Status: uint16(r.status), BytesOut: int64(r.bytes), BytesIn: int64(r.length), Duration: int64(r.took) * 1e6}
	for _, ms := range r.upstreams {
		ev.Upstream += int64(max(ms, 0)) * 1e6
	}
	twinTarget(r.line, &ev)
	for _, s := range []string{r.user, r.line, r.ref, r.ua, r.xff} {
		if !utf8.ValidString(s) {
			ev.Flags |= ingest.FlagInvalidUTF8
		}
	}
	return ev
}

func TestRoundTrip(t *testing.T) {
	for _, format := range []string{
		`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for" $msec $request_length $request_time $upstream_response_time`,
		`$msec|$remote_addr|$status "$request" rt=$request_time ut="$upstream_response_time" "$http_user_agent" [$remote_user] "$http_referer" $body_bytes_sent $request_length "$http_x_forwarded_for"`,
		"$remote_addr\t$msec\t$remote_user\t$request\t$status\t$body_bytes_sent\t$http_referer\t$http_user_agent\t$http_x_forwarded_for\t$request_length\t$request_time\t$upstream_response_time",
		`escape=json {"m":"$msec","a":"$remote_addr","u":"$remote_user","r":"$request","s":$status,"b":$body_bytes_sent,"ref":"$http_referer","ua":"$http_user_agent","x":"$http_x_forwarded_for","l":$request_length,"t":$request_time,"up":"$upstream_response_time"}`,
	} {
		pieces, mode, p := compiled(format)
		if p == nil {
			t.Fatalf("does not compile: %s", format)
		}
		shuffled := open(t, "nginx-json")
		rapid.Check(t, func(t *rapid.T) {
			r := drawRequest(t)
			line := r.render(pieces, mode)
			var ev ingest.Event
			if reason := p.Parse([]byte(line), &ev); reason != ingest.OK {
				t.Fatalf("%s: %s", reason, line)
			}
			if want := r.expect(); ev != want {
				t.Fatalf("line %s\ngives %+v\nwant  %+v", line, ev, want)
			}
			if mode == escJSON {
				line = r.render(mustPieces(`{"ua":"$http_user_agent", "time_local":"$time_local","user":"$remote_user","referer":"$http_referer","xff":"$http_x_forwarded_for","upstream_time":"$upstream_response_time","request":"$request","request_time":$request_time,"status":"$status","bytes":$body_bytes_sent,"msec":$msec,"request_length":$request_length,"remote_addr":"$remote_addr"}`), mode)
				ev = ingest.Event{}
				if reason := shuffled.Parse([]byte(line), &ev); reason != ingest.OK || ev != r.expect() {
					t.Fatalf("by key: %s %s\ngives %+v\nwant  %+v", reason, line, ev, r.expect())
				}
			}
		})
	}
}

func mustPieces(format string) []text.Piece {
	src, err := readSource(format)
	if err != nil {
		panic(err)
	}
	p, err := src.pieces()
	if err != nil {
		panic(err)
	}
	return p
}

// TestForgery: with escape=none a client can write quotes; it cannot become another
// client, and what the event says is what was sent, or nothing.
func TestForgery(t *testing.T) {
	const format = `escape=none $remote_addr [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
	pieces, mode, p := compiled(format)
	known := 0
	rapid.Check(t, func(t *rapid.T) {
		r := drawRequest(t)
		line := r.render(pieces, mode)
		var ev ingest.Event
		if reason := p.Parse([]byte(line), &ev); reason != ingest.OK {
			t.Fatalf("%s: %q", reason, line)
		}
		want := r.expect()
		if ev.Peer != want.Peer || ev.Time/1e9 != want.Time/1e9 || ev.Flags&ingest.FlagForgeable == 0 {
			t.Fatalf("line %q: %+v", line, ev)
		}
		if ev.Status == 0 && ev.Target == "" && ev.Agent == "" && ev.Referer == "" {
			return // more than one way to read it
		}
		if known++; ev.Status != want.Status || ev.Target != want.Target || ev.Agent != want.Agent || ev.Referer != want.Referer {
			t.Fatalf("line %q\ngives %+v\nwant  %+v", line, ev, want)
		}
	})
	if known == 0 {
		t.Error("no line was read beyond its time")
	}
}
