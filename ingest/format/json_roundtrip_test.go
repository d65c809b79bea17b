package format

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest"
)

// members are an object in the order of its writer.
type members []member

type member struct {
	key   string
	value any
}

// goString writes a string as Go's gateways do (Caddy, Traefik, Tyk): bytes that are not
// UTF-8 become U+FFFD.
func goString(s string) string {
	out, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// cjsonString writes a string as lua-cjson does (Kong, APISIX): bytes that are not UTF-8
// stay, and / is escaped.
func cjsonString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\' || c == '/':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 32 || c == 127:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// write renders a value; blank stands between its parts.
func write(b *strings.Builder, v any, text func(string) string, blank string) {
	switch v := v.(type) {
	case members:
		b.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				b.WriteString("," + blank)
			}
			b.WriteString(text(m.key) + ":" + blank)
			write(b, m.value, text, blank)
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString("," + blank)
			}
			write(b, e, text, blank)
		}
		b.WriteByte(']')
	case string:
		b.WriteString(text(v))
	default:
		fmt.Fprint(b, v)
	}
}

// shuffled draws another order of an object's keys, at every depth.
func shuffled(t *rapid.T, v any) any {
	m, ok := v.(members)
	if !ok {
		return v
	}
	out := make(members, 0, len(m))
	for _, k := range rapid.Permutation(m).Draw(t, "order") {
		out = append(out, member{k.key, shuffled(t, k.value)})
	}
	return out
}

// jsonRequest is a drawn request with its line taken apart, as gateways that write JSON do.
type jsonRequest struct {
	request
	method, target, key, id string
	direct, list            string // the peer with its port; the time in RFC 3339
}

func drawJSON(t *rapid.T) jsonRequest {
	r := jsonRequest{request: drawRequest(t), method: rapid.SampledFrom([]string{"GET", "POST", "M-SEARCH"}).Draw(t, "method")}
	r.target = "/" + rapid.SampledFrom([]string{"", "a://evil.example/"}).Draw(t, "front") + r.line
	r.key, r.id = rapid.StringMatching(`[a-z0-9"\\]{1,9}`).Draw(t, "key"), rapid.StringMatching(`[0-9a-f-]{8}`).Draw(t, "id")
	r.at = time.Unix(r.at.Unix(), int64(r.at.Nanosecond())/1e6*1e6).In(r.at.Location())
	r.direct = r.peer.String() + ":4711"
	if r.peer.Is6() {
		r.direct = "[" + r.peer.String() + "]:4711"
	}
	r.list = r.at.Format("2006-01-02T15:04:05.000Z07:00")
	return r
}

// base is the event that all formats give; each adds or takes away.
func (r *jsonRequest) base() ingest.Event {
	return ingest.Event{Peer: r.peer, Time: r.at.UnixNano(), Method: r.method, Target: r.target, Protocol: "HTTP/1.1", Agent: r.ua, Status: uint16(r.status),
		BytesOut: int64(r.bytes), BytesIn: int64(r.length), Duration: int64(r.took) * 1e6}
}

// lists makes Go's header map.
func lists(pairs ...string) members {
	var out members
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, member{pairs[i], []any{pairs[i+1]}})
		}
	}
	return append(out, member{"Accept", []any{"*/*", `x","remote_ip":"9.9.9.9`}})
}

