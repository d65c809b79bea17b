package serve

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write replaces a file, with a time that differs whatever the file system's.
func write(t *testing.T, path, data string, n int) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Duration(n) * time.Second)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// TestKeysFile: both kinds of line, and what is no keys file.
func TestKeysFile(t *testing.T) {
	sum := sha256.Sum256([]byte("the key of kong"))
	keys, err := parseKeys("# shippers\n\n kong:" + hex.EncodeToString(sum[:]) + "\r\nplain:key:with:colons\n")
	if err != nil {
		t.Fatal(err)
	}
	for shown, want := range map[string]string{"the key of kong": "kong", "plain:key:with:colons": "line 4", "": "", "kong": "", hex.EncodeToString(sum[:]): ""} {
		if name, ok := find(keys, sha256.Sum256([]byte(shown))); name != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", shown, name, want)
		}
	}
	for data, want := range map[string]string{
		"":                                "holds no key",
		"# nothing\n":                     "holds no key",
		"a-good-key-of-20-chars\nshort\n": "line 2",
		strings.Repeat("0123456789abcdefg\n", maxKeys+1): "at most 1024",
	} {
		if _, err := parseKeys(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: got %v, want %q", data, err, want)
		} else if strings.Contains(err.Error(), "short") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

// FuzzKeys: no file brings the reader down, and what it accepts has a key.
func FuzzKeys(f *testing.F) {
	f.Add("# a\nname:" + strings.Repeat("0a", 32) + "\nplain-key-of-20-chars\n")
	f.Add(":" + strings.Repeat("zz", 32))
	f.Fuzz(func(t *testing.T, data string) {
		keys, err := parseKeys(data)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
	})
}

// door makes one with keys that looks at its files at once and whose clock is
// the test's.
func door(t *testing.T, data string) (d *Door, file string, clock *time.Time) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "keys")
	write(t, file, data, 0)
	d, err := NewDoor(Access{Keys: file}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d.keys.every = 0
	now := time.Unix(1_800_000_000, 0)
	d.now = func() time.Time { return now }
	return d, file, &now
}

// TestWrongKeys: ten wrong ones and a network waits a minute, a whole IPv6 /64 as
// one; a key that was right from there still comes in, another network too.
func TestWrongKeys(t *testing.T) {
	const good, other = "0123456789abcdefg", "another-good-key-17"
	d, _, now := door(t, good+"\n"+other+"\n")
	if v := d.Admit("[2001:db8::1]:5", good); !v.OK || v.Name != "line 1" {
		t.Fatalf("%+v", v)
	}
	for i := range maxWrong {
		if v := d.Admit(fmt.Sprintf("[2001:db8::%x]:5", i+1), "wrong"); v.OK || v.Wait > 0 {
			t.Fatalf("%d: %+v", i, v)
		}
	}
	if v := d.Admit("[2001:db8::99]:5", other); v.OK || v.Wait != wrongSpan {
		t.Errorf("a key not seen from there: %+v", v)
	}
	if v := d.Admit("[2001:db8::98]:5", good); !v.OK {
		t.Errorf("a key seen from there: %+v", v)
	}
	if v := d.Admit("192.0.2.1:5", other); !v.OK {
		t.Errorf("another network: %+v", v)
	}
	*now = now.Add(wrongSpan)
	if v := d.Admit("[2001:db8::99]:5", other); !v.OK {
		t.Errorf("a minute later: %+v", v)
	}
	if d.Refused() != maxWrong+1 {
		t.Errorf("%d refused", d.Refused())
	}
}

