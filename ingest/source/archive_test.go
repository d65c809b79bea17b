package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source"
)

func TestArchive(t *testing.T) {
	text := numbered(0, 60_000) + "no newline"
	packed := zip(t, text[:1_000_000]) + zip(t, text[1_000_000:])
	for name, c := range map[string]struct {
		stored, want, says string
	}{
		"plain":        {text, text + "\n", ""},
		"two members":  {packed, text + "\n", ""},
		"empty":        {"", "", ""},
		"one byte":     {"\n", "\n", ""},
		"begins as gz": {"\x1f\x8b", "\x1f\x8b\n", ""},
		"empty gz":     {zip(t, ""), "", ""},
		"cut gz":       {packed[:len(packed)-9], text + "\n", "cut off"},
		"garbage":      {zip(t, "a\n") + "zzzzzzzzzzzz", "a\n", "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			write(t, path, c.stored)
			a, err := source.OpenArchive(path)
			if err != nil {
				t.Fatal(err)
			}
			s := newSink()
			err = a.Run(t.Context(), nil, s.out)
			if (c.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("Run = %v, want an error with %q", err, c.says)
			}
			got := s.String()
			if c.says == "cut off" { // the last bytes may be gone, what came is right
				if whole := strings.TrimSuffix(got, "\n"); !strings.HasPrefix(text, whole) || len(whole) < len(text)-64<<10 {
					t.Errorf("read %d bytes of %d, or other ones", len(got), len(text))
				}
			} else if got != c.want {
				t.Errorf("read %d bytes, want %d", len(got), len(c.want))
			}
			if a.Size() != int64(len(c.stored)) || a.Progress() != a.Size() {
				t.Errorf("progress %d of %d, want all of %d", a.Progress(), a.Size(), len(c.stored))
			}
		})
	}
}

func TestArchiveResumes(t *testing.T) {
	text := numbered(0, 60_000)
	for _, stored := range []string{text, zip(t, text)} {
		path := filepath.Join(t.TempDir(), "log")
		write(t, path, stored)
		var marks []ingest.Mark
		run := func(from []ingest.Mark) (string, error) {
			a, err := source.OpenArchive(path)
			if err != nil {
				t.Fatal(err)
			}
			s := newSink()
			s.hook = func(b *ingest.Batch) { marks = append(marks, b.Mark) }
			err = a.Run(t.Context(), from, s.out)
			return s.String(), err
		}
		if _, err := run(nil); err != nil {
			t.Fatal(err)
		}
		mark := marks[len(marks)/2]
		if got, err := run([]ingest.Mark{mark}); err != nil || got != text[mark.Offset:] {
			t.Errorf("from %d: read %d bytes, %v, want %d", mark.Offset, len(got), err, len(text)-int(mark.Offset))
		}
		mark.Print++
		if _, err := run([]ingest.Mark{mark}); err == nil || !strings.Contains(err.Error(), "another file") {
			t.Errorf("with the mark of another file: %v", err)
		}
	}
}

func TestOpenArchiveErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := source.OpenArchive(dir); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := source.OpenArchive(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestStdin(t *testing.T) {
	leak := goleak.IgnoreCurrent()
	text := numbered(0, 5000) + strings.Repeat("y", 2<<20) + "\nlast"
	s := newSink()
	if err := source.NewStdin(strings.NewReader(text), "in").Run(t.Context(), nil, s.out); err != nil {
		t.Fatal(err)
	}
	if s.String() != numbered(0, 5000)+"last\n" || len(s.rejects) != 1 || s.rejects[0].Length != 2<<20 {
		t.Errorf("read %d bytes, %d rejects", len(s.String()), len(s.rejects))
	}
	goleak.VerifyNone(t, leak)
}

func TestStdinTrickle(t *testing.T) {
	leak := goleak.IgnoreCurrent()
	r, w := io.Pipe()
	s := newSink()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- source.NewStdin(r, "in").Run(ctx, nil, s.out) }()
	for i, part := range []string{"a", "\nb\n", "c\n"} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			s.await(t, []string{"", "a\nb\n", "a\nb\nc\n"}[i]) // at once, not when a block is full
		}
	}
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("Run = %v", err)
	}
	goleak.VerifyNone(t, leak)
}

func TestStdinError(t *testing.T) {
	s := newSink()
	broken := io.MultiReader(strings.NewReader("a\nb"), errReader{})
	err := source.NewStdin(broken, "in").Run(t.Context(), nil, s.out)
	if !errors.Is(err, errBroken) || s.String() != "a\nb\n" {
		t.Errorf("Run = %v, read %q; want what came before the error", err, s)
	}
}

var errBroken = errors.New("broken")

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errBroken }

// benchLog writes a log of size bytes once.
func benchLog(b *testing.B, size int) (path string, text string) {
	line := `203.0.113.7 - - [10/Oct/2025:13:55:36 +0000] "GET /api/orders/4711?page=2 HTTP/1.1" 200 2326 "-" "Mozilla/5.0 (X11; Linux x86_64)"` + "\n"
	var sb strings.Builder
	for i := 0; sb.Len() < size; i++ {
		fmt.Fprintf(&sb, "%06d %s", i, line)
	}
	path = filepath.Join(b.TempDir(), "access.log")
	write(b, path, sb.String())
	return path, sb.String()
}

const benchSize = 128 << 20

func BenchmarkFile(b *testing.B) {
	path, text := benchLog(b, benchSize)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := source.NewFile(source.FileConfig{Path: path, Poll: time.Second, Log: quiet})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		n := 0
		err = f.Run(ctx, nil, func(_ context.Context, batch *ingest.Batch) error {
			if n += len(batch.Data); n == len(text) {
				cancel()
			}
			batch.Release()
			return nil
		})
		if n != len(text) || err != context.Canceled {
			b.Fatalf("%d bytes, %v", n, err)
		}
	}
}

func BenchmarkArchive(b *testing.B) {
	path, text := benchLog(b, benchSize)
	packed := path + ".gz"
	write(b, packed, zip(b, text))
	for name, path := range map[string]string{"plain": path, "gz": packed} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				a, err := source.OpenArchive(path)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				err = a.Run(b.Context(), nil, func(_ context.Context, batch *ingest.Batch) error {
					n += len(batch.Data)
					batch.Release()
					return nil
				})
				if n != len(text) || err != nil {
					b.Fatalf("%d bytes, %v", n, err)
				}
			}
		})
	}
}
