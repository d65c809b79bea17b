package field

import (
	"strings"
	"testing"
	"time"
)

func TestTimes(t *testing.T) {
	var c Clock
	for at := time.Date(1971, 12, 30, 0, 0, 0, 0, time.UTC); at.Year() < 2261; at = at.Add(53*time.Hour + 7*time.Second) {
		for _, zone := range []int{0, 3600, -12600, 50400} {
			in := at.In(time.FixedZone("", zone))
			local, iso := in.Format("02/Jan/2006:15:04:05 -0700"), in.Format("2006-01-02T15:04:05-07:00")
			a, okA := c.ReadLocal([]byte(local), 0)
			b, okB := c.ReadISO([]byte(iso), 0)
			if !okA || !okB || a != at.UnixNano() || b != a {
				t.Fatalf("%s: %d %v, %d %v, want %d", local, a, okA, b, okB, at.UnixNano())
			}
		}
	}
	for s, want := range map[string]int64{
		"2026-11-23T13:03:36Z": 1795439016e9, "2026-11-23T13:03:36.5+01:00": 1795435416e9 + 5e8, "2026-11-23T13:03:36.123456789Z": 1795439016123456789,
		"2026-11-23T13:03:36+0000": 1795439016e9, "1795439016.694": 1795439016694e6, "1795439016694": 1795439016694e6, "1795439016": 1795439016e9,
		"0.004": 0, "": 0, "2026-11-23T13:03:36": 0, "2026-11-23T13:03:36.Z": 0, "2026-02-29T13:03:36Z": 0, "2026-11-23T13:03:60Z": 0,
	} {
		got, ok := c.ReadAny([]byte(s))
		if ok != (want != 0) || ok && got != want {
			t.Errorf("%q: %d %v, want %d", s, got, ok, want)
		}
	}
}

// TestFractions: Go, and so Traefik and Caddy, leaves out the zeros that a fraction ends with,
// so that it has any length.
func TestFractions(t *testing.T) {
	var c Clock
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", 5400), time.FixedZone("", -3600)} {
		for _, ns := range []int{0, 500_000_000, 570_000_000, 575_000_000, 575_200_000, 575_220_000, 575_222_000, 575_222_900, 575_222_920, 575_222_922, 1} {
			at := time.Date(2026, 11, 23, 13, 3, 36, ns, zone)
			if got, ok := c.ReadAny([]byte(at.Format(time.RFC3339Nano))); !ok || got != at.UnixNano() {
				t.Errorf("%s is read as %d, %v; want %d", at.Format(time.RFC3339Nano), got, ok, at.UnixNano())
			}
		}
	}
}

func TestLook(t *testing.T) {
	for n := range 100 {
		line := []byte(strings.Repeat("~ a", 40)[:n])
		if nul, escapes, high := Look(line); nul || escapes || high {
			t.Fatalf("%d plain bytes: %v %v %v", n, nul, escapes, high)
		}
		for k := range line {
			for _, c := range []byte{0, '\\', 0x80, 0xff, 0xdc, 1, '[', ']'} {
				line[k] = c
				nul, escapes, high := Look(line)
				if nul != (c == 0) || escapes != (c == '\\') || high != (c >= 0x80) {
					t.Fatalf("byte %#x at %d of %d: %v %v %v", c, k, n, nul, escapes, high)
				}
			}
			line[k] = 'x'
		}
	}
}
