package identity

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest"
)

var day = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

func TestRing(t *testing.T) {
	const overlap = 30 * 24 * time.Hour
	r, err := NewRing(rand.Reader, day)
	if err != nil {
		t.Fatal(err)
	}
	first := r
	for i, at := range []time.Time{day.Add(time.Hour), day.Add(2 * time.Hour), day.Add(3 * time.Hour)} {
		if r, err = r.Rotate(rand.Reader, at, overlap); err != nil || len(r.Keys) != i+2 || r.Root != first.Root {
			t.Fatalf("rotation %d: %d keys, %v", i, len(r.Keys), err)
		}
	}
	if _, err = r.Rotate(rand.Reader, day.Add(4*time.Hour), overlap); err == nil || !strings.Contains(err.Error(), "key_overlap") {
		t.Errorf("a fifth generation at a time: %v", err)
	}
	back, err := ParseRing(r.Bytes())
	if err != nil || !bytes.Equal(back.Bytes(), r.Bytes()) || back.Keys[3] != r.Keys[3] {
		t.Errorf("the file reads as %d keys, %v", len(back.Keys), err)
	}
	cfg := Config{KeyOverlap: overlap}
	for after, want := range map[time.Duration]int{4 * time.Hour: 3, overlap + 90*time.Minute: 2, overlap + 4*time.Hour: 0} {
		if r.Apply(&cfg, day.Add(after)); len(cfg.Older) != want || cfg.Key != r.Keys[3].Key || cfg.Root != r.Root {
			t.Errorf("after %s: %d earlier keys, want %d", after, len(cfg.Older), want)
		}
	}
	if r, err = r.Rotate(rand.Reader, day.Add(overlap+4*time.Hour), overlap); err != nil || len(r.Keys) != 2 || r.Keys[1].ID != 5 || bytes.Contains(r.Bytes(), []byte("\n1:")) {
		t.Errorf("what has run out is still there: %d keys, %v", len(r.Keys), err)
	}
	if _, err := NewRing(strings.NewReader("short"), day); err == nil {
		t.Error("a ring without enough random bytes")
	}
}