// jsonWriters are written from the gateways' documentation and sources, and not from
// the parsers' tables.
var jsonWriters = map[string]func(r *jsonRequest) (members, ingest.Event){
	"caddy": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Chain, ev.Referer, ev.Key, ev.User, ev.Host = r.xff, r.ref, r.key, r.user, "h.example"
		if r.xff == "" {
			ev.Chain = "192.0.2.66"
		}
		return members{{"level", "info"}, {"ts", float(r.at)}, {"logger", "http.log.access.log0"}, {"msg", "handled request"},
			{"request", members{{"remote_ip", r.peer.String()}, {"remote_port", "4711"}, {"client_ip", "192.0.2.66"}, {"proto", "HTTP/1.1"}, {"method", r.method},
				{"host", "h.example"}, {"uri", r.target}, {"headers", lists("User-Agent", r.ua, "X-Forwarded-For", r.xff, "Referer", r.ref, "X-Api-Key", r.key)}}},
			{"bytes_read", r.length}, {"user_id", r.user}, {"duration", fmt.Sprintf("%d.%03d", r.took/1000, r.took%1000)}, {"size", r.bytes}, {"status", r.status},
			{"resp_headers", members{{"X-Forwarded-For", []any{"9.9.9.9"}}}}}, ev
	},
	"traefik-json": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Time += ev.Duration
		ev.Chain, ev.Key, ev.User, ev.Host = r.xff, r.key, r.user, "h.example"
		m := members{{"ClientAddr", r.direct}, {"ClientHost", r.xff}, {"ClientUsername", or(r.user, "-")}, {"DownstreamContentSize", r.bytes}, {"DownstreamStatus", r.status},
			{"Duration", r.took * 1e6}, {"RequestAddr", "h.example:80"}, {"RequestContentSize", r.length}, {"RequestHost", "h.example"}, {"RequestMethod", r.method},
			{"RequestPath", r.target}, {"RequestProtocol", "HTTP/1.1"}, {"StartUTC", r.at.UTC().Format(time.RFC3339Nano)}, {"StartLocal", r.at.Format(time.RFC3339Nano)},
			{"downstream_X-Forwarded-For", "9.9.9.9"}, {"request_X-Api-Key", r.key}, {"request_User-Agent", r.ua}, {"time", r.at.Format(time.RFC3339)}}
		if r.xff != "" {
			m = append(m, member{"request_X-Forwarded-For", r.xff})
		}
		return m, ev
	},
	"envoy-json": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Chain, ev.Key, ev.RequestID, ev.Host = or(r.xff, "192.0.2.66"), r.key, r.id, "h.example"
		return members{{"api_key", r.key}, {"authority", "h.example"}, {"bytes_received", r.length}, {"bytes_sent", r.bytes}, {"downstream_direct_remote_address", r.direct},
			{"downstream_remote_address", "192.0.2.66:0"}, {"duration", r.took}, {"method", r.method}, {"path", r.target}, {"protocol", "HTTP/1.1"}, {"request_id", r.id},
			{"response_code", r.status}, {"response_flags", "-"}, {"route_name", "null"}, {"start_time", r.list}, {"user_agent", r.ua}, {"x_forwarded_for", r.xff}}, ev
	},
	"envoy-als": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Chain, ev.Referer, ev.RequestID, ev.Host = or(r.xff, "192.0.2.66"), r.ref, r.id, "h.example"
		address := func(a string) members {
			return members{{"socketAddress", members{{"address", a}, {"portValue", 4711}}}}
		}
		return members{{"commonProperties", members{{"downstreamRemoteAddress", address("192.0.2.66")}, {"downstreamDirectRemoteAddress", address(r.peer.String())},
			{"downstreamLocalAddress", address("9.9.9.9")}, {"startTime", r.list}, {"duration", fmt.Sprintf("%d.%03ds", r.took/1000, r.took%1000)},
			{"downstreamWireBytesReceived", fmt.Sprint(r.length)}, {"downstreamWireBytesSent", "7"}}}, {"protocolVersion", "HTTP11"},
			{"request", members{{"requestMethod", r.method}, {"path", r.target}, {"authority", "h.example"}, {"userAgent", r.ua}, {"referer", r.ref}, {"forwardedFor", r.xff}, {"requestId", r.id}}},
			{"response", members{{"responseCode", r.status}, {"responseBodyBytes", fmt.Sprint(r.bytes)}}}}, ev
	},
	"kong":   luaWriter("started_at", "latencies.request"),
	"apisix": luaWriter("start_time", "latency"),
	"tyk:ip_address": func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Chain, ev.Key, ev.Consumer, ev.Host, ev.Method = "a, "+"b", r.key, r.id, "h.example", "GET"
		ev.Target = "/" + strings.NewReplacer("\n", "", "\r", "").Replace(r.target)
		head := "GET " + ev.Target + " HTTP/1.1\r\nHost: h.example\r\nX-Forwarded-For: a\r\nx-forwarded-for:b\r\n\r\nbody"
		return members{{"method", "GET"}, {"path", "/elsewhere"}, {"raw_path", "/elsewhere"}, {"raw_request", base64.StdEncoding.EncodeToString([]byte(head))},
			{"timestamp", r.list}, {"response_code", r.status}, {"request_time", r.took}, {"ip_address", r.peer.String()}, {"host", "h.example"}, {"user_agent", r.ua},
			{"content_length", r.length}, {"api_key", r.key}, {"alias", r.id}}, withoutOut(ev)
	},
}

