package field

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestNamesOfTLS(t *testing.T) {
	for in, want := range map[string]string{"772": "TLSv1.3", "1.2": "TLSv1.2", "TLSv1_1": "TLSv1.1", "TLSv1.3": "TLSv1.3", "TLSv1.0": "TLSv1", "SSLv3": "SSLv3", "": ""} {
		if got := TLSVersion([]byte(in)); got != want {
			t.Errorf("version %q is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"4865": "TLS_AES_128_GCM_SHA256", "47": "TLS_RSA_WITH_AES_128_CBC_SHA", "7": "7", "ECDHE": "ECDHE", "": ""} {
		if got := CipherName([]byte(in)); got != want {
			t.Errorf("cipher %q is %q, want %q", in, got, want)
		}
	}
}

func TestHighBytes(t *testing.T) {
	for n := range 80 {
		line := bytes.Repeat([]byte("~"), n)
		if HighBytes(line) {
			t.Fatalf("%d bytes of ASCII are beyond it", n)
		}
		for k := range line {
			line[k] = 0x80
			if !HighBytes(line) {
				t.Fatalf("byte %d of %d is missed", k, n)
			}
			line[k] = '~'
		}
	}
}

// TestExtend: what was handed out stays as it was, whether the list grows in place or not.
func TestExtend(t *testing.T) {
	var s Scratch
	list, parts := "a", []string{"a"}
	var held []string
	for n := range 3000 {
		part := strings.Repeat("b", n%70)
		parts = append(parts, part)
		if n%5 == 0 {
			s.Join([]byte("between"), ",", []byte("lists"))
		}
		list = s.Extend(list, ", ", []byte(part))
		held = append(held, list)
	}
	for n, got := range held {
		if want := strings.Join(parts[:n+2], ", "); got != want {
			t.Fatalf("after %d parts: %.60q…, want %.60q…", n, got, want)
		}
	}
}

func TestBase64(t *testing.T) {
	var s Scratch
	for in, want := range map[string]string{"": "", "aGVsbG8=": "hello", "aGVsbG8": "!", "aGVs bG8=": "!", "%%%%": "!"} {
		got, ok := s.Base64([]byte(in))
		if ok != (want != "!") || ok && string(got) != want {
			t.Errorf("%q is %q, %v", in, got, ok)
		}
	}
}

// TestWallClock: hours that a zone skips or has twice are read as Go reads them, and
// never fail.
func TestWallClock(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal("no time zones here: apt-get install tzdata")
	}
	for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2027; at = at.Add(37 * time.Minute) {
		in := at.In(berlin)
		for _, layout := range []string{"2006/01/02 15:04:05", "2006-01-02T15:04:05", time.ANSIC} {
			text := in.Format(layout)
			want, err := time.ParseInLocation(layout, text, berlin)
			if got, ok := ReadWall([]byte(text), berlin); err != nil || !ok || got != want.UnixNano() {
				t.Fatalf("%s: %d %v, want %d %v", text, got, ok, want.UnixNano(), err)
			}
		}
	}
	if _, ok := ReadWall([]byte("2026/11/23 13:03:36"), nil); ok {
		t.Error("nobody said which zone, but the time was read")
	}
}
