package envelope_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	syslog "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/rfc3164"
	"github.com/leodido/go-syslog/v4/rfc5424"
	"pgregory.net/rapid"

	"github.com/portcullis/portcullis/ingest/envelope"
)

// said compares a header with what the slow twin found in the same message.
func said(h envelope.Header, msg []byte, b *syslog.Base) string {
	var bad []string
	differ := func(what string, ours any, theirs any) {
		if ours != theirs {
			bad = append(bad, fmt.Sprintf("%s %#v, want %#v", what, ours, theirs))
		}
	}
	differ("priority", h.Priority, int(*b.Priority))
	for what, pair := range map[string][2]any{
		"host": {h.Host, b.Hostname}, "app": {h.App, b.Appname}, "procid": {h.ProcID, b.ProcID}, "msgid": {h.MsgID, b.MsgID},
	} {
		differ(what, pair[0], or(pair[1].(*string)))
	}
	differ("message", string(msg), strings.TrimPrefix(or(b.Message), "\xEF\xBB\xBF"))
	if b.Timestamp != nil {
		if y := b.Timestamp.Year(); y > 1700 && y < 2260 {
			differ("time", h.Time, b.Timestamp.UnixNano())
		}
	} else {
		differ("time", h.Time, int64(0))
	}
	return strings.Join(bad, "; ")
}

func or(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// FuzzRFC5424: what the twin takes we take as well, and find the same in it.
func FuzzRFC5424(f *testing.F) {
	for _, s := range []string{
		"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xEF\xBB\xBF'su root' failed for lonvick on /dev/pts/8",
		`<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.`,
		`<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"][examplePriority@32473 class="high"]`,
		`<165>1 - - - - - [a b="\]\"\\"] x`, "<0>1 - - - - - -", "<0>1 - - - - - - ", `<1>1 2024-02-29T23:59:60Z a b c d [x] y`,
	} {
		f.Add([]byte(s))
	}
	twin := rfc5424.NewParser()
	f.Fuzz(func(t *testing.T, line []byte) {
		h, msg, ok := envelope.Syslog(line, ref)
		m, err := twin.Parse(line)
		if err != nil || m == nil {
			return
		}
		v := m.(*rfc5424.SyslogMessage)
		if v.Version != 1 || v.Priority == nil || v.Timestamp != nil && v.Timestamp.Year() == 0 {
			return // version 1 is all there is
		}
		if !ok {
			t.Fatalf("%q is RFC 5424, and was refused", line)
		}
		if bad := said(h, msg, &v.Base); bad != "" {
			t.Fatalf("%q: %s", line, bad)
		}
	})
}

// FuzzSyslog: nothing brings it down, what it finds lies within the line, and the
// time and priority are those of the twin where that takes an RFC 3164 message.
func FuzzSyslog(f *testing.F) {
	for _, s := range []string{
		"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8", "<13>Feb  5 17:32:18 10.0.0.99 myapp[10]: Use the BFG!",
		"<190>Feb 29 22:14:15 nginx: x", "2026-02-01T10:00:00Z h a: x", "<13>Feb  1 2024 10:00:00 h a: x", "<13>1 - - - - - -", "<13>x",
	} {
		f.Add([]byte(s))
	}
	twin := rfc3164.NewParser(rfc3164.WithYear(rfc3164.Year{YYYY: ref.Year()}))
	f.Fuzz(func(t *testing.T, line []byte) {
		h, msg, ok := envelope.Syslog(line, ref)
		if ok && !strings.HasSuffix(string(line), string(msg)) {
			t.Fatalf("%q: message %q is no end of it", line, msg)
		}
		for _, part := range []string{h.Host, h.App, h.ProcID, h.MsgID} {
			if !strings.Contains(string(line), part) || strings.ContainsAny(part, " ") {
				t.Fatalf("%q: %q", line, part)
			}
		}
		m, err := twin.Parse(line)
		if err != nil || m == nil {
			return
		}
		v := m.(*rfc3164.SyslogMessage)
		if !ok {
			t.Fatalf("%q is RFC 3164, and was refused", line)
		}
		near := time.Unix(0, h.Time).UTC()
		if h.Priority != int(*v.Priority) || near.Year() == ref.Year() && !near.Equal(*v.Timestamp) {
			t.Fatalf("%q: priority %d, time %v, want %d, %v", line, h.Priority, near, *v.Priority, v.Timestamp)
		}
	})
}

// TestRFC3164Twin compares all of well-formed messages.
func TestRFC3164Twin(t *testing.T) {
	twin := rfc3164.NewParser(rfc3164.WithYear(rfc3164.Year{YYYY: ref.Year()}))
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z][a-z0-9]{0,14}`)
		when := ref.Add(time.Duration(rapid.IntRange(-59*86400, 180*86400).Draw(t, "seconds")) * time.Second)
		pid := rapid.SampledFrom([]string{"", "[1]", "[4711]"}).Draw(t, "pid")
		line := fmt.Sprintf("<%d>%s %s %s%s: %s", rapid.IntRange(0, 191).Draw(t, "pri"), when.Format(time.Stamp),
			name.Draw(t, "host"), name.Draw(t, "tag"), pid, rapid.StringMatching(`[a-zA-Z0-9"./{}][ -~]{0,40}`).Draw(t, "text"))
		m, err := twin.Parse([]byte(line))
		if err != nil {
			t.Fatalf("%q: the twin says %v", line, err)
		}
		h, msg, ok := envelope.Syslog([]byte(line), ref)
		if !ok {
			t.Fatalf("%q was refused", line)
		}
		if bad := said(h, msg, &m.(*rfc3164.SyslogMessage).Base); bad != "" {
			t.Fatalf("%q: %s", line, bad)
		}
	})
}

