package cliout

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestSafe(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"/orders/4711?q=a", 0, "/orders/4711?q=a"},
		{"", 5, ""},
		{"a\x1b[31mred\x07", 0, `a\x1b[31mred\x07`},
		{"line\nfeed\r\tend", 0, `line\nfeed\r\tend`},
		{"\u202ebidi\u2066x\u200f", 0, `\u202ebidi\u2066x\u200f`},
		{"zero\u200bwidth\ufeff\u00a0nbsp\u2028", 0, `zero\u200bwidth\ufeff\u00a0nbsp\u2028`},
		{"c1\u009b31m", 0, `c1\u009b31m`},
		{"\xff\xfe", 0, `\xff\xfe`},
		{"tag\U000e0041", 0, `tag\U000e0041`},
		{"filler\u3164", 0, `filler\u3164`},
		{"日本 ü", 0, "日本 ü"},
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abcde…"},
		{"日本語", 5, "日本…"},
		{"ab\x1bcd", 4, "ab…"}, // an escape is kept whole or not at all
		{strings.Repeat("e\u0301", 9), 4, "e\u0301e…"},
	} {
		if got := Safe(c.in, c.limit); got != c.want {
			t.Errorf("Safe(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

// FuzzSafe: nothing that drives a terminal comes out, within the columns asked
// for, and what came out once is left alone.
func FuzzSafe(f *testing.F) {
	f.Add("a\x1b]0;title\x07\u202e", 7)
	f.Add("\xe4\xb8", 1)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := Safe(s, limit)
		if !utf8.ValidString(got) {
			t.Fatalf("%q: not UTF-8: %q", s, got)
		}
		for _, r := range got {
			if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Fatalf("%q: %U came through", s, r)
			}
		}
		if limit > 0 && Width(got) > limit {
			t.Fatalf("%q: %d columns, want at most %d", got, Width(got), limit)
		}
		if again := Safe(got, limit); again != got {
			t.Fatalf("%q became %q", got, again)
		}
	})
}

func TestTable(t *testing.T) {
	columns := []Column{
		{Title: "ID", Keep: true},
		{Title: "SEVERITY", Paint: SeverityColor},
		{Title: "COUNT", Right: true},
		{Title: "WHY"},
	}
	fill := func(style Style) string {
		var b bytes.Buffer
		table := NewTable(&b, style, columns...)
		table.Row("a1", "critical", "9", "guessed \x1b[2Jpasswords of 31 accounts")
		table.Row("b22222", "low", "12345", "日本")
		table.Row("c", "", "", "")
		if err := table.Flush(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := "" +
		"ID      SEVERITY  COUNT  WHY\n" +
		"a1      critical      9  guessed \\x1b[2Jpasswords of 31 accounts\n" +
		"b22222  low       12345  日本\n" +
		"c\n"
	if got := fill(Style{}); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	want = "" +
		"ID      SEVERITY  COUNT  WHY\n" +
		"a1      critical      9  guessed \\x1b[2…\n" +
		"b22222  low       12345  日本\n" +
		"c\n"
	if got := fill(Style{Width: 40}); got != want {
		t.Errorf("cut: got\n%swant\n%s", got, want)
	}
	got := fill(Style{Width: 40, Color: true})
	if !strings.Contains(got, "\x1b[1;31mcritical\x1b[0m") || !strings.Contains(got, "\x1b[34mlow\x1b[0m") {
		t.Errorf("no colours: %q", got)
	}
	if strings.Count(got, "\x1b[2J") != 0 {
		t.Errorf("an attacker's escape came through: %q", got)
	}
	for line := range strings.Lines(fill(Style{Width: 10})) {
		if w := Width(strings.TrimSuffix(line, "\n")); w > 6+3*(gap+6) {
			t.Errorf("%d columns although every column is at its least: %q", w, line)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestJSONL(t *testing.T) {
	var b bytes.Buffer
	j := NewJSONL(&b)
	in := []map[string]string{{"a": "<x>&\n"}, {"b": "\u202e\x7f\u009b\U000e0041 ü 日本 \xff"}, {"c": strings.Repeat("é", 100_000)}}
	for _, v := range in {
		if err := j.Write(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != len(in) {
		t.Fatalf("%d lines", len(lines))
	}
	if lines[0] != `{"a":"<x>&\n"}` || lines[1] != `{"b":"\u202e\u007f\u009b\udb40\udc41 ü 日本 \ufffd"}` {
		t.Errorf("got %s\n%s", lines[0], lines[1])
	}
	for i, line := range lines {
		var back map[string]string
		if err := json.Unmarshal([]byte(line), &back); err != nil {
			t.Fatal(err)
		}
		for k, v := range in[i] {
			if want := strings.ToValidUTF8(v, "\ufffd"); back[k] != want {
				t.Errorf("%s: reads back as %q, want %q", k, back[k], want)
			}
		}
	}
	if err := j.Write(math.NaN()); err == nil {
		t.Error("NaN is no JSON, and no error")
	}
	j = NewJSONL(failing{})
	if err := errors.Join(j.Write("x"), j.Flush()); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v, want the writer's error", err)
	}
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := NewProgress(&b, 4<<30)
	p.Set(1, 1)
	p.Stop()
	if b.Len() != 0 {
		t.Fatalf("wrote %q to what is no terminal", b.String())
	}
	clock := time.Unix(1000, 0)
	p = &Progress{w: &b, on: true, width: 120, total: 4 << 30, now: func() time.Time { return clock }, start: clock}
	clock = clock.Add(10 * time.Second)
	p.Set(1<<30, 10_234_567)
	want := "\r 25 %  1.0 GiB of 4.0 GiB  10,234,567 lines  1,023,456 lines/s  ETA 30s\x1b[K"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	clock = clock.Add(redraw / 2)
	p.Set(2<<30, 20_000_000)
	if b.String() != want {
		t.Error("drawn again too soon")
	}
	clock = clock.Add(redraw)
	b.Reset()
	p.width = 30
	p.Set(4<<30, 20_000_000)
	if got := Width(strings.TrimSuffix(strings.TrimPrefix(b.String(), "\r"), "\x1b[K")); got > 29 {
		t.Errorf("%d columns on a terminal of 30", got)
	}
	b.Reset()
	p.Stop()
	if b.String() != "\r\x1b[K" {
		t.Errorf("Stop left %q", b.String())
	}
	clock = clock.Add(time.Second)
	p.Set(4<<30, 20_000_000)
	if b.String() != "\r\x1b[K" {
		t.Error("drawn after Stop")
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -123456: "-123,456", 1234567890: "1,234,567,890", math.MinInt64: "-9,223,372,036,854,775,808"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", math.MaxInt64: "8.0 EiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestStyle(t *testing.T) {
	if s := StyleOf(&bytes.Buffer{}, false); s != (Style{}) {
		t.Errorf("a buffer has style %+v", s)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s := StyleOf(f, false); s != (Style{}) || IsTerminal(f) {
		t.Errorf("a file has style %+v", s)
	}
	if got := (Style{Color: true}).Paint(Red, ""); got != "" {
		t.Errorf("nothing painted: %q", got)
	}
}
