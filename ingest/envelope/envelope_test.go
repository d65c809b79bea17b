package envelope_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/envelope"
)

var ref = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(t testing.TB, text string) int64 {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return v.UnixNano()
}

func TestSyslog(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       envelope.Header
		time, msg  string
	}{
		{"nginx", `<190>Feb 11 22:14:15 web1 nginx: 192.0.2.1 - - "GET / HTTP/1.1"`,
			envelope.Header{Priority: 190, Host: "web1", App: "nginx"}, "2026-02-11T22:14:15Z", `192.0.2.1 - - "GET / HTTP/1.1"`},
		{"nginx nohostname", `<190>Feb 11 22:14:15 nginx: 192.0.2.1 - -`,
			envelope.Header{Priority: 190, App: "nginx"}, "2026-02-11T22:14:15Z", "192.0.2.1 - -"},
		{"HAProxy", "<134>Feb  1 02:04:05 haproxy[4711]: 192.0.2.1:57962 [01/Feb",
			envelope.Header{Priority: 134, App: "haproxy", ProcID: "4711"}, "2026-02-01T02:04:05Z", "192.0.2.1:57962 [01/Feb"},
		{"HAProxy with host", "<134>Feb  1 02:04:05 lb.example haproxy[4711]: x",
			envelope.Header{Priority: 134, Host: "lb.example", App: "haproxy", ProcID: "4711"}, "2026-02-01T02:04:05Z", "x"},
		{"HAProxy rfc5424", "<134>1 2026-02-01T02:04:05.123456+01:00 lb haproxy 4711 - - 192.0.2.1:57962 [01",
			envelope.Header{Priority: 134, Host: "lb", App: "haproxy", ProcID: "4711"}, "2026-02-01T01:04:05.123456Z", "192.0.2.1:57962 [01"},
		{"HAProxy short", `<134>{"a": 1}`, envelope.Header{Priority: 134}, "", `{"a": 1}`},
		{"no time, tag", "<13>me: text", envelope.Header{Priority: 13, App: "me"}, "", "text"},
		{"rsyslog traditional file", "Jan 31 22:14:15 web1 nginx: x y",
			envelope.Header{Priority: -1, Host: "web1", App: "nginx"}, "2026-01-31T22:14:15Z", "x y"},
		{"rsyslog file", "2026-01-31T22:14:15.003123+02:00 web1 nginx[9]: x y",
			envelope.Header{Priority: -1, Host: "web1", App: "nginx", ProcID: "9"}, "2026-01-31T20:14:15.003123Z", "x y"},
		{"syslog-ng iso, priority", "<13>2026-01-31T22:14:15Z web1 nginx: x",
			envelope.Header{Priority: 13, Host: "web1", App: "nginx"}, "2026-01-31T22:14:15Z", "x"},
		{"last year", "<13>Dec 31 23:59:59 h a: x", envelope.Header{Priority: 13, Host: "h", App: "a"}, "2025-12-31T23:59:59Z", "x"},
		{"leap day of no near year", "<13>Feb 28 23:59:59.5 h a: x", envelope.Header{Priority: 13, Host: "h", App: "a"}, "2026-02-28T23:59:59.5Z", "x"},
		{"year before the clock", "<13>Feb  1 2024 10:00:00 h a: x", envelope.Header{Priority: 13, Host: "h", App: "a"}, "2024-02-01T10:00:00Z", "x"},
		{"year behind the clock", "<13>Feb  1 10:00:00 2024 h a: x", envelope.Header{Priority: 13, Host: "h", App: "a"}, "2024-02-01T10:00:00Z", "x"},
		{"host like a year", "<13>Feb  1 10:00:00 2024-web a: x", envelope.Header{Priority: 13, Host: "2024-web", App: "a"}, "2026-02-01T10:00:00Z", "x"},
		{"day not padded", "<13>Feb 1 10:00:00 h a: x", envelope.Header{Priority: 13, Host: "h", App: "a"}, "2026-02-01T10:00:00Z", "x"},
		{"day with a zero", "<13>Feb 01 10:00:00 h a: x", envelope.Header{Priority: 13, Host: "h", App: "a"}, "2026-02-01T10:00:00Z", "x"},
		{"host and no tag", "<13>Feb  1 10:00:00 h 192.0.2.1 - - x", envelope.Header{Priority: 13, Host: "h"}, "2026-02-01T10:00:00Z", "192.0.2.1 - - x"},
		{"IPv6 host", "<13>Feb  1 10:00:00 2001:db8::1 a: x", envelope.Header{Priority: 13, Host: "2001:db8::1", App: "a"}, "2026-02-01T10:00:00Z", "x"},
		{"IPv6 text", "<13>Feb  1 10:00:00 h 2001:db8::1 - x", envelope.Header{Priority: 13, Host: "h"}, "2026-02-01T10:00:00Z", "2001:db8::1 - x"},
		{"JSON text", `<13>Feb  1 10:00:00 h a: {"k": 1}`, envelope.Header{Priority: 13, Host: "h", App: "a"}, "2026-02-01T10:00:00Z", `{"k": 1}`},
		{"empty text", "<13>Feb  1 10:00:00 h a:", envelope.Header{Priority: 13, Host: "h", App: "a"}, "2026-02-01T10:00:00Z", ""},
		{"tag with a path", "<13>Feb  1 10:00:00 h postfix/smtpd[12]: x", envelope.Header{Priority: 13, Host: "h", App: "postfix/smtpd", ProcID: "12"}, "2026-02-01T10:00:00Z", "x"},
		{"RFC 5424 example 1", "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xEF\xBB\xBF'su root' failed",
			envelope.Header{Priority: 34, Host: "mymachine.example.com", App: "su", MsgID: "ID47"}, "2003-10-11T22:14:15.003Z", "'su root' failed"},
		{"RFC 5424 example 3", `<165>1 2003-10-11T22:14:15.003Z h evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="App\]\"li\\cation"][x@1 y="]"] text`,
			envelope.Header{Priority: 165, Host: "h", App: "evntslog", MsgID: "ID47"}, "2003-10-11T22:14:15.003Z", "text"},
		{"RFC 5424 nothing said", "<0>1 - - - - - -", envelope.Header{}, "", ""},
		{"RFC 5424 a far year", "<0>1 9999-12-31T23:59:59Z - - - - - x", envelope.Header{}, "", "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.time != "" {
				c.want.Time = at(t, c.time)
			}
			h, msg, ok := envelope.Syslog([]byte(c.line), ref)
			if !ok || h != c.want || string(msg) != c.msg {
				t.Errorf("got %+v %q %v\nwant %+v %q", h, msg, ok, c.want, c.msg)
			}
		})
	}
}

