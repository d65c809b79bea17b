package field

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLayouts holds strftime's conversions against Go's layouts.
func TestLayouts(t *testing.T) {
	for layout, goLayout := range map[string]string{
		"%Y-%m-%dT%H:%M:%S%z": "2006-01-02T15:04:05-0700", "%d/%b/%Y:%T %z": "02/Jan/2006:15:04:05 -0700", "%F %R:%S %z": "2006-01-02 15:04:05 -0700",
		"%D %I:%M:%S %p %z": "01/02/06 03:04:05 PM -0700", "%a %b %e %T %Y %z": "Mon Jan _2 15:04:05 2006 -0700", "%A, %B %d %Y %r %z": "Monday, January 02 2006 03:04:05 PM -0700",
		"%%%y%m%d%n%H%M%S%z": "%060102\n150405-0700", "%c %z": "Mon Jan _2 15:04:05 2006 -0700",
	} {
		l, err := ParseLayout(layout)
		if err != nil {
			t.Fatal(err)
		}
		var c Clock
		for at := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2060; at = at.Add(53*time.Hour + 7*time.Second) {
			s := at.In(time.FixedZone("", 5400)).Format(goLayout)
			for _, more := range []string{"", "x", ".123"} {
				ns, end := l.Read(&c, []byte("ab"+s+more), 2)
				if ns != at.UnixNano() || end != 2+len(s) {
					t.Fatalf("%s: %q gives %d, %d; want %d", layout, s, ns, end, at.UnixNano())
				}
			}
			if _, end := l.Read(&c, []byte(s[:len(s)-1]), 0); end >= 0 {
				t.Fatalf("%s: half a time, %q, is read", layout, s[:len(s)-1])
			}
		}
	}
}

func TestLayoutErrors(t *testing.T) {
	for layout, want := range map[string]string{
		"%Y-%U": "strftime's %U cannot be read back", "%d/%b": "neither a whole date", "": "neither", "x%": "a % at the end", "%" + "\xff": "cannot be read back",
	} {
		if _, err := ParseLayout(layout); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", layout, err, want)
		}
	}
	var c Clock
	l, _ := ParseLayout("%Y-%m-%d %H:%M:%S")
	for _, bad := range []string{"2026-02-30 00:00:00", "2026-02-20 24:00:00", "2026-02-20 00:60:00", "2026-02-20 00:00:61", "202x-02-20 00:00:00", "1950-01-01 00:00:00"} {
		if ns, end := l.Read(&c, []byte(bad), 0); end >= 0 {
			t.Errorf("%s is read as %d", bad, ns)
		}
	}
}

// TestWall holds the remembered shift of a zone against time.Date, through changes of
// the clocks.
func TestWall(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var c Clock
	for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2028; at = at.Add(7*time.Minute + 3*time.Second) {
		want := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, zone).UnixNano()
		if got := c.Wall(at.UnixNano(), zone); got != want {
			t.Fatalf("%s on the wall is %d, want %d", at, got, want)
		}
	}
}

func TestUndo(t *testing.T) {
	var s Scratch
	for in, want := range map[string]string{
		`a\x41\xe9\"\\\n\r\t\b\v\q\/\x4`: "aA\xe9\"\\\n\r\t\b\v\\q\\/\\x4", `\`: `\`, `\x`: `\x`, `plain`: `plain`,
	} {
		if got := string(s.UndoLog([]byte(in))); got != want {
			t.Errorf("UndoLog(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"a#41#c3#A9##4#": "aA\xc3\xa9##4#", "#": "#", "#2323": "#23"} {
		if got := string(s.UndoHash([]byte(in))); got != want {
			t.Errorf("UndoHash(%q) = %q, want %q", in, got, want)
		}
	}
	if got := string(s.UndoBackslash([]byte(`\"\]\\\a\`))); got != `"]\\a\` {
		t.Errorf("UndoBackslash: %q", got)
	}
}

// TestIPv4Twin holds the quick reader of addresses against the slow one.
func TestIPv4Twin(t *testing.T) {
	for n := range 1 << 16 {
		s := fmt.Sprintf("%d.%d.%d.%d", n%300, n/7%300, n/301, n%11*25)
		for _, tail := range []string{" - - x", "1234567", ".5 ------", ":80      ", "          ", "", "x", ":8"} {
			line := []byte(s + tail)
			a, end := IPv4(line)
			if end == 0 {
				continue
			}
			if string(line[:end]) != a.String() || end < len(s) && line[end]-'0' <= 9 {
				t.Fatalf("%q: %s, %d", line, a, end)
			}
		}
	}
	for _, bad := range []string{"1.2.3.456 ------", "01.2.3.4 -------", "1.2.3 4 --------", "256.1.1.1 ------", "1..2.3.4 -------"} {
		if _, end := Address([]byte(bad), 0, false); end >= 0 {
			t.Errorf("%q is read as an address", bad)
		}
	}
}
