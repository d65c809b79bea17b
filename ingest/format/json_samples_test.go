package format

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

// jsonSamples are the samples that are objects, and what must come of each line.
var jsonSamples = []struct {
	file, spec        string
	lines, events     int
	malformed, broken int // flags
	silent            int // events without a status
	rejects           map[ingest.Reason]int
	auto              bool // found without being named
}{
	{file: "nginx-json.log", spec: "nginx-json", lines: 197, events: 197, malformed: 3, broken: 4, auto: true},
	{file: "caddy-json.log", spec: "caddy", lines: 180, events: 180, auto: true},
	{file: "caddy-console.log", spec: "caddy-console", lines: 167, events: 167, auto: true},
	{file: "traefik-json.log", spec: "traefik-json", lines: 181, events: 181, auto: true},
	{file: "envoy-json.log", spec: "envoy-json", lines: 195, events: 195, malformed: 20, silent: 2, auto: true},
	{file: "envoy-als_protojson.jsonl", spec: "envoy-als", lines: 2, events: 2, auto: true},
	{file: "nginx-modsecurity-audit.jsonl", spec: "modsecurity:zone=UTC", lines: 140, events: 140, auto: true},
	// HAProxy cut one line at 1024 bytes: what is left is no object.
	{file: "haproxy-json.log", spec: haproxyMap, lines: 196, events: 195, malformed: 17, rejects: map[ingest.Reason]int{ingest.BadJSON: 1}},
	{file: "varnish-json.log", spec: varnishMap, lines: 164, events: 164, broken: 1},
	{file: "caddy-json.log", spec: "traefik-json", lines: 180, rejects: map[ingest.Reason]int{ingest.NotARequest: 180}},
	{file: "nginx-combined.log", spec: "caddy", lines: 197, rejects: map[ingest.Reason]int{ingest.BadJSON: 197}},
	{file: "caddy-json.log", spec: "caddy-console", lines: 180, rejects: map[ingest.Reason]int{ingest.BadShape: 180}},
}

// TestJSONSamples: no line is lost, and the peer is who connected: all clients of the
// samples were on this machine, and every other address was written by one of them.
func TestJSONSamples(t *testing.T) {
	first, last := time.Date(2026, 11, 23, 13, 3, 0, 0, time.UTC).UnixNano(), time.Date(2026, 11, 23, 13, 40, 0, 0, time.UTC).UnixNano()
	for _, s := range jsonSamples {
		silent := 0
		sum := tallied(t, s.file, []ingest.Parser{open(t, s.spec)}, func(where string, ev *ingest.Event) {
			if ev.Status == 0 {
				silent++
			}
			if ev.Time < first || ev.Time > last {
				t.Errorf("%s: %s is not within the run", where, time.Unix(0, ev.Time).UTC())
			}
			if ev.Flags&ingest.FlagMalformed == 0 && (ev.Method == "" || ev.Target == "") {
				t.Errorf("%s: no method or target: %+v", where, ev)
			}
		})
		what := s.file + " as " + s.spec
		sum.is(t, what, tally{s.lines, s.events, s.malformed, s.broken, 0, 0, s.rejects})
		if silent != s.silent {
			t.Errorf("%.60s: %d without status, want %d", what, silent, s.silent)
		}
		if s.auto {
			detected(t, s.file, s.spec)
		}
	}
}

// detected: the format is found from one line, from a few and from many.
func detected(t *testing.T, file, spec string) {
	t.Helper()
	lines := sampleFile(t, "samples/"+file)
	want, _, _ := strings.Cut(spec, ":")
	for _, n := range []int{1, 5, len(lines)} {
		sample := append(bytes.Join(lines[:min(n, len(lines))], []byte("\n")), '\n')
		if f, why, err := Detect(sample); err != nil || f.Name != want {
			t.Errorf("%s, %d lines: found %q (%s, %v), want %s", file, n, f.Name, why, err, want)
		}
	}
}

// TestJSONDetect: the example of each JSON format is recognised as its own, though
// ECS and OpenTelemetry share most names.
func TestJSONDetect(t *testing.T) {
	for _, name := range []string{"nginx-json", "caddy", "caddy-console", "traefik-json", "envoy-json", "envoy-als", "kong", "apisix", "aws-apigw", "azure-apim", "gcp-lb", "ecs", "otel", "modsecurity"} {
		spec, ok := Lookup(name)
		if !ok {
			t.Errorf("%s is not registered", name)
			continue
		}
		if f, why, err := Detect([]byte(spec.Example + "\n")); err != nil || f.Name != name {
			t.Errorf("the example of %s is taken for %q (%s, %v)", name, f.Name, why, err)
		}
	}
	for _, file := range []string{"haproxy-json.log", "varnish-json.log"} {
		sample := bytes.Join(sampleFile(t, "samples/"+file), []byte("\n"))
		if f, _, err := Detect(sample); err == nil || !strings.Contains(err.Error(), "json:time=PATH") {
			t.Errorf("%s has names of its own, but is taken for %q (%v)", file, f.Name, err)
		}
	}
}

