package field

import (
	"strconv"
	"testing"
	"time"
	_ "time/tzdata" // the test does not depend on the machine's zones

	"pgregory.net/rapid"
)

func TestWallTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, zone := range []*time.Location{time.UTC, berlin, time.FixedZone("", -9000)} {
		w := NewWall(zone)
		rapid.Check(t, func(t *rapid.T) {
			at := time.Unix(rapid.Int64Range(4e7, 9e9).Draw(t, "at"), 0).In(zone)
			layout := rapid.SampledFrom([]string{"2006-01-02", "2006/01/02"}).Draw(t, "layout")
			for range 2 {
				ns, ok := w.Read([]byte(at.Format(layout)), []byte(at.Format("15:04:05")))
				again := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, zone)
				if !ok || ns != again.UnixNano() {
					t.Fatalf("%s gives %d %v, want %d", at, ns, ok, again.UnixNano())
				}
				at = at.Add(time.Second)
			}
		})
	}
	w := NewWall(time.UTC)
	for _, bad := range [][2]string{{"2026-11-23", "13:04:60"}, {"2026-11-23", "24:04:00"}, {"2026-02-30", "13:04:00"}, {"2026-11/23", "13:04:00"},
		{"2026x11x23", "13:04:00"}, {"2026-11-23", "13:04"}, {"", ""}, {"2026-11-23", "13x04:00"}, {"x026-11-23", "13:04:00"}, {"1900-11-23", "13:04:00"}} {
		if ns, ok := w.Read([]byte(bad[0]), []byte(bad[1])); ok {
			t.Errorf("%q is read as %d", bad, ns)
		}
	}
}

// TestUndoGo holds UndoGo against strconv.
func TestUndoGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := string(rapid.SliceOf(rapid.Byte()).Draw(t, "value"))
		for _, quoted := range []string{strconv.Quote(want), strconv.QuoteToASCII(want)} {
			var s Scratch
			got, ok := s.UndoGo([]byte(quoted[1 : len(quoted)-1]))
			if !ok || string(got) != want {
				t.Fatalf("%s gives %q %v", quoted, got, ok)
			}
		}
	})
	var s Scratch
	for _, bad := range []string{`\`, `\x4`, `\xg0`, `\u12`, `\U0010`, `\q`, `ab\`} {
		if got, ok := s.UndoGo([]byte(bad)); ok {
			t.Errorf("%s is read as %q", bad, got)
		}
	}
}

func TestUndoPercent(t *testing.T) {
	var s Scratch
	for v, want := range map[string]string{"": "", "abc": "abc", "%41%2f%2F": "A//", "%2541": "%41", "%": "%", "%4": "%4", "%zz%20": "%zz ", "a%00": "a\x00"} {
		if got := s.UndoPercent([]byte(v)); string(got) != want {
			t.Errorf("%q gives %q", v, got)
		}
	}
	in := []byte("a+b+")
	if got := s.Replace(in, '+', ' '); string(got) != "a b " || string(in) != "a+b+" {
		t.Errorf("%q, %q", got, in)
	}
}