func withoutOut(ev ingest.Event) ingest.Event {
	ev.BytesOut = 0
	return ev
}

// luaWriter is kong.log.serialize and APISIX's log-util, which differ in these names.
func luaWriter(start, took string) func(r *jsonRequest) (members, ingest.Event) {
	return func(r *jsonRequest) (members, ingest.Event) {
		ev := r.base()
		ev.Protocol = ""
		ev.Chain, ev.Key, ev.Consumer, ev.Host, ev.Referer = r.xff, r.key, r.id, "h.example", r.ref
		var headers members
		for _, h := range (members{{"user-agent", r.ua}, {"x-forwarded-for", r.xff}, {"referer", r.ref}, {"x-api-key", r.key}, {"host", "h.example"}}) {
			if h.value != "" {
				headers = append(headers, h)
			}
		}
		latency := member{took, r.took}
		if outer, inner, ok := strings.Cut(took, "."); ok {
			latency = member{outer, members{{inner, r.took}, {"proxy", -1}}}
		}
		return members{{"client_ip", r.peer.String()}, {start, r.at.UnixMilli()}, latency, {"request", members{{"method", r.method}, {"uri", r.target},
			{"url", "http://other" + r.target}, {"size", r.length}, {"querystring", members{{"client_ip", "9.9.9.9"}}}, {"headers", headers}}},
			{"response", members{{"status", r.status}, {"size", r.bytes}, {"headers", members{{"x-api-key", "9.9.9.9"}}}}}, {"consumer", members{{"username", r.id}}}}, ev
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// float is seconds with a fraction, as zap writes it.
func float(at time.Time) json.Number {
	return json.Number(fmt.Sprintf("%d.%03d", at.Unix(), at.Nanosecond()/1e6))
}

// plainUTF8 is what is left of an event's strings where the writer replaces bytes that
// are not UTF-8.
func plainUTF8(ev ingest.Event) ingest.Event {
	for _, s := range []*string{&ev.Target, &ev.Agent, &ev.Referer, &ev.Chain, &ev.User} {
		*s = string([]rune(*s))
	}
	return ev
}

func TestJSONRoundTrip(t *testing.T) {
	for spec, writer := range jsonWriters {
		p := open(t, spec)
		text, raw := goString, false
		if spec == "kong" || spec == "apisix" {
			text, raw = cjsonString, true
		}
		rapid.Check(t, func(t *rapid.T) {
			r := drawJSON(t)
			object, want := writer(&r)
			if !raw {
				target := want.Target
				if want = plainUTF8(want); spec == "tyk:ip_address" {
					want.Target = target // it comes in base64
				}
			}
			for _, s := range []string{want.Target, want.Agent, want.Referer, want.Chain, want.User} {
				if !utf8.ValidString(s) && raw {
					want.Flags |= ingest.FlagInvalidUTF8
				}
			}
			var b strings.Builder
			write(&b, shuffled(t, object), text, rapid.SampledFrom([]string{"", " "}).Draw(t, "blank"))
			var ev ingest.Event
			if reason := p.Parse([]byte(b.String()), &ev); reason != ingest.OK || ev != want {
				t.Fatalf("%s: %s %s\ngives %+v\nwant  %+v", spec, reason, b.String(), ev, want)
			}
		})
	}
}
