package decode

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/format"
	"github.com/portcullis/portcullis/ingest/identity"
)

const (
	combinedLine = `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /o/%d HTTP/1.1" 200 5 "-" "curl"` + "\n"
	jsonLine     = `{"time":"2026-11-23T13:03:37+00:00","remote_addr":"203.0.113.8","request":"GET /j/%d HTTP/1.1","status":200,"bytes":5}` + "\n"
)

func many(line string, n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i)
	}
	return []byte(b.String())
}

// TestWrongFormat: a log that changes its format under a guess is read on; under a
// format that was given it is refused, and what it is instead is said once.
func TestWrongFormat(t *testing.T) {
	for spec, want := range map[string]struct {
		events int
		said   []string
	}{
		"auto":           {100 + 400 + 400 - 255, []string{"nginx-combined: ", "nginx-json: it was taken for nginx-combined, but "}},
		"nginx-combined": {100, []string{": nginx-combined: "}},
	} {
		f, err := format.Open(spec)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		d, err := NewPlan(map[string]format.Format{"a": f}, identity.Config{Key: [identity.KeyBytes]byte{1}}, Options{
			Say: func(_, name, why string) { said = append(said, name+": "+why) }}).New()
		if err != nil {
			t.Fatal(err)
		}
		events, rejected := 0, 0
		for _, data := range [][]byte{many(combinedLine, 100), many(jsonLine, 400), many(jsonLine, 400)} {
			d.Decode(&ingest.Batch{Source: "a", File: 1, Data: data}, func(*ingest.Event) { events++ }, func(ingest.Reject) { rejected++ })
		}
		if events+rejected != 900 || events < want.events-1 || events > want.events+101 {
			t.Errorf("%s: %d events, %d rejected, want about %d", spec, events, rejected, want.events)
		}
		if len(said) != len(want.said) {
			t.Errorf("%s: said %q", spec, said)
			continue
		}
		for i, s := range want.said {
			if !strings.HasPrefix(said[i], s) {
				t.Errorf("%s: said %q, want %q...", spec, said[i], s)
			}
		}
		if last := said[len(said)-1]; !strings.Contains(last, "of the last 256 lines are refused") || !strings.Contains(last, "nginx-json reads") {
			t.Errorf("%s: said %q", spec, last)
		}
	}
}