// TestKeysReload: a changed file is in force at once, also for keys that were
// right before; a broken one changes nothing.
func TestKeysReload(t *testing.T) {
	const old, fresh = "0123456789abcdefg", "another-good-key-17"
	d, file, _ := door(t, old+"\n")
	admitted := func(key string) bool { return d.Admit("192.0.2.1:5", key).OK }
	if !admitted(old) || admitted(fresh) {
		t.Fatal("the first file is not in force")
	}
	write(t, file, "short\n", 1)
	if !admitted(old) {
		t.Error("a broken file shut out everybody")
	}
	write(t, file, fresh+"\n", 2)
	if admitted(old) || !admitted(fresh) {
		t.Error("the new file is not in force")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if !admitted(fresh) {
		t.Error("a removed file shut out everybody")
	}
}

// TestCertificateReload: the next handshake gets the renewed certificate, and a
// broken pair leaves the old one.
func TestCertificateReload(t *testing.T) {
	ca := servetest.NewAuthority(t)
	cert, key := ca.Issue("server")
	w, err := watch(slog.New(slog.DiscardHandler), Certificates{Cert: cert, Key: key, ClientCA: ca.CA}.read, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	w.every = 0
	first, _ := w.current()
	ca.Issue("server")
	second, changed := w.current()
	if !changed || bytes.Equal(first.Certificates[0].Certificate[0], second.Certificates[0].Certificate[0]) {
		t.Error("the renewed certificate is not in force")
	}
	write(t, key, "no key", 3)
	if third, changed := w.current(); changed || third != second {
		t.Error("a broken pair replaced a good one")
	}
	if second.MinVersion != tls.VersionTLS12 || second.ClientAuth != tls.RequireAndVerifyClientCert || !second.SessionTicketsDisabled {
		t.Errorf("%+v", second)
	}
	for name, bad := range map[string]Access{
		"no certificate": {Cert: key, Key: key},
		"no authority":   {Cert: ca.CA, Key: key, ClientCA: filepath.Join(ca.Dir, "none")},
	} {
		if _, err := NewDoor(bad, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestAppendString: what is written is read back, in one line.
func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "a", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "é\u2028\U0001F600", "a\xffb\xc3", "<>&"} {
		checkString(t, s)
	}
	for f, want := range map[float64]string{0: "0", 1.5: "1.5", 1e300: "1e+300", math.Inf(-1): `"-Infinity"`, math.Inf(1): `"Infinity"`} {
		if got := string(AppendFloat(nil, f)); got != want {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
}

func checkString(t *testing.T, s string) {
	t.Helper()
	got := AppendString(nil, s)
	var back string
	if err := json.Unmarshal(got, &back); err != nil || bytes.ContainsAny(got, "\n\r") || !utf8.Valid(got) {
		t.Fatalf("%q: got %q: %v", s, got, err)
	}
	var twin string
	slow, err := json.Marshal(s)
	if err != nil || json.Unmarshal(slow, &twin) != nil || twin != back {
		t.Fatalf("%q: got %q, encoding/json makes %q", s, back, twin)
	}
}

// FuzzString compares with encoding/json.
func FuzzString(f *testing.F) {
	f.Add("a\"\\\x00\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) { checkString(t, s) })
}

// TestUnmarshal: strings that are no UTF-8 are mended wherever they stand, and
// nothing else is changed; nesting is bounded.
func TestUnmarshal(t *testing.T) {
	good := &structpb.Struct{Fields: map[string]*structpb.Value{
		"a": structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue("bad: ??"), structpb.NewNumberValue(2)}}),
	}}
	data, err := proto.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	var got structpb.Struct
	if err := Unmarshal(bytes.Replace(data, []byte("??"), []byte("\xff\xfe"), 1), &got); err != nil {
		t.Fatal(err)
	}
	if v := got.Fields["a"].GetListValue().Values; v[0].GetStringValue() != "bad: \uFFFD" || v[1].GetNumberValue() != 2 {
		t.Errorf("got %v", v)
	}
	for _, bad := range []string{"\x0a\xff", "\x0a\x02\x0a\x05", "\xff", "\x0a\x04\x0a\x02\xff"} {
		if err := Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	nested := []byte("\x1a\x01\xff") // string_value
	for range 200 {
		nested = member(0x32, member(0x0a, nested)) // list_value { values { ... } }
	}
	if err := Unmarshal(nested, &structpb.Value{}); err == nil {
		t.Error("a value that nests 200 deep was accepted")
	}
}

// member encodes a field of bytes.
func member(tag byte, value []byte) []byte { return protowire.AppendBytes([]byte{tag}, value) }

// FuzzUnmarshal: what the strict decoder takes is taken unchanged, what it refuses
// for its strings is mended to something it takes.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte("\x0a\x0a\x0a\x01a\x12\x05\x1a\x03\xff\xfeb"))
	f.Add([]byte("\x0a\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m structpb.Struct
		if Unmarshal(data, &m) != nil {
			return
		}
		if _, err := proto.Marshal(&m); err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
	})
}
