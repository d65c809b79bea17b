package output

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

// body is a document as it is sent: with its id, and its version where it changes, and
// without characters that mislead those who read it in a terminal or a page. It is one
// line.
func body(d *elastic.Doc) []byte {
	out := make([]byte, 0, len(d.Source)+64)
	out = append(out, `{"portcullis.id":`...)
	out = appendText(out, d.ID)
	if len(d.Source) > 2 {
		out = append(out, ',')
	}
	return appendSafe(out, d.Source[1:])
}

// appendSafe appends JSON, in which characters that mislead are written as escapes: they
// only stand within strings.
func appendSafe(out, text []byte) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf && c != 0x7f {
			out = append(out, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if misleads(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, text[i:i+n]...)
		}
		i += n
	}
	return out
}

// misleads reports whether a character moves, hides or breaks the text around it: the
// control characters behind ASCII, the marks of direction, and the line ends that are
// none to JSON.
func misleads(r rune) bool {
	switch {
	case r >= 0x7f && r <= 0x9f, r == 0x61c, r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r == 0xfeff:
		return true
	}
	return false
}

// appendText appends a JSON string.
func appendText(dst []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string always marshals
	return appendSafe(dst, text)
}

// fields are the few values of a document that outputs treat apart.
type fields struct {
	Action   string `json:"event.action"`
	Severity int64  `json:"event.severity"`
	Rule     string `json:"rule.id"`
	Outcome  string `json:"event.outcome"`
	Verdict  string `json:"portcullis.verdict"`
	State    string `json:"portcullis.state"`
	Version  int64  `json:"portcullis.version"`
}

func fieldsOf(d *elastic.Doc) fields {
	var f fields
	_ = json.Unmarshal(d.Source, &f) // our own documents always read
	return f
}

// level is how grave a document is, by the numbers of syslog.
func (f *fields) level(k elastic.Kind) int {
	switch {
	case k == elastic.Finding && f.Severity >= 99:
		return 2
	case k == elastic.Finding && f.Severity >= 73:
		return 3
	case k == elastic.Finding && f.Severity >= 47, f.Verdict != "":
		return 4
	case k == elastic.Finding && f.Severity >= 21, k == elastic.Decision, k == elastic.Audit:
		return 5
	}
	return 6
}

// timeOf is when what a document is about happened. Of a finding its Time is that of the
// window, by which its index is chosen.
func timeOf(d *elastic.Doc) int64 {
	if d.Kind != elastic.Finding {
		return d.Time
	}
	var f struct {
		At time.Time `json:"@timestamp"`
	}
	if err := json.Unmarshal(d.Source, &f); err != nil || f.At.IsZero() {
		return d.Time
	}
	return f.At.UnixNano()
}

// seconds is a time in Unix seconds with milliseconds, as a number of JSON.
func seconds(ns int64) string {
	return strconv.FormatFloat(float64(ns/1e6)/1000, 'f', 3, 64)
}
