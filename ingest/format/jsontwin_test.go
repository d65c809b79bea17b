package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format/field"
)

// againstJSON holds the object reader against encoding/json: what is valid JSON and a
// request must give the same strings and numbers.
func againstJSON(t *testing.T, p ingest.Parser, line []byte) {
	t.Helper()
	var ev ingest.Event
	reason := p.Parse(line, &ev)
	var members map[string]json.RawMessage
	if json.Unmarshal(line, &members) != nil || !utf8.Valid(line) || hasEscapedKey(line) || bytes.Contains(line, []byte("\x00")) {
		return // JSON that nginx's escaping cannot make; the reader may be more tolerant
	}
	if reason == ingest.BadJSON {
		t.Fatalf("valid JSON is refused: %q", line)
	}
	if reason != ingest.OK {
		return
	}
	text := func(keys ...string) (s string) {
		for _, k := range keys {
			var v any
			if err := json.Unmarshal(members[k], &v); err == nil {
				switch v := v.(type) {
				case string:
					s = v
				case nil, bool, map[string]any, []any:
				default:
					s = string(members[k])
				}
			}
		}
		return s
	}
	for name, pair := range map[string][2]string{
		"agent": {ev.Agent, text("ua")}, "referer": {ev.Referer, text("referer")}, "chain": {ev.Chain, text("xff")},
		"user": {ev.User, text("user")}, "key": {ev.Key, text("api_key")}, "host": {ev.Host, text("host")},
	} {
		if pair[0] != pair[1] && pair[1] != "-" {
			t.Fatalf("%s is %q, encoding/json says %q: %q", name, pair[0], pair[1], line)
		}
	}
	if s := text("status"); s != "" && s != "000" && s != "009" && fmt.Sprint(ev.Status) != s {
		t.Fatalf("status is %d, encoding/json says %s: %q", ev.Status, s, line)
	}
	if s := text("remote_addr"); s != "" {
		if a, ok := twinAddr(s); !ok || a != ev.Peer {
			t.Fatalf("peer is %s, encoding/json says %q: %q", ev.Peer, s, line)
		}
	}
}

// hasEscapedKey tells lines whose meaning is a matter of taste: keys with escapes, keys
// that come twice, and aliases of the keys compared.
func hasEscapedKey(line []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	seen := map[string]bool{}
	depth, key := 0, true
	for {
		start := dec.InputOffset()
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		if d, ok := tok.(json.Delim); ok {
			if d == '{' || d == '[' {
				depth++
			} else {
				depth--
			}
			key = true
			continue
		}
		if depth != 1 {
			continue
		}
		if s, ok := tok.(string); ok && key {
			raw := line[start:dec.InputOffset()]
			if seen[s] || bytes.IndexByte(raw, '\\') >= 0 || isAlias(s) {
				return true
			}
			seen[s] = true
		}
		key = !key
	}
}

func isAlias(key string) bool {
	switch wellKnownKey(key) {
	case field.Agent, field.Referer, field.Chain, field.User, field.Key, field.Host, field.HTTPHost, field.ServerName, field.Peer, field.RealPeer, field.ClientIP, field.StatusCode:
		return !strings.Contains(" ua referer xff user api_key host remote_addr status ", " "+key+" ")
	}
	return false
}

var jsonSeeds = []string{
	`{"time":"2026-11-23T13:03:36Z","remote_addr":"1.2.3.4","ua":"a\"b\\c\/\u00e9\ud83d\ude00\ud800x","status":200}`,
	`{"msec":1795439016.694,"remote_addr":"::1","request":"GET / HTTP/1.1","xff":null,"x":{"a":[1,{"b":"}"}]},"user":true}`,
	` { "time" : "2026-11-23T13:03:36.123456+0100" , "remote_addr" : "1.2.3.4" , "status" : "404" , "host" : 12 } `,
	`{"time":1795439016694,"remote_addr":"1.2.3.4","api_key":"","referer":"-","uri":"/a","args":"b=c"}`,
	`{"time":"2026-11-23T13:03:36Z","remote_addr":"1.2.3.4","upstream_time":,"bytes":-}`,
	`{}`, `{"a":1}x`, `{"a"}`, `{"a":"\`, `{"remote_addr":"1.2.3.4","time":"2026-11-23T13:03:36Z",}`,
}

func TestJSONTwin(t *testing.T) {
	p := open(t, "nginx-json")
	for _, s := range jsonSeeds {
		againstJSON(t, p, []byte(s))
	}
	for _, line := range sampleFile(t, "samples/nginx-json.log") {
		againstJSON(t, p, line)
	}
}

func FuzzNginxJSON(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	p := open(f, "nginx-json")
	f.Fuzz(func(t *testing.T, line []byte) { againstJSON(t, p, line) })
}
