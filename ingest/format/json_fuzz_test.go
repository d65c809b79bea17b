package format

import (
	"encoding/json"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// fuzzedJSON are the specs that FuzzJSONFormats chooses from.
var fuzzedJSON = []string{
	"caddy", "traefik-json", "envoy-json", "envoy-json:use_remote_address", "envoy-als", "kong", "apisix", "tyk:ip_address",
	"aws-apigw", "azure-apim", "gcp-lb", "ecs", "otel", "modsecurity:zone=UTC", "caddy-console", haproxyMap,
}

// FuzzJSONFormats: whatever a line holds, a parser that has read others gives what a
// new one gives; an event has a peer and a time; and what encoding/json takes for an
// object is not refused as none.
func FuzzJSONFormats(f *testing.F) {
	parsers := make([]ingest.Parser, len(fuzzedJSON))
	formats := make([]Format, len(fuzzedJSON))
	for k, spec := range fuzzedJSON {
		var err error
		if formats[k], err = Open(spec); err != nil {
			f.Fatal(err)
		}
		parsers[k] = formats[k].New()
		if s, ok := Lookup(formats[k].Name); ok {
			f.Add(uint8(k), []byte(s.Example))
		}
		for i, w := range []string{"caddy-json.log", "traefik-json.log", "envoy-json.log", "nginx-modsecurity-audit.jsonl", "caddy-console.log", "haproxy-json.log"} {
			f.Add(uint8(k), sampleFile(f, "samples/"+w)[10+7*i])
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, line []byte) {
		k := int(which) % len(formats)
		var old, fresh ingest.Event
		reason := parsers[k].Parse(line, &old)
		if again := formats[k].New().Parse(line, &fresh); again != reason || reason == ingest.OK && old != fresh {
			t.Fatalf("%s: a used parser gives %s %+v, a new one %s %+v: %q", fuzzedJSON[k], reason, old, again, fresh, line)
		}
		switch {
		case reason == ingest.OK && (!old.Peer.IsValid() || old.Time == 0):
			t.Fatalf("%s: an event without a peer or a time: %+v %q", fuzzedJSON[k], old, line)
		case reason == ingest.BadJSON && fuzzedJSON[k] != "caddy-console" && len(line) > 0 && line[0] == '{' && json.Valid(line):
			t.Fatalf("%s: valid JSON is refused: %q", fuzzedJSON[k], line)
		}
	})
}
