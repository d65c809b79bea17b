package format

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

const wrappedLine = `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /a\x22b HTTP/1.1" 200 5 "-" "curl"`

// TestEnvelopes: the same line comes out of each envelope, alone and found by auto.
func TestEnvelopes(t *testing.T) {
	text, err := json.Marshal(wrappedLine)
	if err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{
		"syslog":   "<190>Nov 23 13:03:36 vm nginx: " + wrappedLine,
		"cri":      "2026-11-23T13:03:36.5Z stdout F " + wrappedLine,
		"docker":   fmt.Sprintf(`{"log":%s,"stream":"stdout","time":"2026-11-23T13:03:36.5Z"}`, string(text[:len(text)-1])+`\n"`),
		"journald": fmt.Sprintf(`{"__REALTIME_TIMESTAMP":"1795439016000000","MESSAGE":%s}`, text),
	} {
		f, why, err := Detect([]byte(line + "\n"))
		if err != nil || f.Name != name+":nginx-combined" {
			t.Errorf("%s is found as %q (%s), %v", name, f.Name, why, err)
			continue
		}
		for _, spec := range []string{name + ":nginx-combined", name + ":auto"} {
			g, err := Open(spec)
			if err == nil {
				g, _, err = g.Find([]byte(line + "\n"))
			}
			if err != nil {
				t.Errorf("%s: %v", spec, err)
				continue
			}
			var ev ingest.Event
			p := g.New()
			if r := p.Parse([]byte(line), &ev); r != ingest.OK || ev.Target != `/a"b` || ev.Peer.String() != "203.0.113.7" || ev.Time != 1795439016e9 {
				t.Errorf("%s: %s %+v", spec, r, ev)
			}
			for bad, want := range map[string]ingest.Reason{"": ingest.EmptyLine, wrappedLine: ingest.BadEnvelope, "\x00": ingest.HasNUL} {
				if r := p.Parse([]byte(bad), &ev); r != want {
					t.Errorf("%s: %q is %s, want %s", spec, bad, r, want)
				}
			}
		}
	}
	if _, err := Open("syslog:"); err == nil {
		t.Error("an envelope around nothing opens")
	}
}

// TestEnvelopeTime: a line without a time takes that of its envelope.
func TestEnvelopeTime(t *testing.T) {
	p := open(t, `cri:nginx:$remote_addr "$request" $status`)
	var ev ingest.Event
	if r := p.Parse([]byte(`2026-11-23T13:03:36Z stdout F 203.0.113.7 "GET / HTTP/1.1" 200`), &ev); r != ingest.OK || ev.Time != 1795439016e9 {
		t.Errorf("%s: time %d", r, ev.Time)
	}
}

// TestEnvelopeParts: a line that the container engine cut is read with its rest.
func TestEnvelopeParts(t *testing.T) {
	p := open(t, "cri:nginx-combined")
	var ev ingest.Event
	for i, part := range []string{"P " + wrappedLine[:30], "P " + wrappedLine[30:50]} {
		if r := p.Parse([]byte("2026-11-23T13:03:36Z stdout "+part), &ev); r != ingest.Continued {
			t.Errorf("part %d is %s", i, r)
		}
	}
	if r := p.Parse([]byte("2026-11-23T13:03:36Z stdout F "+wrappedLine[50:]), &ev); r != ingest.OK || ev.Target != `/a"b` {
		t.Errorf("the whole is %s, %+v", r, ev)
	}
	ev = ingest.Event{}
	if r := p.Parse([]byte("2026-11-23T13:03:36Z stdout F "+wrappedLine), &ev); r != ingest.OK || ev.Target != `/a"b` {
		t.Errorf("the next is %s", r)
	}
}

func FuzzEnvelopes(f *testing.F) {
	f.Add("<190>Nov 23 13:03:36 vm nginx: " + wrappedLine)
	f.Add("2026-11-23T13:03:36Z stdout P " + wrappedLine)
	f.Add(`{"log":"a\n","time":"2026-11-23T13:03:36Z"}`)
	var parsers []ingest.Parser
	for _, e := range envelopes {
		parsers = append(parsers, open(f, e.name+":nginx-combined"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		for i, p := range parsers {
			var ev ingest.Event
			if r := p.Parse([]byte(line), &ev); r == ingest.OK && !ev.Peer.IsValid() {
				t.Errorf("%s: an event without a peer: %q", envelopes[i].name, line)
			}
			p.Reset()
		}
	})
}