func TestJSONOptions(t *testing.T) {
	for spec, want := range map[string]string{
		"caddy:zone=Mars/Base":       `zone="Mars/Base" is no time zone`,
		"caddy:zone=":                `is no time zone`,
		"caddy:duration=weeks":       `say s, ms, us or ns`,
		"caddy:colour=red":           `unknown option "colour=red": it takes zone=UTC`,
		"kong:x":                     `unknown option "x": it takes none`,
		"envoy-json:trust":           `it takes use_remote_address`,
		"caddy-console:zone=Up":      `zone="Up" is no time zone`,
		"json":                       `no map of fields: write json:time=PATH`,
		"json:time=t":                `add peer=PATH`,
		"json:peer=a,stat=s":         `"stat" is no field; did you mean status`,
		"json:peer=a,b":              `"b" is no field=path pair`,
		"json:peer=":                 `peer has no path`,
		"json:peer=a..b":             `"a..b" has an empty name`,
		"json:peer=a,user=a":         `"a" stands there twice`,
		"json:peer=a,status=s:ms":    `status is neither a time nor a duration`,
		"json:peer=a,time=t:min":     `"min" is no unit`,
		"json:peer=a,zone=Nowhere/X": `is no time zone`,
		`json:{"peer":{"a":"b"}}`:    `a path is a string with dots`,
		`json:{"peer":"a"`:           `is no JSON object`,
		`json:{"peer":7}`:            `7 is no path`,
	} {
		if _, err := Open(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): %v\nwant %s", spec, err, want)
		}
	}
	if f, err := Open("tyk"); err != nil || len(f.Warnings) != 1 || !strings.Contains(f.Warnings[0], "write tyk:ip_address") {
		t.Errorf("tyk: %v, warnings %q", err, f.Warnings)
	}
	if f, err := Open("tyk:ip_address"); err != nil || f.Warnings != nil {
		t.Errorf("tyk:ip_address: %v, warnings %q", err, f.Warnings)
	}
	if f, err := Open("json:peer=p"); err != nil || len(f.Warnings) != 3 {
		t.Errorf("a map of the peer alone: %v, warnings %q", err, f.Warnings)
	}
}

// TestJSONMap: one map in three spellings reads nesting, units and a time without a zone.
func TestJSONMap(t *testing.T) {
	const line = `{"@timestamp":"2026-11-23 14:03:36.5","client":{"ip":"203.0.113.7:80"},"http":{"status":"404","method":"GET","url":"https://h/a?b"},"took":1.5,"headers":{"X-Forwarded-For":["a","b"]}}`
	want := ingest.Event{Time: 1795439016e9 + 5e8, Status: 404, Method: "GET", Target: "/a?b", Host: "h", Duration: 15e5, Chain: "a, b"}
	for _, spec := range []string{
		"json:time=@timestamp,peer=client.ip,status=http.status,method=http.method,url=http.url,duration=took:ms,chain=headers.x-forwarded-for,zone=Europe/Berlin",
		"json:\n  time = @timestamp\n  peer = client.ip\n  status = http.status\n  method = http.method\n  url = http.url\n  duration = took:ms\n  x_forwarded_for = headers.X-FORWARDED-FOR\n  zone = Europe/Berlin\n",
		`json: {"time":"@timestamp","peer":"client.ip","status":"http.status","method":"http.method","url":"http.url","duration":"took:ms","xff":"headers.x-forwarded-for","zone":"Europe/Berlin"}`,
	} {
		var ev ingest.Event
		r := open(t, spec).Parse([]byte(line), &ev)
		if want.Peer = ev.Peer; r != ingest.OK || ev != want || ev.Peer.String() != "203.0.113.7" {
			t.Errorf("%s\ngives %s %+v\nwant  %+v", spec, r, ev, want)
		}
	}
	var ev ingest.Event
	if r := open(t, "json:time=@timestamp,peer=client.ip").Parse([]byte(line), &ev); r != ingest.BadTime {
		t.Errorf("a time without a zone, and nobody said which: %s", r)
	}
}