func TestParseRing(t *testing.T) {
	key, other := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	bare, err := ParseRing([]byte(key + "\n"))
	if err != nil || len(bare.Keys) != 1 || bare.Keys[0].ID != 1 || bare.Root == bare.Keys[0].Key || !bare.Keys[0].Created.IsZero() {
		t.Errorf("a bare key: %+v, %v", bare, err)
	}
	for text, want := range map[string]string{
		"":                                    "64 hexadecimal digits",
		"zz":                                  "64 hexadecimal digits",
		strings.Repeat("00", 32):              "zeros",
		"root:" + key:                         "no key in it",
		"1:" + key:                            "root:... is missing",
		"root:" + key + "\n1:" + key[:10]:     "line 2: want 64",
		"root:" + key + "\n0:" + key:          "line 2: want a number",
		"root:" + key + "\nx:" + key:          "line 2: want a number",
		"root:" + key + "\n1:" + key + " now": "line 2: want the time",
		"root:" + key + "\n2:" + key + "\n# x\n2:" + other: "line 4: generation 2 does not follow 2",
	} {
		_, err := ParseRing([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "0a0a0a") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzRing(f *testing.F) {
	f.Add([]byte(strings.Repeat("0a", 32)))
	f.Add([]byte("root:" + strings.Repeat("0a", 32) + "\n1:" + strings.Repeat("0b", 32) + " 2026-03-02T10:00:00Z\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRing(data)
		if err != nil {
			return
		}
		if again, err := ParseRing(r.Bytes()); err != nil || !bytes.Equal(again.Bytes(), r.Bytes()) {
			t.Errorf("%q: written and read again: %v", data, err)
		}
	})
}

// TestOlder: after a rotation the pseudonyms of before are known, also where a collector
// has taken the key out of the line.
func TestOlder(t *testing.T) {
	aliases, err := NewAliases(2)
	if err != nil {
		t.Fatal(err)
	}
	before := Config{Key: testKey(), TrustedProxies: []string{"127.0.0.0/8"}}
	was := ingest.Event{Key: "key-0"}
	resolver(t, before).Resolve(&was)
	after := before
	after.Key, after.Older, after.Root, after.Aliases = [KeyBytes]byte{2}, [][KeyBytes]byte{before.Key}, [KeyBytes]byte{3}, aliases
	r := resolver(t, after)
	is := ingest.Event{Key: "key-0"}
	if r.Resolve(&is); is.Key == was.Key || !slices.Equal(aliases.Older(is.Key), []string{was.Key}) || !slices.Equal(r.Older("key-0"), []string{was.Key}) {
		t.Errorf("%s, of old %v and %v, want %s", is.Key, aliases.Older(is.Key), r.Older("key-0"), was.Key)
	}
	red, err := after.Redactor()
	if err != nil {
		t.Fatal(err)
	}
	after.Sealed = true
	if after.Aliases, err = NewAliases(2); err != nil {
		t.Fatal(err)
	}
	behind := ingest.Event{Key: sealedIn(t, red, `"api_key":"key-0"`)}
	if resolver(t, after).Resolve(&behind); behind.Key != is.Key || !slices.Equal(after.Aliases.Older(is.Key), []string{was.Key}) {
		t.Errorf("behind a collector %s, of old %v", behind.Key, after.Aliases.Older(is.Key))
	}
	if old := (*Aliases)(nil).Older(is.Key); old != nil {
		t.Errorf("no table knows %v", old)
	}
	if _, err := New(Config{Key: testKey(), Older: make([][KeyBytes]byte, maxGenerations)}); err == nil {
		t.Error("any number of generations is taken")
	}
}

// sealedIn returns what Batch makes of the value of a member.
func sealedIn(t *testing.T, red *Redactor, member string) string {
	t.Helper()
	b := ingest.Batch{Data: []byte(member)}
	red.Batch(&b)
	_, value, ok := strings.Cut(string(b.Data), `:"`)
	if !ok || b.Sizes == nil {
		t.Fatalf("%s became %s", member, b.Data)
	}
	return strings.TrimSuffix(value, `"`)
}

// TestSeals: behind a collector the identity is that of the raw line, and a client cannot
// write a seal, nor use one that it has seen.
func TestSeals(t *testing.T) {
	cfg := Config{Key: testKey(), BasicUser: true}
	raw := resolver(t, cfg)
	red, err := cfg.Redactor()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Sealed = true
	behind := resolver(t, cfg)
	token := jwt(`{"alg":"RS256"}`, `{"sub":"alice~.é"}`)
	type event = ingest.Event
	for member, make := range map[string]func(string) event{
		`"api_key":"key-0"`:                               func(s string) event { return event{Key: s} },
		`"request_X-Api-Key":"a\"b"`:                      func(s string) event { return event{Key: unescape(s)} },
		`"authorization":"Bearer ` + token + `"`:          func(s string) event { return event{Token: s} },
		`"authorization":"Basic dXNlcjpwYXNz"`:            func(s string) event { return event{Token: s} },
		`"authorization":"opaque"`:                        func(s string) event { return event{Token: s} },
		`"x_auth_token":"abc"`:                            func(s string) event { return event{Key: s} },
		`"cookie":"a=b; sid=\"q\"; c=d"`:                  func(s string) event { return event{Session: unescape(s)} },
		`"session":"abc"`:                                 func(s string) event { return event{Session: s} },
		`"api_key":"k_0123456789abcdef"`:                  func(s string) event { return event{Key: s} },
		`"api_key":"k_0123456789abcdef.0123456789abcdef"`: func(s string) event { return event{Key: s} },
	} {
		_, value, _ := strings.Cut(member, `:"`)
		want, got := make(strings.TrimSuffix(value, `"`)), make(sealedIn(t, red, member))
		if strings.Contains(got.Token+got.Key+got.Session, strings.TrimSuffix(value, `"`)) {
			t.Errorf("%s is left in %+v", member, got)
		}
		stolen := got
		raw.Resolve(&want)
		behind.Resolve(&got)
		if got != want || got.Key+got.Token+got.Session == "" {
			t.Errorf("%s\nraw    %+v\nbehind %+v", member, want, got)
		}
		if raw.Resolve(&stolen); stolen.Key+stolen.Token+stolen.Session == want.Key+want.Token+want.Session {
			t.Errorf("%s: a resolver of raw lines takes a seal for what it sealed", member)
		}
	}
	seal := sealedIn(t, red, `"api_key":"key-0"`)
	for _, forged := range []string{seal[:len(seal)-1] + "x", "k_" + strings.Repeat("0", 16) + seal[18:], seal[:18] + "." + strings.Repeat("0", 16) + seal[18:], seal[:18]} {
		ev := ingest.Event{Key: forged}
		if behind.Resolve(&ev); ev.Key == seal[:18] || ev.Key[:18] == forged[:18] {
			t.Errorf("%s is taken for a seal", forged)
		}
	}
	// What a client writes is sealed again, so that a seal it has seen names somebody else.
	ev := ingest.Event{Key: sealedIn(t, red, `"api_key":"`+seal+`"`)}
	if behind.Resolve(&ev); ev.Key == seal[:18] {
		t.Error("a stolen seal goes through the collector")
	}
	if got := red.Line(`"api_key":"` + seal + `"`); got != red.Line(`"api_key":"key-0"`) {
		t.Errorf("evidence behind a collector is %s", got)
	}
}