func TestNoSyslog(t *testing.T) {
	for _, line := range []string{
		"", "<", "<>", "<13", "x", `192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"`,
		"<192>1 - - - - - -", "<1234>x", "<13>1 ", "<13>1 -", "<13>1 - - - -", "<13>1 - - - - - [", `<13>1 - - - - - [a b="]`,
		"<13>1 - - - - - -x", "<13>1 2026-02-30T00:00:00Z - - - - - x", "<13>1 2026-02-03 - - - - - x", "<13>1 - -  - - - x",
		"Feb 30 10:00:00 h a: x", "Feb  1 25:00:00 h a: x", "2026-02-01T10:00:00 h a: x", "Feb  1 10:00:00x",
	} {
		if h, msg, ok := envelope.Syslog([]byte(line), ref); ok {
			t.Errorf("%q was taken for syslog: %+v %q", line, h, msg)
		}
	}
}

// TestYear: a time without a year is brought nearest to the reference.
func TestYear(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	for _, c := range []struct{ stamp, ref, want string }{
		{"Jan  1 00:00:01", "2026-12-31T23:59:59Z", "2027-01-01T00:00:01Z"},
		{"Dec 31 23:59:59", "2027-01-01T00:00:01Z", "2026-12-31T23:59:59Z"},
		{"Feb 29 10:00:00", "2025-01-01T00:00:00Z", "2024-02-29T10:00:00Z"},
		{"Feb 29 10:00:00", "2027-10-01T00:00:00Z", "2028-02-29T10:00:00Z"},
		{"Jun 30 10:00:00", "2026-01-02T00:00:00Z", "2026-06-30T10:00:00Z"},
	} {
		r := time.Unix(0, at(t, c.ref)).UTC()
		h, _, ok := envelope.Syslog([]byte(c.stamp+" h a: x"), r)
		if !ok || h.Time != at(t, c.want) {
			t.Errorf("%s near %s = %v, want %s", c.stamp, c.ref, time.Unix(0, h.Time).UTC(), c.want)
		}
		h, _, _ = envelope.Syslog([]byte(c.stamp+" h a: x"), r.In(zone))
		if want := at(t, c.want) - 2*3600*1e9; h.Time != want {
			t.Errorf("%s in %v = %v, want %v", c.stamp, zone, time.Unix(0, h.Time).UTC(), time.Unix(0, want).UTC())
		}
	}
}