// FuzzJSON: an object that encoding/json reads gives the same text.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{"log":"a\n","stream":"stdout","time":"2019-01-01T11:11:11.1Z"}`, `{"log":"\ud83d\ude00\ud83d\"\\\/\b\f\r\t","x":{"y":[1,{}]}}`,
		`{"MESSAGE":[104,105],"PRIORITY":"3"}`, `{"MESSAGE":["a","b"],"__REALTIME_TIMESTAMP":"1"}`, `{}`, `{"a":tru}`, "{\"log\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		_, log, _, ok := envelope.Docker(line, nil)
		_, msg, scratch, found := envelope.Journald(line, []byte("kept"))
		if !strings.HasPrefix(string(scratch), "kept") {
			t.Fatalf("%q: the scratch lost what it held", line)
		}
		var twin map[string]any
		if !utf8.Valid(line) || json.Unmarshal(line, &twin) != nil {
			return
		}
		if want, is := twin["log"].(string); is != ok || ok && strings.TrimSuffix(want, "\n") != string(log) {
			if _, list := twin["log"].([]any); !list {
				t.Fatalf("%q: log %q %v, want %q", line, log, ok, want)
			}
		}
		if want, is := twin["MESSAGE"].(string); is && (!found || want != string(msg)) {
			t.Fatalf("%q: MESSAGE %q %v, want %q", line, msg, found, want)
		}
	})
}

// FuzzCRI: nothing brings it down, and the text is the end of the line.
func FuzzCRI(f *testing.F) {
	f.Add([]byte("2016-10-06T00:17:09.669794202Z stdout F log content 1"))
	f.Add([]byte("2016-10-06T00:17:09Z stdout P"))
	f.Fuzz(func(t *testing.T, line []byte) {
		h, msg, ok := envelope.CRI(line)
		if !ok {
			return
		}
		stamp, _, _ := strings.Cut(string(line), " ")
		if want, err := time.Parse(time.RFC3339Nano, stamp); err == nil && h.Time != 0 && len(stamp) < 36 && want.UnixNano() != h.Time {
			t.Fatalf("%q: time %v, want %v", line, time.Unix(0, h.Time), want)
		}
		if !strings.HasSuffix(string(line), string(msg)) {
			t.Fatalf("%q: text %q", line, msg)
		}
	})
}
