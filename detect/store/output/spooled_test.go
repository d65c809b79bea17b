package output_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/bus"
)

// linesOf makes a document of each line, whose id is where it stands.
func linesOf(m *bus.Message) (docs []elastic.Doc, err error) {
	b, err := bus.ToBatch(m)
	if err != nil {
		return nil, err
	}
	for c := b.Begin(); b.Next(&c); {
		docs = append(docs, elastic.Doc{Kind: elastic.Access, ID: fmt.Sprintf("%s/%d/%d", b.Source, b.File, c.At), Source: []byte(`{"n":1}`)})
	}
	return docs, nil
}

func batchOf(n, lines int) *ingest.Batch {
	data := strings.Repeat("a line \x00\xff of the log\n", lines)
	return &ingest.Batch{Source: "gateway", File: 7, Format: "nginx-combined", Offset: int64(n * len(data)), Data: []byte(data)}
}

func openLines(t *testing.T, dir string, most int64) *output.Lines {
	t.Helper()
	l, err := output.OpenLines(dir, most, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // closed already where the test did
	return l
}

var errEnough = errors.New("enough")

// take reads pieces until there were so many documents.
func take(t *testing.T, l *output.Lines, from string, want int) (ids []string, places []string) {
	t.Helper()
	var mu sync.Mutex
	err := l.Read(t.Context(), from, linesOf, func(p output.Piece) error {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range p.Docs {
			ids = append(ids, d.ID)
		}
		places = append(places, p.Next)
		if len(ids) >= want {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return ids, places
}

// TestLines: what was kept is read again behind any place, in the same order with the same
// ids, also by the next process, and a place sorts as it was reached.
func TestLines(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "far")
	l := openLines(t, dir, 64<<20)
	for n := range 20 {
		b := batchOf(n, 10)
		was := bytes.Clone(b.Data)
		if l.Keep(b); !bytes.Equal(b.Data, was) {
			t.Fatal("the batch on its way to detection is changed")
		}
	}
	l.Keep(&ingest.Batch{Source: "gateway"}) // it says how far a log is, and no more
	ids, places := take(t, l, "", 200)
	if len(ids) != 200 || len(places) != 20 || !slices.IsSorted(places) || len(slices.Compact(slices.Clone(ids))) != 200 || ids[0] != "gateway/7/0" {
		t.Fatalf("%d documents at %q", len(ids), places)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLines(t, dir, 64<<20)
	l.Keep(batchOf(20, 10))
	rest, _ := take(t, l, places[4], 160)
	if !slices.Equal(rest[:150], ids[50:]) || rest[150] != fmt.Sprintf("gateway/7/%d", batchOf(20, 10).Offset) {
		t.Errorf("behind %s come %d, the first is %s", places[4], len(rest), rest[0])
	}
	if _, err := output.OpenLines(dir, 64<<20, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second process has it too: %v", err)
	}
	if err := l.Read(t.Context(), "no place", linesOf, func(output.Piece) error { return nil }); err == nil {
		t.Error("it is read from no place")
	}
}

// TestLinesFull: when there is no room batches are left out and counted, at once; when
// what was sent is let go, there is room again.
func TestLinesFull(t *testing.T) {
	l := openLines(t, filepath.Join(t.TempDir(), "far"), 1<<20)
	kept := 0
	for left := int64(0); left == 0; kept++ {
		if kept > 1000 {
			t.Fatal("it is never full")
		}
		l.Keep(batchOf(kept, 1000))
		left, _ = l.LeftOut()
	}
	n, why := l.LeftOut()
	if n != 1000 || !strings.Contains(why, "full") || l.Waiting() < 1<<19 {
		t.Fatalf("%d lines are left out because %q, %d bytes wait", n, why, l.Waiting())
	}
	ids, places := take(t, l, "", (kept-1)*1000)
	if len(ids) != (kept-1)*1000 {
		t.Errorf("%d documents, want those of %d batches", len(ids), kept-1)
	}
	l.Sent(places[len(places)-1])
	l.Keep(batchOf(kept, 1000))
	if n, why := l.LeftOut(); n != 1000 || why != "" {
		t.Errorf("afterwards %d lines are left out because %q", n, why)
	}
}

// TestLinesEnd: reading ends with its context.
func TestLinesEnd(t *testing.T) {
	l := openLines(t, filepath.Join(t.TempDir(), "far"), 64<<20)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Read(ctx, "", linesOf, func(output.Piece) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestLinesTwice: lines that a restart of ours reads again from the log, and so are in the
// spool twice, come once, also when the restart was of what reads the spool.
func TestLinesTwice(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "far")
	l := openLines(t, dir, 64<<20)
	for n := range 6 {
		l.Keep(batchOf(n, 10))
	}
	for _, again := range [][2]int{{15, 20}, {35, 30}} { // from the saved mark on, otherwise cut
		b := batchOf(0, again[1])
		b.Offset = int64(again[0] * len(b.Data) / again[1])
		l.Keep(b)
	}
	l.Keep(&ingest.Batch{Source: "gateway", File: 8, Format: "nginx-combined", Data: []byte("another file\n")})
	ids, places := take(t, l, "", 66)
	if len(ids) != 66 || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 66 {
		t.Fatalf("%d documents come, want each of 66 once", len(ids))
	}
	note := l.Note(places[2])
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLines(t, dir, 64<<20)
	place, err := l.Restore(note)
	if err != nil || place != places[2] {
		t.Fatalf("%q is %s, %v; want %s", note, place, err, places[2])
	}
	if rest, _ := take(t, l, place, 36); !slices.Equal(rest, ids[30:]) {
		t.Errorf("behind the third batch come %d, want %d", len(rest), 36)
	}
	if _, err := l.Restore("x {"); err == nil {
		t.Error("a note that is none is read")
	}
}