// TestDaylightSaving: the zone of the hour counts, not that of the reference.
func TestDaylightSaving(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	r := time.Date(2026, 3, 29, 12, 0, 0, 0, zone)
	for stamp, want := range map[string]string{
		"Mar 29 01:30:00": "2026-03-29T00:30:00Z", "Mar 29 03:30:00": "2026-03-29T01:30:00Z", "Mar 28 12:00:00": "2026-03-28T11:00:00Z",
	} {
		if h, _, ok := envelope.Syslog([]byte(stamp+" h a: x"), r); !ok || h.Time != at(t, want) {
			t.Errorf("%s = %v, want %s", stamp, time.Unix(0, h.Time).UTC(), want)
		}
	}
}

func TestContainers(t *testing.T) {
	for _, c := range []struct {
		line, msg string
		want      envelope.Header
		ok        bool
	}{
		{`{"log":"plain\n","stream":"stdout","time":"2019-01-01T11:11:11.111111111Z"}`, "plain",
			envelope.Header{Stream: "stdout", Time: at(t, "2019-01-01T11:11:11.111111111Z")}, true},
		{` { "log" : "a \"q\" \u00e9\ud83d\ude00\\\n" , "attrs":{"a":[1,"}"]}, "stream":"stderr"} `, `a "q" é😀\`, envelope.Header{Stream: "stderr"}, true},
		{`{"log":"cut","stream":"stdout"}`, "cut", envelope.Header{Stream: "stdout", Partial: true}, true},
		{`{"stream":"stdout"}`, "", envelope.Header{}, false},
		{`{"log":"a\n"} x`, "", envelope.Header{}, false},
		{`{"log":"a\q\n"}`, "", envelope.Header{}, false},
		{`{"log":"a`, "", envelope.Header{}, false},
		{`{}`, "", envelope.Header{}, false},
		{``, "", envelope.Header{}, false},
	} {
		c.want.Priority = -1
		h, msg, _, ok := envelope.Docker([]byte(c.line), nil)
		if ok != c.ok || ok && (h != c.want || string(msg) != c.msg) {
			t.Errorf("Docker(%q) = %+v %q %v", c.line, h, msg, ok)
		}
	}
	for _, c := range []struct {
		line, msg string
		partial   bool
		ok        bool
	}{
		{"2016-10-06T00:17:09.669794202Z stdout F log content 1", "log content 1", false, true},
		{"2016-10-06T00:17:09.669794202+02:00 stderr P half", "half", true, true},
		{"2016-10-06T00:17:09Z stdout F:x ", "", false, true},
		{"2016-10-06T00:17:09Z stdout F", "", false, true},
		{"2016-10-06T00:17:09Z stdout X y", "", false, false},
		{"2016-10-06T00:17:09Z stdin F y", "", false, false},
		{"2016-10-06T00:17:09Z", "", false, false},
		{"stdout F y", "", false, false},
	} {
		h, msg, ok := envelope.CRI([]byte(c.line))
		if ok != c.ok || ok && (string(msg) != c.msg || h.Partial != c.partial || h.Time == 0) {
			t.Errorf("CRI(%q) = %+v %q %v", c.line, h, msg, ok)
		}
	}
}

func TestJournald(t *testing.T) {
	whole := `{"_HOSTNAME":"web1","__REALTIME_TIMESTAMP":"1700000000123456","PRIORITY":"6","SYSLOG_FACILITY":"23","SYSLOG_IDENTIFIER":"nginx","_PID":"77","MESSAGE":"a \u00e9","X":null}`
	want := envelope.Header{Priority: 190, Time: 1700000000123456000, Host: "web1", App: "nginx", ProcID: "77"}
	h, msg, scratch, ok := envelope.Journald([]byte(whole), make([]byte, 0, 64))
	if !ok || h != want || string(msg) != "a é" || len(scratch) == 0 {
		t.Errorf("got %+v %q %v", h, msg, ok)
	}
	for line, text := range map[string]string{
		`{"MESSAGE":[104, 105,255]}`:           "hi\xff",
		`{"MESSAGE":["first","second"]}`:       "first",
		`{"MESSAGE":[ "fi\trst" , "second" ]}`: "fi\trst",
	} {
		h, msg, _, ok := envelope.Journald([]byte(line), nil)
		if !ok || string(msg) != text || h.Priority != -1 {
			t.Errorf("%s = %q %v", line, msg, ok)
		}
	}
	for _, line := range []string{`{"MESSAGE":null}`, `{"MESSAGE":[1,256]}`, `{"MESSAGE":[1,]}`, `{"MESSAGE":[]}`, `{"MESSAGE":["a]}`, `{"A":"b"}`, `[]`} {
		if _, msg, _, ok := envelope.Journald([]byte(line), nil); ok {
			t.Errorf("%s was taken: %q", line, msg)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	scratch := make([]byte, 0, 4096)
	for name, read := range readers() {
		line := []byte(examples[name])
		if n := testing.AllocsPerRun(100, func() { read(line, scratch) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

var examples = map[string]string{
	"rfc3164":  `<190>Feb 11 22:14:15 web1 nginx: ` + access,
	"rfc5424":  `<190>1 2026-02-11T22:14:15.123456+01:00 web1 nginx 4711 - - ` + access,
	"journald": `{"_HOSTNAME":"web1","__REALTIME_TIMESTAMP":"1700000000123456","PRIORITY":"6","SYSLOG_IDENTIFIER":"nginx","MESSAGE":"` + strings.ReplaceAll(access, `"`, `\"`) + `"}`,
	"docker":   `{"log":"` + strings.ReplaceAll(access, `"`, `\"`) + `\n","stream":"stdout","time":"2026-02-11T22:14:15.123456789Z"}`,
	"cri":      `2026-02-11T22:14:15.123456789Z stdout F ` + access,
}

const access = `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /api/v1/orders/4711?page=3&size=50 HTTP/1.1" 200 4711 "https://shop.example/orders" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36"`

func readers() map[string]func(line, dst []byte) []byte {
	return map[string]func(line, dst []byte) []byte{
		"rfc3164":  func(line, _ []byte) []byte { _, msg, _ := envelope.Syslog(line, ref); return msg },
		"rfc5424":  func(line, _ []byte) []byte { _, msg, _ := envelope.Syslog(line, ref); return msg },
		"journald": func(line, dst []byte) []byte { _, msg, _, _ := envelope.Journald(line, dst); return msg },
		"docker":   func(line, dst []byte) []byte { _, msg, _, _ := envelope.Docker(line, dst); return msg },
		"cri":      func(line, _ []byte) []byte { _, msg, _ := envelope.CRI(line); return msg },
	}
}

func BenchmarkEnvelope(b *testing.B) {
	for name, read := range readers() {
		b.Run(name, func(b *testing.B) {
			line, scratch := []byte(examples[name]), make([]byte, 0, 4096)
			if !bytes.Equal(read(line, scratch), []byte(access)) {
				b.Fatalf("%s is not unwrapped", name)
			}
			b.ReportAllocs()
			for b.Loop() {
				read(line, scratch)
			}
		})
	}
}
