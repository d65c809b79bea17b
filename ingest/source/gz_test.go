package source_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source"
)

// bzipped is numbered(0, 300) as bzip2 packs it, in two streams; Go has no writer.
const bzipped = "" +
	"QlpoOTFBWSZTWUKnUJ0AAW3ZgGAQQAB/4DMnnCAwASZoDKoZD/9VU0AxADSho/0qaNAAAUqqMnp+lQND0TTJhLM7ZZN2/hxcsufT" +
	"DrkMQAAAAAAAAAa2yyfrZZN6R3pG9I86R1pGk1rXPnz58ib0jyQN9a1rWtYmZmZmZiZmZmZmITrbbbahMAAUIAAFCAACEAcuXLbb" +
	"bbbbbpBXakfdI8UjvSOKkdlI8qR+UjhSO6kcKR0pG9I40jpSONI60jxSPWkeKR/i7kinChIIVOoToEJaaDkxQVkmU1kAqVsCAAQA" +
	"2YAAEEAAf+AzJ5wgQAKwdKBzAoABoGTIIZVPUo/3+qqRBoAQb/9VUfqjf6qgAAClVU//VU0mCN+qmGmU+NzMzd93r29+devb3AAA" +
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAD87mZm7/tzMzd+IK7QV8QVoK+oK/fOc5znOc9AAd78bmZm763M3x4uZuZttzNzNtkkkk" +
	"u5bc3Lbm5583nPXr169AAd6zctqbZNsm2TbJtk2ybZNss5y84AADvWbltzctubltzctubltzctubltzctubltzc5y84AADvZJJJJ" +
	"JJJJPHhzgAAO9kkkkkkkkk5zjz5AAB3skkkkkkkknOcefIAAO9kkkkkkkkk5zjz5AAB3skkki222222szMzKqqqqqqAAAAGvMZmV" +
	"VVVVWmmgAABts2+aEnWCvmCu8FdoK6IK6oK/UFfUFeEFdkFeEFdYK+4K6QV1grpBX5BXeCvWCu8Ff8XckU4UJAAqVsCA"

// packers make archives of a text; bzip2 has its text fixed.
var packers = map[string]func(t testing.TB, text string) string{
	"gzip":  zip,
	"zstd":  func(t testing.TB, text string) string { return packZstd(t, text) },
	"xz":    packXz,
	"bzip2": func(t testing.TB, _ string) string { return unbase64(t, bzipped) },
}

func unbase64(t testing.TB, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func packZstd(t testing.TB, text string, opts ...zstd.EOption) string {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return finish(t, w, &b, text)
}

func packXz(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	return finish(t, w, &b, text)
}

func finish(t testing.TB, w io.WriteCloser, b *bytes.Buffer, text string) string {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// archive writes stored to a file of a name that says nothing, and reads it.
func archive(t testing.TB, stored string, from ...ingest.Mark) (*sink, []ingest.Mark, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if len(from) > 0 {
		path = from[0].Path
	}
	write(t, path, stored)
	a, err := source.OpenArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	s := newSink()
	var marks []ingest.Mark
	s.hook = func(b *ingest.Batch) { marks = append(marks, b.Mark) }
	err = a.Run(t.Context(), from, s.out)
	if a.Progress() != a.Size() && err == nil {
		t.Errorf("progress %d of %d", a.Progress(), a.Size())
	}
	return s, marks, err
}

func TestPackings(t *testing.T) {
	for name, pack := range packers {
		t.Run(name, func(t *testing.T) {
			text := numbered(0, 60_000)
			if name == "bzip2" {
				text = numbered(0, 300)
			}
			stored := pack(t, text)
			s, marks, err := archive(t, stored)
			if err != nil || s.String() != text {
				t.Fatalf("read %d bytes of %d, %v", len(s.String()), len(text), err)
			}
			mark := marks[len(marks)/2]
			if rest, _, err := archive(t, stored, mark); err != nil || rest.String() != text[mark.Offset:] {
				t.Errorf("from %d: read %d bytes, %v", mark.Offset, len(rest.String()), err)
			}
			if twice, _, err := archive(t, stored+stored); err != nil || twice.String() != text+text {
				t.Errorf("two archives behind each other: read %d bytes, %v", len(twice.String()), err)
			}
		})
	}
}

// TestDamagedPackings: what could be read is delivered, and the error says which.
func TestDamagedPackings(t *testing.T) {
	for name, pack := range packers {
		t.Run(name, func(t *testing.T) {
			text := numbered(0, 60_000)
			if name == "bzip2" {
				text = numbered(0, 300)
			}
			stored := pack(t, text)
			s, _, err := archive(t, stored[:len(stored)*9/10])
			if err == nil || !strings.Contains(err.Error(), "cut off") {
				t.Errorf("cut off: %v", err)
			}
			if got := strings.TrimSuffix(s.String(), "\n"); got == "" || !strings.HasPrefix(text, got) {
				t.Errorf("cut off: read %d bytes, or other ones", len(got))
			}
			s, _, err = archive(t, stored+"garbage behind it")
			if err == nil || !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), "cut off") || s.String() != text {
				t.Errorf("garbage behind: %v, read %d bytes", err, len(s.String()))
			}
			if _, _, err = archive(t, stored[:12]); err == nil {
				t.Error("the first bytes alone are no error")
			}
		})
	}
}

func TestWindowIsBounded(t *testing.T) {
	text := strings.Repeat(numbered(0, 1000), 10)
	wide := packZstd(t, text, zstd.WithWindowSize(256<<20), zstd.WithSingleSegment(false))
	if _, _, err := archive(t, wide); err == nil || !strings.Contains(err.Error(), "more than 128 MiB") {
		t.Errorf("zstd with a window of 256 MiB: %v", err)
	}
	wide = packXz(t, text)
	at := strings.Index(wide, "\x21\x01")
	if at < 12 || at > 24 {
		t.Fatalf("no filter in the header, at %d", at)
	}
	wide = wide[:at+2] + "\x28" + wide[at+3:] // 4 GiB
	if _, _, err := archive(t, wide); err == nil || !strings.Contains(err.Error(), "dictionary of 4096 MiB") {
		t.Errorf("xz with a dictionary of 4 GiB: %v", err)
	}
}

func TestNotPacked(t *testing.T) {
	for _, text := range []string{"BZh9 is a word\n", "(\xb5/\n", "\xfd7z\n", "P*M no frame\n", "\x1f\x8bx\n", "short\n"} {
		if s, _, err := archive(t, text); err != nil || s.String() != text {
			t.Errorf("%q was read as %q, %v", text, s, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	for _, pack := range packers {
		f.Add([]byte(pack(f, "203.0.113.7 - - [10/Oct/2025:13:55:36 +0000]\n")))
	}
	f.Add([]byte("plain\n"))
	f.Add([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, stored []byte) {
		r, err := source.Unpack(bytes.NewReader(stored))
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, io.LimitReader(r, 4<<20)); err != nil && len(err.Error()) > 400 {
			t.Fatalf("a long error: %v", err)
		}
	})
}
