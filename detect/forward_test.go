package detect

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/detect/window"
	"github.com/portcullis/portcullis/ingest"
)

// TestExcerptIsRedactedOnce hands over a line that concerns an account, a route and a
// network: each is told the line without its secret, which is looked for once.
func TestExcerptIsRedactedOnce(t *testing.T) {
	times := 0
	f := newForwarder(&Config{Redact: func(line string) string {
		times++
		return strings.ReplaceAll(line, "hunter2", "<p>")
	}})
	for _, by := range []By{ByAccount, ByRoute, ByASN} {
		f.wants[by] = Refused
	}
	for i := range 2 {
		f.excerpt(&excerpt{ev: ingest.Event{Time: int64(i), User: "kim", Route: "/login", ASN: 64500, Line: "POST /login password=hunter2"}, need: Refused})
	}
	if times != 2 || len(f.list) != 6 {
		t.Errorf("2 lines are redacted %d times for %d excerpts", times, len(f.list))
	}
	for _, p := range f.list {
		if !strings.Contains(p.Payload, "POST /login password=<p>") || strings.Contains(p.Payload, "hunter2") {
			t.Errorf("an excerpt says %q", p.Payload)
		}
	}
	f.excerpt(&excerpt{ev: ingest.Event{Time: 2, User: "kim", Line: strings.Repeat("x", 2*window.SamplesPerBucket)}, need: ClientError})
	if times != 2 {
		t.Error("a line that nobody wants is redacted")
	}
}
