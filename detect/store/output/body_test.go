package output

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

// FuzzBody: whatever a client sent, what is sent on says the same, on one line, with one
// id, in characters that move nothing, and so do the frames around it.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"", "plain", "a\nb", "\x00", "\u202e\u2066", `","portcullis.id":"forged`, "\xff\xfe", "\u2028\u0085\x7f\x1b", strings.Repeat("é", 5000), "<13>1 - -", "\ufeff\u200b"} {
		f.Add(s, s)
	}
	syslogs := &syslog{cfg: SyslogConfig{Hostname: "edge", App: "gate"}}
	lokis, hecs := &loki{cfg: LokiConfig{Metadata: true}}, &splunk{cfg: SplunkConfig{SourceType: "portcullis"}}
	f.Fuzz(func(t *testing.T, value, id string) {
		var b elastic.Builder
		b.Text("url.original", value)
		b.Exact("event.action", value)
		b.Int("portcullis.version", 1)
		source, err := b.Done()
		if err != nil {
			t.Fatal(err)
		}
		d := &elastic.Doc{Kind: elastic.Access, ID: id, Source: source}
		got := body(d)
		var was, is map[string]any
		if err := json.Unmarshal(source, &was); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &is); err != nil {
			t.Fatalf("%v: %q", err, got)
		}
		if is["portcullis.id"] != id && utf8.ValidString(id) {
			t.Errorf("the id is %q, want %q", is["portcullis.id"], id)
		}
		delete(is, "portcullis.id")
		if !reflect.DeepEqual(was, is) {
			t.Errorf("it says %q, and was %q", is, was)
		}
		for _, r := range string(got) {
			if r < ' ' || r == 0x7f || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Bidi_Control, r) || r == 0x2028 || r == 0x2029 || r == 0xfeff {
				t.Errorf("%U is in %q", r, got)
			}
		}
		if strings.Contains(string(syslogs.message(d)), "\n") || !bytes.HasSuffix(syslogs.message(d), got) || bytes.Count(syslogs.message(d)[:40], []byte(">1 ")) != 1 {
			t.Errorf("as syslog it is %q", syslogs.message(d))
		}
		if e := hecs.event(nil, &Batch{Docs: []elastic.Doc{*d}}, 0); !json.Valid(e) || bytes.ContainsRune(e, '\n') {
			t.Errorf("to Splunk it is %q", e)
		}
		if e := lokis.entry(d, 0); len(e) != 3 || e[1] != string(got) {
			t.Errorf("to Loki it is %q", e)
		}
		if r, err := record(d); err != nil || r.GetBody().GetStringValue() != string(got) {
			t.Errorf("as a log record it is %v, %v", r, err)
		}
	})
}
